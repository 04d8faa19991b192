package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/store"
)

// A fakeSwitch is the switches for emergencies.
type fakeSwitch struct {
	bypass Bypass
	drain  Drain
	err    error
	late   bool // a drain cannot be stopped
}

func (f *fakeSwitch) Bypass() Bypass { return f.bypass }

func (f *fakeSwitch) StartBypass(_ context.Context, until time.Time, suspensions bool, reason, actor string) error {
	if f.err == nil {
		f.bypass = Bypass{On: true, Since: rigTime, Until: until, Suspensions: suspensions, Author: actor, Reason: reason}
	}
	return f.err
}

func (f *fakeSwitch) EndBypass(context.Context, string, string) error {
	if f.err == nil {
		f.bypass = Bypass{}
	}
	return f.err
}

func (f *fakeSwitch) Drain() Drain { return f.drain }

func (f *fakeSwitch) StartDrain(until time.Time, all bool, actor string) error {
	if f.err == nil {
		f.drain = Drain{State: DrainOn, Until: until, All: all, Author: actor, Stays: []Staying{}}
	}
	return f.err
}

func (f *fakeSwitch) StopDrain(string) bool {
	if f.late || f.drain.State != DrainOn {
		return false
	}
	f.drain = Drain{State: DrainOff, Stays: []Staying{}}
	return true
}

func newFakeSwitch() *fakeSwitch {
	return &fakeSwitch{drain: Drain{State: DrainOff, Stays: []Staying{}}}
}

// withSwitch gives a rig its switches.
func withSwitch(t *testing.T) (*rig, *fakeSwitch) {
	t.Helper()
	r, f := newRig(t), newFakeSwitch()
	r.server.bypasses, r.server.drains = f, f
	return r, f
}

func TestBypassOverTheAPI(t *testing.T) {
	r, f := withSwitch(t)
	for _, test := range []struct {
		name, body string
		status     int
		want       string
	}{
		{"no reason", `{"for":"1h"}`, 422, "reason"},
		{"too long", `{"for":"25h","reason":"r"}`, 422, "the rules can be bypassed for 24h at most"},
		{"two times", `{"for":"1h","until":"2026-11-21T11:00:00Z","reason":"r"}`, 422, "for"},
		{"the past", `{"until":"2026-11-21T10:00:00Z","reason":"r"}`, 422, "is in the past"},
		{"an unknown key", `{"reason":"r","force":true}`, 422, "force"},
	} {
		if w := r.ask(r.server, "secret-admin", http.MethodPost, "/api/v1/bypass", test.body); w.Code != test.status || !strings.Contains(w.Body.String(), test.want) || f.bypass.On {
			t.Errorf("%s: %d %s", test.name, w.Code, w.Body)
		}
	}
	if w := r.ask(r.server, "secret-admin", http.MethodDelete, "/api/v1/bypass", ""); w.Code != 409 || !strings.Contains(w.Body.String(), "the rules are not bypassed") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	b := post[Bypass](r, "/api/v1/bypass", `{"reason":"limits misfire","suspensions":true}`)
	if !b.On || !b.Until.Equal(rigTime.Add(time.Hour)) || !b.Suspensions || b.Author != "api:admin" {
		t.Errorf("%+v", b)
	}
	if s := get[Stats](r, "/api/v1/stats"); s.Bypass == nil || s.Bypass.Reason != "limits misfire" {
		t.Errorf("stats: %+v", s.Bypass)
	}
	ready := r.server.ready()
	if i := partOf(ready.Parts, "bypass"); i < 0 || !ready.Ready || !ready.Parts[i].OK || !strings.Contains(ready.Parts[i].Detail, "by api:admin: limits misfire") {
		t.Errorf("%+v", ready)
	}
	// An own account sees that it is, not why.
	if w := r.ask(r.server, "secret-auditor", http.MethodGet, "/api/v1/bypass", ""); !strings.Contains(w.Body.String(), "misfire") {
		t.Errorf("an auditor reads %s", w.Body)
	}
	var after Bypass
	if code := r.do(http.MethodDelete, "/api/v1/bypass?reason="+url.QueryEscape("it is mended"), "", &after); code != 200 || after.On {
		t.Errorf("%d %+v", code, after)
	}
	if s := get[Stats](r, "/api/v1/stats"); s.Bypass != nil {
		t.Error("stats speak of a bypass that is over")
	}
	var acts []string
	for _, l := range r.logs.FilterMessage("act").All() {
		m := l.ContextMap()
		acts = append(acts, m["verb"].(string)+": "+m["reason"].(string))
	}
	if got := strings.Join(acts, ", "); got != "bypass: limits misfire, end_bypass: it is mended" {
		t.Error(got)
	}
	f.err = store.ErrFull
	if w := r.ask(r.server, "secret-admin", http.MethodPost, "/api/v1/bypass", `{"reason":"r"}`); w.Code != 503 || !strings.Contains(w.Body.String(), "store_full") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	f.bypass.On = true
	if w := r.ask(r.server, "secret-admin", http.MethodDelete, "/api/v1/bypass", ""); w.Code != 503 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	r.server.bypasses, r.server.drains = nil, nil
	if w := r.ask(r.server, "secret-admin", http.MethodPost, "/api/v1/bypass", `{"reason":"r"}`); w.Code != 503 || !strings.Contains(w.Body.String(), "this gateway has no such switch") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func partOf(parts []Part, name string) int {
	for i := range parts {
		if parts[i].Name == name {
			return i
		}
	}
	return -1
}

func TestDrainOverTheAPI(t *testing.T) {
	r, f := withSwitch(t)
	if w := r.ask(r.server, "secret-admin", http.MethodDelete, "/api/v1/drain", ""); w.Code != 409 || !strings.Contains(w.Body.String(), "the gateway is not being drained, or has closed its listeners already") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := r.ask(r.server, "secret-admin", http.MethodPost, "/api/v1/drain", `{"timeout":"soon"}`); w.Code != 422 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	d := post[Drain](r, "/api/v1/drain", `{"all":true,"timeout":"30m"}`)
	if d.State != DrainOn || !d.All || !d.Until.Equal(rigTime.Add(30*time.Minute)) || d.Author != "api:admin" {
		t.Errorf("%+v", d)
	}
	if w := r.ask(r.server, "secret-admin", http.MethodPost, "/api/v1/drain", `{}`); w.Code != 409 || !strings.Contains(w.Body.String(), "the gateway is being drained already") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	ready := r.server.ready()
	if i := partOf(ready.Parts, "drain"); i < 0 || ready.Ready || ready.Parts[i].OK {
		t.Errorf("%+v", ready)
	}
	if got := get[Drain](r, "/api/v1/drain"); got.State != DrainOn {
		t.Errorf("%+v", got)
	}
	var stopped Drain
	if code := r.do(http.MethodDelete, "/api/v1/drain", "", &stopped); code != 200 || stopped.State != DrainOff || !r.server.ready().Ready {
		t.Errorf("%d %+v", code, stopped)
	}
	if d := post[Drain](r, "/api/v1/drain", `{}`); !d.Until.Equal(rigTime.Add(time.Hour)) || d.All {
		t.Errorf("%+v", d)
	}
	f.drain.State, f.err = DrainOff, errors.New("somebody was quicker")
	if w := r.ask(r.server, "secret-admin", http.MethodPost, "/api/v1/drain", `{}`); w.Code != 409 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	r.server.drains = nil
	if w := r.ask(r.server, "secret-admin", http.MethodPost, "/api/v1/drain", `{}`); w.Code != 503 || !strings.Contains(w.Body.String(), "this gateway has no such switch") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// Every page says that the rules are bypassed, in the language of who looks; who may ends it there.
func TestTheBannerStandsOnEveryPage(t *testing.T) {
	d, f := newDash(t), newFakeSwitch()
	d.server.bypasses, d.server.drains = f, f
	if _, page := d.as("admin").get("/overview"); strings.Contains(page, "bypassed") {
		t.Error("the banner stands there without a bypass")
	}
	f.bypass = Bypass{On: true, Since: d.now, Until: d.now.Add(90 * time.Minute), Author: "user:ann", Reason: "<b>limits</b> misfire", Suspensions: true}
	for _, path := range []string{"/overview", "/messages", "/alerts", "/settings", "/account"} {
		d.as("admin").sees(path, "The rules are bypassed.", "It ends by itself in 1 h 30 min", "New mail is neither held nor limited", "Suspended accounts may send, too.",
			"user:ann: &lt;b&gt;limits&lt;/b&gt; misfire", `action="/bypass/end"`, "End it now")
	}
	zh := d.as("admin")
	zh.language = "zh-CN"
	zh.sees("/overview", "规则已旁路。", "后自动结束", "新邮件不再暂缓或限制", "立即结束")
	if _, page := d.as("operator").get("/overview"); !strings.Contains(page, "The rules are bypassed.") || strings.Contains(page, "/bypass/end") {
		t.Error("an operator does not see it, or is offered to end it")
	}
	user := d.as("alice")
	if _, page := user.get("/mine"); !strings.Contains(page, "The rules are bypassed.") || strings.Contains(page, "misfire") || strings.Contains(page, "/bypass/end") {
		t.Errorf("a user: %s", inner(page))
	}
	if _, page := d.as("operator").post("/bypass/end", "/overview"); !f.bypass.On {
		t.Errorf("an operator ended it: %s", inner(page))
	}
	f.drain = Drain{State: DrainOn}
	d.as("admin").sees("/overview", "This gateway is being emptied.", "It takes no more mail, lets go what is held, and then ends.")
	f.drain = Drain{State: DrainOff}
	if _, page := d.as("admin").post("/bypass/end", "/alerts"); f.bypass.On || !strings.Contains(page, "The rules apply again.") || !strings.Contains(page, "Open alerts") && !strings.Contains(page, "/alerts") {
		t.Errorf("%+v %s", f.bypass, inner(page))
	}
}

// An administrator begins it in the settings, for a time and with a reason; nobody else is offered to.
func TestABypassIsBegunInTheSettings(t *testing.T) {
	d, f := newDash(t), newFakeSwitch()
	d.server.bypasses, d.server.drains = f, f
	d.as("admin").sees("/settings/about", `action="/bypass"`, "In an emergency: bypass the rules", `<option value="1h">1 hour</option>`, "15 minutes", "Let suspended accounts send, too")
	zh := d.as("admin")
	zh.language = "zh-CN"
	zh.sees("/settings/about", "紧急情况：旁路规则", "15 分钟", "允许被暂停的账号发送")
	if _, page := d.as("operator").get("/settings/about"); strings.Contains(page, `action="/bypass"`) {
		t.Error("an operator is offered to begin it")
	}
	if _, page := d.as("operator").post("/bypass", "/settings/about", "for", "1h", "reason", "mine"); f.bypass.On {
		t.Errorf("an operator began it: %s", inner(page))
	}
	if d.as("admin").post("/bypass", "/settings/about", "for", "1h", "reason", " "); f.bypass.On {
		t.Error("it began without a reason")
	}
	_, page := d.as("admin").post("/bypass", "/settings/about", "for", "4h", "reason", "limits misfire", "suspensions", "1")
	if b := f.bypass; !b.On || b.Reason != "limits misfire" || !b.Suspensions || !strings.Contains(page, "The rules are bypassed now.") || strings.Contains(page, `action="/bypass"`) {
		t.Errorf("%+v %s", b, inner(page))
	}
}
