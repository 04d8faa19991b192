package hold

import (
	"context"
	"errors"
	"fmt"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// ErrNoApproval is returned by Approve for a message that does not wait for approval, or no longer.
var ErrNoApproval = errors.New("the message does not wait for approval")

// What is said of a message that nobody approved in time.
const (
	approvalExpired = "approval expired"
	notApproved     = "550 5.7.1 Nobody approved the message in time"
)

// Approve lets a message go that waits for approval. It gives the message as it is then. Errors:
// [store.ErrNotFound], ErrNoApproval, or what the journal says.
func (s *Scheduler) Approve(ctx context.Context, id policy.ID, who string) (store.Message, error) {
	// The end of an approval that is returned is an observation, which never conflicts.
	if s.flights.decide(id) {
		defer s.flights.decided(id)
	}
	return s.decideIn(id, policy.StateApprovalPending, ErrNoApproval, func(m *store.Message) error {
		return s.letGo(ctx, m, policy.Event{Kind: policy.Approved, Actor: who})
	})
}

// expire ends the waiting of a message that nobody has approved: it goes to its recipients, or back to its
// sender. An error means that the journal failed.
func (s *Scheduler) expire(ctx context.Context, t *task) error {
	if !s.flights.decide(t.id) {
		s.finishAt(t, pauseAfterError)
		return nil
	}
	defer s.flights.decided(t.id)
	v, err := s.read(t.id)
	if err != nil {
		return err
	}
	if v.message.States[policy.StateApprovalPending] == 0 || v.message.Due.After(t.due) {
		s.finishAt(t, 0) // somebody was quicker: look again
		return nil
	}
	request, err := s.request(t.id)
	if err != nil {
		return err
	}
	if !goesUnapproved(&request) {
		return s.giveBack(ctx, t, v)
	}
	err = s.letGo(ctx, &v.message, policy.Event{Kind: policy.Released, Actor: actor, Rule: request.Rule, Reason: approvalExpired})
	switch {
	case errors.Is(err, store.ErrConflict):
		s.finishAt(t, 0)
		return nil
	case err != nil:
		return fmt.Errorf("release: %w", err)
	}
	t.loaded = false
	return s.queue(ctx, t, v.message)
}

// request gives the last event that asked for approval.
func (s *Scheduler) request(id policy.ID) (last policy.Event, err error) {
	records, err := s.journal.Timeline(id)
	if err != nil {
		return last, fmt.Errorf("read timeline: %w", err)
	}
	for _, r := range records {
		for i := range r.Events {
			if r.Events[i].Kind == policy.ApprovalRequested {
				last = r.Events[i]
			}
		}
	}
	return last, nil
}

// goesUnapproved reports what was to become of the message when nobody approves it, which stands in the
// request as a finding. What does not say so is returned.
func goesUnapproved(request *policy.Event) bool {
	for i := range request.Findings {
		if f := &request.Findings[i]; f.Kind == "approval" {
			return f.Action == policy.Pass
		}
	}
	return false
}

// giveBack returns a message to its sender. As with results, the notice is written first: a crash in
// between repeats it.
func (s *Scheduler) giveBack(ctx context.Context, t *task, v *snapshot) error {
	var waiting []store.Recipient
	blocked := policy.Event{Kind: policy.Blocked, Actor: actor, Reason: approvalExpired, Reply: notApproved}
	for _, r := range v.recipients {
		if r.State == policy.StateApprovalPending {
			waiting = append(waiting, r)
			blocked.Recipients = append(blocked.Recipients, r.Index)
			blocked.Rule = r.Rule
		}
	}
	blocked.Time = s.eventTime(waiting)
	events := []policy.Event{blocked}
	n := notice{about: "failed", send: s.bouncer.Failed, recipients: apply(waiting, events)}
	told, err := n.write(ctx, &v.message, blocked.Time)
	if err != nil {
		return fmt.Errorf("write notice: %w", err)
	}
	if told != nil {
		events = append(events, *told)
	}
	if _, err := s.journal.Commit(ctx, store.Change{Message: t.id, Events: events, Patient: true}); err != nil {
		return fmt.Errorf("commit the end of an approval: %w", err)
	}
	s.log.results(&v.message, waiting, events)
	s.finish(t)
	return nil
}
