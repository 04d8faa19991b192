package recall

import (
	"context"
	"errors"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// fromQueue takes a message back from rows that may be in a queue. It gives the outcomes that are certain, and
// the rows that have to be looked for in mailboxes, with the message as it is then.
func (e *Engine) fromQueue(ctx context.Context, j *job, w *work, indexes []int) (outcomes map[int]outcome, mail []int, err error) {
	codes, err := e.Queue.Cancel(ctx, w.Message, indexes, j.Request.Reason, j.actor())
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil, err
	}
	outcomes = map[int]outcome{}
	if err != nil {
		e.Log.Warn("a recall could not act on a queue yet", zap.Stringer("recall", j.id), zap.Stringer("id", w.Message), zap.Error(err))
		for _, i := range indexes {
			outcomes[i] = outcome{code: policy.Retrying, evidence: err.Error(), last: policy.RecallUnknown, queue: true}
		}
		return outcomes, nil, nil
	}
	now, err := e.read(w.part)
	if err != nil {
		return nil, nil, err
	}
	w.message, w.rows, w.past = now.message, now.rows, nil
	for _, c := range codes {
		if c.Recipient < 0 || c.Recipient >= len(w.rows) {
			continue
		}
		o, toMailbox := e.queueOutcome(j, w, c)
		if toMailbox {
			mail = append(mail, c.Recipient)
		}
		outcomes[c.Recipient] = o
	}
	return outcomes, mail, nil
}

// queueOutcome says what the answer of a queue means for a row, and whether its mailbox is to be looked into:
// the outcome then counts when it is not there.
func (e *Engine) queueOutcome(j *job, w *work, c Outcome) (o outcome, mail bool) {
	r := &w.rows[c.Recipient]
	inside := e.inside(r.Address)
	o = outcome{code: c.Code, evidence: proof(r), queue: true}
	switch c.Code {
	case policy.RemovedFromHold, policy.NeverDelivered:
		return o, false
	case policy.RemovedFromQueue, policy.AlreadyRecalled:
		return e.cancelled(j, w, c)
	case policy.Retrying:
		o.last = policy.RecallUnknown
		return o, false
	case policy.WaitingInFlight:
		o.last = policy.RecallUnknown
		return o, inside
	}
	if inside {
		return outcome{code: policy.WaitingArrival, evidence: o.evidence}, true
	}
	return e.gone(j, w, c, o), false
}

// cancelled is the outcome for a row that the journal has as cancelled: by this recall, perhaps before a
// restart, or by somebody else before. Out of Postfix's queue it counts only when the logs were read up to then
// and say nothing else.
func (e *Engine) cancelled(j *job, w *work, c Outcome) (outcome, bool) {
	t, ours := e.remember(w).ours(j, c.Recipient)
	if w.rows[c.Recipient].State != policy.StateCanceled || !ours && c.Code == policy.AlreadyRecalled {
		return outcome{code: c.Code, evidence: proof(&w.rows[c.Recipient])}, false
	}
	o := outcome{code: policy.RemovedFromHold, evidence: t.evidence, queue: true}
	if !t.queue && c.Code != policy.RemovedFromQueue {
		return o, false
	}
	o.code = policy.RemovedFromQueue
	if at := t.time; w.message.Envelope.Front == policy.Milter {
		if at.IsZero() {
			at = e.now()
		}
		if !e.Tracked(at) {
			return outcome{code: policy.WaitingInFlight, evidence: "removed from the queue; the log was not read up to then yet\n" + t.evidence, last: policy.RecallUnknown, queue: true}, false
		}
	}
	return o, false
}

// gone is the outcome for a row outside that the queue did not give back. The log has to say whether it was
// delivered or returned; once it was read and does not, what the queue says counts.
func (e *Engine) gone(j *job, w *work, c Outcome, o outcome) outcome {
	if code, stage := e.judge(j, w, c.Recipient); stage == atEnd && code != policy.RecallUnknown {
		o.code = code
		return o
	}
	if c.Code == policy.WholeMessageOnly {
		return o
	}
	since := e.now()
	if l := j.latest(w.part, c.Recipient); l.code == policy.WaitingInFlight {
		since = l.time
	}
	if !e.Tracked(since) {
		return outcome{code: policy.WaitingInFlight, evidence: o.evidence, last: c.Code, queue: true}
	}
	return o
}
