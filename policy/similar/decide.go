package similar

import (
	"errors"
	"slices"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// DecisionKind is what a person decided on a campaign.
type DecisionKind string

// The decisions. Undecided is the zero value.
const (
	Undecided DecisionKind = ""
	Approved  DecisionKind = "approved" // passes
	Allowed   DecisionKind = "allowed"  // passes until a day: a newsletter
	Slowed    DecisionKind = "slowed"   // goes at a pace, however few
	Canceled  DecisionKind = "canceled" // what is held goes no further, and copies are held
)

// A Decision holds for the accounts that had sent the text when it was made: somebody new with the
// same text is looked at anew, since an approved text is what an intruder would copy.
type Decision struct {
	Kind    DecisionKind `cbor:"1,keyasint"`
	By      string       `cbor:"2,keyasint"` // who decided
	At      time.Time    `cbor:"3,keyasint"`
	Until   time.Time    `cbor:"4,keyasint,omitzero"` // with Allowed
	Senders []string     `cbor:"5,keyasint"`
}

func (d Decision) clone() Decision {
	d.Senders = slices.Clone(d.Senders)
	return d
}

// holds reports whether the decision is about the sender's mail now. A stopped text is stopped for
// everybody.
func (d *Decision) holds(sender string, now time.Time) bool {
	switch d.Kind {
	case Undecided:
		return false
	case Canceled:
		return true
	case Allowed:
		if !now.Before(d.Until) {
			return false
		}
	}
	return slices.Contains(d.Senders, sender)
}

// apply gives the level after the decision.
func (d *Decision) apply(l Level) Level {
	switch d.Kind {
	case Approved, Allowed:
		return Silent
	case Slowed:
		return Slow
	case Canceled:
		return max(l, Review)
	}
	return l
}

// ErrUnknown is returned for a campaign that there is not, or no longer.
var ErrUnknown = errors.New("no such campaign")

// Approve lets a campaign pass.
func (x *Index) Approve(id policy.ID, by string, now time.Time) error {
	return x.decide(id, Decision{Kind: Approved, By: by, At: now})
}

// Allow lets a campaign pass until a time.
func (x *Index) Allow(id policy.ID, by string, now, until time.Time) error {
	return x.decide(id, Decision{Kind: Allowed, By: by, At: now, Until: until})
}

// Slow lets a campaign go at a pace only.
func (x *Index) Slow(id policy.ID, by string, now time.Time) error {
	return x.decide(id, Decision{Kind: Slowed, By: by, At: now})
}

// Cancel stops a campaign.
func (x *Index) Cancel(id policy.ID, by string, now time.Time) error {
	return x.decide(id, Decision{Kind: Canceled, By: by, At: now})
}

// Withdraw takes a decision back.
func (x *Index) Withdraw(id policy.ID) error { return x.decide(id, Decision{}) }

func (x *Index) decide(id policy.ID, d Decision) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	c := x.campaigns[id]
	if c == nil {
		return ErrUnknown
	}
	if d.Kind != Undecided {
		for _, m := range c.Members {
			d.Senders = append(d.Senders, m.Sender)
		}
	}
	d.At, d.Until = d.At.UTC(), d.Until.UTC()
	c.Decision = d
	x.age(c)
	return nil
}
