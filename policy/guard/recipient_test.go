package guard

import (
	"context"
	"testing"

	"github.com/sendgate/sendgate/policy"
)

func TestTooManyRecipientsAreSentInAnotherMessage(t *testing.T) {
	d := newDesk(t, rule(func(l *policy.LimitRule) { l.Unit, l.Per, l.Action, l.Limit = policy.Recipients, 0, policy.Reject, 120 }))
	ask := func(login string, already int) policy.Verdict {
		s := d.mail("a@remote.example")
		s.Stage, s.Already, s.Envelope.Login = policy.StageRcpt, already, login
		return d.decide(s)
	}
	v := ask("", 120)
	if v.Action != policy.Defer || v.Code != 452 || v.Status != "4.5.3" ||
		v.Text.EN != "Too many recipients in one message (limit 120); send the rest in another message" {
		t.Errorf("%+v", v)
	}
	if v := ask("", 119); v.Action != policy.Pass {
		t.Errorf("the last one: %+v", v)
	}
	if v := ask("ann", 500); v.Action != policy.Pass {
		t.Errorf("a person's program: %+v", v)
	}
	d.limit[0].Limit = 5
	d.g.Reload(d.settings())
	if v := ask("", 99); v.Action != policy.Pass {
		t.Errorf("below 100 it is never said: %+v", v)
	}
}

type domains map[string]policy.Verdict

func (d domains) Group(domain string) string {
	return map[string]string{"a.example": "mx.example", "b.example": "mx.example"}[domain]
}

func (d domains) Check(_ context.Context, a policy.Address) policy.Verdict { return d[a.Domain()] }

func TestDomainsAreChecked(t *testing.T) {
	d := newDesk(t)
	s := d.settings()
	s.Domains = domains{"gmial.com": {Action: policy.Reject, Code: 550, Status: "5.1.2"}}
	told := 0
	s.Refused = func(e *policy.Envelope, v policy.Verdict) {
		if told++; e.Identity != "ann" || v.Code != 550 {
			t.Errorf("told of %s: %+v", e.Identity, v)
		}
	}
	d.g.Reload(s)
	m := d.mail("a@gmial.com")
	m.Stage = policy.StageRcpt
	if v := d.decide(m); v.Code != 550 || v.Status != "5.1.2" {
		t.Errorf("%+v", v)
	}
	m = d.mail("a@gmail.com")
	m.Stage = policy.StageRcpt
	if v := d.decide(m); v.Action != policy.Pass || told != 1 {
		t.Errorf("%+v, told %d times", v, told)
	}
}

func TestDestinationsAreGroupedByTheirMailService(t *testing.T) {
	d := newDesk(t, rule(func(l *policy.LimitRule) { l.Key, l.Limit = policy.ByDestination, 10 }))
	for _, known := range []bool{true, false} {
		s := d.settings()
		want := map[string]int64{"dest:a.example": 2, "dest:b.example": 1, "dest:c.example": 1}
		if known {
			s.Domains = domains{}
			want = map[string]int64{"dest:mx.example": 3, "dest:c.example": 1}
		}
		d.g = New(s)
		m := d.mail("1@a.example", "2@A.example", "1@b.example", "1@c.example")
		d.accept(m, d.decide(m))
		for key, n := range want {
			if got := d.used(key); got != n {
				t.Errorf("known %v: %s has %d, want %d", known, key, got, n)
			}
		}
	}
}
