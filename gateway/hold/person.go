package hold

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// Errors of what people ask for; their texts are for them.
var (
	// ErrNotHeld is returned by Release and Hold for a message that is not held, or no longer.
	ErrNotHeld = errors.New("the message is not held")
	// ErrInFlight is returned by Cancel while the message is being delivered.
	ErrInFlight = errors.New("the message is being delivered at this moment: ask again when the attempt is over")
	// ErrHoldEnd is returned by Hold for an end that is past or too far away; what wraps it names the bound.
	ErrHoldEnd = errors.New("not a possible end of a hold")
	// ErrNoRecipient is returned by Cancel for a recipient that the message does not have.
	ErrNoRecipient = errors.New("the message has no such recipient")
)

// tries is how often a decision is taken anew because another one came first.
const tries = 5

// Release lets a held message go now. Errors: [store.ErrNotFound], ErrNotHeld, or what the journal
// says.
func (s *Scheduler) Release(ctx context.Context, id policy.ID, who string) (store.Message, error) {
	return s.decideIn(id, policy.StateHeld, ErrNotHeld, func(m *store.Message) error {
		return s.letGo(ctx, m, policy.Event{Kind: policy.Released, Actor: who})
	})
}

// Hold moves the end of a hold, later or earlier. It can be at most Config.LongestHold away.
// Errors: [store.ErrNotFound], ErrNotHeld, ErrHoldEnd, or what the journal says.
func (s *Scheduler) Hold(ctx context.Context, id policy.ID, until time.Time, who string) (store.Message, error) {
	now := s.now()
	if !until.After(now) {
		return store.Message{}, fmt.Errorf("%w: it must be in the future", ErrHoldEnd)
	}
	if until.Sub(now) > s.cfg.LongestHold {
		return store.Message{}, fmt.Errorf("%w: it must be at most %v from now", ErrHoldEnd, s.cfg.LongestHold)
	}
	return s.decideIn(id, policy.StateHeld, ErrNotHeld, func(m *store.Message) error {
		_, err := s.journal.Commit(ctx, store.Change{Message: id, Revision: m.Revision, Events: []policy.Event{{
			Kind: policy.HoldChanged, Time: s.now(), Actor: who, Until: until,
		}}})
		if err == nil {
			s.log.holdChanged(m, until, who)
		}
		return err
	})
}

// decideIn takes a decision about a message in a state, anew when another one came first, and gives the
// message as it is then. For one in another state the error is other.
func (s *Scheduler) decideIn(id policy.ID, state policy.State, other error, commit func(*store.Message) error) (store.Message, error) {
	var err error
	for range tries {
		var m store.Message
		if m, err = s.journal.Message(id); err != nil {
			return m, err
		}
		if m.States[state] == 0 {
			return m, fmt.Errorf("%w: it is %s", other, m.State())
		}
		if err = commit(&m); err == nil {
			return s.journal.Message(id)
		}
		if !errors.Is(err, store.ErrConflict) {
			return m, err
		}
	}
	return store.Message{}, err
}
