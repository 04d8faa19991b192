package recall

import (
	"context"
	"slices"
	"time"

	"github.com/sendgate/sendgate/policy"
	"go.uber.org/zap"
)

// pass tries everything of a job that is due.
func (e *Engine) pass(ctx context.Context, j *job) {
	defer j.begin.Do(func() { close(j.first) })
	stop := e.writing(ctx, j)
	turns := e.gather(ctx, j)
	e.queues(ctx, j, turns)
	e.mailboxes(ctx, j, turns)
	for _, t := range turns {
		for _, g := range t.groups {
			if ctx.Err() == nil && j.acting() {
				e.together(ctx, j, g)
			}
		}
	}
	stop()
	written := e.write(ctx, j)
	j.mu.Lock()
	for _, t := range turns {
		t.reckon(t.rows, e.now())
	}
	open, ended, changed := j.openRows(), !j.ended.IsZero(), j.changed
	j.mu.Unlock()
	switch {
	case ctx.Err() != nil || !written:
	case open > 0 && ended:
		e.reopen(ctx, j)
	case open == 0 && (!ended || changed):
		e.end(ctx, j, "")
	}
}

// reopen takes up a recall again that had ended: what later evidence has brought cannot be done at once.
func (e *Engine) reopen(ctx context.Context, j *job) {
	err := e.say(context.WithoutCancel(ctx), j.id, policy.Event{Kind: policy.RecallOutcome, Time: e.now(), Actor: "recall", Reason: reasonReopened}, nil)
	if err != nil {
		e.Log.Error("that a recall goes on could not be recorded", zap.Stringer("recall", j.id), zap.Error(err))
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ended = time.Time{}
	j.tell()
}

// openRows counts what is not at an end. The caller has the lock.
func (j *job) openRows() (n int) {
	for _, p := range j.parts {
		if n += p.open; p.all {
			n++ // not looked at yet
		}
	}
	return n
}

// reckon counts what is open in a message, and says when something is due. The caller has the lock.
func (p *part) reckon(rows policy.Rows, now time.Time) {
	p.open, p.next = 0, time.Time{}
	w := &work{part: p, rows: rows}
	for _, i := range p.tidy(w) {
		if l := p.known[i]; l.done() {
			continue
		}
		p.open++
		next := p.tries[i].next
		if next.IsZero() { // it was not its turn: the program ends, or the recall was cancelled
			next = now.Add(pauses[0])
		}
		p.next = earlier(p.next, next)
	}
}

// queues tries the queues. What they do not have is looked for in mailboxes.
func (e *Engine) queues(ctx context.Context, j *job, turns []*turn) {
	var tasks []task
	for _, t := range turns {
		if len(t.queue) > 0 {
			tasks = append(tasks, task{"", func() { e.queueTurn(ctx, j, t) }})
		}
	}
	e.each(ctx, j.acting, tasks)
}

func (e *Engine) queueTurn(ctx context.Context, j *job, t *turn) {
	outcomes, mail, err := e.fromQueue(ctx, j, t.work, t.queue)
	if err != nil {
		e.Log.Warn("a recall could not act on a queue yet", zap.Stringer("recall", j.id), zap.Error(err))
		return
	}
	for _, i := range mail {
		t.otherwise[i] = outcomes[i]
		delete(outcomes, i)
	}
	for i, o := range outcomes {
		e.note(ctx, j, t.work, i, o)
	}
	t.mail = append(t.mail, mail...)
}

// mailboxes tries the mailboxes of recipients that are not taken back as a group.
func (e *Engine) mailboxes(ctx context.Context, j *job, turns []*turn) {
	var tasks []task
	for _, t := range turns {
		for _, i := range t.mail {
			s, o := e.admit(j, t.work, i)
			if s == nil {
				e.note(ctx, j, t.work, i, o)
				continue
			}
			tasks = append(tasks, task{s.name, func() { e.mailTurn(ctx, j, t, s) }})
		}
	}
	e.each(ctx, j.acting, tasks)
}

func (e *Engine) mailTurn(ctx context.Context, j *job, t *turn, s *seat) {
	o := e.empty(ctx, j, t.work, s)
	if other, ok := t.otherwise[s.row]; ok && o.code == policy.WaitingArrival && o.last == "" {
		o = other
	}
	if l := j.latest(t.part, s.row); t.again[s.row] && l.code == policy.RemovedFromMailbox && absentAgain(&o) {
		return // nothing has come back
	}
	if ctx.Err() != nil && o.processing() && len(o.copies) == 0 {
		return
	}
	e.note(ctx, j, t.work, s.row, o)
}

// absentAgain reports whether a mailbox that was emptied before has just nothing to say.
func absentAgain(o *outcome) bool {
	return slices.Contains([]policy.RecallCode{policy.NotInMailbox, policy.WaitingArrival, policy.MessageIDMissing}, o.code)
}
