package policy

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A Verdict is the outcome of the rules for a submission. The zero value lets it pass at once.
type Verdict struct {
	Action Action
	Rule   string    // the rule that decided; empty for a default
	Until  time.Time // with Hold: when it is let go
	Shown  time.Time // with Hold: what people are told, Margin earlier than Until
	Code   int       // with Reject and Defer: the SMTP reply
	Status string    // and its enhanced status code (RFC 3463), "5.7.1"
	Text   Label     // for the sender
	Reason string    // for the operator; never leaves the machine
	// Shadow lists what rules in shadow mode would have done, for the log.
	Shadow []string
	// Expiry is what becomes of a message that nobody approves until Until: Reject returns it to its
	// sender, Pass lets it go.
	Expiry   Action
	Upstream string // with Route: over which one; the message is held as usual
	Tags     []Field
	Charge   *Charge   // what was taken; it belongs into the first event
	Findings []Finding // what the rules said; they belong there, too
}

// A Field is one to be added to the header.
type Field struct{ Name, Value string }

// Engine decides on submissions. It is asked when a sender is known, for each recipient, and at
// the end of the header; the fields of the submission's envelope tell how far the dialogue is.
// Implementations are safe for concurrent use and deterministic given their input.
type Engine interface {
	Decide(ctx context.Context, s Submission) Verdict
	// Forget says that a message about which was decided at StageEnd was not accepted after all: what it
	// took is given back.
	Forget(now time.Time, id ID)
}

// Rules is the Engine made from a configuration.
type Rules struct {
	config    Config
	directory *Directory
	rules     []matchedRule
}

type matchedRule struct {
	*Rule
	match *Matcher
}

// NewRules makes an engine from a valid configuration.
func NewRules(config Config, directory *Directory) *Rules {
	r := &Rules{config: config, directory: directory}
	for i := range config.Rules {
		rule := &config.Rules[i]
		r.rules = append(r.rules, matchedRule{rule, NewMatcher(&rule.Match)})
	}
	return r
}

// Forget does nothing: the rules have no memory.
func (r *Rules) Forget(time.Time, ID) {}

// Decide says how long a message is held: the longest that one of its recipients asks for, each
// by the first rule that names it, else the default. Inbound mail, mail from the null sender and
// what sendgate itself wrote are never held.
func (r *Rules) Decide(_ context.Context, s Submission) Verdict {
	e := s.Envelope
	if e.Direction == Inbound || e.Front == Internal || e.Sender == "" {
		return Verdict{}
	}
	hold, rule, shadow := r.hold(&s)
	v := Verdict{Rule: rule, Shadow: shadow}
	if hold <= 0 {
		return v
	}
	v.Action = Hold
	v.Shown = s.Time.Add(hold)
	v.Until = v.Shown.Add(r.config.Hold.Margin)
	v.Text = Label{
		"held for " + hold.String() + ", recall until then",
		"暂缓发送 " + hold.String() + "，期间可撤回",
	}
	return v
}

// hold gives the longest hold over the recipients and the rule that asked for it.
func (r *Rules) hold(s *Submission) (hold time.Duration, rule string, shadow []string) {
	if d, ok := r.headerHold(s); ok {
		return d, "header " + r.config.Hold.Header, nil
	}
	groups := r.directory.Groups(s.Envelope.Identity)
	var candidates []matchedRule
	for _, c := range r.rules {
		if c.match.Matches(s, groups) {
			candidates = append(candidates, c)
		}
	}
	hold = -1
	shadows := map[*Rule]bool{}
	for i := range s.Envelope.Recipients {
		d, name := r.config.Hold.Default, ""
		if first := firstFor(s.Envelope.Recipients[i].Address, candidates, shadows); first != nil {
			d, name = first.For, first.Name
		}
		if d > hold {
			hold, rule = d, name
		}
	}
	for _, c := range candidates {
		if shadows[c.Rule] {
			shadow = append(shadow, fmt.Sprintf("%s: hold %s", c.Name, c.For))
		}
	}
	return hold, rule, shadow
}

// firstFor gives the first live rule that names the recipient, or nil, and marks the rules in shadow
// mode that would have come before it.
func firstFor(a Address, candidates []matchedRule, shadows map[*Rule]bool) *Rule {
	for _, c := range candidates {
		if !c.match.MatchesRecipient(a) {
			continue
		}
		if !c.Shadow {
			return c.Rule
		}
		shadows[c.Rule] = true
	}
	return nil
}

// headerHold reads the hold that a trusted client asks for, in seconds, bounded by the maximum.
func (r *Rules) headerHold(s *Submission) (time.Duration, bool) {
	name := r.config.Hold.Header
	if name == "" || !s.Trusted || s.Header == nil {
		return 0, false
	}
	for _, v := range s.Header(name) {
		seconds, err := strconv.Atoi(strings.TrimSpace(v))
		if err == nil && seconds >= 0 {
			seconds = min(seconds, int(MaxHold/time.Second)) // or the product overflows
			return min(time.Duration(seconds)*time.Second, r.config.Hold.Max), true
		}
	}
	return 0, false
}
