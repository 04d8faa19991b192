package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sendgate/sendgate/gateway/web"
	"go.uber.org/zap"
)

// A description is what of OpenAPI 3.1 is used here.
type description struct {
	Paths      map[string]map[string]operation `json:"paths"`
	Components struct {
		Schemas map[string]schema `json:"schemas"`
	} `json:"components"`
}

type operation struct {
	ID          string   `json:"operationId"`
	Summary     string   `json:"summary"`
	Description string   `json:"description"`
	Roles       []string `json:"x-roles"`
	Parameters  []struct {
		Name        string `json:"name"`
		In          string `json:"in"`
		Description string `json:"description"`
		Schema      schema `json:"schema"`
	} `json:"parameters"`
	RequestBody *body           `json:"requestBody"`
	Responses   map[string]body `json:"responses"`
}

type body struct {
	Description string `json:"description"`
	Content     map[string]struct {
		Schema schema `json:"schema"`
	} `json:"content"`
}

type schema struct {
	Ref         string            `json:"$ref"`
	Type        any               `json:"type"`
	Description string            `json:"description"`
	Enum        []any             `json:"enum"`
	Properties  map[string]schema `json:"properties"`
	Required    []string          `json:"required"`
	Items       *schema           `json:"items"`
}

// asked is what the API says of itself.
func asked() (description, error) {
	var d description
	s := web.New(web.DefaultConfig(), web.Needs{Metrics: prometheus.NewRegistry(), Now: time.Now, Log: zap.NewNop()})
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/v1/openapi.json", nil))
	if w.Code != http.StatusOK {
		return d, fmt.Errorf("the description is answered with %d", w.Code)
	}
	return d, json.Unmarshal(w.Body.Bytes(), &d)
}

const apiHead = `# Reference: the HTTP API

Made by ` + "`go run ./contrib/reference`" + ` from the API's own description, which a running gateway has at
` + "`/api/v1/openapi.json`" + `; a test holds this page to it. Names are in snake_case, times RFC 3339 in UTC, errors problem details
(RFC 9457) with a stable ` + "`code`" + `, lists have keyset cursors (` + "`next`" + `, given back as ` + "`cursor`" + `). A token goes into
` + "`Authorization: Bearer ...`" + `; root on the same machine needs none at the unix socket.
`

// writeAPI writes a section for each operation, in order of paths, and the shapes after them.
func writeAPI(w io.Writer, _ string) error {
	d, err := asked()
	if err != nil {
		return err
	}
	var page strings.Builder
	page.WriteString(apiHead)
	for _, path := range sorted(d.Paths) {
		for _, method := range sorted(d.Paths[path]) {
			d.Paths[path][method].write(&page, strings.ToUpper(method), path)
		}
	}
	page.WriteString("\n# Shapes\n")
	for _, name := range sorted(d.Components.Schemas) {
		d.Components.Schemas[name].write(&page, name)
	}
	_, err = io.WriteString(w, page.String())
	return err
}

func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// write describes one operation: who may, what goes in, what comes out.
func (o operation) write(page *strings.Builder, method, path string) {
	fmt.Fprintf(page, "\n## %s %s\n\n%s.", method, path, strings.TrimSuffix(o.Summary, "."))
	if o.Description != "" {
		fmt.Fprintf(page, " %s", o.Description)
	}
	fmt.Fprintf(page, " Roles: %s.\n", strings.Join(o.Roles, ", "))
	rows := make([]string, 0, len(o.Parameters))
	for _, p := range o.Parameters {
		rows = append(rows, fmt.Sprintf("| `%s` | %s | %s | %s |", p.Name, p.In, p.Schema.kind(), cell(p.Description)))
	}
	if len(rows) > 0 {
		fmt.Fprintf(page, "\n| parameter | in | kind | meaning |\n|---|---|---|---|\n%s\n", strings.Join(rows, "\n"))
	}
	if o.RequestBody != nil {
		fmt.Fprintf(page, "\nBody: %s.\n", o.RequestBody.shapes())
	}
	for _, code := range sorted(o.Responses) {
		if answer := o.Responses[code]; code != "default" {
			fmt.Fprintf(page, "\nAnswer %s: %s.\n", code, answer.shapes())
		}
	}
}

// shapes names what a body holds, in each of its media types.
func (b body) shapes() string {
	var all []string
	for _, media := range sorted(b.Content) {
		all = append(all, strings.TrimSpace(b.Content[media].Schema.kind()+" ("+media+")"))
	}
	if len(all) == 0 {
		return "nothing"
	}
	return strings.Join(all, ", ")
}

// write lists the members of a shape.
func (s schema) write(page *strings.Builder, name string) {
	fmt.Fprintf(page, "\n### %s\n", name)
	if s.Description != "" {
		fmt.Fprintf(page, "\n%s\n", s.Description)
	}
	if len(s.Properties) == 0 {
		return
	}
	page.WriteString("\n| member | kind | always | meaning |\n|---|---|---|---|\n")
	for _, member := range sorted(s.Properties) {
		p, always := s.Properties[member], ""
		if slices.Contains(s.Required, member) {
			always = "yes"
		}
		fmt.Fprintf(page, "| `%s` | %s | %s | %s |\n", member, p.kind(), always, cell(p.Description))
	}
}

// kind names a type; a shape with a link to it.
func (s schema) kind() string {
	if name, ok := strings.CutPrefix(s.Ref, "#/components/schemas/"); ok {
		return fmt.Sprintf("[%s](#%s)", name, strings.ToLower(name))
	}
	if s.Items != nil {
		return "list of " + s.Items.kind()
	}
	if len(s.Enum) > 0 {
		all := make([]string, len(s.Enum))
		for i, v := range s.Enum {
			all[i] = fmt.Sprint("`", v, "`")
		}
		return strings.Join(all, ", ")
	}
	switch t := s.Type.(type) {
	case string:
		return t
	case []any: // with null
		return strings.Trim(fmt.Sprint(t), "[]")
	}
	return ""
}

// cell is a text as it may stand in a table.
func cell(text string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", `\|`)
}
