package track

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

const (
	// linkSlack is how much earlier than the journal's record a line about the message may be.
	linkSlack = 10 * time.Minute
	// lateLines is how long after the removal of a queue file agents that had begun may still report.
	lateLines = 10 * time.Minute
)

// How the message of a queue file was found, where its queue id does not say it.
const (
	byIdent     = "XFORWARD"
	byMessageID = "Message-ID and sender"
)

// A question is what is known of a queue file whose message is not.
type question struct {
	nodeKey
	queueIDs            []string // its own, and the one it had before it was requeued
	first, last, opened time.Time
	ident               policy.ID
	messageID, sender   string
	active              bool
	resent              bool // messageID is a Resent-Message-ID
}

func (n *node) question() question {
	q := question{
		nodeKey: n.nodeKey, queueIDs: []string{n.queueID}, first: n.first, last: n.last, opened: n.opened,
		ident: n.ident, messageID: n.messageID, sender: n.sender, active: n.active, resent: n.resent,
	}
	if n.requeued {
		q.queueIDs = append(q.queueIDs, n.parent)
	}
	return q
}

// An answer names the message of a queue file and the rows that it carries.
type answer struct {
	subject *subject
	rows    []int // with named; nil is the recipients of the envelope
	named   bool
	partial bool   // further edges may lead to the queue file
	whole   bool   // the queue file was made for the members of the rows
	durable bool   // the journal knows the queue id
	by      string // how it was found, where the journal does not say it yet
}

// ask looks a queue file up in the journal. It holds no lock.
func (t *Tracker) ask(q question) (answer, bool, error) {
	for _, queueID := range q.queueIDs {
		ids, err := t.journal.ByQueueID(queueID)
		if err != nil {
			return answer{}, false, err
		}
		for _, id := range ids {
			a, ok, err := t.fits(&q, id, queueID)
			if err != nil || ok {
				return a, ok, err
			}
		}
	}
	if q.ident != (policy.ID{}) {
		return t.askIdent(&q)
	}
	if q.active && q.messageID != "" {
		return t.askMessageID(&q)
	}
	return answer{}, false, nil
}

// fits reports whether a message that has the queue id is the one, rather than one that had the same
// queue id at another time or on another host.
func (t *Tracker) fits(q *question, id policy.ID, queueID string) (a answer, ok bool, err error) {
	m, err := t.journal.Message(id)
	if err != nil {
		return a, false, ignoreNotFound(err)
	}
	if queueID == q.queueID && q.contradicts(&m) {
		return a, false, nil
	}
	u := usage{queueID: queueID, milter: m.Envelope.Front == policy.Milter}
	if m.Envelope.QueueID == queueID {
		u.saw(m.Envelope.Received)
		u.all = true
	}
	if !u.all || !q.long() {
		records, err := t.journal.Timeline(id)
		if err != nil {
			return a, false, ignoreNotFound(err)
		}
		u.read(records)
		if !u.matches(q, t.cfg.QueueLifetime+time.Hour) {
			return a, false, nil
		}
	}
	a, err = t.answer(&m)
	if a.durable = queueID == q.queueID; !a.durable {
		a.by = "requeued, was " + queueID
	}
	a.named, a.rows, a.partial, a.whole = u.all || u.rows != nil, u.rows, u.partial && !u.all, u.whole
	if u.all {
		a.rows = nil
	}
	return a, err == nil, err
}

// contradicts reports whether the Message-ID tells that a short queue id is used again.
func (q *question) contradicts(m *store.Message) bool {
	known := bareID(m.Envelope.MessageID)
	return !q.long() && !q.resent && q.messageID != "" && known != "" && q.messageID != known
}

func ignoreNotFound(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

func (t *Tracker) answer(m *store.Message) (answer, error) {
	rows, err := t.journal.Recipients(m.ID)
	if err != nil {
		return answer{}, fmt.Errorf("recipients of %s: %w", m.ID, err)
	}
	return answer{subject: newSubject(m, rows)}, nil
}

// A usage is how the journal's events of a message speak of a queue id.
type usage struct {
	queueID       string
	first, last   time.Time
	closed        time.Time // the last removal
	hosts         []string
	instances     []string
	all           bool  // all recipients of the envelope went there
	rows          []int // these did
	partial       bool  // known from edges only
	whole         bool
	fromElsewhere bool // somebody else than the tracker knew
	milter        bool
}

func (u *usage) saw(at time.Time) {
	if u.first.IsZero() || at.Before(u.first) {
		u.first = at
	}
	if at.After(u.last) {
		u.last = at
	}
}

func (u *usage) read(records []store.Record) {
	for _, r := range records {
		for i := range r.Events {
			if e := &r.Events[i]; e.QueueID == u.queueID {
				u.event(e)
			}
		}
	}
}

func (u *usage) event(e *policy.Event) {
	u.place(e)
	if e.Kind == policy.Dequeued {
		if e.Time.After(u.closed) {
			u.closed = e.Time
		}
		return
	}
	u.saw(e.Time)
	switch {
	case e.Kind != policy.Queued && e.Actor == actor: // a fate says nothing of the other recipients
	case e.Recipients == nil:
		u.all = true
	default:
		u.rows = append(u.rows, e.Recipients...)
		if e.Actor == actor {
			u.partial, u.whole = true, u.whole || e.Reason == reasonForwarded
		} else {
			u.fromElsewhere = true
		}
	}
}

// matches reports whether the queue file of the question can be the one of the events.
func (u *usage) matches(q *question, lifetime time.Duration) bool {
	u.partial = u.partial && !u.fromElsewhere
	switch {
	case u.first.IsZero():
		return false
	case q.last.Before(u.first.Add(-linkSlack)):
		return false
	case !q.long() && q.opened.After(u.first.Add(linkSlack)):
		return false // the queue id is used again, and no line told of the first removal
	case !q.long() && q.last.After(u.last.Add(lifetime)):
		return false
	case !hasHost(u.hosts, q.host), !hasInstance(u.instances, q.instance):
		return false
	case u.closed.IsZero():
		return true
	case !q.opened.IsZero():
		return !q.opened.After(u.closed)
	}
	return !q.first.After(u.closed.Add(lateLines))
}

func hasHost(hosts []string, host string) bool {
	for _, h := range hosts {
		if !sameHost(h, host) {
			return false
		}
	}
	return true
}

func hasInstance(instances []string, instance string) bool {
	for _, i := range instances {
		if i != instance {
			return false
		}
	}
	return true
}

// place takes the queue from Event.Upstream: ours say "mx1/postfix", the milter's "mx1.corp.example".
func (u *usage) place(e *policy.Event) {
	host, instance, ours := strings.Cut(e.Upstream, "/")
	switch {
	case e.Actor == actor && ours:
		u.hosts, u.instances = append(u.hosts, host), append(u.instances, instance)
	case e.Actor == milterActor && u.milter && e.Upstream != "":
		u.hosts = append(u.hosts, e.Upstream)
	}
}

// askIdent takes the word of our own relay, passed on by XFORWARD.
func (t *Tracker) askIdent(q *question) (answer, bool, error) {
	m, err := t.journal.Message(q.ident)
	if err != nil {
		return answer{}, false, ignoreNotFound(err)
	}
	if q.last.Before(m.Envelope.Received.Add(-linkSlack)) {
		return answer{}, false, nil
	}
	a, err := t.answer(&m)
	a.by = byIdent
	return a, err == nil, err
}

// askMessageID finds a message that was handed over without an answer that names a queue id. It has
// to be the only such with its Message-ID and sender.
func (t *Tracker) askMessageID(q *question) (found answer, ok bool, err error) {
	ids, err := t.journal.ByMessageID("<" + q.messageID + ">")
	if err != nil {
		return answer{}, false, err
	}
	for _, id := range ids {
		m, err := t.journal.Message(id)
		switch {
		case errors.Is(err, store.ErrNotFound):
			continue
		case err != nil:
			return answer{}, false, err
		case m.Envelope.Sender.Key() != q.sender:
			continue
		}
		rows, err := t.journal.Recipients(id)
		if err != nil {
			return answer{}, false, err
		}
		waiting := untold(rows, q)
		if len(waiting) == 0 {
			continue
		}
		if ok {
			return answer{}, false, nil // two of them: nobody knows which
		}
		found, ok = answer{subject: newSubject(&m, rows), rows: waiting, named: true, by: byMessageID}, true
	}
	return found, ok, nil
}

// untold gives the rows that were handed over at the time of the queue file, to a server that named
// no queue id, or to a program that gives the message back, as simple content filters do.
func untold(rows policy.Rows, q *question) (indexes []int) {
	for i := range rows {
		r := &rows[i]
		age := q.first.Sub(r.Since)
		nowhere := r.QueueID == "" || byLog(r) && r.QueueID != q.queueID
		if r.Counted() && r.State == policy.StateHandedOver && nowhere && age > -linkSlack && age < linkSlack {
			indexes = append(indexes, i)
		}
	}
	return indexes
}
