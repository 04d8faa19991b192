package recall

import (
	"fmt"
	"time"

	"github.com/sendgate/sendgate/policy"
	"go.uber.org/zap"
)

// A past is what the timeline of a message says that its rows do not.
type past struct {
	taken map[int]taking  // by row: how it was cancelled
	read  map[int]outcome // by row: that somebody saw it read or forwarded
	// answered tells by address who has sent on, or answered, the message through us.
	answered map[string]outcome
}

// A taking is a cancellation of a row.
type taking struct {
	time          time.Time
	actor, reason string
	queue         bool // it had been let go before
	evidence      string
}

// remember reads the past of a message, once.
func (e *Engine) remember(w *work) *past {
	if w.past != nil {
		return w.past
	}
	w.past = &past{taken: map[int]taking{}, read: map[int]outcome{}, answered: map[string]outcome{}}
	records, err := e.Journal.Timeline(w.Message)
	if err != nil {
		e.Log.Warn("the timeline of a message cannot be read", zap.Stringer("id", w.Message), zap.Error(err))
		return w.past
	}
	let := make([]bool, len(w.rows))
	for _, r := range records {
		for i := range r.Events {
			w.past.add(&r.Events[i], let)
		}
	}
	e.answers(w)
	return w.past
}

// add takes up one event; let notes for whom the message was let go.
func (h *past) add(ev *policy.Event, let []bool) {
	switch ev.Kind {
	case policy.Released, policy.Approved, policy.Queued, policy.Deferred, policy.HandedOver, policy.Resent:
		for _, i := range rowsOf(ev, len(let)) {
			let[i] = true
		}
	case policy.Canceled:
		for _, i := range rowsOf(ev, len(let)) {
			h.taken[i] = taking{time: ev.Time, actor: ev.Actor, reason: ev.Reason, queue: let[i], evidence: ev.Evidence}
		}
	case policy.ReadSeen, policy.ForwardedSeen:
		code := policy.AlreadyRead
		if ev.Kind == policy.ForwardedSeen {
			code = policy.Forwarded
		}
		for _, i := range rowsOf(ev, len(let)) {
			h.read[i] = outcome{code: code, evidence: ev.Evidence}
		}
	}
}

// rowsOf gives the rows that an event names; nil stands for all, which is more than it was about where there
// are groups, and does no harm.
func rowsOf(ev *policy.Event, rows int) []int {
	if ev.Recipients == nil {
		all := make([]int, rows)
		for i := range all {
			all[i] = i
		}
		return all
	}
	known := make([]int, 0, len(ev.Recipients))
	for _, i := range ev.Recipients {
		if i >= 0 && i < rows {
			known = append(known, i)
		}
	}
	return known
}

// ours gives how a job has cancelled a row, if it was the job: another recall of the same person may have done
// so before.
func (h *past) ours(j *job, i int) (taking, bool) {
	t, ok := h.taken[i]
	return t, ok && t.actor == j.actor() && t.reason == j.Request.Reason && !t.time.Before(j.requested.Truncate(time.Microsecond))
}

// answers notes which recipients have answered or forwarded the message through us.
func (e *Engine) answers(w *work) {
	ids, err := e.references(w.message.Envelope.MessageID)
	if err != nil {
		e.Log.Warn("what refers to a message cannot be read", zap.Stringer("id", w.Message), zap.Error(err))
	}
	if len(ids) == 0 {
		return
	}
	recipients := map[string]bool{}
	for i := range w.rows {
		recipients[w.rows[i].Address.Key()] = true
	}
	for _, id := range ids {
		m, err := e.Journal.Message(id)
		who := m.Envelope.Sender.Key()
		if err != nil || m.Envelope.Direction == policy.Inbound || !recipients[who] || !direct(m.Envelope.References, w.message.Envelope.MessageID) {
			continue
		}
		code := policy.Forwarded
		if rows, err := e.Journal.Recipients(id); err == nil && addressed(rows, w.message.Envelope.Sender) {
			code = policy.Replied
		}
		w.past.answered[who] = outcome{code: code, evidence: fmt.Sprintf("%s, message %s, sent %s to %d recipients",
			code, id, m.Envelope.Received.UTC().Format(time.RFC3339), m.Recipients)}
	}
}

// direct reports whether the nearest reference is the message itself: an answer to an answer says nothing of it.
func direct(references []string, messageID string) bool {
	return len(references) > 0 && references[0] == messageID
}

func addressed(rows policy.Rows, a policy.Address) bool {
	for i := range rows {
		if rows[i].Address.Key() == a.Key() {
			return true
		}
	}
	return false
}

// maxRelated bounds how many answers and forwards of a message are looked at.
const maxRelated = 100

// references gives the messages that refer to one.
func (e *Engine) references(messageID string) ([]policy.ID, error) {
	if messageID == "" {
		return nil, nil
	}
	ids, err := e.Journal.ByReference(messageID)
	return ids[:min(len(ids), maxRelated)], err
}
