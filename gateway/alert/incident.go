package alert

import (
	"cmp"
	"slices"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// An Occurrence is one thing that happened, as it is raised.
type Occurrence struct {
	Kind    Kind
	Subject string        // whom or what it is about: an identity, the key of a limit, a domain, a part of the gateway
	Name    string        // what people know the subject by, where it is an id; else empty
	Rule    string        // by which it was found, or empty
	Window  time.Duration // of the rule, or 0
	Time    time.Time
	// Severity replaces the kind's own when it is not empty.
	Severity Severity
	// Finding has the numbers, and the text where Text is empty.
	Finding policy.Finding
	Text    policy.Label // what happened, in a sentence
	// Outcome is what became of the message, or of the account in question.
	Outcome policy.Action
	Until   time.Time // it lasts until then; zero when that is not known
	// Expiry is what becomes of a message that nobody approves: Reject returns it, Pass lets it go.
	Expiry  policy.Action
	Message policy.ID // the message, or zero
	Sample  string    // its subject
	// Mailbox is who is told as the sender; empty is nobody.
	Mailbox policy.Address
	// Ends says that it is over: an open incident is closed, and nothing is opened.
	Ends bool
}

// Bounds of an incident.
const (
	maxSamples  = 3
	maxMessages = 20
	maxTold     = 50
	maxRunes    = 80  // of a sample
	maxSubject  = 120 // of a subject in a title
)

// An Incident is everything of one kind that happened to one subject under one rule.
type Incident struct {
	ID       string        `json:"id"`
	Kind     Kind          `json:"kind"`
	Subject  string        `json:"subject"`
	Rule     string        `json:"rule,omitempty"`
	Window   time.Duration `json:"window,omitempty"` // nanoseconds
	Severity Severity      `json:"severity"`
	Title    policy.Label  `json:"title"`
	Text     policy.Label  `json:"text"`   // of the newest occurrence
	Advice   policy.Label  `json:"advice"` // to the administrators
	// Finding has the newest numbers.
	Finding  policy.Finding `json:"finding,omitzero"`
	Outcome  policy.Action  `json:"outcome,omitempty"`
	Count    int            `json:"count"`              // messages, or occurrences that are about none
	Samples  []string       `json:"samples,omitempty"`  // subjects, at most three
	Messages []policy.ID    `json:"messages,omitempty"` // the newest; of those that wait for approval: that still wait
	Opened   time.Time      `json:"opened"`
	Last     time.Time      `json:"last"` // of the newest occurrence
	Until    time.Time      `json:"until,omitzero"`
	Closed   time.Time      `json:"closed,omitzero"`
	// Acknowledged is when a person said to have seen it.
	Acknowledged   time.Time `json:"acknowledged,omitzero"`
	AcknowledgedBy string    `json:"acknowledged_by,omitempty"`
	// Told is when administrators were told last, and at which count.
	Told      time.Time `json:"told,omitzero"`
	ToldCount int       `json:"told_count,omitempty"`
	// Senders are the mailboxes that were told.
	Senders []string `json:"senders,omitempty"`
}

// key tells incidents apart.
type key struct {
	kind    Kind
	subject string
	rule    string
	window  time.Duration
}

func (o *Occurrence) key() key { return key{o.Kind, o.Subject, o.Rule, o.Window} }
func (in *Incident) key() key  { return key{in.Kind, in.Subject, in.Rule, in.Window} }

// begin makes an incident without occurrences.
func begin(id policy.ID, o *Occurrence) *Incident {
	t := o.Kind.traitOf(o.Subject)
	return &Incident{
		ID: id.String(), Kind: o.Kind, Subject: o.Subject, Rule: o.Rule, Window: o.Window, Severity: t.severity,
		Title: about(t.title, cmp.Or(o.Name, o.Subject)), Advice: t.proposal(o.Subject, o.Rule), Opened: o.Time,
	}
}

// take adds an occurrence. A message is counted once.
func (in *Incident) take(o *Occurrence) {
	known := o.Message != (policy.ID{}) && slices.Contains(in.Messages, o.Message)
	if !known {
		in.Count++
	}
	if !known && o.Message != (policy.ID{}) {
		in.Messages = append(in.Messages, o.Message)
		in.Messages = in.Messages[max(0, len(in.Messages)-maxMessages):]
	}
	if s := shorten(o.Sample, maxRunes); s != "" && len(in.Samples) < maxSamples && !slices.Contains(in.Samples, s) {
		in.Samples = append(in.Samples, s)
	}
	if o.Severity != "" {
		in.Severity = o.Severity
	}
	if o.Until.After(in.Until) {
		in.Until = o.Until
	}
	if o.Time.Before(in.Last) {
		return // late: what is newer stays
	}
	in.Last, in.Finding, in.Outcome, in.Text = o.Time, o.Finding, o.Outcome, o.text()
}

// text is the sentence of an occurrence: the same that the sender was answered with.
func (o *Occurrence) text() policy.Label {
	if o.Text != (policy.Label{}) || o.Finding == (policy.Finding{}) {
		return o.Text
	}
	return o.Finding.Text()
}

// ends is when the incident closes if nothing more comes; never when it is zero.
func (in *Incident) ends(after time.Duration) time.Time {
	standing := in.Kind.trait().standing
	if standing && in.Until.IsZero() {
		return time.Time{}
	}
	if standing {
		return in.Until
	}
	return in.Last.Add(max(after, in.Window))
}

// clone is a copy that shares nothing that changes.
func (in *Incident) clone() Incident {
	c := *in
	c.Samples, c.Messages, c.Senders = slices.Clone(in.Samples), slices.Clone(in.Messages), slices.Clone(in.Senders)
	return c
}

// shorten cuts a text to a number of runes.
func shorten(s string, runes int) string {
	if r := []rune(s); len(r) > runes {
		return string(r[:runes-1]) + "…"
	}
	return s
}
