package recall

import (
	"time"

	"github.com/sendgate/sendgate/policy"
)

// pauses are those after the tries of something that waits; the last one is repeated.
var pauses = []time.Duration{5 * time.Second, 15 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour}

// after counts one more try and says when the next one is.
func (t *try) after(now time.Time) {
	t.next = now.Add(pauses[min(t.count, len(pauses)-1)])
	t.count++
}

// postpone says when a row is looked at again: after a pause, and at the deadline once more. The caller has
// the lock.
func (p *part) postpone(i int, now, deadline time.Time) {
	t := p.tries[i]
	t.after(now)
	if deadline.After(now) && t.next.After(deadline) {
		t.next = deadline
	}
	p.tries[i] = t
}

// lastLook is how late a look may be that was due at the deadline.
const lastLook = 30 * time.Second

// lateness is how long after the end of the window a mailbox may be looked into: what was tried before has a last
// look then, which says why it has failed.
func (j *job) lateness(p *part, i int) time.Duration {
	j.mu.Lock()
	defer j.mu.Unlock()
	if p.tries[i].count == 0 {
		return 0
	}
	return lastLook
}

// deadline is when something that waits is given up: after retry_for, and what is about a mailbox also when
// the window ends, unless the recall was done with it once.
func (e *Engine) deadline(j *job, w *work, i int, o *outcome) time.Time {
	cfg := e.config()
	if from := w.tries[i].from; !from.IsZero() {
		return from.Add(cfg.RetryFor)
	}
	end := j.begun.Add(cfg.RetryFor)
	if o.queue {
		return end
	}
	return earlier(end, e.windowEnd(j, w, i))
}

// windowEnd is until when, inclusively, a message may be taken out of a recipient's mailbox.
func (e *Engine) windowEnd(j *job, w *work, i int) time.Time {
	_, _, name, _ := e.Mailboxes.For(w.rows[i].Address)
	return w.Received.Add(e.config().window(j.Request.Requester.Role, name))
}

// timed is an outcome in the light of the time: what waits has failed at the deadline.
func (e *Engine) timed(j *job, w *work, i int, o outcome, now time.Time) outcome {
	if !o.processing() || o.code == policy.RecallPlanned || o.code == policy.RecallStaged {
		return o
	}
	j.mu.Lock()
	over := !now.Before(e.deadline(j, w, i, &o))
	j.mu.Unlock()
	if over {
		if o.code = o.last; o.code == "" {
			o.code = policy.WindowExpired
		}
	}
	return o
}
