package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/sendgate/sendgate/gateway/hold"
	"github.com/sendgate/sendgate/gateway/postfix"
	"github.com/sendgate/sendgate/gateway/web"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// holder gives the API what the scheduler and the keeper can do.
type holder struct {
	scheduler *hold.Scheduler
	journal   *store.Store
	keeper    *postfix.Keeper // nil without the milter
}

func (h holder) Release(ctx context.Context, id policy.ID, actor string) error {
	_, err := h.scheduler.Release(ctx, id, actor)
	return refusal(err)
}

func (h holder) Hold(ctx context.Context, id policy.ID, until time.Time, actor string) error {
	_, err := h.scheduler.Hold(ctx, id, until, actor)
	return refusal(err)
}

// Cancel takes a message back. What Postfix holds must be there before the decision is taken, and is
// deleted after it; while the helper does not answer the outcome is retrying, and nothing is claimed.
func (h holder) Cancel(ctx context.Context, id policy.ID, recipients []int, reason, actor string) ([]web.Outcome, error) {
	m, err := h.journal.Message(id)
	if err != nil {
		return nil, err
	}
	atPostfix := h.keeper != nil && m.Envelope.Front == policy.Milter
	if atPostfix && m.States[policy.StateHeld] > 0 {
		if held, err := h.keeper.Held(ctx, &m.Envelope); err != nil {
			return outcomes(&m, recipients, codeRetrying), nil
		} else if !held {
			return outcomes(&m, recipients, string(hold.UnknownOutcome)), nil // the next round of the keeper says more
		}
	}
	m, canceled, err := h.scheduler.Cancel(ctx, id, recipients, reason, actor)
	if err != nil && !errors.Is(err, hold.ErrInFlight) { // that one says nothing beyond its codes
		return nil, refusal(err)
	}
	if atPostfix && m.States[policy.StateCanceled] == m.Recipients && !h.deleted(id) {
		switch outcome, err := h.keeper.Delete(ctx, id, &m.Envelope); {
		case err != nil:
			return outcomes(&m, recipients, codeRetrying), nil
		case outcome != postfix.Removed:
			return outcomes(&m, recipients, string(hold.UnknownOutcome)), nil
		}
	}
	all := make([]web.Outcome, len(canceled))
	for i, c := range canceled {
		all[i] = web.Outcome{Recipient: c.Recipient.Index, Code: string(c.Code)}
	}
	return all, nil
}

// codeRetrying is what the API calls an outcome that is to be asked for again.
const codeRetrying = "retrying"

// deleted reports whether the journal has the evidence that Postfix deleted the message.
func (h holder) deleted(id policy.ID) bool {
	records, err := h.journal.Timeline(id)
	if err != nil {
		return false
	}
	for _, r := range records {
		for _, e := range r.Events {
			if e.Kind == policy.RecallOutcome && e.Evidence != "" {
				return true
			}
		}
	}
	return false
}

// outcomes gives the same code for all that were asked for.
func outcomes(m *store.Message, recipients []int, code string) (all []web.Outcome) {
	if recipients == nil {
		for i := range m.Recipients {
			recipients = append(recipients, i)
		}
	}
	for _, i := range recipients {
		all = append(all, web.Outcome{Recipient: i, Code: code})
	}
	return all
}

// refusal turns what the scheduler's rules do not allow into what the API shows for it.
func refusal(err error) error {
	for cause, code := range map[error]string{
		hold.ErrNotHeld:     "not_held",
		hold.ErrHoldEnd:     "hold_end",
		hold.ErrNoRecipient: "invalid_address",
	} {
		if errors.Is(err, cause) {
			return &web.Refusal{Code: code, Detail: err.Error()}
		}
	}
	return err
}
