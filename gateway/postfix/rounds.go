package postfix

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
)

const (
	// roundPause is how often the journal is compared with Postfix's queue.
	roundPause = 20 * time.Second
	// roundShare is how much longer the pause is than the round: a huge queue is listed less often.
	roundShare = 10
	// queuedWithin is how soon Postfix has to list a message that was to be held. It lists it when it
	// has answered the client, milliseconds after the journal.
	queuedWithin = 60 * time.Second
	// commitSlack is how much later than it was received a message may appear in the journal.
	commitSlack = 2 * time.Second
	// comparing is how many messages that are not where they should be are looked for at a time.
	comparing = 32
)

var errNotYet = errors.New("the queue was not listed yet")

// Run compares until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	defer k.batcher.Close()
	for {
		begun := time.Now()
		err := k.round(ctx)
		if ctx.Err() != nil {
			return nil
		}
		k.report(err)
		if !wait(ctx, max(roundPause, roundShare*time.Since(begun))) {
			return nil
		}
	}
}

// report keeps how a round ended, and logs when that has changed.
func (k *Keeper) report(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err != nil && (k.away == nil || errors.Is(k.away, errNotYet)) {
		k.log.Warn("Postfix's queue cannot be looked at; what is held there waits", zap.Error(err))
	}
	if err == nil && k.away != nil {
		k.log.Info("Postfix's queue can be looked at")
	}
	k.away = err
}

// trouble reports between two rounds that the helper is away.
func (k *Keeper) trouble(err error) {
	if errors.Is(err, ErrAway) {
		k.report(err)
	}
}

// A round is one comparison.
type round struct {
	begun   time.Time
	queue   map[string]Queued // by queue id
	held    []store.Message   // what the journal thinks is held in Postfix
	leaving []store.Message   // what is being let go or taken back
	claimed map[string]bool   // queue ids of all that we have something to do with
	due     map[policy.ID]bool
	newest  time.Time // when the last of those that are listed in the hold queue was received
}

// round compares once.
func (k *Keeper) round(ctx context.Context) error {
	r := &round{begun: k.now(), queue: map[string]Queued{}, claimed: map[string]bool{}, due: map[policy.ID]bool{}}
	if err := k.queue.List(ctx, nil, func(q Queued) bool { r.queue[q.ID] = q; return true }); err != nil {
		return err
	}
	if err := k.collect(r); err != nil {
		return fmt.Errorf("read what is held: %w", err)
	}
	missing := k.look(r)
	if err := k.note(ctx, r); err != nil {
		return err
	}
	var group errgroup.Group
	group.SetLimit(comparing)
	for _, m := range missing {
		group.Go(func() error { return k.explain(ctx, &m) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return k.clean(ctx, r)
}

// collect reads what the journal has to do with Postfix.
func (k *Keeper) collect(r *round) error {
	if err := k.journal.Due(func(d store.DueMessage) bool { r.due[d.ID] = true; return true }); err != nil {
		return err
	}
	for id := range r.due {
		m, err := k.journal.Message(id)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if m.Envelope.Front != policy.Milter {
			continue
		}
		r.claimed[m.Envelope.QueueID] = true
		if m.States[policy.StateHeld]+m.States[policy.StateApprovalPending] > 0 {
			r.held = append(r.held, m)
		} else {
			r.leaving = append(r.leaving, m)
		}
	}
	return nil
}

// look gives the held messages that are not listed in the hold queue, and remembers those that are.
func (k *Keeper) look(r *round) (missing []store.Message) {
	k.mu.Lock()
	defer k.mu.Unlock()
	listed := r.begun.Add(-commitSlack)
	seen := make(map[policy.ID]bool, len(r.held))
	for _, m := range r.held {
		q, ok := r.queue[m.Envelope.QueueID]
		inHold := ok && q.Queue == holdQueue && ours(q.Arrival, &m.Envelope)
		if inHold || k.seen[m.ID] {
			seen[m.ID] = true
		}
		if inHold {
			if m.Envelope.Received.After(r.newest) {
				r.newest = m.Envelope.Received
			}
			continue
		}
		missing = append(missing, m)
		if before := m.Envelope.Received.Add(-time.Microsecond); before.Before(listed) && !k.wasListed(m.ID, m.Envelope.Received) {
			listed = before
		}
	}
	// One whose hold has ended may wait for the helper, and may never have come to the hold queue.
	for _, m := range r.leaving {
		q, ok := r.queue[m.Envelope.QueueID]
		if k.seen[m.ID] || ok && q.Queue == holdQueue && ours(q.Arrival, &m.Envelope) {
			seen[m.ID] = true
		} else if before := m.Envelope.Received.Add(-time.Microsecond); before.Before(listed) && !k.wasListed(m.ID, m.Envelope.Received) {
			listed = before
		}
	}
	k.seen = seen
	if listed.After(k.listed) {
		k.listed = listed
	}
	maps.DeleteFunc(k.asked, func(id policy.ID, _ bool) bool { return !r.due[id] })
	return missing
}

// explain finds out what became of a message that is held and was not listed as such.
func (k *Keeper) explain(ctx context.Context, m *store.Message) error {
	// What moves may be missed by a listing; the queue file itself is not.
	q, err := k.find(ctx, &m.Envelope)
	k.mu.Lock()
	known := k.wasListed(m.ID, m.Envelope.Received)
	k.mu.Unlock()
	switch {
	case err != nil:
		return err
	case q != nil && (q.Queue == holdQueue || q.Queue == "incoming"): // it is there, or on its way
		return nil
	}
	if done, err := k.resume(ctx, m, q); done || err != nil {
		return err
	}
	switch {
	case q != nil:
		return k.forget(ctx, m, policy.Event{Kind: policy.Released, QueueID: q.ID, Reason: "released by hand in Postfix",
			Evidence: fmt.Sprintf("queue file of %s: it is in the %s queue", q.ID, q.Queue)})
	case known:
		return k.forget(ctx, m, policy.Event{Kind: policy.Unknown,
			Reason:   "the message has left Postfix's hold queue: released or deleted there by hand",
			Evidence: "no queue file of " + m.Envelope.QueueID})
	case k.now().Sub(m.Envelope.Received) < queuedWithin:
		return nil
	}
	return k.forget(ctx, m, policy.Event{Kind: policy.NeverQueued,
		Reason:   "Postfix did not keep the message; its client was not told that it was accepted",
		Evidence: "no queue file of " + m.Envelope.QueueID})
}

// forget records what ended our part in a message. A conflict means that somebody decided meanwhile;
// the next round looks again.
func (k *Keeper) forget(ctx context.Context, m *store.Message, e policy.Event) error {
	e.Time, e.Actor = k.now(), actor
	_, err := k.journal.Commit(ctx, store.Change{Message: m.ID, Revision: m.Revision, Events: []policy.Event{e}})
	if errors.Is(err, store.ErrConflict) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("record what became of a held message: %w", err)
	}
	k.log.Info(string(e.Kind), zap.Stringer("id", m.ID), zap.String("queue_id", m.Envelope.QueueID),
		zap.Stringer("sender", m.Envelope.Sender), zap.String("reason", e.Reason))
	return nil
}

// clean deletes what still lies in the hold queue although it was taken back from all recipients, or
// from some and sent to the others, because the helper was away or we died in between. What became so
// within the last minute is being deleted by whoever took it back; what nobody approved is by nobody
// else. What a withdrawal left there because it was under delivery is taken back now.
func (k *Keeper) clean(ctx context.Context, r *round) error {
	foreign := map[string]time.Time{}
	for id, q := range r.queue {
		if q.Queue != holdQueue || r.claimed[id] {
			continue
		}
		if at, known := k.foreign[id]; known && at.Equal(q.Arrival) {
			foreign[id] = at
			continue
		}
		m, err := k.takenBack(ctx, &q)
		var again bool
		if err == nil && m == nil {
			again, err = k.withdrawAgain(ctx, &q)
		}
		switch {
		case err != nil:
			return fmt.Errorf("look for the message of %s: %w", id, err)
		case again:
		case m == nil:
			foreign[id] = q.Arrival
		case m.States[policy.StateBlocked] > 0 || k.now().Sub(m.Ended) >= queuedWithin:
			if _, err := k.Delete(ctx, m.ID, &m.Envelope); err != nil {
				return err
			}
		}
	}
	k.foreign = foreign
	return nil
}

// takenBack gives the message that was taken back, or that nobody approved, and whose queue file this
// is, or nil.
func (k *Keeper) takenBack(ctx context.Context, q *Queued) (*store.Message, error) {
	for _, state := range []policy.State{policy.StateCanceled, policy.StateBlocked} {
		if m, err := k.ended(ctx, q, state); m != nil || err != nil {
			return m, err
		}
	}
	return nil, nil
}

// ended gives the message in a state whose queue file this is.
func (k *Keeper) ended(ctx context.Context, q *Queued, state policy.State) (*store.Message, error) {
	query, err := store.ParseQuery("queue:"+q.ID+" state:"+string(state), k.now())
	if err != nil {
		return nil, err
	}
	page, err := k.journal.Search(ctx, query, 10, "")
	if err != nil {
		return nil, err
	}
	for i := range page.Messages {
		m := &page.Messages[i]
		if m.Envelope.Front == policy.Milter && m.Envelope.QueueID == q.ID && ours(q.Arrival, &m.Envelope) &&
			m.Due.IsZero() && m.States[policy.StateQueued] == 0 {
			return m, nil
		}
	}
	return nil, nil
}

// withdrawAgain goes on with the withdrawal that a queue file was held for; it is false when there is none.
func (k *Keeper) withdrawAgain(ctx context.Context, q *Queued) (bool, error) {
	query, err := store.ParseQuery("queue:"+q.ID, k.now())
	if err != nil {
		return false, err
	}
	page, err := k.journal.Search(ctx, query, 10, "")
	if err != nil {
		return false, err
	}
	for i := range page.Messages {
		m := &page.Messages[i]
		if m.Envelope.Front != policy.Milter || m.Envelope.QueueID != q.ID || !ours(q.Arrival, &m.Envelope) {
			continue
		}
		h, err := k.withdrawals(m)
		if err != nil || h.asked == nil || h.done {
			return false, err
		}
		if _, err := k.Withdraw(ctx, m.ID, h.asked.Reason, h.asked.Actor); err != nil && !errors.Is(err, errWithdrawing) {
			return true, err
		}
		return true, nil
	}
	return false, nil
}

// note writes down up to when all held mail was listed, where that says something new of what is held:
// a process that dies cannot say afterwards which of its last messages Postfix had taken.
func (k *Keeper) note(ctx context.Context, r *round) error {
	k.mu.Lock()
	listed := k.listed
	k.mu.Unlock()
	if !r.newest.After(k.written) || !listed.After(k.written) {
		return nil
	}
	_, err := k.journal.Commit(ctx, store.Change{Message: listings(listed), Events: []policy.Event{{
		Kind: policy.Queued, Time: listed, Actor: actor, Reason: "all mail held until then is in Postfix's hold queue",
	}}})
	if err != nil {
		return fmt.Errorf("record the listing of Postfix's queue: %w", err)
	}
	k.written = listed
	return nil
}

// lastListing gives the time that note wrote last.
func lastListing(journal Journal) (last time.Time, err error) {
	ids, err := journal.Records(context.Background(), policy.Queued, 1, policy.ID{})
	if err != nil || len(ids) == 0 {
		return last, err
	}
	records, err := journal.Timeline(ids[0])
	if err != nil {
		return last, err
	}
	for _, r := range records {
		for i := range r.Events {
			if t := r.Events[i].Time; t.After(last) {
				last = t
			}
		}
	}
	return last, nil
}

// listings is the id under which the journal keeps the listings of an hour; it is no message's.
func listings(t time.Time) (id policy.ID) {
	_ = id.SetTime(uint64(t.UTC().Truncate(time.Hour).UnixMilli())) // fails after the year 10889
	_ = id.SetEntropy([]byte("\x00sg-listed"))
	return id
}
