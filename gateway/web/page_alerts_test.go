package web

import (
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
)

func TestAlertsHaveAPage(t *testing.T) {
	d := newDash(t)
	b := d.as("operator")
	b.sees("/alerts", "No open alerts")
	b.sees("/alerts?closed=1", "No closed alerts")
	both := func(text string) policy.Label { return policy.Label{EN: text, ZH: text} }
	d.alerts.list = []Alert{
		{ID: "5", Kind: "limit_exceeded", Severity: "warning", Subject: "bob#crm", Rule: "day", Title: both("Limit reached"), Text: both("much"), Advice: both("Raise it"), Count: 3,
			Samples: []string{"Invoice"}, Messages: []string{"M1", "M2", "M3", "M4", "M5", "M6"}, Opened: d.now, Last: d.now},
		{ID: "4", Kind: "disk_low", Severity: "critical", Subject: "store", Title: both("Disk"), Text: both("full"), Opened: d.now, Last: d.now, Acknowledged: d.now, AcknowledgedBy: "user:ann"},
		{ID: "3", Kind: "hijack", Severity: "critical", Subject: "mallory", Campaign: "mallory", Title: both("Hijack"), Text: both("odd"), Advice: both("Ask"), Opened: d.now, Last: d.now},
		{ID: "2", Kind: "campaign", Severity: "warning", Subject: stranger, Campaign: stranger, Title: both("Similar"), Opened: d.now, Last: d.now},
		{ID: "1", Kind: "pulled_back", Severity: "critical", Subject: "mallory", Rule: "b&1", Title: both("Pulled"), Opened: d.now, Last: d.now, Until: d.now.Add(time.Hour)},
		{ID: "0", Kind: "mass_recall", Severity: "warning", Subject: "eve", Title: both("Old"), Opened: d.now, Last: d.now, Closed: d.now},
		{ID: "00", Kind: "approval_waiting", Severity: "warning", Subject: "eve", Title: both("Older"), Opened: d.now, Last: d.now, Closed: d.now},
	}
	_, page := b.get("/alerts")
	at := -1
	for _, want := range []string{`id="3"`, `id="1"`, `id="5"`, `id="2"`, `id="4"`} { // critical first, acknowledged last
		if i := strings.Index(page, want); i < at || i < 0 {
			t.Errorf("%s is missing or too early", want)
		} else {
			at = i
		}
	}
	b.sees("/alerts", "Open (5)", `href="/senders/bob%23crm"`, "raise the limit", "Invoice", `href="/messages/M5"`, "and 1 more", "3 times", "user:ann",
		`href="/senders/mallory"`, "suspend the sender", `href="/campaigns/`+stranger+`"`, `href="/approvals?batch=b%261"`, `href="/overview"`, `action="/alerts/5/acknowledge"`)
	if strings.Contains(page, `action="/alerts/4/acknowledge"`) || strings.Contains(page, "/campaigns/mallory") || strings.Contains(page, "Older") {
		t.Error("an alert leads where it should not")
	}
	b.sees("/alerts?closed=1", "Old", "Older", `href="/recalls"`, `href="/senders/eve"`)
	if _, page := b.get("/alerts?closed=1"); strings.Contains(page, "/acknowledge") {
		t.Error("what is over can be acknowledged")
	}
	d.worded("operator", "/alerts", "/alerts?closed=1")
}

func TestAlertsAreAcknowledgedOnTheirPage(t *testing.T) {
	d := newDash(t)
	d.alerts.list = []Alert{{ID: "5", Kind: "disk_low", Severity: "warning"}}
	if _, page := d.as("auditor").get("/alerts"); strings.Contains(page, "/acknowledge") {
		t.Error("an auditor is offered to acknowledge")
	}
	for _, step := range []struct{ role, id, want string }{
		{"auditor", "5", "Your role does not allow this."}, {"operator", "5", "Acknowledged."}, {"admin", "5", "Somebody has acknowledged the alert before."},
		{"admin", "9", "There is no such alert"},
	} {
		if _, page := d.as(step.role).post("/alerts/"+step.id+"/acknowledge", "/alerts"); !strings.Contains(page, step.want) {
			t.Errorf("%s: %s", step.role, inner(page))
		}
	}
	if a := d.alerts.list[0]; a.AcknowledgedBy != "user:operator" {
		t.Errorf("got %+v", a)
	}
}

func TestHostileAlertsAreHarmless(t *testing.T) {
	d := newDash(t)
	for i, bad := range payloads {
		d.alerts.list = append(d.alerts.list, Alert{
			ID: itoa(i), Kind: "hijack", Severity: "warning", Subject: bad, Rule: bad, Campaign: bad, Title: policy.Label{EN: bad}, Text: policy.Label{EN: bad},
			Advice: policy.Label{EN: bad}, Samples: []string{bad}, Messages: []string{bad}, Acknowledged: d.now, AcknowledgedBy: bad,
		})
	}
	_, page := d.as("admin").get("/alerts")
	harmless(t, page)
	if !strings.Contains(page, "&lt;script&gt;alert(1)") {
		t.Error("not shown")
	}
}
