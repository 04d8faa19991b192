package guard

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/sendgate/sendgate/policy"
)

func TestUnits(t *testing.T) {
	to := append(many(2, "remote.example"), "bob@corp.example", "eve@corp.example", "new@partner.example")
	header := map[string][]string{"To": {"R <r0@remote.example>, bob@corp.example"}, "Cc": {"x@y.example, R0@REMOTE.example, undisclosed"}}
	for _, tt := range []struct {
		unit policy.Unit
		want int64
		text string
	}{
		{policy.Messages, 1, "2 of 3 messages per hour used, 1 asked"},
		{policy.Recipients, 5, "2 of 3 recipients per hour used, 5 asked"},
		{policy.ExternalRecipients, 3, "2 of 3 external recipients per hour used, 3 asked"},
		{policy.InternalRecipients, 2, "2 of 3 internal recipients per hour used, 2 asked"},
		{policy.FirstTimeRecipients, 1, "2 of 3 first-time external recipients per hour used, 1 asked"},
		{policy.Bytes, 1000, "2 of 3 bytes per hour used, 1000 asked"},
		{policy.VisibleRecipients, 2, "2 of 3 visible external recipients in To and Cc per hour used, 2 asked"},
	} {
		t.Run(string(tt.unit), func(t *testing.T) {
			d := newDesk(t, rule(func(l *policy.LimitRule) { l.Unit, l.Limit, l.Action = tt.unit, 1_000_000, policy.Log }))
			for _, a := range many(2, "remote.example") {
				d.g.people.Learn("ann", a, noon)
			}
			s := d.mail(to...)
			s.Header = func(name string) []string { return header[name] }
			v := d.decide(s)
			d.accept(s, v)
			if got := d.used("ann"); got != tt.want || v.Action != policy.Pass {
				t.Errorf("counted %d, want %d; action %q", got, tt.want, v.Action)
			}
			f := v.Findings[0]
			f.Used, f.Limit = 2, 3
			if got := f.Text().EN; got != tt.text {
				t.Errorf("text %q", got)
			}
		})
	}
}

func TestKeys(t *testing.T) {
	for _, tt := range []struct {
		key  policy.Key
		want map[string]int64
	}{
		{policy.ByIdentity, map[string]int64{"ann": 3}},
		{policy.BySenderDomain, map[string]int64{"from:corp.example": 3}},
		{policy.ByNetwork, map[string]int64{"net:192.0.2.1": 3}},
		{policy.ByGateway, map[string]int64{"gateway:": 3}},
		{policy.ByRecipientDomain, map[string]int64{"to:remote.example": 2, "to:partner.example": 1}},
	} {
		d := newDesk(t, rule(func(l *policy.LimitRule) { l.Key, l.Limit = tt.key, 100 }))
		s := d.mail("a@remote.example", "b@REMOTE.example", "c@partner.example", "d@corp.example")
		d.accept(s, d.decide(s))
		for key, want := range tt.want {
			if got := d.used(key); got != want {
				t.Errorf("%s: %s has %d, want %d", tt.key, key, got, want)
			}
		}
	}
	for address, want := range map[string]string{"2001:db8:1:2:3::4": "2001:db8:1:2::/64", "::ffff:192.0.2.9": "192.0.2.9"} {
		if got := network(netip.MustParseAddr(address)); got != want {
			t.Errorf("network of %s: %s", address, got)
		}
	}
	if got := network(netip.Addr{}); got != "unknown" {
		t.Errorf("no client: %q", got)
	}
}

func TestActions(t *testing.T) {
	tests := []struct {
		name   string
		change func(*policy.LimitRule)
		want   policy.Verdict
		text   string
	}{
		{"hold", func(l *policy.LimitRule) {}, policy.Verdict{Action: policy.Hold},
			"Held for the sending limit: 3 of 3 external recipients per hour used, 1 asked; next free 13:01"},
		{"defer", func(l *policy.LimitRule) { l.Action = policy.Defer }, policy.Verdict{Action: policy.Defer, Code: 451, Status: "4.7.1"},
			"Sending limit reached: 3 of 3 external recipients per hour used, 1 asked; next free 13:01"},
		{"defer with own code", func(l *policy.LimitRule) { l.Action, l.Code, l.Status = policy.Defer, 450, "4.7.0" },
			policy.Verdict{Action: policy.Defer, Code: 450, Status: "4.7.0"}, "Sending limit reached: 3 of 3"},
		{"reject", func(l *policy.LimitRule) { l.Action = policy.Reject }, policy.Verdict{Action: policy.Reject, Code: 550, Status: "5.7.1"},
			"Sending limit reached: 3 of 3"},
		{"approval", func(l *policy.LimitRule) { l.Action = policy.Approval }, policy.Verdict{Action: policy.Approval, Expiry: policy.Reject},
			"Waits for approval: 3 of 3"},
		{"approval that lets go", func(l *policy.LimitRule) { l.Action, l.OnExpiry = policy.Approval, policy.ExpiryRelease },
			policy.Verdict{Action: policy.Approval, Expiry: policy.Pass}, "Waits for approval: 3 of 3"},
		{"log", func(l *policy.LimitRule) { l.Action = policy.Log }, policy.Verdict{}, ""},
		{"shadow", func(l *policy.LimitRule) { l.Action, l.Shadow = policy.Reject, true }, policy.Verdict{}, ""},
		{"route", func(l *policy.LimitRule) { l.Action, l.Upstream = policy.Route, "bulk" }, policy.Verdict{Upstream: "bulk"}, ""},
		{"tag", func(l *policy.LimitRule) { l.Action, l.Field = policy.Tag, "X-Limit: many" },
			policy.Verdict{Tags: []policy.Field{{Name: "X-Limit", Value: "many"}}}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := newDesk(t, rule(tt.change))
			first := d.mail(many(3, "remote.example")...)
			v := d.decide(first)
			if v.Action != policy.Pass {
				t.Fatalf("what fits: %+v", v)
			}
			d.accept(first, v)
			s := d.mail("one@remote.example")
			v = d.decide(s)
			if v.Action != tt.want.Action || v.Code != tt.want.Code || v.Status != tt.want.Status || v.Expiry != tt.want.Expiry ||
				v.Upstream != tt.want.Upstream || len(v.Tags) != len(tt.want.Tags) || len(v.Tags) > 0 && v.Tags[0] != tt.want.Tags[0] {
				t.Errorf("verdict %+v", v)
			}
			if !strings.HasPrefix(v.Text.EN, tt.text) || tt.text != "" && (v.Text.ZH == "" || !strings.Contains(v.Text.EN, s.ID.String())) {
				t.Errorf("text %q, %q", v.Text.EN, v.Text.ZH)
			}
			if f := v.Findings[0]; !f.Exceeded || f.Used != 3 || f.Asked != 1 || f.Shadow != (tt.name == "shadow") {
				t.Errorf("finding %+v", f)
			}
			if keeps := v.Action != policy.Pass; keeps == (v.Charge != nil) {
				t.Errorf("charge %+v", v.Charge)
			}
		})
	}
}

func TestWhatIsTooLargeForever(t *testing.T) {
	for _, action := range []policy.Action{policy.Hold, policy.Defer, policy.Reject} {
		d := newDesk(t, rule(func(l *policy.LimitRule) { l.Action = action }))
		v := d.decide(d.mail(many(4, "remote.example")...))
		if v.Action != policy.Reject || v.Code != 550 || v.Status != "5.5.3" {
			t.Errorf("%s: %+v", action, v)
		}
	}
	d := newDesk(t, rule(func(l *policy.LimitRule) { l.Unit, l.Per, l.Action = policy.Recipients, 0, policy.Reject }))
	v := d.decide(d.mail(many(4, "remote.example")...))
	if v.Code != 550 || v.Status != "5.5.3" || !strings.HasPrefix(v.Text.EN, "Sending limit reached: 4 recipients in one message, the limit is 3 (ref ") {
		t.Errorf("per message: %d %s %q", v.Code, v.Status, v.Text.EN)
	}
	if !strings.HasPrefix(v.Text.ZH, "已达发送上限：单封邮件有 4 个收件人，上限 3（编号 ") {
		t.Errorf("in Chinese: %q", v.Text.ZH)
	}
}

func TestAllLimitsOrNone(t *testing.T) {
	d := newDesk(t,
		rule(func(l *policy.LimitRule) { l.Name, l.Limit = "loose", 100 }),
		rule(func(l *policy.LimitRule) { l.Name, l.Action = "tight", policy.Defer }),
		rule(func(l *policy.LimitRule) { l.Name, l.Action = "also tight", policy.Hold }),
	)
	for i := range 3 {
		s := d.mail(fmt.Sprintf("a%d@remote.example", i))
		d.accept(s, d.decide(s))
	}
	s := d.mail("b@remote.example")
	v := d.decide(s)
	if v.Action != policy.Defer || v.Rule != "tight" || !v.Findings[1].Decided || v.Findings[2].Decided {
		t.Errorf("the strictest decides: %+v", v)
	}
	if got := d.g.Usage(d.now, "ann"); len(got) != 3 || got[0].Used != 3 || got[1].Used != 3 || got[2].Used != 3 {
		t.Errorf("usage %+v", got)
	}
}

func TestWhatIsNotConcerned(t *testing.T) {
	d := newDesk(t, rule(func(l *policy.LimitRule) { l.Limit, l.Action = 1, policy.Reject }))
	for name, change := range map[string]func(*policy.Envelope){
		"inbound":     func(e *policy.Envelope) { e.Direction = policy.Inbound },
		"our own":     func(e *policy.Envelope) { e.Front = policy.Internal },
		"null sender": func(e *policy.Envelope) { e.Sender = "" },
	} {
		s := d.mail(many(9, "remote.example")...)
		change(s.Envelope)
		v := d.decide(s)
		d.accept(s, v)
		if v.Action != policy.Pass || d.used("ann") != 0 {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

func TestARuleThatCannotBeApplied(t *testing.T) {
	for onError, want := range map[string]policy.Verdict{
		policy.FailOpen: {}, policy.FailClosed: {Action: policy.Defer, Code: 451, Status: "4.3.0"}, policy.FailHold: {Action: policy.Approval},
	} {
		d := newDesk(t,
			rule(func(l *policy.LimitRule) {
				l.Name, l.OnError, l.Match.Headers = "broken", onError, map[string]string{"X": "*"}
			}),
			rule(func(l *policy.LimitRule) { l.Limit = 100 }))
		s := d.mail("a@remote.example")
		s.Header = func(name string) []string {
			if name == "X" {
				panic("a broken header")
			}
			return nil
		}
		v := d.decide(s)
		if v.Action != want.Action || v.Code != want.Code || v.Status != want.Status {
			t.Errorf("%s: %+v", onError, v)
		}
		if v.Action != policy.Pass && v.Text != (policy.Label{EN: "A sending limit cannot be checked at the moment", ZH: "暂时无法检查发送上限"}) {
			t.Errorf("%s: %+v", onError, v.Text)
		}
		d.accept(s, v)
		if onError == policy.FailOpen && d.used("ann") != 1 {
			t.Errorf("the other limit counted %d", d.used("ann"))
		}
	}
}
