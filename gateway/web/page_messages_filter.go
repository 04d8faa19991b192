package web

import (
	"net/url"
	"slices"
	"strings"
)

// filterFields are the fields of a query that the filter shows, in the order in which it writes them.
var filterFields = []string{"from", "to", "subject", "state", "after", "before", "identity", "campaign", "id", "queue"}

// A messageFilter is a query (see store.ParseQuery) taken apart for the fields of a form. What they do not show, such
// as a second sender, stays in Words as it was typed.
type messageFilter struct {
	Query  string // all of it
	Fields map[string]string
	Words  string
}

// Field gives what a field asks for.
func (f messageFilter) Field(name string) string { return f.Fields[name] }

// Any reports whether something is asked for.
func (f messageFilter) Any() bool { return f.Query != "" }

// Fine reports whether something is asked for that the filter shows folded.
func (f messageFilter) Fine() bool {
	return f.Fields["id"]+f.Fields["queue"]+f.Fields["before"]+f.Fields["identity"]+f.Fields["campaign"] != "" || f.Day() != ""
}

// Span is how far the messages go back when it is one of the spans offered, Day when it is anything else.
func (f messageFilter) Span() string {
	if slices.Contains(filterSpans, f.Fields["after"]) {
		return f.Fields["after"]
	}
	return ""
}

// Day is the time from which on, when it is none of the spans.
func (f messageFilter) Day() string {
	if f.Span() == "" {
		return f.Fields["after"]
	}
	return ""
}

// parseFilter takes a query apart. What is wrong in it the search says.
func parseFilter(query string) messageFilter {
	f := messageFilter{Query: query, Fields: map[string]string{}}
	var words []string
	for _, part := range queryParts(query) {
		name, value, named := strings.Cut(part, ":")
		name, value = strings.ToLower(name), strings.Trim(value, `"`)
		if _, set := f.Fields[name]; named && !set && value != "" && slices.Contains(filterFields, name) {
			f.Fields[name] = value
			continue
		}
		words = append(words, part)
	}
	f.Words = strings.Join(words, " ")
	return f
}

// queryParts cuts a query at the spaces outside of quotes.
func queryParts(query string) (parts []string) {
	quoted := false
	return strings.FieldsFunc(query, func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return !quoted && (r == ' ' || r == '\t' || r == '\n' || r == '\u3000')
	})
}

// query writes the filter as a query.
func (f messageFilter) query() string {
	var parts []string
	for _, name := range filterFields {
		value := strings.ReplaceAll(strings.TrimSpace(f.Fields[name]), `"`, "")
		if value == "" {
			continue
		}
		if strings.ContainsAny(value, " \t\n\u3000") {
			value = `"` + value + `"`
		}
		parts = append(parts, name+":"+value)
	}
	if f.Words != "" {
		parts = append(parts, f.Words)
	}
	return strings.Join(parts, " ")
}

// linkTo makes an address on this host of a path and pairs of names and values; empty values are left out.
func linkTo(path string, pairs ...string) string {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			v.Add(pairs[i], pairs[i+1])
		}
	}
	if len(v) == 0 {
		return path
	}
	return path + "?" + v.Encode()
}
