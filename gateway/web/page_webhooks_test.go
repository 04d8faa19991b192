package web

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// threeHooks are one that is well, one that fails, and one that is disabled.
type threeHooks struct {
	oneHook
	now time.Time
}

func (h *threeHooks) List() []Webhook {
	return []Webhook{
		{Name: "siem", Host: "siem.corp.example", Signed: true, State: "ok", Delivered: 1204, LastDelivery: h.now.Add(-time.Minute)},
		{
			Name: "crm", Host: "crm.example", Events: []policy.Kind{policy.Held, policy.Bounced}, State: "failing", Behind: 3, LagSeconds: 90, Delivered: 7,
			LastDelivery: h.now.Add(-2 * time.Hour), Error: `HTTP status 500 <script>alert(1)</script>`, ErrorAt: h.now.Add(-time.Minute), NextTry: h.now.Add(time.Minute), Retries: 4,
		},
		{Name: "old", Host: "old.example", State: "disabled", Behind: 12, Error: "HTTP status 410", ErrorAt: h.now.Add(-time.Hour)},
	}
}

func TestWebhooksHaveAPage(t *testing.T) {
	d := newDash(t)
	a := d.as("admin")
	a.sees("/settings/webhooks", "No webhooks are configured")
	h := &threeHooks{now: d.now}
	d.server.webhooks = h
	a.sees("/settings/webhooks", "siem.corp.example", "all events", "signed", "1,204 events since the start", "taken",
		"held, bounced", "not signed", "failing", "HTTP status 500", "Failed tries: 4; next", "for 1 min 30 s", "disabled", "HTTP status 410", "none since the start",
		`action="/settings/webhooks/crm/test"`, `action="/settings/webhooks/crm/resume"`, `name="skip" value="1"`, `sse-connect="/settings/webhooks/live"`)
	_, page := a.get("/settings/webhooks")
	harmless(t, page)
	if strings.Contains(page, `action="/settings/webhooks/siem/resume"`) {
		t.Error("one that is well can be resumed")
	}
	a.language = "zh-CN"
	a.sees("/settings/webhooks", "推送失败", "已失败 4 次，下次重试", "跳过积压事件", "发送测试事件", "启动以来 1,204 个事件")
	for _, role := range []string{"operator", "auditor"} {
		b := d.as(role)
		b.sees("/settings/webhooks", "crm.example")
		if _, page := b.get("/settings/webhooks"); strings.Contains(page, "/crm/test") {
			t.Errorf("an %s is offered what he may not do", role)
		}
	}
}

func TestWebhooksAreWorkedOnAPage(t *testing.T) {
	for outcome, tt := range map[string]struct {
		role, path string
		fields     []string
		test       error
		en, zh     string
	}{
		"a test arrives":        {"admin", "/crm/test", nil, nil, "crm has taken the test event, in ", "crm 已接收测试事件"},
		"a test fails":          {"admin", "/crm/test", nil, errors.New("HTTP status 404"), "crm did not take the test event: HTTP status 404", "crm 未接收测试事件： HTTP status 404"},
		"it goes on":            {"admin", "/crm/resume", nil, nil, "It is tried again now.", "正在立即重试。"},
		"what waits is skipped": {"admin", "/crm/resume", []string{"skip", "1"}, nil, "What waited is given up", "已放弃积压事件"},
		"there is none":         {"admin", "/x/resume", nil, nil, "The configuration has no webhook of this name.", "配置中没有该名称的 Webhook。"},
		"an operator may not":   {"operator", "/crm/test", nil, nil, "Your role does not allow this.", "当前角色无此权限。"},
	} {
		t.Run(outcome, func(t *testing.T) {
			d := newDash(t)
			h := &threeHooks{now: d.now, oneHook: oneHook{test: tt.test}}
			d.server.webhooks = h
			for language, want := range map[string]string{"en": tt.en, "zh-CN": tt.zh} {
				b := d.as(tt.role)
				b.language = language
				if status, page := b.post("/settings/webhooks"+tt.path, "/settings/webhooks", tt.fields...); status != http.StatusOK || !strings.Contains(inner(page), want) {
					t.Errorf("%d %s", status, inner(page))
				}
			}
			if skip := len(tt.fields) > 0; len(h.resumed) > 0 && h.resumed[0] != skip {
				t.Errorf("skipped: %v", h.resumed)
			}
		})
	}
}
