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

// Lost is the outcome of a withdrawal when Postfix does not have the message any more, and that may
// be our own work: a removal was asked for before and its answer did not come.
const Lost Outcome = "lost"

// Keys of what the journal has of a withdrawal, before the queue id. All but the first end it.
const (
	keyAsked   = "withdraw "
	keyDeleted = "deleted "
	keyGone    = "gone "
	keyLeft    = "left "
	keyLost    = "lost "
)

// withdrawTries is how often an outcome is recorded anew because a decision came first.
const withdrawTries = 5

var errWithdrawing = errors.New("the message is being taken back from Postfix's queue already")

// A Withdrawal is what became of a message that was to be taken back after Postfix went on with it.
type Withdrawal struct {
	// Outcome is one of
	//
	//	Removed   it is gone from the queue and was taken back, except from Gone and Unclear
	//	InFlight  it is being delivered, and held by Postfix for whoever is left; ask again
	//	NotFound  Postfix was done with it before
	//	Lost      Postfix does not have it, and nobody knows why
	Outcome Outcome
	// Gone are the recipients, by index, with whom Postfix was done: delivered or returned.
	Gone []int
	// Unclear are recipients that the queue file does not name, while it says that somebody is gone.
	Unclear []int
}

// Withdraw takes a message back that Postfix was let go on with, from whichever of its queues it is
// in and for all whom Postfix has not served, and records who asked and what came of it. The first
// final outcome is the answer to all later ones. What Postfix was told to hold because a delivery was
// under way is taken up again by the rounds, so that it does not stay there when nobody asks again.
// An error says that it has to be asked again.
//
// The state of recipients in Gone and Unclear, and of all where the message has left, stays as it
// is: that Postfix is done with them does not say whether they were delivered or returned.
func (k *Keeper) Withdraw(ctx context.Context, id policy.ID, reason, who string) (Withdrawal, error) {
	if !k.enter(id) {
		return Withdrawal{}, errWithdrawing
	}
	defer k.leave(id)
	m, err := k.journal.Message(id)
	if err != nil {
		return Withdrawal{}, err
	}
	before, err := k.withdrawals(&m)
	if err != nil || before.done {
		return before.Withdrawal, err
	}
	if before.asked == nil {
		before.asked = &policy.Event{
			Kind: policy.RecallRequested, Time: k.now(), Actor: who, Reason: reason, Key: keyAsked + m.Envelope.QueueID,
		}
		if _, err := k.journal.Commit(ctx, store.Change{Message: id, Events: []policy.Event{*before.asked}}); err != nil {
			return Withdrawal{}, err
		}
		k.answered(id, true) // nothing was asked of Postfix so far
	}
	w, err := k.withdraw(ctx, &m, before.asked)
	if err != nil {
		k.log.Warn("a message cannot be taken back from Postfix's queue yet", zap.Stringer("id", id),
			zap.String("queue_id", m.Envelope.QueueID), zap.Error(err))
	}
	return w, err
}

// withdraw asks Postfix once.
func (k *Keeper) withdraw(ctx context.Context, m *store.Message, asked *policy.Event) (Withdrawal, error) {
	q, err := k.find(ctx, &m.Envelope)
	if err != nil {
		return Withdrawal{}, err
	}
	if q == nil {
		return k.withdrawnNothing(ctx, m, k.unanswered(m.ID))
	}
	r, err := k.batcher.Delete(ctx, q.identity())
	if err != nil {
		if mayHaveArrived(err) {
			k.answered(m.ID, false)
		}
		k.trouble(err)
		return Withdrawal{}, err
	}
	switch r.Outcome {
	case Removed:
		k.answered(m.ID, false) // what does not come into the journal is not known next time
		return k.withdrawn(context.WithoutCancel(ctx), m.ID, asked, &r, q.Queue)
	case NotFound, DifferentMessage:
		// Whose recipients were read lay still in the hold queue, and then did not.
		return k.withdrawnNothing(ctx, m, k.unanswered(m.ID) || len(r.Recipients) > 0)
	case InFlight:
		k.answered(m.ID, true)
		return Withdrawal{Outcome: InFlight}, nil
	}
	return Withdrawal{}, fmt.Errorf("take back %s: %s %s", r.ID, r.Outcome, r.Text)
}

// withdrawn records for whom the message was taken back.
func (k *Keeper) withdrawn(ctx context.Context, id policy.ID, asked *policy.Event, r *Result, queue string) (w Withdrawal, err error) {
	for range withdrawTries {
		m, err := k.journal.Message(id)
		if err != nil {
			return w, err
		}
		rows, err := k.journal.Recipients(id)
		if err != nil {
			return w, err
		}
		var taken []int
		taken, w = share(rows, r.Recipients)
		now, evidence := k.now(), fmt.Sprintf("postsuper -d %s: removed from the %s queue", r.ID, queue)
		events := []policy.Event{{
			Kind: policy.RecallOutcome, Time: now, Actor: actor, QueueID: r.ID, Recipients: taken, Reason: "removed_from_queue",
			Evidence: evidence, Key: keyDeleted + r.ID,
		}}
		if len(taken) > 0 {
			events = append(events, policy.Event{
				Kind: policy.Canceled, Time: now, Actor: asked.Actor, Recipients: taken, Reason: asked.Reason, Evidence: evidence,
			})
		}
		if len(w.Gone) > 0 {
			events = append(events, policy.Event{
				Kind: policy.RecallOutcome, Time: now, Actor: actor, QueueID: r.ID, Recipients: w.Gone, Reason: "delivered_before_recall",
				Evidence: "queue file of " + r.ID + ": Postfix was done with them before", Key: keyGone + r.ID,
			})
		}
		_, err = k.journal.Commit(ctx, store.Change{Message: id, Revision: m.Revision, Events: events})
		if err == nil {
			k.log.Info(string(policy.Canceled), zap.Stringer("id", id), zap.String("queue_id", r.ID), zap.String("queue", queue),
				zap.Stringer("sender", m.Envelope.Sender), zap.Ints("recipients", taken), zap.Ints("gone", w.Gone),
				zap.String("reason", asked.Reason), zap.String("actor", asked.Actor))
			return w, nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return w, fmt.Errorf("record what was taken back from Postfix: %w", err)
		}
	}
	return w, fmt.Errorf("record what was taken back from Postfix: %w", store.ErrConflict)
}

// share parts the recipients that Postfix had. One whose address became several is gone as soon as
// one of them is. Where nobody is gone everybody was taken back, also who has another name in the
// queue file.
func share(rows []store.Recipient, file []Recipient) (taken []int, w Withdrawal) {
	served := map[string]bool{} // by key
	someone := false
	for i := range file {
		someone = someone || file[i].Gone
		for _, a := range []policy.Address{file[i].Address, file[i].Before} {
			if a != "" {
				served[a.Key()] = served[a.Key()] || file[i].Gone
			}
		}
	}
	w.Outcome = Removed
	for i := range rows {
		if !LetGo(&rows[i]) {
			continue
		}
		gone, named := served[rows[i].Address.Key()]
		switch {
		case gone:
			w.Gone = append(w.Gone, i)
		case someone && !named:
			w.Unclear = append(w.Unclear, i)
		default:
			taken = append(taken, i)
		}
	}
	return taken, w
}

// withdrawnNothing records that Postfix does not have the message.
func (k *Keeper) withdrawnNothing(ctx context.Context, m *store.Message, lost bool) (Withdrawal, error) {
	w := Withdrawal{Outcome: NotFound}
	e := policy.Event{
		Kind: policy.RecallOutcome, Time: k.now(), Actor: actor, Reason: "delivered_before_recall",
		Evidence: "no queue file of " + m.Envelope.QueueID, Key: keyLeft + m.Envelope.QueueID,
	}
	if lost {
		w.Outcome, e.Reason, e.Key = Lost, "unknown", keyLost+m.Envelope.QueueID
	}
	_, err := k.journal.Commit(context.WithoutCancel(ctx), store.Change{Message: m.ID, Events: []policy.Event{e}})
	if err == nil || lost {
		k.answered(m.ID, false)
	}
	return w, err
}

// LetGo reports whether Postfix was let go on with the message for the recipient, and nothing else is
// known since: it may be in Postfix's queue.
func LetGo(r *store.Recipient) bool {
	return (r.State == policy.StateQueued || r.State == policy.StateDeferred) && r.Due.IsZero()
}

// enter is refused while another withdrawal of the message is under way.
func (k *Keeper) enter(id policy.ID) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.withdrawing[id] {
		return false
	}
	k.withdrawing[id] = true
	return true
}

func (k *Keeper) leave(id policy.ID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.withdrawing, id)
}

// answered notes whether it is known what the last request to remove a message did.
func (k *Keeper) answered(id policy.ID, known bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if delete(k.settled, id); known {
		k.settled[id] = true
	}
}

// unanswered also holds for what a process before this one has asked.
func (k *Keeper) unanswered(id policy.ID) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return !k.settled[id]
}

// A history is what the journal has of the withdrawal of a message.
type history struct {
	Withdrawal
	asked *policy.Event // nil when nobody has asked
	done  bool
}

// withdrawals reads it.
func (k *Keeper) withdrawals(m *store.Message) (h history, err error) {
	records, err := k.journal.Timeline(m.ID)
	if err != nil {
		return h, err
	}
	for _, r := range records {
		for i := range r.Events {
			switch e := &r.Events[i]; e.Key {
			case keyAsked + m.Envelope.QueueID:
				h.asked = e
			case keyDeleted + m.Envelope.QueueID:
				h.done, h.Outcome = true, Removed
			case keyGone + m.Envelope.QueueID:
				h.Gone = e.Recipients
			case keyLeft + m.Envelope.QueueID:
				h.done, h.Outcome = true, NotFound
			case keyLost + m.Envelope.QueueID:
				h.done, h.Outcome = true, Lost
			}
		}
	}
	if h.Outcome != Removed {
		return h, nil
	}
	rows, err := k.journal.Recipients(m.ID)
	for i := range rows {
		if LetGo(&rows[i]) && !slices.Contains(h.Gone, i) {
			h.Unclear = append(h.Unclear, i)
		}
	}
	return h, err
}
