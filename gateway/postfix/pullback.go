package postfix

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// heldInQueue is the reason in the record that Postfix holds what was pulled back.
const heldInQueue = "held_in_queue"

// PullBack puts a message up for approval that Postfix was let go on with, for all whom Postfix has not
// served, if one of them concerns the caller, and has Postfix hold it. It gives how many recipients wait for
// a person then; 0 when it concerns nobody or was put up by a request with the same Subject before.
// request is the event, without its time and recipients. An error that is [ErrNotFound] says that Postfix
// does not have the message any more; any other that it has to be asked again.
//
// The journal comes first: what it says waits and Postfix does not hold yet, because the helper was away or
// we died, the rounds have held, or say that it is gone.
func (k *Keeper) PullBack(ctx context.Context, id policy.ID, concerns func(policy.Address) bool, request policy.Event) (recipients int, err error) {
	if !k.enter(id) {
		return 0, errWithdrawing
	}
	defer k.leave(id)
	for range withdrawTries {
		var m store.Message
		if m, err = k.journal.Message(id); err != nil {
			return 0, err
		}
		if before, err := k.pulledFor(id, request.Subject); before || err != nil {
			return 0, err
		}
		var q *Envelope
		if q, err = k.find(ctx, &m.Envelope); err != nil {
			return 0, err
		}
		if q == nil {
			return 0, ErrNotFound
		}
		recipients, err = k.putUp(ctx, &m, q, concerns, request)
		switch {
		case err == nil && recipients > 0:
			return recipients, k.holdAgain(ctx, id, q.identity())
		case !errors.Is(err, store.ErrConflict):
			return 0, err
		}
	}
	return 0, err
}

// pulledFor reports whether the message was put up for the same cause before: a person who has let it go is
// not asked again.
func (k *Keeper) pulledFor(id policy.ID, subject string) (bool, error) {
	records, err := k.journal.Timeline(id)
	if err != nil {
		return false, err
	}
	for _, r := range records {
		if slices.ContainsFunc(r.Events, func(e policy.Event) bool { return e.Kind == policy.ApprovalRequested && e.Subject == subject }) {
			return true, nil
		}
	}
	return false, nil
}

// putUp records that the message waits for a person.
func (k *Keeper) putUp(ctx context.Context, m *store.Message, q *Envelope, concerns func(policy.Address) bool, e policy.Event) (recipients int, err error) {
	rows, err := k.journal.Recipients(m.ID)
	if err != nil {
		return 0, err
	}
	e.Recipients, _ = share(rows, q.Recipients)
	if !slices.ContainsFunc(e.Recipients, func(i int) bool { return concerns(rows[i].Address) }) {
		return 0, nil
	}
	e.Kind, e.Time, e.QueueID = policy.ApprovalRequested, k.now(), q.ID
	e.Evidence = fmt.Sprintf("queue file of %s: it is in the %s queue", q.ID, q.Queue)
	if _, err := k.journal.Commit(ctx, store.Change{Message: m.ID, Revision: m.Revision, Events: []policy.Event{e}}); err != nil {
		return 0, err
	}
	k.log.Info("pulled_back", zap.Stringer("id", m.ID), zap.String("queue_id", q.ID), zap.String("queue", q.Queue),
		zap.Stringer("sender", m.Envelope.Sender), zap.Ints("recipients", e.Recipients), zap.String("batch", e.Subject), zap.String("reason", e.Reason))
	return len(e.Recipients), nil
}

// holdAgain has Postfix hold what waits for a person, and records what came of it. What cannot be said yet
// is nothing to tell: the next round asks again.
func (k *Keeper) holdAgain(ctx context.Context, id policy.ID, i Identity) error {
	r, err := k.batcher.Hold(ctx, i)
	switch {
	case err != nil:
		k.trouble(err)
	case r.Outcome == Held:
		_, err = k.journal.Commit(context.WithoutCancel(ctx), store.Change{Message: id, Events: []policy.Event{{
			Kind: policy.RecallOutcome, Time: k.now(), Actor: actor, QueueID: r.ID, Reason: heldInQueue,
			Evidence: fmt.Sprintf("postsuper -h %s: placed on hold", r.ID),
		}}})
	case r.Outcome == NotFound || r.Outcome == DifferentMessage:
		return k.leftBefore(context.WithoutCancel(ctx), id)
	default:
		err = fmt.Errorf("hold %s: %s %s", r.ID, r.Outcome, r.Text)
	}
	if err != nil {
		k.log.Warn("a message waits for approval that Postfix may still deliver", zap.Stringer("id", id), zap.String("queue_id", i.ID), zap.Error(err))
	}
	return nil
}

// leftBefore records that a message was pulled back too late: what became of it its log says.
func (k *Keeper) leftBefore(ctx context.Context, id policy.ID) error {
	m, err := k.journal.Message(id)
	if err != nil {
		return err
	}
	err = k.forget(ctx, &m, policy.Event{
		Kind: policy.Released, QueueID: m.Envelope.QueueID, Reason: "Postfix was done with the message before it could hold it",
		Evidence: "no queue file of " + m.Envelope.QueueID,
	})
	if err != nil {
		return err
	}
	return ErrNotFound
}

// resume goes on with a message that waits for approval and that Postfix was never seen to hold since then.
// It is false when there is no such thing to do.
func (k *Keeper) resume(ctx context.Context, m *store.Message, q *Envelope) (bool, error) {
	if m.States[policy.StateApprovalPending] == 0 {
		return false, nil
	}
	if !k.enter(m.ID) {
		return true, nil // it is being pulled back at this moment
	}
	defer k.leave(m.ID)
	unheld, err := k.unheld(m)
	switch {
	case err != nil || !unheld:
		return false, err
	case q != nil:
		err = k.holdAgain(ctx, m.ID, q.identity())
	default:
		err = k.leftBefore(ctx, m.ID)
	}
	if errors.Is(err, ErrNotFound) {
		err = nil
	}
	return true, err
}

// unheld reports whether the last request for approval was ours and Postfix has not held the message for it.
func (k *Keeper) unheld(m *store.Message) (unheld bool, err error) {
	records, err := k.journal.Timeline(m.ID)
	if err != nil {
		return false, err
	}
	for _, r := range records {
		for i := range r.Events {
			switch e := &r.Events[i]; {
			case e.Kind == policy.ApprovalRequested:
				unheld = e.Evidence != "" // fronts and the scheduler have none
			case e.Kind == policy.RecallOutcome && e.Reason == heldInQueue:
				unheld = false
			}
		}
	}
	return unheld, nil
}
