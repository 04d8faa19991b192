package recall

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// A queue is what Cancel acts on: our own hold, and a Postfix.
type queue struct {
	journal Journal
	// postfix says what Postfix makes of a message that is in its queue; nil has it in flight.
	postfix func(id policy.ID, row int) policy.RecallCode
	mu      sync.Mutex
	fail    error
	calls   int
}

func (q *queue) failing(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.fail = err
}

func (q *queue) Cancel(ctx context.Context, id policy.ID, recipients []int, reason, actor string) (all []Outcome, err error) {
	q.mu.Lock()
	q.calls++
	fail := q.fail
	q.mu.Unlock()
	if fail != nil {
		return nil, fail
	}
	for {
		all = nil
		m, err := q.journal.Message(id)
		if err != nil {
			return nil, err
		}
		rows, _ := q.journal.Recipients(id)
		var taken []int
		for _, i := range rows.Resolve(recipients) {
			code := q.code(id, &rows[i])
			if code == policy.RemovedFromHold || code == policy.RemovedFromQueue {
				taken = append(taken, i)
			}
			all = append(all, Outcome{i, code})
		}
		if len(taken) == 0 {
			return all, nil
		}
		_, err = q.journal.Commit(ctx, store.Change{Message: id, Revision: m.Revision, Events: []policy.Event{
			{Kind: policy.RecallRequested, Time: time.Now(), Actor: actor, Recipients: taken, Reason: reason},
			{Kind: policy.Canceled, Time: time.Now(), Actor: actor, Recipients: taken, Reason: reason, Evidence: "taken out"},
		}})
		if !errors.Is(err, store.ErrConflict) {
			return all, err
		}
	}
}

func (q *queue) code(id policy.ID, r *policy.Row) policy.RecallCode {
	switch r.State {
	case policy.StateAccepted, policy.StateHeld, policy.StateApprovalPending:
		return policy.RemovedFromHold
	case policy.StateQueued, policy.StateDeferred, policy.StateOffered:
		switch {
		case !r.Due.IsZero():
			return policy.RemovedFromQueue
		case q.postfix != nil:
			return q.postfix(id, r.Index)
		}
		return policy.WaitingInFlight
	case policy.StateCanceled, policy.StateRecalled:
		return policy.AlreadyRecalled
	case policy.StateDeliveredMailbox:
		return policy.DeliveredBeforeRecall
	case policy.StateHandedOver, policy.StateRelayedRemote:
		return policy.ExternalRecipient
	case policy.StateUnknown:
		return policy.RecallUnknown
	}
	return policy.NeverDelivered
}
