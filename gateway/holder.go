package gateway

import (
	"context"
	"errors"
	"slices"
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
	returns   *returns
}

func (h holder) Release(ctx context.Context, id policy.ID, actor string) error {
	_, err := h.scheduler.Release(ctx, id, actor)
	return refusal(err)
}

func (h holder) Hold(ctx context.Context, id policy.ID, until time.Time, actor string) error {
	_, err := h.scheduler.Hold(ctx, id, until, actor)
	return refusal(err)
}

// Resend sends a message again from the copy that sendgate keeps.
func (h holder) Resend(ctx context.Context, id policy.ID, recipients []int, reason, actor string) error {
	_, err := h.scheduler.Resend(ctx, id, recipients, reason, actor)
	return refusal(err)
}

// Cancel takes a message back. What Postfix holds must be there before the decision is taken, and is
// deleted after it; while that cannot be said the outcome is retrying, and nothing is claimed. What
// Postfix was let go on with is removed from its queue first, and then said to be taken back.
func (h holder) Cancel(ctx context.Context, id policy.ID, recipients []int, reason, actor string) ([]web.Outcome, error) {
	m, err := h.journal.Message(id)
	if err != nil {
		return nil, err
	}
	atPostfix := h.keeper != nil && m.Envelope.Front == policy.Milter
	if atPostfix && m.States[policy.StateHeld]+m.States[policy.StateApprovalPending] > 0 {
		// Not there: Postfix is still receiving it, or the keeper finds out what became of it.
		if held, err := h.keeper.Held(ctx, &m.Envelope); err != nil || !held {
			return h.outcomes(id, recipients, policy.Retrying)
		}
	}
	m, canceled, err := h.scheduler.Cancel(ctx, id, recipients, reason, actor)
	if err != nil && !errors.Is(err, hold.ErrInFlight) { // that one says nothing beyond its codes
		return nil, refusal(err)
	}
	if atPostfix && m.States[policy.StateCanceled] == m.Counted() {
		if code := h.remove(ctx, &m); code != "" {
			return h.outcomes(id, recipients, code)
		}
	}
	all := make([]web.Outcome, len(canceled))
	var queued []int // where in all
	for i, c := range canceled {
		all[i] = web.Outcome{Recipient: c.Recipient.Index, Code: policy.RecallCode(c.Code)}
		if atPostfix && postfix.LetGo(&c.Recipient) {
			queued = append(queued, i)
		}
	}
	if len(queued) == 0 {
		return all, nil
	}
	return all, h.withdraw(ctx, id, all, queued, reason, actor)
}

// withdraw takes a message back from Postfix's own queue and sets the codes of those who are there. Some of
// them alone it cannot: postsuper knows whole messages only, and what is under delivery cannot be sent to
// the others in our own name without sending it twice.
func (h holder) withdraw(ctx context.Context, id policy.ID, all []web.Outcome, queued []int, reason, actor string) error {
	rows, err := h.journal.Recipients(id)
	if err != nil {
		return err
	}
	set := func(code func(recipient int) policy.RecallCode) {
		for _, i := range queued {
			all[i].Code = code(all[i].Recipient)
		}
	}
	for i := range rows {
		asked := slices.ContainsFunc(all, func(o web.Outcome) bool { return o.Recipient == i })
		if !asked && rows[i].Counted() && postfix.LetGo(&rows[i]) {
			set(func(int) policy.RecallCode { return policy.WholeMessageOnly })
			return nil
		}
	}
	w, err := h.keeper.Withdraw(ctx, id, reason, actor)
	if err != nil { // the keeper has logged it
		set(func(int) policy.RecallCode { return policy.Retrying })
		return nil
	}
	set(func(recipient int) policy.RecallCode { return withdrawn(&w, recipient) })
	return nil
}

// withdrawn is the code of a recipient whom Postfix had in its queue.
func withdrawn(w *postfix.Withdrawal, recipient int) policy.RecallCode {
	switch {
	case w.Outcome == postfix.InFlight:
		return policy.WaitingInFlight
	case w.Outcome == postfix.NotFound, slices.Contains(w.Gone, recipient):
		return policy.DeliveredBeforeRecall
	case w.Outcome == postfix.Lost, slices.Contains(w.Unclear, recipient):
		return policy.RecallUnknown
	}
	return policy.RemovedFromQueue
}

// remove deletes from Postfix what was taken back from everybody. It gives a code when that has not
// come to a good end.
func (h holder) remove(ctx context.Context, m *store.Message) (code policy.RecallCode) {
	if h.deleted(m.ID) {
		return ""
	}
	switch outcome, err := h.keeper.Delete(ctx, m.ID, &m.Envelope); {
	case err != nil:
		return policy.Retrying
	case outcome != postfix.Removed && !h.deleted(m.ID):
		return policy.RecallUnknown
	}
	return ""
}

// deleted reports whether the journal has the evidence that Postfix deleted the message: the keeper's, which
// belongs to no recall.
func (h holder) deleted(id policy.ID) bool {
	records, err := h.journal.Timeline(id)
	if err != nil {
		return false
	}
	for _, r := range records {
		for _, e := range r.Events {
			if e.Kind == policy.RecallOutcome && e.Subject == "" && e.Reason == string(policy.RemovedFromQueue) {
				return true
			}
		}
	}
	return false
}

// outcomes gives the same code for all that were asked for; for a group, for each member.
func (h holder) outcomes(id policy.ID, recipients []int, code policy.RecallCode) (all []web.Outcome, err error) {
	rows, err := h.journal.Recipients(id)
	if err != nil {
		return nil, err
	}
	for _, i := range rows.Resolve(recipients) {
		all = append(all, web.Outcome{Recipient: i, Code: code})
	}
	return all, nil
}

// refusal turns what the scheduler's rules do not allow into what the API shows for it.
func refusal(err error) error {
	for cause, code := range map[error]string{
		hold.ErrNotHeld:       "not_held",
		hold.ErrNoApproval:    "no_approval",
		hold.ErrHoldEnd:       "hold_end",
		hold.ErrNoRecipient:   "invalid_address",
		hold.ErrNoBody:        "no_body",
		hold.ErrBodyGone:      "body_gone",
		hold.ErrNothingFailed: "nothing_failed",
		hold.ErrNotEnded:      "not_ended",
	} {
		if errors.Is(err, cause) {
			return &web.Refusal{Code: code, Detail: err.Error()}
		}
	}
	return err
}

// Approve lets a message go that waited for a person.
func (h holder) Approve(ctx context.Context, id policy.ID, actor string) error {
	_, err := h.scheduler.Approve(ctx, id, actor)
	return refusal(err)
}
