package maillog

import (
	"strconv"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// Facts knows the messages that records are about.
type Facts interface {
	// Envelope gives that of a message; nil when the record is about none.
	Envelope(r *store.Record) (*policy.Envelope, error)
	// Addresses names recipients of a message by their indexes; nil are all. At most so many are given.
	Addresses(r *store.Record, indexes []int, most int) ([]policy.Address, error)
}

// lines gives those of a record. What is not known of the message any more is left out: the line matters.
func lines(r *store.Record, facts Facts) (all []Line) {
	envelope, err := facts.Envelope(r)
	if err != nil {
		envelope = nil
	}
	for i := range r.Events {
		e := &r.Events[i]
		if e.Kind == policy.Refused {
			continue // the front has said it, with the command that was refused
		}
		l := Line{Time: e.Time, Verb: Verb(e.Kind), ID: r.Message.String(), Rule: e.Rule}
		if envelope != nil {
			l.QueueID, l.Sender = envelope.QueueID, "<"+string(envelope.Sender)+">"
			l.recipients(r, e, facts)
		}
		if e.Kind == policy.Accepted && envelope != nil {
			l.arrival(envelope)
		}
		l.details(e)
		all = append(all, l)
	}
	return all
}

// recipients names those whom an event is about, and tells how many more there are.
func (l *Line) recipients(r *store.Record, e *policy.Event, facts Facts) {
	if e.Recipients == nil && e.Kind != policy.Accepted {
		return // all that "accepted" has named
	}
	addresses, err := facts.Addresses(r, e.Recipients, maxRecipients+1)
	if err != nil || len(addresses) == 0 {
		return
	}
	named := addresses[:min(len(addresses), maxRecipients)]
	texts := make([]string, len(named))
	for i, a := range named {
		texts[i] = "<" + string(a) + ">"
	}
	if len(addresses) > maxRecipients {
		texts = append(texts, "...")
	}
	l.add("recipients", strings.Join(texts, ","))
}

// arrival has the facts of a message that came in.
func (l *Line) arrival(e *policy.Envelope) {
	if e.Client.IsValid() {
		l.add("client", e.Client.String())
	}
	l.add("helo", e.Helo)
	l.add("login", e.Login)
	l.add("identity", e.Identity)
	l.add("front", string(e.Front))
	l.add("protocol", e.Protocol)
	l.add("message_id", e.MessageID)
	l.add("size", strconv.FormatInt(e.Size, 10))
}

// details are what an event has beyond the message.
func (l *Line) details(e *policy.Event) {
	l.add("about", e.Subject)
	l.add("member", string(e.Member))
	l.add("actor", e.Actor)
	l.until("until", e.Until)
	l.until("next_try", e.NextTry)
	l.add("upstream", e.Upstream)
	if e.QueueID != l.QueueID {
		l.add("next_queue_id", e.QueueID)
	}
	l.add("reply", e.Reply)
	l.add("reason", e.Reason)
	if e.Amount != 0 {
		l.add("amount", strconv.FormatInt(e.Amount, 10))
	}
	if e.MayBeDuplicate {
		l.add("may_be_duplicate", "true")
	}
}

func (l *Line) until(name string, t time.Time) {
	if !t.IsZero() {
		l.add(name, stamp(t))
	}
}
