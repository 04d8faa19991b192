package main

import (
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/gateway/web"
)

var hooked = web.WebhookList{Webhooks: []web.Webhook{
	{Name: "crm", Host: "crm.example", State: "ok", Delivered: 12, LastDelivery: noon, Error: "HTTP status 502", ErrorAt: noon.Add(-time.Hour)},
	{Name: "siem", Host: "siem.example:8443", State: "failing", Behind: 40, LagSeconds: 5400, Error: "dial tcp 192.0.2.7:8443: connection refused\x1b[2J", ErrorAt: noon},
	{Name: "old", Host: "old.example", State: "disabled", Behind: 7, Error: "HTTP status 410", ErrorAt: noon},
	{Name: "newer", Host: "x.example", State: "resting"},
}}

func TestWebhooks(t *testing.T) {
	failed := web.WebhookTest{Error: "HTTP status 502\x1b[2J"}
	gone := &web.Problem{Code: "webhook_not_found"}
	gone.Status, gone.Detail = 404, "the configuration has no webhook of this name"
	for _, tt := range []struct {
		outcome     string
		args        string
		answer      any
		asked, want string
		err         string
	}{
		{"listed", "webhooks", hooked, "GET /api/v1/webhooks", "" +
			"WEBHOOK  HOST               STATE     LAG      BEHIND  LAST TAKEN           ERROR\n" +
			"crm      crm.example        ok        0s       0       2026-11-21 12:00:00  \n" +
			"siem     siem.example:8443  failing   1h30m0s  40                           2026-11-21 12:00:00 dial tcp 192.0.2.7:8443: connection refused\ufffd[2J\n" +
			"old      old.example        disabled  0s       7                            2026-11-21 12:00:00 HTTP status 410\n" +
			"newer    x.example          resting   0s       0                            \n", ""},
		{"listed in Chinese", "webhooks --lang zh", hooked, "GET /api/v1/webhooks", "失败重试中", ""},
		{"there are none", "webhooks", web.WebhookList{}, "GET /api/v1/webhooks", "no program is told of events: see webhooks in the configuration\n", ""},
		{"for programs", "webhooks --json", hooked, "GET /api/v1/webhooks", `"name":"crm"`, ""},
		{"a test that arrives", "webhooks test crm", web.WebhookTest{Delivered: true, Milliseconds: 41}, "POST /api/v1/webhooks/crm/test", "webhook crm took the test event within 41 ms\n", ""},
		{"a test that does not", "webhooks test crm", failed, "POST /api/v1/webhooks/crm/test", "", "webhook crm did not take the test event: HTTP status 502\ufffd[2J"},
		{"the same for programs", "webhooks test crm --json", failed, "POST /api/v1/webhooks/crm/test", `"delivered":false`, ""},
		{"a test of nobody", "webhooks test crm", gone, "POST /api/v1/webhooks/crm/test", "", "the configuration has no webhook of this name"},
		{"it goes on", "webhooks resume crm", web.Webhook{Name: "crm", State: "ok"}, "POST /api/v1/webhooks/crm/resume {}", "webhook crm goes on\n", ""},
		{"without what waits", "webhooks resume crm --skip", web.Webhook{Name: "crm"}, `POST /api/v1/webhooks/crm/resume {"skip":true}`, "webhook crm goes on\n", ""},
		{"a name cannot leave its place", "webhooks resume ../drain", web.Webhook{Name: "x"}, "POST /api/v1/webhooks/..%2Fdrain/resume {}", "", "there is no such message"},
	} {
		t.Run(tt.outcome, func(t *testing.T) {
			f := newFakeAPI(t)
			method, path, _ := strings.Cut(tt.asked, " ")
			path, _, _ = strings.Cut(path, " ")
			f.answer[method+" "+path] = tt.answer
			stdout, _, err := f.sendgate(t, strings.Fields(tt.args)...)
			switch {
			case tt.err == "" && err != nil, tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
				t.Errorf("%v", err)
			case !strings.Contains(trimmed(stdout), trimmed(tt.want)) || tt.want == "" && stdout != "":
				t.Errorf("got\n%s\nnot\n%s", stdout, tt.want)
			}
			if len(f.asked) != 1 || f.asked[0] != tt.asked {
				t.Errorf("asked %q, not %q", f.asked, tt.asked)
			}
		})
	}
}

// trimmed is a text without spaces at the ends of its lines.
func trimmed(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}
