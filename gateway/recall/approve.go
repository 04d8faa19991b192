package recall

import (
	"context"
	"errors"
	"fmt"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// Approve lets a recall begin that waits for a second person: an administrator who is not the one who asked.
func (e *Engine) Approve(ctx context.Context, id policy.ID, who policy.RecallRequester) (*policy.RecallReport, error) {
	j, err := e.find(id)
	if err != nil {
		return nil, err
	}
	e.door.Lock()
	defer e.door.Unlock()
	now := e.now()
	if err := e.mayApprove(j, &who); err != nil {
		return nil, err
	}
	if err := e.say(ctx, id, policy.Event{Kind: policy.RecallApproved, Time: now, Actor: who.Actor}, who); err != nil {
		return nil, err
	}
	e.Log.Info("recall_approved", zap.Stringer("recall", id), zap.String("actor", who.Actor))
	j.mu.Lock()
	j.begun, j.approvedBy = now, who.Actor
	j.tell()
	j.mu.Unlock()
	j.rouse()
	return e.report(ctx, j)
}

func (e *Engine) mayApprove(j *job, who *policy.RecallRequester) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	asked := &j.Request.Requester
	switch {
	case !j.ended.IsZero() || j.stopped != "":
		return refuseEnded()
	case !j.begun.IsZero():
		return refuseNoApproval()
	case !e.now().Before(j.ApproveUntil):
		return refuseEnded()
	case who.Role != admin:
		return refuseApprover()
	case who.Actor == asked.Actor || person(who) == person(asked):
		return refuseOwn()
	}
	for _, p := range j.parts {
		m, err := e.Journal.Message(p.Message)
		if err != nil {
			return fmt.Errorf("read message %s: %w", p.Message, err)
		}
		if !inDomains(who.Domains, m.Envelope.Sender) {
			return refuseApprover()
		}
	}
	return nil
}

// Cancel ends a recall. What it has taken stays taken; what was set aside until a whole group was looked at goes
// back.
func (e *Engine) Cancel(ctx context.Context, id policy.ID, actor string) (*policy.RecallReport, error) {
	j, err := e.find(id)
	if err != nil {
		return nil, err
	}
	j.mu.Lock()
	over := !j.ended.IsZero() || j.stopped != ""
	j.mu.Unlock()
	if over {
		return nil, refuseEnded()
	}
	ev := policy.Event{Kind: policy.RecallOutcome, Time: e.now(), Actor: actor, Reason: reasonStopped}
	if err := e.say(ctx, id, ev, nil); err != nil {
		return nil, err
	}
	e.Log.Info("recall_cancelled", zap.Stringer("recall", id), zap.String("actor", actor))
	j.mu.Lock()
	if j.ended.IsZero() {
		j.stopped = actor
	}
	j.tell()
	j.mu.Unlock()
	j.rouse()
	return e.report(ctx, j)
}

// abandon ends a recall that was cancelled, or that nobody approved: what is set aside goes back, and what was
// not decided is left as it is.
func (e *Engine) abandon(ctx context.Context, j *job, overall string) {
	now, open := e.now(), 0
	for _, p := range j.parts {
		w, err := e.read(p)
		if errors.Is(err, store.ErrNotFound) {
			e.forgotten(ctx, j, p)
			continue
		}
		if err != nil {
			e.Log.Error("a message of a recall that ends cannot be read yet", zap.Stringer("recall", j.id), zap.Error(err))
			j.mu.Lock()
			p.next = now.Add(pauses[0])
			j.mu.Unlock()
			open++
			continue
		}
		e.giveUp(ctx, j, w)
		j.mu.Lock()
		p.reckon(w.rows, now)
		p.all = false
		open += p.open
		j.mu.Unlock()
	}
	if e.write(ctx, j) && open == 0 {
		e.end(ctx, j, overall)
	}
}

// giveUp ends what is not decided about a message. After a restart, or an answer that was lost, copies may lie in
// staging that nobody has written down.
func (e *Engine) giveUp(ctx context.Context, j *job, w *work) {
	var tasks []task
	for _, i := range w.indexes() {
		l := j.latest(w.part, i)
		if l.done() {
			continue
		}
		b, user, name, ok := e.Mailboxes.For(w.rows[i].Address)
		lost := l.code == policy.Retrying || j.resumed && !j.begun.IsZero() && !queued(w.rows[i].State)
		if !ok || len(l.copies) == 0 && !lost {
			e.note(ctx, j, w, i, outcome{code: policy.RecallStopped, copies: l.copies})
			continue
		}
		t := &removal{seat: &seat{Backend: b, user: user, name: name, row: i, match: e.match(w)}, copies: l.copies}
		tasks = append(tasks, task{name, func() { e.note(ctx, j, w, i, t.giveUp(ctx, w)) }})
	}
	e.each(ctx, always, tasks)
}

func (t *removal) giveUp(ctx context.Context, w *work) outcome {
	v, err := t.look(ctx, t.copies)
	if o := (outcome{code: policy.RecallStopped}); err != nil {
		if len(t.copies) > 0 || trouble(w, t.row, err).code == policy.Retrying {
			o = outcome{code: policy.Retrying, evidence: err.Error(), copies: t.copies, last: policy.MailboxUnreachable}
		}
		return o
	}
	t.copies = t.adopted(&v, t.copies)
	left, err := t.putBack(ctx)
	if err != nil {
		return outcome{code: policy.Retrying, evidence: "not put back yet: " + err.Error(), copies: left, last: policy.MailboxUnreachable}
	}
	return outcome{code: policy.RecallStopped, copies: left}
}
