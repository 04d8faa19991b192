package guard

import (
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
)

func TestTrialOnlyTells(t *testing.T) {
	d := newDesk(t, rule(func(l *policy.LimitRule) { l.Limit, l.Action = 1, policy.Reject }))
	s := d.settings()
	s.Trial = noon.Add(time.Hour)
	d.g.Reload(s)
	m := d.mail(many(2, "remote.example")...)
	if v := d.decide(m); v.Action != policy.Pass || !v.Findings[0].Shadow || !v.Findings[0].Exceeded {
		t.Errorf("in the trial: %+v", v)
	}
	d.now = noon.Add(2 * time.Hour)
	if v := d.decide(d.mail(many(2, "remote.example")...)); v.Action != policy.Reject {
		t.Errorf("after it: %+v", v)
	}
}

func TestEditedLimitsKeepTheirUsage(t *testing.T) {
	d := newDesk(t, rule(func(l *policy.LimitRule) { l.Limit = 100 }))
	s := d.mail(many(50, "remote.example")...)
	d.accept(s, d.decide(s))
	d.limit[0].Limit = 50
	d.g.Reload(d.settings())
	if v := d.decide(d.mail("one@remote.example")); v.Action != policy.Hold || v.Findings[0].Used != 50 {
		t.Errorf("%+v", v)
	}
}

func TestAdministration(t *testing.T) {
	d := newDesk(t, rule(func(l *policy.LimitRule) {}))
	s := d.mail(many(3, "remote.example")...)
	d.accept(s, d.decide(s))
	act := func(e policy.Event) {
		e.Time, e.Actor, e.Subject, e.Reason = d.now, "api:ops", "ann", "month end"
		d.g.Observe(d.now, d.id(), nil, e)
	}
	act(policy.Event{Kind: policy.Boosted, Rule: "test", Amount: 2, Until: noon.Add(time.Hour)})
	if v := d.decide(d.mail("a@remote.example")); v.Action != policy.Pass || v.Findings[0].Limit != 5 || v.Findings[0].Source != "boost" {
		t.Errorf("boosted: %+v", v)
	}
	act(policy.Event{Kind: policy.Overridden, Rule: "test", Amount: 1, Until: noon.Add(time.Hour)})
	if g := d.g.Grants(d.now, "ann"); len(g) != 2 || g[1].Author != "api:ops" || g[1].Reason != "month end" {
		t.Errorf("grants %+v", g)
	}
	if g := d.g.Grants(d.now, ""); len(g) != 2 || g[0].Key != "ann" {
		t.Errorf("of all: %+v", g)
	}
	act(policy.Event{Kind: policy.Overridden, Rule: "test"})
	if g := d.g.Grants(d.now, "ann"); len(g) != 0 {
		t.Errorf("revoked: %+v", g)
	}
	d.now = d.now.Add(time.Second)
	act(policy.Event{Kind: policy.UsageReset})
	if got := d.used("ann"); got != 0 {
		t.Errorf("after a reset: %d", got)
	}
	if near := d.g.Near(d.now, 0.5, 10); len(near) != 0 {
		t.Errorf("near %+v", near)
	}
}

func TestSuspension(t *testing.T) {
	d := newDesk(t)
	act := func(e policy.Event) {
		e.Actor, e.Subject, e.Reason = "api:ops", "ann", "hijacked"
		d.g.Observe(d.now, d.id(), nil, e)
	}
	act(policy.Event{Kind: policy.Suspended, Time: noon})
	for _, stage := range []policy.Stage{policy.StageRcpt, policy.StageEnd} {
		s := d.mail("a@remote.example")
		s.Stage = stage
		v := d.decide(s)
		if v.Action != policy.Reject || v.Code != 550 || v.Status != "5.7.13" ||
			v.Text.EN != "This account is suspended from sending to other organisations; contact helpdesk@corp.example" ||
			v.Text.ZH != "该账号已被暂停对外发送邮件，请联系 helpdesk@corp.example" {
			t.Errorf("%+v", v)
		}
		s = d.mail("bob@corp.example")
		s.Stage = stage
		if v := d.decide(s); v.Action != policy.Pass {
			t.Errorf("internal mail: %+v", v)
		}
	}
	if list := d.g.Suspensions(d.now); len(list) != 1 || list[0].Reason != "hijacked" {
		t.Errorf("%+v", list)
	}
	act(policy.Event{Kind: policy.Suspended, Time: noon.Add(time.Second), Until: noon.Add(time.Hour)})
	d.now = noon.Add(time.Minute)
	v := d.decide(d.mail("a@remote.example"))
	if v.Action != policy.Defer || v.Code != 451 || v.Status != "4.7.1" || !strings.Contains(v.Text.EN, "until 2026-11-21 13:00") {
		t.Errorf("for a while: %+v", v)
	}
	d.now = noon.Add(2 * time.Hour)
	if v := d.decide(d.mail("a@remote.example")); v.Action != policy.Pass {
		t.Errorf("after it: %+v", v)
	}
	act(policy.Event{Kind: policy.Suspended, Time: noon.Add(3 * time.Hour)})
	act(policy.Event{Kind: policy.Unsuspended, Time: noon.Add(4 * time.Hour)})
	act(policy.Event{Kind: policy.Suspended, Time: noon.Add(3 * time.Hour)}) // again, after a restart
	d.now = noon.Add(5 * time.Hour)
	if v := d.decide(d.mail("a@remote.example")); v.Action != policy.Pass {
		t.Errorf("unsuspended: %+v", v)
	}
}
