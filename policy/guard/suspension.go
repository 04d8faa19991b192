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
}

// Suspended gives the suspension that is in force for an identity.
func (g *Guard) Suspended(now time.Time, identity string) (Suspension, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s, ok := g.suspended[identity]
	return s, ok && (s.Until.IsZero() || now.Before(s.Until))
}

// Suspensions lists those in force, by identity.
func (g *Guard) Suspensions(now time.Time) (list []Suspension) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, identity := range slices.Sorted(maps.Keys(g.suspended)) {
		if s := g.suspended[identity]; s.Until.IsZero() || now.Before(s.Until) {
			list = append(list, s)
		}
	}
	return list
}

// barred refuses an external recipient of a suspended sender.
func (g *Guard) barred(all *settings, now time.Time, identity string, to policy.Address) policy.Verdict {
	s, ok := g.Suspended(now, identity)
	if !ok || all.isInternal(to) {
		return policy.Verdict{}
	}
	v := policy.Verdict{
		Action: policy.Reject, Rule: "suspended", Code: 550, Status: "5.7.13", Text: suspendedText(&s, all.Contact),
		Reason: "suspended by " + s.Author + ": " + s.Reason,
	}
	if !s.Until.IsZero() { // 4.7.13 is not registered
		v.Action, v.Code, v.Status = policy.Defer, 451, "4.7.1"
	}
	v.Findings = []policy.Finding{{Rule: "suspended", Kind: "suspension", Key: identity, Exceeded: true, Decided: true, Action: v.Action, Next: s.Until, Detail: v.Text}}
	return v
}
