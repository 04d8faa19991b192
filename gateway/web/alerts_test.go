package web

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// fakeAlerts has a list of incidents.
type fakeAlerts struct {
	now  time.Time
	list []Alert
	fail error
	lose bool // an incident that was acknowledged
}

func (a *fakeAlerts) List(open bool) (list []Alert) {
	for _, one := range a.list {
		if !open || one.Closed.IsZero() {
			list = append(list, one)
		}
	}
	return list
}

func (a *fakeAlerts) Acknowledge(_ context.Context, id, actor string) error {
	if a.fail != nil {
		return a.fail
	}
	i := slices.IndexFunc(a.list, func(one Alert) bool { return one.ID == id })
	a.list[i].Acknowledged, a.list[i].AcknowledgedBy = a.now, actor
	if a.lose {
		a.list = slices.Delete(a.list, i, i+1)
	}
	return nil
}

func TestAlertsAreListedAndAcknowledged(t *testing.T) {
	r := newRig(t)
	r.alerts.list = []Alert{
		{ID: "2", Kind: "limit_exceeded", Severity: "warning", Subject: "alice@corp.example", Rule: "external-hour", Window: Span(time.Hour),
			Title: policy.Label{EN: "Sending limit reached", ZH: "已达发送上限"}, Count: 3, Opened: r.now, Last: r.now.In(time.FixedZone("CST", 8*3600))},
		{ID: "1", Kind: "disk_low", Severity: "critical", Closed: r.now},
	}
	for q, want := range map[string][]string{"": {"2"}, "?open=true": {"2"}, "?open=false": {"2", "1"}, "?open=false&limit=1": {"2"}} {
		var ids []string
		for _, a := range get[AlertList](r, "/api/v1/alerts"+q).Alerts {
			ids = append(ids, a.ID)
		}
		if !slices.Equal(ids, want) {
			t.Errorf("%q: %q, want %q", q, ids, want)
		}
	}
	got := post[Alert](r, "/api/v1/alerts/2/acknowledge", "")
	if got.AcknowledgedBy != "api:admin" || !got.Acknowledged.Equal(r.now) || got.Last.Location() != time.UTC || got.Window != Span(time.Hour) {
		t.Errorf("got %+v", got)
	}
	if acts := r.logs.FilterMessage("act").All(); len(acts) != 1 || acts[0].ContextMap()["verb"] != "acknowledge" || acts[0].ContextMap()["alert"] != "2" {
		t.Errorf("audit lines: %v", acts)
	}
}

func TestNoAlertsIsAnEmptyArray(t *testing.T) {
	if got := get[AlertList](newRig(t), "/api/v1/alerts"); got.Alerts == nil {
		t.Error("null")
	}
}

func TestAcknowledgingIsRefused(t *testing.T) {
	const gone = "there is no such alert, or it is older than alerts are kept"
	for name, tt := range map[string]struct {
		id           string
		fail         error
		lose         bool
		status       int
		code, detail string
	}{
		"unknown":               {"9", nil, false, 404, "not_found", gone},
		"gone meanwhile":        {"1", store.ErrNotFound, false, 404, "not_found", gone},
		"gone right afterwards": {"1", nil, true, 404, "not_found", gone},
		"twice":                 {"2", nil, false, 409, "already_acknowledged", "somebody has acknowledged the alert before"},
		"broken":                {"1", errBroken, false, 500, "internal", "something went wrong here: the log of sendgate says what"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.alerts.list, r.alerts.fail, r.alerts.lose = []Alert{{ID: "1"}, {ID: "2", Acknowledged: r.now}}, tt.fail, tt.lose
			w := r.ask(r.server, "secret-admin", "POST", "/api/v1/alerts/"+tt.id+"/acknowledge", "")
			wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), tt.status, tt.code, tt.detail)
		})
	}
}
