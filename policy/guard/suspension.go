package guard

import (
	"maps"
	"slices"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// A Suspension keeps an identity from sending to external recipients. Internal mail passes.
type Suspension struct {
	Identity string    `cbor:"1,keyasint" json:"identity"`
	Since    time.Time `cbor:"2,keyasint" json:"since"`
	Until    time.Time `cbor:"3,keyasint,omitzero" json:"until,omitzero"` // zero: until a person ends it
	Reason   string    `cbor:"4,keyasint" json:"reason"`
	Author   string    `cbor:"5,keyasint" json:"author"`
	// Nth, of one that the account brought on itself, is the how manieth it is; Findings say by what.
	Nth      int              `cbor:"6,keyasint,omitempty" json:"nth,omitempty"`
	Findings []policy.Finding `cbor:"7,keyasint,omitempty" json:"findings,omitempty"`
}

// Automatic reports whether nobody but the account itself brought it on.
func (s *Suspension) Automatic() bool { return s.Author == anomalyRule }

// holds reports whether it is in force.
func (s *Suspension) holds(now time.Time) bool { return s.Until.IsZero() || now.Before(s.Until) }

// Suspended gives the suspension that is in force for an identity.
func (g *Guard) Suspended(now time.Time, identity string) (Suspension, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s, ok := g.suspended[identity]
	return s, ok && s.holds(now)
}

// Suspensions lists those in force, by identity.
func (g *Guard) Suspensions(now time.Time) (list []Suspension) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, identity := range slices.Sorted(maps.Keys(g.suspended)) {
		if s := g.suspended[identity]; s.holds(now) {
			list = append(list, s)
		}
	}
	return list
}

// barred refuses an external recipient of a suspended sender. Those who can help him are none.
func (g *Guard) barred(all *settings, now time.Time, identity string, to policy.Address) policy.Verdict {
	s, ok := g.Suspended(now, identity)
	if !ok || all.isInternal(to) || all.always[to.Key()] {
		return policy.Verdict{}
	}
	return g.refusal(all, &s)
}

// refusal is the verdict of a suspension. The account may be tried again later only when it ends by itself
// (RFC 5321 4.2.1). Enhanced status codes: X.7.28 is a mail flood, X.7.13 a disabled account (RFC 5248 2.4,
// only with 525 and 5xx), X.7.1 anything else.
func (g *Guard) refusal(all *settings, s *Suspension) policy.Verdict {
	v := policy.Verdict{
		Action: policy.Reject, Rule: "suspended", Code: 550, Status: "5.7.13", Text: suspendedText(s, all.Contact),
		Reason: "suspended by " + s.Author + ": " + s.Reason,
	}
	switch {
	case s.Until.IsZero():
	case s.Automatic():
		v.Action, v.Code, v.Status = policy.Defer, 451, "4.7.28"
	default:
		v.Action, v.Code, v.Status = policy.Defer, 451, "4.7.1"
	}
	v.Findings = []policy.Finding{{
		Rule: "suspended", Kind: "suspension", Key: s.Identity, Exceeded: true, Decided: true, Action: v.Action, Next: s.Until, Detail: v.Text,
	}}
	return v
}

// bar puts a suspension in force unless there is one.
func (g *Guard) bar(ev *policy.Event) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s, ok := g.suspended[ev.Subject]; ok && s.holds(ev.Time) {
		return false
	}
	g.suspended[ev.Subject] = suspensionOf(ev)
	return true
}

func suspensionOf(ev *policy.Event) Suspension {
	s := Suspension{Identity: ev.Subject, Since: ev.Time, Until: ev.Until, Reason: ev.Reason, Author: ev.Actor}
	if s.Automatic() {
		s.Nth, s.Findings = int(ev.Amount), ev.Findings
	}
	return s
}
