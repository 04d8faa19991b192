package hold

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// A Code says what a recall did for one recipient. Codes are part of the HTTP API.
type Code string

// The codes of taking a message back before it has left.
const (
	RemovedFromHold       Code = "removed_from_hold"
	RemovedFromQueue      Code = "removed_from_queue" // let go, but still in our own queue
	NeverDelivered        Code = "never_delivered"    // refused, given up or blocked: nothing to take back
	AlreadyRecalled       Code = "already_recalled"
	WaitingInFlight       Code = "waiting_in_flight"       // being delivered: the outcome decides
	DeliveredBeforeRecall Code = "delivered_before_recall" // in a mailbox, or it left while being recalled
	ExternalRecipient     Code = "external_recipient"      // it has left for another system
	UnknownOutcome        Code = "unknown"
)

// A Canceled is what Cancel did for one recipient.
type Canceled struct {
	Recipient store.Recipient // as it was when the decision was taken
	Code      Code
}

// Cancel takes a message back from recipients, by their indexes, or from all when recipients is
// nil. It gives the message as it is then and what was done for each recipient asked for. The others
// stay as they were. Errors: [store.ErrNotFound], ErrNoRecipient, or what the journal says; and
// ErrInFlight, together with the codes, when nothing could be taken back because the message is being
// delivered at this moment.
func (s *Scheduler) Cancel(ctx context.Context, id policy.ID, recipients []int, reason, who string) (store.Message, []Canceled, error) {
	flying := !s.flights.decide(id)
	if !flying {
		defer s.flights.decided(id)
	}
	var err error
	for try := range tries {
		var v *snapshot
		if v, err = s.read(id); err != nil {
			return store.Message{}, nil, err
		}
		var asked []Canceled
		if asked, err = plan(v.recipients, recipients, flying, try > 0); err != nil {
			return v.message, nil, err
		}
		taken := taken(asked)
		if len(taken) == 0 {
			if flying && slices.ContainsFunc(asked, func(c Canceled) bool { return c.Code == WaitingInFlight }) {
				err = ErrInFlight
			}
			return v.message, asked, err
		}
		if err = s.takeBack(ctx, v, taken, reason, who); err == nil {
			m, err := s.journal.Message(id)
			if err == nil && m.Due.IsZero() {
				s.forget(id)
			}
			return m, asked, err
		}
		if !errors.Is(err, store.ErrConflict) {
			return v.message, nil, err
		}
	}
	return store.Message{}, nil, err
}

// takeBack commits the cancellation, and makes a task that has read the message before read it again.
func (s *Scheduler) takeBack(ctx context.Context, v *snapshot, recipients []store.Recipient, reason, who string) error {
	var indexes []int
	for i := range recipients {
		indexes = append(indexes, recipients[i].Index)
	}
	now := s.eventTime(recipients)
	id := v.message.ID
	_, err := s.journal.Commit(ctx, store.Change{Message: id, Revision: v.message.Revision, Events: []policy.Event{
		{Kind: policy.RecallRequested, Time: now, Actor: who, Recipients: indexes, Reason: reason},
		{Kind: policy.Canceled, Time: now, Actor: who, Recipients: indexes, Reason: reason},
	}})
	if err != nil {
		return err
	}
	s.log.canceled(&v.message, recipients, reason, who)
	s.reread(id)
	return nil
}

// read gives what the journal knows of a message.
func (s *Scheduler) read(id policy.ID) (*snapshot, error) {
	m, err := s.journal.Message(id)
	if err != nil {
		return nil, fmt.Errorf("read message: %w", err)
	}
	recipients, err := s.journal.RecipientsOf(&m)
	if err != nil {
		return nil, fmt.Errorf("read recipients: %w", err)
	}
	return &snapshot{m, recipients}, nil
}

// plan says for each recipient asked for what taking back does; for a group, for each member. raced is true when a first try has
// lost against another decision.
func plan(all policy.Rows, asked []int, flying, raced bool) ([]Canceled, error) {
	for _, i := range asked {
		if i < 0 || i >= len(all) {
			return nil, fmt.Errorf("%w: number %d of %d", ErrNoRecipient, i, len(all))
		}
	}
	rows := all.Resolve(asked)
	codes := make([]Canceled, 0, len(rows))
	for _, i := range rows {
		codes = append(codes, Canceled{all[i], code(&all[i], flying, raced)})
	}
	return codes, nil
}

func code(r *store.Recipient, flying, raced bool) Code {
	switch r.State {
	case policy.StateAccepted, policy.StateHeld, policy.StateApprovalPending:
		return RemovedFromHold
	case policy.StateQueued, policy.StateDeferred:
		if flying || r.Due.IsZero() {
			return WaitingInFlight
		}
		return RemovedFromQueue
	case policy.StateOffered:
		return WaitingInFlight
	case policy.StateCanceled, policy.StateRecalled:
		return AlreadyRecalled
	case policy.StateBounced, policy.StateExpired, policy.StateAsyncBounced, policy.StateBlocked, policy.StateNeverQueued:
		return NeverDelivered
	case policy.StateDeliveredMailbox:
		return DeliveredBeforeRecall
	case policy.StateHandedOver, policy.StateRelayedRemote:
		if raced {
			return DeliveredBeforeRecall
		}
		return ExternalRecipient
	}
	return UnknownOutcome
}

// taken picks what is taken back.
func taken(codes []Canceled) (recipients []store.Recipient) {
	for _, c := range codes {
		if c.Code == RemovedFromHold || c.Code == RemovedFromQueue {
			recipients = append(recipients, c.Recipient)
		}
	}
	return recipients
}
