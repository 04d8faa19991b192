package guard

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/content"
	"github.com/sendgate/sendgate/policy/similar"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// A desk is a guard with a clock and a way to send.
type desk struct {
	t      *testing.T
	g      *Guard
	now    time.Time
	limit  []policy.LimitRule
	serial byte
}

func rule(change func(*policy.LimitRule)) policy.LimitRule {
	var l policy.LimitRule
	l.SetDefaults()
	l.Name, l.Limit = "test", 3
	change(&l)
	return l
}

func newDesk(t *testing.T, limits ...policy.LimitRule) *desk {
	t.Helper()
	time.Local = time.UTC
	d := &desk{t: t, now: noon, limit: limits}
	d.g = New(d.settings())
	return d
}

func (d *desk) settings() Settings {
	directory, err := policy.NewDirectory([]policy.Identity{
		{Login: "ann", Addresses: []string{"ann@corp.example", "sales@corp.example"}, Groups: []string{"staff"}},
		{Login: "scanner", Addresses: []string{"scan@corp.example"}, Apart: true},
	})
	if err != nil {
		d.t.Fatal(err)
	}
	c := policy.DefaultConfig()
	c.Hold.Default, c.Internal, c.Limits = 0, []string{"@corp.example"}, d.limit
	if err := c.Validate(); err != nil {
		d.t.Fatal(err)
	}
	return Settings{Config: c, Directory: directory, Contact: "helpdesk@corp.example"}
}

func (d *desk) id() policy.ID {
	d.serial++
	return policy.ID{15: d.serial}
}

// mail is a submission by ann.
func (d *desk) mail(to ...string) policy.Submission {
	e := &policy.Envelope{
		Received: d.now, Front: policy.Relay, Direction: policy.Outbound, Sender: "ann@corp.example", Identity: "ann",
		Login: "ann", Client: netip.MustParseAddr("192.0.2.1"), Size: 1000, Subject: "hello",
	}
	e.MessageID = fmt.Sprintf("<%d@corp.example>", d.serial+1)
	for _, a := range to {
		e.Recipients = append(e.Recipients, policy.Recipient{Address: policy.Address(a)})
	}
	return policy.Submission{Time: d.now, Envelope: e, ID: d.id(), Trusted: true}
}

func (d *desk) decide(s policy.Submission) policy.Verdict {
	d.t.Helper()
	return d.g.Decide(context.Background(), s)
}

// accept tells the guard what a front writes into the journal for a verdict.
func (d *desk) accept(s policy.Submission, v policy.Verdict) {
	events := []policy.Event{{Kind: policy.Accepted, Time: d.now, Charge: v.Charge, Findings: v.Findings}}
	switch v.Action {
	case policy.Hold:
		events = append(events, policy.Event{Kind: policy.Held, Time: d.now, Until: v.Until, Rule: v.Rule, Findings: v.Findings})
	case policy.Reject, policy.Defer:
		events = []policy.Event{{Kind: policy.Refused, Time: d.now}}
	}
	d.see(s, events...)
}

func (d *desk) see(s policy.Submission, events ...policy.Event) {
	for _, e := range events {
		d.g.Observe(d.now, s.ID, s.Envelope, e)
	}
}

func many(n int, domain string) (to []string) {
	for i := range n {
		to = append(to, fmt.Sprintf("r%d@%s", i, domain))
	}
	return to
}

// used gives what has counted for a key.
func (d *desk) used(key string) int64 {
	for _, f := range d.g.Usage(d.now, key) {
		return f.Used
	}
	return 0
}

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

func TestGivenBack(t *testing.T) {
	limit := rule(func(l *policy.LimitRule) { l.Limit = 10 })
	to := append(many(3, "remote.example"), "bob@corp.example")
	for _, tt := range []struct {
		name string
		then func(d *desk, s policy.Submission, v policy.Verdict)
		want int64
	}{
		{"accepted", func(d *desk, s policy.Submission, v policy.Verdict) { d.accept(s, v) }, 3},
		{"not accepted after all", func(d *desk, s policy.Submission, v policy.Verdict) { d.g.Forget(d.now, s.ID) }, 0},
		{"nothing heard of it again", func(d *desk, s policy.Submission, v policy.Verdict) { d.now = d.now.Add(11 * time.Minute) }, 0},
		{"refused", func(d *desk, s policy.Submission, v policy.Verdict) { d.see(s, policy.Event{Kind: policy.Refused}) }, 0},
		{"never queued", func(d *desk, s policy.Submission, v policy.Verdict) {
			d.accept(s, v)
			d.see(s, policy.Event{Kind: policy.NeverQueued, Time: d.now})
		}, 0},
		{"recalled", func(d *desk, s policy.Submission, v policy.Verdict) {
			d.accept(s, v)
			d.see(s, policy.Event{Kind: policy.Canceled, Time: d.now}, policy.Event{Kind: policy.Canceled, Time: d.now})
		}, 0},
		{"recalled from two", func(d *desk, s policy.Submission, v policy.Verdict) {
			d.accept(s, v)
			e := policy.Event{Kind: policy.Canceled, Time: d.now, Recipients: []int{0, 3}}
			d.see(s, e, e)
		}, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDesk(t, limit)
			s := d.mail(to...)
			tt.then(d, s, d.decide(s))
			if got := d.used("ann"); got != tt.want {
				t.Errorf("counted %d, want %d", got, tt.want)
			}
		})
	}
}

func TestARetryIsCountedOnce(t *testing.T) {
	d := newDesk(t, rule(func(l *policy.LimitRule) { l.Limit = 10 }))
	s := d.mail("a@remote.example", "b@remote.example")
	d.accept(s, d.decide(s))
	again := s
	again.ID = d.id()
	v := d.decide(again)
	d.accept(again, v)
	if got := d.used("ann"); got != 2 || v.Action != policy.Pass {
		t.Errorf("counted %d, action %q", got, v.Action)
	}
	other := again
	other.ID, other.Digest = d.id(), [16]byte{1}
	d.accept(other, d.decide(other))
	if got := d.used("ann"); got != 4 {
		t.Errorf("another body counted %d", got)
	}
}

func TestHeldMailFlowsWhenItFits(t *testing.T) {
	d := newDesk(t, rule(func(l *policy.LimitRule) {}))
	first := d.mail(many(3, "remote.example")...)
	d.accept(first, d.decide(first))
	var waiting []policy.Submission
	for range 4 {
		s := d.mail("one@remote.example")
		v := d.decide(s)
		if v.Action != policy.Hold {
			t.Fatalf("%+v", v)
		}
		d.accept(s, v)
		waiting = append(waiting, s)
	}
	if until, f, ok := d.g.Waits(waiting[3].ID); !ok || !until.After(noon.Add(time.Hour)) || f.Rule != "test" {
		t.Errorf("the last one waits until %v: %+v, %v", until, f, ok)
	}
	if got := d.g.Flow(d.now, 100); len(got) != 0 {
		t.Errorf("flows too early: %+v", got)
	}
	if wake := d.g.Wake(); wake.Before(noon.Add(59*time.Minute)) || wake.After(noon.Add(62*time.Minute)) {
		t.Errorf("wakes at %v", wake)
	}
	d.now = noon.Add(62 * time.Minute)
	got := d.g.Flow(d.now, 100)
	if len(got) != 3 || got[0].ID != waiting[0].ID || got[0].Charge == nil || got[0].Findings[0].Asked != 1 {
		t.Fatalf("%d flow", len(got))
	}
	for _, a := range got {
		d.g.Observe(d.now, a.ID, first.Envelope, policy.Event{Kind: policy.Released, Time: d.now, Charge: a.Charge})
	}
	if d.used("ann") != 3 {
		t.Errorf("counted %d", d.used("ann"))
	}
	d.see(waiting[3], policy.Event{Kind: policy.Canceled, Time: d.now})
	d.now = d.now.Add(2 * time.Hour)
	if got := d.g.Flow(d.now, 100); len(got) != 0 {
		t.Errorf("a canceled message flows: %+v", got)
	}
}

func TestPace(t *testing.T) {
	d := newDesk(t, rule(func(l *policy.LimitRule) {
		l.Unit, l.Action, l.Limit, l.Per, l.Burst = policy.Messages, policy.Pace, 60, policy.Per(time.Minute), 2
	}))
	for i, want := range []time.Duration{0, 0, time.Second, 2 * time.Second} {
		s := d.mail(fmt.Sprintf("a%d@remote.example", i))
		v := d.decide(s)
		d.accept(s, v)
		if late := v.Action == policy.Hold; late != (want > 0) || late && !v.Until.Equal(noon.Add(want)) {
			t.Errorf("message %d: %s until %v", i, v.Action, v.Until)
		}
		if want == time.Second && (v.Text.EN != "paced, goes at 12:00:01" || v.Text.ZH != "按速率发送，12:00:01 发出") {
			t.Errorf("text %q %q", v.Text.EN, v.Text.ZH)
		}
	}
}

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

func TestWhatAPersonLetsGoCounts(t *testing.T) {
	for _, kind := range []policy.Kind{policy.Released, policy.Approved} {
		d := newDesk(t, rule(func(l *policy.LimitRule) {}))
		first := d.mail(many(3, "remote.example")...)
		d.accept(first, d.decide(first))
		s := d.mail(many(2, "partner.example")...)
		d.accept(s, d.decide(s))
		e := policy.Event{Kind: kind, Time: d.now, Actor: "api:ops"}
		d.see(s, e, e)
		if got := d.used("ann"); got != 5 {
			t.Errorf("%s: counted %d", kind, got)
		}
		if _, _, waits := d.g.Waits(s.ID); waits {
			t.Errorf("%s: still waits", kind)
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

func TestNothingFlowsBeforeItsRecallTime(t *testing.T) {
	d := newDesk(t, rule(func(l *policy.LimitRule) { l.Per = policy.Per(time.Minute) }))
	settings := d.settings()
	settings.Config.Hold.Default = 10 * time.Minute
	settings.Config.Hold.Margin = 0
	d.g.Reload(settings)
	first := d.mail(many(3, "remote.example")...)
	d.accept(first, d.decide(first))
	s := d.mail("one@remote.example")
	v := d.decide(s)
	d.accept(s, v)
	if v.Rule != "test" || !v.Until.Equal(noon.Add(10*time.Minute)) {
		t.Fatalf("%+v", v)
	}
	for _, tt := range []struct {
		after time.Duration
		flow  int
	}{{2 * time.Minute, 0}, {9 * time.Minute, 0}, {10 * time.Minute, 1}} {
		d.now = noon.Add(tt.after)
		if got := d.g.Flow(d.now, 10); len(got) != tt.flow {
			t.Errorf("after %v %d flow", tt.after, len(got))
		}
	}
}

func TestOfferedMailCounts(t *testing.T) {
	d := newDesk(t, rule(func(l *policy.LimitRule) {}))
	s := d.mail("a@remote.example")
	v := d.decide(s)
	d.see(s, policy.Event{Kind: policy.Offered, Time: d.now, Charge: v.Charge})
	d.now = d.now.Add(20 * time.Minute)
	if got := d.used("ann"); got != 1 {
		t.Errorf("counted %d", got)
	}
}

func (d *desk) letter(text string, to ...string) policy.Submission {
	s := d.mail(to...)
	c, err := content.Read(strings.NewReader("Subject: offer\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"+text+"\r\n"), content.DefaultLimits(), time.Now)
	if err != nil {
		d.t.Fatal(err)
	}
	s.Content = &c
	return s
}

// comparing makes the desk compare texts.
func (d *desk) comparing() *desk {
	s := d.settings()
	s.Similar = similar.DefaultConfig()
	s.Similar.Seed = [16]byte{1}
	d.g = New(s)
	return d
}

var texts = map[string]string{
	"English": "Dear %s, our spring catalogue has arrived. We invite you to look at the new pumps, valves and fittings, all of them in stock in our warehouse and delivered within two days. Your personal number is %d, please name it with every order.",
	"Chinese": "尊敬的%s，我公司春季新品目录已经发布，诚邀您选购全新的水泵、阀门和管件，所有产品均有现货，两日内送达。您的专属编号为%d，订货时请注明，感谢您一直以来对我们工作的支持与信任。",
}

func TestABulkWaveWaitsForAPerson(t *testing.T) {
	for language, text := range texts {
		t.Run(language, func(t *testing.T) {
			d := newDesk(t).comparing()
			actions := map[policy.Action]int{}
			for i := range 130 {
				d.now = d.now.Add(10 * time.Minute)
				s := d.letter(fmt.Sprintf(text, fmt.Sprintf("Mr Number%d", i), 1000+i), fmt.Sprintf("c%d@remote.example", i))
				v := d.decide(s)
				d.accept(s, v)
				actions[v.Action]++
			}
			if n := actions[policy.Approval]; n < 20 || n > 40 || actions[policy.Hold] < 20 {
				t.Errorf("actions %v", actions)
			}
			list := d.g.Campaigns(d.now, 2)
			if len(list) != 1 || list[0].Messages < 100 {
				t.Fatalf("campaigns %+v", list)
			}
			decide := func(what string) policy.Verdict {
				d.now = d.now.Add(time.Minute)
				d.g.Observe(d.now, d.id(), nil, policy.Event{Kind: policy.CampaignDecided, Time: d.now, Actor: "api:ops", Subject: list[0].ID.String(), Rule: what, Until: d.now.Add(time.Hour)})
				return d.decide(d.letter(fmt.Sprintf(text, "Mr Last", 1), "last@remote.example"))
			}
			if v := decide("cancel"); v.Action != policy.Reject || v.Code != 550 || v.Status != "5.7.28" || !strings.HasPrefix(v.Text.EN, "This mailing was stopped (ref ") {
				t.Errorf("canceled: %+v", v)
			}
			for _, what := range []string{"approve", "allow"} {
				if v := decide(what); v.Action != policy.Pass {
					t.Errorf("%s: %+v", what, v)
				}
			}
			if v := decide("slow"); v.Action != policy.Hold && v.Action != policy.Pass {
				t.Errorf("slow: %+v", v)
			}
			if v := decide("withdraw"); v.Action != policy.Approval || v.Rule != "similar" {
				t.Errorf("withdrawn: %+v", v)
			}
		})
	}
}

func TestOrdinaryMailIsNoWave(t *testing.T) {
	d := newDesk(t).comparing()
	for i := range 120 {
		d.now = d.now.Add(time.Minute)
		s := d.letter(fmt.Sprintf("Hello, about item %d: %s", i, strings.Repeat(fmt.Sprintf("word%d other%d thing%d ", i, i*7, i*13), 20)), fmt.Sprintf("c%d@remote.example", i))
		v := d.decide(s)
		d.accept(s, v)
		if v.Action != policy.Pass {
			t.Fatalf("message %d: %+v", i, v)
		}
	}
	for i := range 120 { // one text, to colleagues and to one customer
		s := d.letter(fmt.Sprintf(texts["English"], "all", i), "boss@corp.example", "one@remote.example")
		v := d.decide(s)
		d.accept(s, v)
		if v.Action != policy.Pass {
			t.Fatalf("to colleagues %d: %+v", i, v)
		}
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
