package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/sendgate/sendgate/gateway/hold"
	"github.com/sendgate/sendgate/gateway/web"
	"github.com/sendgate/sendgate/policy"
)

// holder gives the API what the scheduler can do.
type holder struct{ scheduler *hold.Scheduler }

func (h holder) Release(ctx context.Context, id policy.ID, actor string) error {
	_, err := h.scheduler.Release(ctx, id, actor)
	return refusal(err)
}

func (h holder) Hold(ctx context.Context, id policy.ID, until time.Time, actor string) error {
	_, err := h.scheduler.Hold(ctx, id, until, actor)
	return refusal(err)
}

func (h holder) Cancel(ctx context.Context, id policy.ID, recipients []int, reason, actor string) ([]web.Outcome, error) {
	_, canceled, err := h.scheduler.Cancel(ctx, id, recipients, reason, actor)
	if err != nil && !errors.Is(err, hold.ErrInFlight) { // that one says nothing beyond its codes
		return nil, refusal(err)
	}
	outcomes := make([]web.Outcome, len(canceled))
	for i, c := range canceled {
		outcomes[i] = web.Outcome{Recipient: c.Recipient.Index, Code: string(c.Code)}
	}
	return outcomes, nil
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
