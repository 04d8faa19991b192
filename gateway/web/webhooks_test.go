package web

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// oneHook has one webhook, "crm".
type oneHook struct {
	test    error
	resumed []bool
}

func (*oneHook) List() []Webhook {
	return []Webhook{{
		Name: "crm", Host: "crm.example", Events: []policy.Kind{policy.Held}, State: "failing", Behind: 3, LagSeconds: 90, Error: "HTTP status 500",
		ErrorAt: time.Date(2026, 3, 1, 9, 0, 0, 0, time.FixedZone("x", 3600)),
	}}
}

func (h *oneHook) Test(_ context.Context, name string) error {
	if name != "crm" {
		return store.ErrNotFound
	}
	return h.test
}

func (h *oneHook) Resume(name string, skip bool) error {
	if name != "crm" {
		return store.ErrNotFound
	}
	h.resumed = append(h.resumed, skip)
	return nil
}

func TestWebhooksOverTheAPI(t *testing.T) {
	h := &oneHook{}
	r := newRig(t)
	for _, tt := range []struct {
		outcome, role, method, path, body string
		hooks                             Webhooks
		test                              error
		code                              int
		want                              string
	}{
		{"they are listed", "auditor", "GET", "", "", h, nil, 200, `{"webhooks":[{"name":"crm","host":"crm.example","events":["held"],"signed":false,` +
			`"state":"failing","behind":3,"lag_seconds":90,"delivered":0,"error":"HTTP status 500","error_at":"2026-03-01T08:00:00Z"}]}`},
		{"there are none", "auditor", "GET", "", "", nil, nil, 200, `{"webhooks":[]}`},
		{"a test arrives", "admin", "POST", "/crm/test", "", h, nil, 200, `{"delivered":true,"milliseconds":`},
		{"a test fails", "admin", "POST", "/crm/test", "", h, errors.New("HTTP status 404"), 200, `{"delivered":false,"error":"HTTP status 404","milliseconds":`},
		{"a test of nobody", "admin", "POST", "/x/test", "", h, nil, 404, `"code":"webhook_not_found"`},
		{"a test without any", "admin", "POST", "/crm/test", "", nil, nil, 404, `"code":"webhook_not_found"`},
		{"it goes on", "admin", "POST", "/crm/resume", `{}`, h, nil, 200, `{"name":"crm"`},
		{"it skips what waits", "admin", "POST", "/crm/resume", `{"skip":true}`, h, nil, 200, `{"name":"crm"`},
		{"nobody goes on", "admin", "POST", "/x/resume", `{}`, h, nil, 404, "the configuration has no webhook of this name"},
		{"an operator may not", "operator", "POST", "/crm/resume", `{}`, h, nil, 403, `"status":403`},
		{"nor test", "operator", "POST", "/crm/test", "", h, nil, 403, `"status":403`},
	} {
		t.Run(tt.outcome, func(t *testing.T) {
			r.server.webhooks, h.test = tt.hooks, tt.test
			w := r.ask(r.server, "secret-"+tt.role, tt.method, apiPath+"/webhooks"+tt.path, tt.body)
			if w.Code != tt.code || !strings.Contains(w.Body.String(), tt.want) {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
	if len(h.resumed) != 2 || h.resumed[0] || !h.resumed[1] {
		t.Errorf("resumed %v", h.resumed)
	}
	entries, err := r.store.AuditLog(0, 100, func(e *store.AuditEntry) bool { return e.Object == "crm" })
	if err != nil || len(entries) != 4 {
		t.Errorf("%d entries in the audit log: %v", len(entries), err)
	}
}
