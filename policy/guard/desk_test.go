package guard

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
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
