package hold

import (
	"context"
	"errors"
	"fmt"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// PullBack puts what waits of a message up for approval: what is held, what waits in our queue to be tried
// again, and what waits for approval for another reason, if a recipient of that concerns the caller. It gives how many recipients wait for a person
// then; 0 when the message is none of that, or was put up by a request with the same Subject before.
// request is the event, without its time and recipients. Errors: [store.ErrNotFound]; [ErrInFlight] while
// the message is being delivered, after which it may wait again; or what the journal says.
func (s *Scheduler) PullBack(ctx context.Context, id policy.ID, concerns func(policy.Address) bool, request policy.Event) (recipients int, err error) {
	if !s.flights.decide(id) {
		return 0, ErrInFlight
	}
	defer s.flights.decided(id)
	for range tries {
		var v *snapshot
		if v, err = s.read(id); err != nil {
			return 0, err
		}
		waiting := pulled(v.recipients, concerns)
		if len(waiting) == 0 {
			return 0, nil
		}
		var before bool
		if before, err = s.pulledBefore(id, request.Subject); before || err != nil {
			return 0, err
		}
		if err = s.putUp(ctx, v, waiting, request); err == nil {
			return len(waiting), nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return 0, err
		}
	}
	return 0, err
}

// pulled gives those recipients for whom a message waits here; none where it concerns nobody.
func pulled(rows policy.Rows, concerns func(policy.Address) bool) (waiting []store.Recipient) {
	concerned := false
	for i := range rows {
		r := &rows[i]
		if r.Counted() && waits(r) {
			waiting = append(waiting, *r)
			concerned = concerned || concerns(r.Address)
		}
	}
	if !concerned {
		return nil
	}
	return waiting
}

// waits reports whether the message has not left for the recipient.
func waits(r *store.Recipient) bool {
	return r.State == policy.StateHeld || r.State == policy.StateApprovalPending || ours(r.State) && !r.Due.IsZero()
}

// pulledBefore reports whether the message was put up for the same cause before: a person who has let it
// go is not asked again.
func (s *Scheduler) pulledBefore(id policy.ID, subject string) (bool, error) {
	records, err := s.journal.Timeline(id)
	if err != nil {
		return false, fmt.Errorf("read timeline: %w", err)
	}
	for _, r := range records {
		for i := range r.Events {
			if e := &r.Events[i]; e.Kind == policy.ApprovalRequested && e.Subject == subject {
				return true, nil
			}
		}
	}
	return false, nil
}

// putUp commits the request, and makes a task that has read the message before read it again.
func (s *Scheduler) putUp(ctx context.Context, v *snapshot, waiting []store.Recipient, request policy.Event) error {
	id := v.message.ID
	request.Kind, request.Time = policy.ApprovalRequested, s.eventTime(waiting)
	for i := range waiting {
		request.Recipients = append(request.Recipients, waiting[i].Index)
	}
	_, err := s.journal.Commit(ctx, store.Change{Message: id, Revision: v.message.Revision, Events: []policy.Event{request}})
	if err != nil {
		return err
	}
	s.log.pulledBack(&v.message, waiting, &request)
	s.reread(id)
	return nil
}

// reread makes a task that has read a message before read it again.
func (s *Scheduler) reread(id policy.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.busy[id]; t != nil {
		t.snapshot, t.canceled = nil, true
	}
}
