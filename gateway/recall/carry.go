package recall

import (
	"context"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// carry follows a job until nothing more is expected of it.
func (e *Engine) carry(ctx context.Context, j *job) {
	for ctx.Err() == nil {
		began := time.Now()
		e.step(ctx, j)
		next := e.until(j)
		if next.IsZero() {
			if e.forget(j) {
				return
			}
			continue
		}
		timer := time.NewTimer(max(next.Sub(e.now()), breath-time.Since(began)))
		select {
		case <-timer.C:
		case <-j.wake:
			pause(ctx, breath-time.Since(began))
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// step does what is due.
func (e *Engine) step(ctx context.Context, j *job) {
	j.mu.Lock()
	waits, stopped, ended := j.begun.IsZero(), j.stopped, !j.ended.IsZero()
	expired := waits && !e.now().Before(j.ApproveUntil)
	j.mu.Unlock()
	switch {
	case stopped != "" && !ended:
		e.abandon(ctx, j, policy.RecallCancelled)
	case expired && !ended:
		e.abandon(ctx, j, policy.RecallRejected)
	case !waits:
		e.pass(ctx, j)
	}
	e.tellRequester(ctx, j)
	j.begin.Do(func() { close(j.first) })
}

// until is when a job is looked at next; zero when it can be forgotten.
func (e *Engine) until(j *job) time.Time {
	next := j.soonest()
	j.mu.Lock()
	defer j.mu.Unlock()
	now := e.now()
	if len(j.entries) > 0 {
		next = earlier(next, now.Add(writeEvery))
	}
	switch {
	case j.ended.IsZero() && j.begun.IsZero():
		next = earlier(time.Time{}, j.ApproveUntil)
	case j.due && !j.ended.IsZero() && e.config().Report:
		next = earlier(next, j.telling.next)
	case !j.ended.IsZero():
		// One that was woken stays for as long: news of many messages come one after the other.
		last := j.ended
		if j.woken.After(last) {
			last = j.woken
		}
		if settled := last.Add(e.config().Settle); settled.After(now) {
			next = earlier(next, settled)
		}
	case next.IsZero(): // its end could not be recorded
		next = now.Add(pauses[0])
	}
	return next
}

// forget ends following a job, unless something was heard meanwhile.
func (e *Engine) forget(j *job) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, p := range j.parts {
		if j.begun.IsZero() {
			break // nobody approved it: nothing is ever done
		}
		if p.all || len(p.dirty) > 0 || len(p.members) > 0 || !p.next.IsZero() {
			return false
		}
	}
	delete(e.jobs, j.id)
	return true
}
