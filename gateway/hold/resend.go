package hold

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// Errors of Resend; their texts are for people.
var (
	// ErrNoBody is returned for a message that sendgate never had a copy of.
	ErrNoBody = errors.New("sendgate has no copy of this message")
	// ErrBodyGone is returned for a message whose copy was deleted after its time.
	ErrBodyGone = errors.New("sendgate's copy of this message was deleted after its time: send it again from the Sent folder")
	// ErrNothingFailed is returned when nobody was named and no recipient failed.
	ErrNothingFailed = errors.New("no recipient of this message failed: name those to whom it is sent again")
	// ErrNotEnded is returned for recipients whom the message may still reach; what wraps it says why.
	ErrNotEnded = errors.New("the message is still on its way")
)

// Resend sends a message again: to recipients, by the indexes of their rows, or to all that failed
// when recipients is nil. Of a group it is those members that failed. Each gets a new row, which is
// tried at once and then as any other; its time of giving up counts from now. Those named must have
// come to an end or be unknown. It gives the message as it is then. Errors: [store.ErrNotFound],
// ErrNoRecipient, ErrNothingFailed, ErrNotEnded, ErrNoBody, ErrBodyGone, or what the journal says.
func (s *Scheduler) Resend(ctx context.Context, id policy.ID, recipients []int, reason, who string) (store.Message, error) {
	for range tries {
		v, err := s.read(id)
		if err != nil {
			return store.Message{}, err
		}
		again, err := resendable(v, recipients)
		if err == nil {
			err = s.copyKept(&v.message)
		}
		if err == nil {
			err = s.sendAgain(ctx, v, again, reason, who)
		}
		if err == nil {
			return s.journal.Message(id)
		}
		if !errors.Is(err, store.ErrConflict) {
			return v.message, err
		}
	}
	return store.Message{}, fmt.Errorf("resend: %w", store.ErrConflict)
}

// sendAgain commits the resend; the record of it brings the message into the timetable.
func (s *Scheduler) sendAgain(ctx context.Context, v *snapshot, again []int, reason, who string) error {
	recipients := make([]store.Recipient, len(again))
	for n, i := range again {
		recipients[n] = v.recipients[i]
	}
	_, err := s.journal.Commit(ctx, store.Change{Message: v.message.ID, Revision: v.message.Revision, Events: []policy.Event{{
		Kind: policy.Resent, Time: s.eventTime(recipients), Actor: who, Recipients: again, Until: s.now(), Reason: reason,
	}}})
	if err == nil {
		s.log.resent(&v.message, recipients, reason, who)
	}
	return err
}

// resendable gives the rows that a resend is for.
func resendable(v *snapshot, asked []int) ([]int, error) {
	again, err := v.chosenAgain(asked)
	switch {
	case err != nil:
		return nil, err
	case len(again) == 0:
		return nil, ErrNothingFailed
	}
	// The message is let go as a whole: what is due now would end the hold for the others.
	for _, state := range []policy.State{policy.StateHeld, policy.StateApprovalPending, policy.StateOffered} {
		if v.message.States[state] > 0 {
			return nil, fmt.Errorf("%w: it is %s", ErrNotEnded, state)
		}
	}
	return again, nil
}

// chosenAgain gives the rows that were asked for: those that failed when nobody was named.
func (v *snapshot) chosenAgain(asked []int) ([]int, error) {
	rows := v.recipients
	again := make([]int, 0, len(asked))
	if asked == nil {
		for i := range rows {
			if rows[i].Failed() {
				again = append(again, i)
			}
		}
		return again, nil
	}
	for _, i := range asked {
		if i < 0 || i >= len(rows) {
			return nil, fmt.Errorf("%w: number %d of %d", ErrNoRecipient, i, len(rows))
		}
	}
	groups := map[int]bool{} // whose members were meant, though not named
	named := map[int]bool{}
	for _, i := range asked {
		named[i] = true
		groups[i+1] = rows[i].State == policy.StateExpanded
	}
	for _, i := range rows.Resolve(asked) {
		r := &rows[i]
		switch {
		case !named[i] && groups[r.Group] && !r.Failed():
		case !r.State.Final() && r.State != policy.StateUnknown:
			return nil, fmt.Errorf("%w: %s is %s", ErrNotEnded, r.Address, r.State)
		default:
			again = append(again, i)
		}
	}
	return again, nil
}

// copyKept reports as an error why there is nothing to send.
func (s *Scheduler) copyKept(m *store.Message) error {
	if m.Envelope.Front == policy.Milter {
		return fmt.Errorf("%w (milter mode): send it again from the Sent folder", ErrNoBody)
	}
	if m.BodySize > 0 {
		return nil
	}
	records, err := s.journal.Timeline(m.ID)
	if err != nil {
		return fmt.Errorf("read timeline: %w", err)
	}
	for _, r := range records {
		for i := range r.Events {
			if r.Events[i].Kind == policy.Accepted {
				return ErrBodyGone
			}
		}
	}
	return fmt.Errorf("%w (it was handed through or refused): send it again from the Sent folder", ErrNoBody)
}

// ages is how long each of the recipients has been tried: since the message came in, or was sent
// again.
func (s *Scheduler) ages(m *store.Message, recipients []store.Recipient) []time.Duration {
	now, ages := s.steady(), make([]time.Duration, len(recipients))
	var began map[int]time.Time
	for i := range recipients {
		r := &recipients[i]
		if r.Attempt <= 1 {
			ages[i] = now.Sub(m.Envelope.Received)
			continue
		}
		if began == nil {
			began = s.resent(m.ID)
		}
		at, known := began[r.Index]
		if !known { // the journal cannot be read: nothing is given up for that
			at = r.Since
		}
		ages[i] = now.Sub(at)
	}
	return ages
}

// resent gives when the rows of repeated attempts were made, which only the events tell.
func (s *Scheduler) resent(id policy.ID) map[int]time.Time {
	at := map[int]time.Time{}
	v, err := s.read(id)
	if err != nil {
		s.log.trouble(id, "read when it was sent again", err)
		return at
	}
	records, err := s.journal.Timeline(id)
	if err != nil {
		s.log.trouble(id, "read when it was sent again", err)
		return at
	}
	var rows policy.Rows // as they were at each event
	for i := range v.recipients {
		if r := &v.recipients[i]; r.Group == 0 && r.Attempt == 0 {
			rows = append(rows, store.Recipient{Index: i, Recipient: r.Recipient})
		}
	}
	for _, record := range records {
		for _, e := range record.Events {
			before := len(rows)
			if rows, _ = rows.Apply(e); e.Kind != policy.Resent {
				continue
			}
			for i := before; i < len(rows); i++ {
				at[i] = e.Time
			}
		}
	}
	return at
}
