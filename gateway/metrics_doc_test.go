package gateway

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sendgate/sendgate/gateway/notify/webhook"
	"go.uber.org/zap"
)

// What stands beside the metrics.
const (
	metricsTable = "../contrib/grafana/README.md"
	alertRules   = "../contrib/grafana/rules.yaml"
	dashboard    = "../contrib/grafana/sendgate.json"
)

// A described metric has a name, labels and a help text.
type described struct {
	name, help string
	labels     []string
}

// row is its line in the table.
func (d described) row() string {
	name := d.name
	if len(d.labels) > 0 {
		name += "{" + strings.Join(d.labels, ",") + "}"
	}
	return "| `" + name + "` | " + d.help + " |"
}

// describedForm is how the library prints a description.
var describedForm = regexp.MustCompile(`^Desc\{fqName: "([^"]+)", help: "([^"]*)", unit: "[^"]*", constLabels: \{(.*)\}, variableLabels: \{(.*)\}\}$`)

var constLabel = regexp.MustCompile(`(\w+)="[^"]*"`)

// openAll builds a gateway that has every part.
func openAll(t *testing.T) *Gateway {
	t.Helper()
	cfg := DemoConfig(t.TempDir(), "127.0.0.1:1")
	cfg.Relay.Listen, cfg.API.Listen = nil, ""
	cfg.Domains.Enabled = true
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("a secret of more than thirty-two octets\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg.Webhooks = []webhook.SubscriberConfig{{Name: "siem", URL: "https://siem.example/", SecretFile: secret, Timeout: time.Second}}
	g, err := New(cfg, "test", zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

// describe gives all metrics of a gateway by name.
func describe(t *testing.T, g *Gateway) map[string]described {
	t.Helper()
	descs := make(chan *prometheus.Desc)
	go func() {
		defer close(descs)
		for _, c := range g.collectors() {
			c.Describe(descs)
		}
	}()
	all := map[string]described{}
	for desc := range descs {
		part := describedForm.FindStringSubmatch(desc.String())
		if part == nil {
			t.Errorf("cannot read %s", desc)
			continue
		}
		d := described{name: part[1], help: part[2]}
		for _, l := range constLabel.FindAllStringSubmatch(part[3], -1) {
			d.labels = append(d.labels, l[1])
		}
		if part[4] != "" {
			d.labels = append(d.labels, strings.Split(part[4], ",")...)
		}
		if _, twice := all[d.name]; twice {
			t.Errorf("%s is there twice", d.name)
		}
		all[d.name] = d
	}
	return all
}

// TestMetricsAreExplained holds the metrics of the running gateway and the table in contrib/grafana/README.md
// together, both ways.
func TestMetricsAreExplained(t *testing.T) {
	data, err := os.ReadFile(metricsTable)
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]bool{}
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, "| `sendgate_") {
			rows[strings.TrimRight(line, "\n")] = true
		}
	}
	all := describe(t, openAll(t))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		d := all[name]
		if !rows[d.row()] {
			t.Errorf("the table in contrib/grafana/README.md does not have the metric %s as it is; add or correct this row:\n%s", name, d.row())
		}
		delete(rows, d.row())
		if !strings.HasSuffix(d.help, ".") {
			t.Errorf("%s: the help text %q is no sentence", name, d.help)
		}
	}
	for row := range rows {
		t.Errorf("the table in contrib/grafana/README.md has a row that no metric has: remove or correct it:\n%s", row)
	}
}

// forbidden are labels that have as many values as there is mail, people or servers in the world.
var forbidden = regexp.MustCompile(`address|recipient|sender|identity|login|user|client|domain|subject|queue|id$|reason|text|error`)

// TestLabelsAreBounded wants no label that outsiders could fill.
func TestLabelsAreBounded(t *testing.T) {
	for name, d := range describe(t, openAll(t)) {
		for _, label := range d.labels {
			if forbidden.MatchString(label) {
				t.Errorf("%s: the label %q is of something without bounds", name, label)
			}
		}
		if len(d.labels) > 3 {
			t.Errorf("%s has %d labels: their values multiply", name, len(d.labels))
		}
	}
}

// An alerting rule, as Prometheus reads it.
type alertRule struct {
	Alert, Record, Expr, For string
	Labels, Annotations      map[string]string
}

// readRules gives all rules of the file.
func readRules(t *testing.T) (all []alertRule) {
	t.Helper()
	data, err := os.ReadFile(alertRules)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Name  string
			Rules []alertRule
		}
	}
	if err := yaml.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	return all
}

// panelExpressions gives the queries of the dashboard by the title of their panels.
func panelExpressions(t *testing.T) map[string][]string {
	t.Helper()
	data, err := os.ReadFile(dashboard)
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			Title   string
			Type    string
			Targets []struct{ Expr, LegendFormat string }
		}
	}
	if err := json.Unmarshal(data, &board); err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for _, p := range board.Panels {
		if p.Type != "row" && p.Type != "text" && len(p.Targets) == 0 {
			t.Errorf("the panel %q asks for nothing", p.Title)
		}
		for _, target := range p.Targets {
			all[p.Title] = append(all[p.Title], target.Expr+"\n"+target.LegendFormat)
		}
	}
	return all
}

var (
	metricForm   = regexp.MustCompile(`\b((?:sendgate|process|go)_\w+)(?:\{([^}]*)\})?`)
	matcherForm  = regexp.MustCompile(`(\w+)\s*(?:=~|!~|!=|=)`)
	groupingForm = regexp.MustCompile(`\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)`)
	legendForm   = regexp.MustCompile(`\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}`)
)

// TestDashboardAndRulesAskForWhatThereIs looks up every metric and label that they name.
func TestDashboardAndRulesAskForWhatThereIs(t *testing.T) {
	all := describe(t, openAll(t))
	asked := map[string]bool{}
	check := func(where, text string) {
		t.Helper()
		has := map[string]bool{"job": true, "instance": true, "le": true, "quantile": true, "alertname": true}
		for _, m := range metricForm.FindAllStringSubmatch(text, -1) {
			d, ok := find(all, m[1])
			if !ok {
				t.Errorf("%s asks for %s, which does not exist", where, m[1])
				continue
			}
			asked[d.name] = true
			own := map[string]bool{"job": true, "instance": true, "le": true}
			for _, l := range d.labels {
				has[l], own[l] = true, true
			}
			for _, l := range matcherForm.FindAllStringSubmatch(m[2], -1) {
				if !own[l[1]] {
					t.Errorf("%s: %s has no label %q", where, m[1], l[1])
				}
			}
		}
		for _, form := range []*regexp.Regexp{groupingForm, legendForm} {
			for _, m := range form.FindAllStringSubmatch(text, -1) {
				for l := range strings.SplitSeq(m[1], ",") {
					if l = strings.TrimSpace(l); l != "" && !has[l] {
						t.Errorf("%s: no metric in it has a label %q", where, l)
					}
				}
			}
		}
	}
	for title, queries := range panelExpressions(t) {
		for _, q := range queries {
			check("the panel "+title, q)
		}
	}
	for _, r := range readRules(t) {
		check("the rule "+r.Alert+r.Record, r.Expr+"\n"+strings.Join(slices.Collect(maps.Values(r.Annotations)), "\n"))
	}
	if len(asked) < 30 {
		t.Errorf("only %d metrics are asked for", len(asked))
	}
}

// find gives a metric by its name or by that of a series of its histogram. Those of the runtime have no
// description here, and are taken as they are.
func find(all map[string]described, name string) (described, bool) {
	if !strings.HasPrefix(name, "sendgate_") {
		return described{name: name}, true
	}
	if d, ok := all[name]; ok {
		return d, true
	}
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if base, ok := strings.CutSuffix(name, suffix); ok {
			if d, ok := all[base]; ok {
				return d, true
			}
		}
	}
	return described{}, false
}

// TestAlertsHaveARunbook wants of each alert what somebody needs whom it wakes up: its weight, a sentence in both
// languages, and a section of the README that says what it means and what to do.
func TestAlertsHaveARunbook(t *testing.T) {
	data, err := os.ReadFile(metricsTable)
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{}
	for _, part := range strings.Split(string(data), "\n### ")[1:] {
		title, text, _ := strings.Cut(part, "\n")
		text, _, _ = strings.Cut(text, "\n## ")
		sections[title] = text
	}
	for _, r := range readRules(t) {
		if r.Alert == "" {
			continue
		}
		text, ok := sections[r.Alert]
		if !ok || !strings.Contains(text, "**Means**") || !strings.Contains(text, "**Do**") {
			t.Errorf("%s has no section in contrib/grafana/README.md that says what it **Means** and what to **Do**", r.Alert)
		}
		delete(sections, r.Alert)
		if want := "contrib/grafana/README.md#" + strings.ToLower(r.Alert); !strings.HasSuffix(r.Annotations["runbook_url"], want) {
			t.Errorf("%s: runbook_url is %q, want one that ends with %s", r.Alert, r.Annotations["runbook_url"], want)
		}
		if !slices.Contains([]string{"critical", "warning", "info"}, r.Labels["severity"]) {
			t.Errorf("%s: severity %q", r.Alert, r.Labels["severity"])
		}
		for _, key := range []string{"summary", "summary_zh"} {
			if r.Annotations[key] == "" {
				t.Errorf("%s has no %s", r.Alert, key)
			}
		}
	}
	for title := range sections {
		t.Errorf("contrib/grafana/README.md explains %s, which is no alert", title)
	}
}
