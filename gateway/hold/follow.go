package hold

import (
	"context"
	"errors"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// follow keeps the timetable up to what others commit: fronts, the API, notices.
func (s *Scheduler) follow(ctx context.Context) error {
	for {
		r, err := s.feed.Next(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		s.observe(&r)
	}
}

// observe looks at one record. The timetable only says when to look at a message; what is then to
// be done stands in the message's row.
func (s *Scheduler) observe(r *store.Record) {
	switch due := newDue(r.Events); {
	case due == nil:
		return
	case r.Events[0].Kind == policy.Accepted:
		s.schedule(entry{id: r.Message, at: s.at(due.Until), due: due.Until})
	default:
		s.look(r.Message)
	}
}

// newDue gives the last event of a record that moves the due time of a message, unless it was our own.
func newDue(events []policy.Event) (due *policy.Event) {
	for i := range events {
		switch e := &events[i]; e.Kind {
		case policy.Held, policy.HoldChanged, policy.ApprovalRequested, policy.Approved, policy.Released, policy.Deferred, policy.Resent:
			if e.Actor != actor {
				due = e
			}
		}
	}
	return due
}

// look reads the due time of a message and schedules it.
func (s *Scheduler) look(id policy.ID) {
	m, err := s.journal.Message(id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return
	case err != nil:
		s.log.trouble(id, "read message", err)
		s.schedule(entry{id: id, at: s.clock() + pauseAfterError, due: s.now()})
	case !m.Due.IsZero():
		s.schedule(entry{id: id, at: s.at(m.Due), due: m.Due})
	default:
		s.forget(id)
	}
}

// forget takes a message out of the timetable.
func (s *Scheduler) forget(id policy.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting.remove(id)
}
