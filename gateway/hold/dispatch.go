package hold

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// interrupted is the reason of an unknown state, for people.
const interrupted = "sendgate ended while the upstream was answering: whether it took the message is not known here; it was not sent again"

// decideLoop is one of the deciders.
func (s *Scheduler) decideLoop(ctx, work context.Context) {
	for {
		select {
		case t := <-s.decision:
			if err := s.decide(work, t); err != nil {
				s.log.trouble(t.id, "let go", err)
				s.finishAt(t, pauseAfterError)
			}
		case <-ctx.Done():
			return
		}
	}
}

// decide releases a message whose hold is over and hands it to its upstreams. An error means that
// the journal failed.
func (s *Scheduler) decide(ctx context.Context, t *task) error {
	for {
		m, err := s.journal.Message(t.id)
		switch {
		case errors.Is(err, store.ErrNotFound):
			s.finish(t)
			return nil
		case err != nil:
			return fmt.Errorf("read message: %w", err)
		case m.Due.IsZero():
			s.finish(t)
			return nil
		case m.Due.After(t.due):
			// It was moved after the entry was made.
			s.reschedule(t, m.Due)
			return nil
		case m.States[policy.StateOffered] > 0:
			return s.abandon(ctx, t, &m)
		case m.States[policy.StateApprovalPending] > 0:
			return s.expire(ctx, t)
		case m.States[policy.StateHeld] == 0:
			return s.queue(ctx, t, m)
		}
		gone, err := s.endHold(ctx, t, &m)
		switch {
		case errors.Is(err, store.ErrConflict):
			continue // somebody was quicker: look again
		case err != nil:
			return fmt.Errorf("release: %w", err)
		case !gone:
			return nil
		}
		t.loaded = false
		return s.queue(ctx, t, m)
	}
}

// letGo commits the release or the approval of a message, which is to go now, and brings m up to it. What is due
// already stays due as it was: the journal has nothing to move then.
func (s *Scheduler) letGo(ctx context.Context, m *store.Message, e policy.Event) error {
	e.Time = s.now()
	e.Until = e.Time
	if !m.Due.IsZero() && m.Due.Before(e.Time) {
		e.Until = m.Due
	}
	revision, err := s.journal.Commit(ctx, store.Change{
		Message: m.ID, Revision: m.Revision, Patient: e.Actor == actor, Events: []policy.Event{e},
	})
	if err != nil {
		return err
	}
	m.Revision, m.Due = revision, e.Until
	s.log.letGo(m, &e)
	return nil
}

// queue gives the message to the lanes of its upstreams.
func (s *Scheduler) queue(ctx context.Context, t *task, m store.Message) error {
	recipients, err := s.journal.RecipientsOf(&m)
	if err != nil {
		return fmt.Errorf("read recipients: %w", err)
	}
	var upstreams []string
	seen := map[string]bool{}
	limit, left := s.limit(&m), 0
	for i := range recipients {
		r := &recipients[i]
		if !r.Due.IsZero() {
			left++
		}
		if !deliverable(r, limit) {
			continue
		}
		if u := s.sender.Upstream(&m.Envelope, r.Address); !seen[u] {
			seen[u] = true
			upstreams = append(upstreams, u)
		}
	}
	if len(upstreams) == 0 {
		s.finishAt(t, time.Minute)
		return nil
	}
	s.mu.Lock()
	t.lanes, t.left = len(upstreams), left
	if len(s.busy) <= maxSnapshots && !t.canceled {
		t.snapshot = &snapshot{m, recipients}
	}
	s.mu.Unlock()
	for _, u := range upstreams {
		s.lanes.add(ctx, u, t)
	}
	return nil
}

// limit is the time up to which recipients count as due: those of a message that are due together
// are tried together, wherever the wall clock was set.
func (s *Scheduler) limit(m *store.Message) time.Time {
	if now := s.now(); now.After(m.Due) {
		return now
	}
	return m.Due
}

// deliverable reports whether a recipient is to be tried now.
func deliverable(r *store.Recipient, limit time.Time) bool {
	return ours(r.State) && !r.Due.IsZero() && !r.Due.After(limit)
}

// ours reports whether a recipient waits in our own queue.
func ours(state policy.State) bool {
	return state == policy.StateQueued || state == policy.StateDeferred
}

// abandon marks what was being handed through when the process died. The client still owned it.
// What this process hands through is none of the timers' business.
func (s *Scheduler) abandon(ctx context.Context, t *task, m *store.Message) error {
	if !t.loaded {
		s.finish(t)
		return nil
	}
	_, err := s.journal.Commit(ctx, store.Change{Message: t.id, Events: []policy.Event{{
		Kind: policy.Unknown, Time: s.now(), Actor: actor, Reason: interrupted,
	}}})
	if err != nil {
		return fmt.Errorf("mark as unknown: %w", err)
	}
	s.log.unknown(m, interrupted)
	s.finish(t)
	return nil
}

// finish ends a task, and looks again if there is more to do.
func (s *Scheduler) finish(t *task) {
	s.mu.Lock()
	delete(s.busy, t.id)
	more := t.left > 0 || t.touched
	s.mu.Unlock()
	if more {
		s.look(t.id)
	}
}

// reschedule ends a task whose message is due later.
func (s *Scheduler) reschedule(t *task, due time.Time) {
	s.mu.Lock()
	delete(s.busy, t.id)
	s.mu.Unlock()
	s.schedule(entry{id: t.id, at: s.at(due), due: due})
}

// finishAt ends a task that is to be looked at again after a pause, as it was.
func (s *Scheduler) finishAt(t *task, pause time.Duration) {
	e := t.entry
	e.at = s.clock() + pause
	s.mu.Lock()
	delete(s.busy, t.id)
	s.mu.Unlock()
	s.schedule(e)
}
