package limit

import (
	"time"

	"github.com/sendgate/sendgate/policy"
)

// A Source says where an effective limit comes from. Callers may hand in others, such as the name of
// a group.
type Source string

// The sources of a limit.
const (
	FromRule     Source = "rule"
	FromOverride Source = "override"
	FromBoost    Source = "boost"
	FromRamp     Source = "ramp" // a new or dormant account
)

// A Demand is what a message asks of one limit.
type Demand struct {
	Rule string // name of the rule
	Key  string // whom it counts for: an identity, a domain, a network, ...
	// Window is the length of the window; 0 is a limit per message, for which nothing is counted.
	Window time.Duration
	Limit  int64
	Source Source // of Limit; empty is FromRule
	Amount int64
	WarnAt int // percent of the limit, 0 for no warning
	// Hard limits prevent that anything is taken. The others count and tell.
	Hard bool
	// Shadow makes a limit count and tell only, Hard or not.
	Shadow bool
}

// A Line is what one limit said.
type Line struct {
	Rule   string
	Key    string
	Window time.Duration
	Used   int64 // before
	Limit  int64 // effective
	Source Source
	Asked  int64
	Fits   bool
	// Never is set when the message is larger than the limit: it does not fit at any time.
	Never bool
	// Next is when what was asked fits if nobody else takes anything; zero with Never.
	Next time.Time
	// Warn is set when the usage, what was asked included, is at or above WarnAt; Crossed when it was
	// below before.
	Warn    bool
	Crossed bool
	Hard    bool
	Shadow  bool
}

// blocks reports whether the line prevents the message.
func (l *Line) blocks() bool { return !l.Fits && l.Hard && !l.Shadow }

// A Result is the answer of Take and Test.
type Result struct {
	// Fits reports whether every hard limit has room; of Take, that all was taken.
	Fits  bool
	Lines []Line // one for each demand
	// RetryOf is the message whose reservation is shared, when this is a retry or was taken before.
	RetryOf policy.ID
	// Taken is what Take took, or what a retry shares, for the journal.
	Taken Taken
}

// Blocking gives the hard limit that keeps the message back longest, or nil.
func (r *Result) Blocking() *Line {
	var worst *Line
	for i := range r.Lines {
		l := &r.Lines[i]
		if !l.blocks() {
			continue
		}
		if worst == nil || l.Never && !worst.Never || l.Never == worst.Never && l.Next.After(worst.Next) {
			worst = l
		}
	}
	return worst
}

// A Fingerprint recognises a client's retry: the caller's hash of identity, Message-ID, body and
// recipients. Zero is none. One that was made without the body is weak: by it only a few messages share
// what the first took, and only for some minutes, or else many could pass as one.
type Fingerprint [16]byte

// weakBit is in the last octet of a weak fingerprint.
const weakBit = 0x80

// NewFingerprint makes one from a hash; body says whether that is of the body, too.
func NewFingerprint(hash [32]byte, body bool) Fingerprint {
	f := Fingerprint(hash[:16])
	f[15] &^= weakBit
	if !body {
		f[15] |= weakBit
	}
	return f
}

func (f Fingerprint) weak() bool { return f[15]&weakBit != 0 }

// Taken is what a message took, as it stands in the journal.
type Taken struct {
	At      int64       `cbor:"1,keyasint"` // Unix milliseconds
	Amounts []Amount    `cbor:"2,keyasint,omitempty"`
	Retry   Fingerprint `cbor:"3,keyasint"`
	First   policy.ID   `cbor:"4,keyasint"` // the message that took it; a retry names the first attempt
}

// An Amount is a number of units under one rule for one key, as it stands in the journal.
type Amount = policy.Amount
