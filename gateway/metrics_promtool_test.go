package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/gateway/relay"
	"github.com/sendgate/sendgate/gateway/relay/upstream"
	"go.uber.org/zap"
)

// promtool runs Prometheus' own checker.
func promtool(t *testing.T, stdin io.Reader, args ...string) string {
	t.Helper()
	program, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("SENDGATE_E2E") == "require" {
			t.Fatalf("%v: install prometheus, as contrib/test does", err)
		}
		t.Skip(err)
	}
	cmd := exec.Command(program, args...)
	cmd.Stdin = stdin
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestPromtoolLikesTheRules has Prometheus read the rules and carry out their tests.
func TestPromtoolLikesTheRules(t *testing.T) {
	promtool(t, nil, "check", "rules", alertRules)
	promtool(t, nil, "check", "config", "--syntax-only", "../contrib/grafana/prometheus.yaml")
	var data []byte
	for _, tests := range []string{"../contrib/grafana/rules_test.yaml", "../contrib/grafana/rules_slow_test.yaml"} {
		promtool(t, nil, "test", "rules", tests)
		text, err := os.ReadFile(tests)
		if err != nil {
			t.Fatal(err)
		}
		data = append(data, text...)
	}
	for _, r := range readRules(t) {
		form := regexp.MustCompile(`alertname: ` + r.Alert + `\n        exp_alerts:\n`)
		quiet := regexp.MustCompile(`\{eval_time: \w+, alertname: ` + r.Alert + `\}`)
		if !form.Match(data) || len(quiet.FindAll(data, -1)) < 2 {
			t.Errorf("%s has no test in contrib/grafana that lets it fire, and be silent when all is in order and just before", r.Alert)
		}
	}
}

// variables take the place of Grafana's.
var variables = strings.NewReplacer("$__rate_interval", "2m", "$__interval", "1m", "$job", "sendgate", "$instance", ".*")

// TestPromtoolLikesTheDashboard has Prometheus read every query of the dashboard, as if it were a rule.
func TestPromtoolLikesTheDashboard(t *testing.T) {
	type recording struct {
		Record string `json:"record"`
		Expr   string `json:"expr"`
	}
	var rules []recording
	for title, queries := range panelExpressions(t) {
		for _, q := range queries {
			expr, _, _ := strings.Cut(q, "\n")
			if strings.Contains(variables.Replace(expr), "$") {
				t.Errorf("the panel %q has a variable that the dashboard does not have: %s", title, expr)
			}
			rules = append(rules, recording{"a:b", variables.Replace(expr)})
		}
	}
	// JSON is YAML. The names differ by nothing but a label, else Prometheus sees duplicates.
	var file bytes.Buffer
	file.WriteString(`{"groups": [`)
	for i, r := range rules {
		if i > 0 {
			file.WriteByte(',')
		}
		rule, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		file.WriteString(`{"name": "` + strings.Repeat("x", i+1) + `", "rules": [` + string(rule) + `]}`)
	}
	file.WriteString(`]}`)
	name := filepath.Join(t.TempDir(), "dashboard.yaml")
	if err := os.WriteFile(name, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if len(rules) < 40 {
		t.Errorf("only %d queries", len(rules))
	}
	promtool(t, nil, "check", "rules", "--lint=none", name)
}

// TestPromtoolLikesMetrics runs a gateway, sends a message through it and has Prometheus read what it says.
func TestPromtoolLikesMetrics(t *testing.T) {
	inside := startHop(t)
	cfg := DemoConfig(t.TempDir(), inside.listener.Addr().String())
	cfg.Upstreams = []upstream.Config{inside.config("inside")}
	cfg.Milter.Listen, cfg.API.Socket, cfg.API.Listen = nil, "", "127.0.0.1:0"
	cfg.Relay.Listen = []relay.Listener{{Address: "127.0.0.1:0"}}
	cfg.Policy.Hold.Default, cfg.Policy.Hold.Margin = time.Millisecond, 0
	g, err := New(cfg, "1.2.3", zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	letter := "From: alice@corp.example\r\nSubject: x\r\n\r\nx\r\n"
	if err := smtp.SendMail(g.SMTPAddrs()[0].String(), nil, "alice@corp.example", []string{"bob@remote.example", "carol@remote.example"}, []byte(letter)); err != nil {
		t.Fatal(err)
	}
	wants := []string{
		`sendgate_messages_total{event="accepted",front="relay"} 1`,
		`sendgate_recipients_total{event="accepted",front="relay"} 2`,
		`sendgate_messages_total{event="released",front="relay"} 1`,
		`sendgate_delivery_seconds_count{upstream="inside"} 1`,
		`sendgate_upstream_up{upstream="inside"} 1`,
		`sendgate_build_info{goversion="`, `version="1.2.3"} 1`,
		`sendgate_journal_writable 1`,
		`sendgate_config_last_reload_successful 1`,
		`sendgate_open_recipients{state="held"} 0`,
	}
	var page string
	deadline := time.Now().Add(time.Minute)
	for missing := wants; len(missing) > 0; {
		page = metricsPage(t, g)
		missing = nil
		for _, w := range wants {
			if !strings.Contains(page, w) {
				missing = append(missing, w)
			}
		}
		if len(missing) > 0 && time.Now().After(deadline) {
			t.Fatalf("missing %q in\n%s", missing, page)
		}
	}
	if out := promtool(t, strings.NewReader(page), "check", "metrics"); out != "" {
		t.Errorf("promtool check metrics:\n%s", out)
	}
}

// metricsPage reads /metrics.
func metricsPage(t *testing.T, g *Gateway) string {
	t.Helper()
	resp, err := http.Get("http://" + g.APIAddr().String() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%v %v", resp.Status, err)
	}
	return string(page)
}
