package postfix

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
	"golang.org/x/text/transform"
)

const (
	// keepEvery is how often the journal is compared with Postfix's queue.
	keepEvery = 20 * time.Second
	// queuedWithin is how soon Postfix has to list a message that was to be held. It lists it when it
	// has answered the client, milliseconds after the journal.
	queuedWithin = 60 * time.Second
	// longestDialogue is how much earlier than the end of a message its queue file may have been made.
	longestDialogue = 2 * time.Hour
	// clockSlack is how far the clocks of a queue file and of the journal may differ.
	clockSlack = 2 * time.Second
)

// actor is who acts in the events of a Keeper.
const actor = "postfix"

// A Journal is what a Keeper needs of the store.
type Journal interface {
	Message(id policy.ID) (store.Message, error)
	Due(fn func(store.DueMessage) bool) error
	Search(ctx context.Context, q store.Query, limit int, cursor string) (store.Page, error)
	Commit(ctx context.Context, c store.Change) (revision uint64, err error)
}

// A Queue is what a Keeper asks of Postfix; [Helper] is one.
type Queue interface {
	Requester
	List(ctx context.Context, ids []string, fn func(Queued) bool) error
	Read(ctx context.Context, want Identity) (Envelope, *Content, error)
}

// A Keeper lets go and takes back what Postfix holds for us, and keeps the journal and Postfix's
// queue in agreement: a message that Postfix never listed, one that somebody released or deleted
// there by hand, one that was taken back while the helper was away. It touches only messages that
// the journal knows by their queue id and whose queue file is from before the journal's record of
// them; a queue id that was given to another message since is newer.
type Keeper struct {
	queue   Queue
	batcher *Batcher
	journal Journal
	now     func() time.Time
	log     *zap.Logger
	started time.Time

	mu     sync.Mutex
	seen   map[policy.ID]bool // was listed in the hold queue by this process
	missed map[policy.ID]bool // was not listed the last time
	away   error              // why the last round failed
}

// NewKeeper makes a Keeper.
func NewKeeper(queue Queue, journal Journal, now func() time.Time, log *zap.Logger) *Keeper {
	return &Keeper{
		queue: queue, batcher: NewBatcher(queue), journal: journal, now: now, log: log, started: now(),
		seen: map[policy.ID]bool{}, missed: map[policy.ID]bool{}, away: errNotYet,
	}
}

var errNotYet = errors.New("the queue was not listed yet")

// Run compares until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	defer k.batcher.Close()
	t := time.NewTicker(keepEvery)
	defer t.Stop()
	for {
		err := k.round(ctx)
		if ctx.Err() != nil {
			return nil
		}
		k.report(err)
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil
		}
	}
}

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

// Ready is nil when the last look at the queue succeeded.
func (k *Keeper) Ready() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.away
}

// ours reports whether a queue file can be the one of a message: it is not newer than our record.
func ours(q *Queued, e *policy.Envelope) bool {
	return !q.Arrival.After(e.Received.Add(clockSlack)) && !q.Arrival.Before(e.Received.Add(-longestDialogue))
}

// find gives the queue file of a message, or nil when Postfix has none.
func (k *Keeper) find(ctx context.Context, e *policy.Envelope) (found *Queued, err error) {
	if !ValidID(e.QueueID) {
		return nil, nil
	}
	err = k.queue.List(ctx, []string{e.QueueID}, func(q Queued) bool {
		if ours(&q, e) {
			found = &q
		}
		return found == nil
	})
	return found, err
}

func (q *Queued) identity() Identity { return Identity{ID: q.ID, Arrival: q.Arrival, Sender: q.Sender} }

// Release lets a held message go. The result is Released, NotHeld when somebody else has let it go,
// or NotFound; an error says that nothing is known.
func (k *Keeper) Release(ctx context.Context, e *policy.Envelope) (Result, error) {
	quick := Identity{ID: e.QueueID, Arrival: e.Received, Sender: e.Sender}
	r, err := k.batcher.Release(ctx, quick)
	if err == nil && r.Outcome == DifferentMessage {
		// Perhaps only a slow client, or a sender that canonical maps have changed.
		q, err := k.find(ctx, e)
		if err != nil || q == nil {
			return Result{ID: e.QueueID, Outcome: NotFound}, err
		}
		return settled(k.batcher.Release(ctx, q.identity()))
	}
	return settled(r, err)
}

// settled makes an error of what may be asked again.
func settled(r Result, err error) (Result, error) {
	if err == nil && (r.Outcome == Failed || r.Outcome == HelperAway || r.Outcome == InFlight) {
		return r, fmt.Errorf("postfix: %s: %s %s", r.ID, r.Outcome, r.Text)
	}
	return r, err
}

// Held reports whether Postfix has the message in its hold queue.
func (k *Keeper) Held(ctx context.Context, e *policy.Envelope) (bool, error) {
	q, err := k.find(ctx, e)
	return q != nil && q.Queue == "hold", err
}

// Delete removes a message that was taken back, and records that it is gone: Removed, or NotFound
// when Postfix did not have it. An error says that it has to be asked again.
func (k *Keeper) Delete(ctx context.Context, id policy.ID, e *policy.Envelope) (Outcome, error) {
	q, err := k.find(ctx, e)
	if err != nil {
		return HelperAway, err
	}
	if q == nil {
		return NotFound, nil
	}
	r, err := settled(k.batcher.Delete(ctx, q.identity()))
	if err != nil {
		return HelperAway, err
	}
	if r.Outcome != Removed {
		return NotFound, nil
	}
	_, err = k.journal.Commit(ctx, store.Change{Message: id, Events: []policy.Event{{
		Kind: policy.RecallOutcome, Time: k.now(), Actor: actor, QueueID: q.ID, Reason: "removed_from_queue",
		Evidence: fmt.Sprintf("postsuper -d %s: removed from the %s queue", q.ID, q.Queue), Key: "deleted " + q.ID,
	}}})
	return Removed, err
}

// Read gives a held message as it lies in the queue, with CRLF at the ends of lines. ErrNotFound when
// Postfix does not have it.
func (k *Keeper) Read(ctx context.Context, e *policy.Envelope) (Envelope, io.ReadCloser, error) {
	q, err := k.find(ctx, e)
	if err != nil {
		return Envelope{}, nil, err
	}
	if q == nil {
		return Envelope{}, nil, ErrNotFound
	}
	envelope, r, err := k.queue.Read(ctx, q.identity())
	if err != nil {
		return Envelope{}, nil, err
	}
	return envelope, crlf{transform.NewReader(r, lineEnds{}), r}, nil
}

// crlf is a content whose lines end as in SMTP.
type crlf struct {
	io.Reader
	io.Closer
}

// lineEnds turns every LF of a queue file into CRLF; Postfix stores lines without either.
type lineEnds struct{ transform.NopResetter }

// Transform implements [transform.Transformer].
func (lineEnds) Transform(dst, src []byte, _ bool) (nDst, nSrc int, err error) {
	for _, c := range src {
		need := 1
		if c == '\n' {
			need = 2
		}
		if nDst+need > len(dst) {
			return nDst, nSrc, transform.ErrShortDst
		}
		if c == '\n' {
			dst[nDst] = '\r'
			nDst++
		}
		dst[nDst] = c
		nDst++
		nSrc++
	}
	return nDst, nSrc, nil
}

// round compares once.
func (k *Keeper) round(ctx context.Context) error {
	listed := map[string]Queued{}
	if err := k.queue.List(ctx, nil, func(q Queued) bool { listed[q.ID] = q; return true }); err != nil {
		return err
	}
	claimed := map[string]bool{}
	missed := map[policy.ID]bool{}
	var due []policy.ID
	if err := k.journal.Due(func(d store.DueMessage) bool { due = append(due, d.ID); return true }); err != nil {
		return err
	}
	for _, id := range due {
		m, err := k.journal.Message(id)
		if err != nil || m.Envelope.Front != policy.Milter {
			continue
		}
		claimed[m.Envelope.QueueID] = true
		q, ok := listed[m.Envelope.QueueID]
		if err := k.compare(ctx, &m, q, ok && ours(&q, &m.Envelope), missed); err != nil {
			return err
		}
	}
	k.mu.Lock()
	k.missed = missed
	k.mu.Unlock()
	return k.clean(ctx, listed, claimed)
}

// compare looks at one message that is held for us.
func (k *Keeper) compare(ctx context.Context, m *store.Message, q Queued, found bool, missed map[policy.ID]bool) error {
	k.mu.Lock()
	seen, again := k.seen[m.ID], k.missed[m.ID]
	if found {
		k.seen[m.ID] = true
	}
	k.mu.Unlock()
	switch {
	case found && q.Queue == "hold", m.States[policy.StateHeld] == 0:
		return nil
	case found && q.Queue != "incoming": // there it may be on its way to the hold queue
		return k.forget(ctx, m, policy.Event{Kind: policy.Released, Reason: "released by hand in Postfix",
			Evidence: fmt.Sprintf("postqueue: %s is in the %s queue", q.ID, q.Queue), QueueID: q.ID})
	case found, k.now().Sub(m.Envelope.Received) < queuedWithin:
		return nil
	case !again: // a listing may miss what moves meanwhile
		missed[m.ID] = true
		return nil
	case !seen && m.Envelope.Received.After(k.started):
		return k.forget(ctx, m, policy.Event{Kind: policy.NeverQueued,
			Reason: "Postfix did not keep the message; its client was not told that it was accepted", Evidence: "postqueue: not listed"})
	}
	return k.forget(ctx, m, policy.Event{Kind: policy.Unknown,
		Reason: "the message has left Postfix's hold queue: released or deleted there by hand", Evidence: "postqueue: not listed"})
}

// forget records what ended our part in a message. A conflict means that somebody decided meanwhile;
// the next round looks again.
func (k *Keeper) forget(ctx context.Context, m *store.Message, e policy.Event) error {
	e.Time, e.Actor = k.now(), actor
	_, err := k.journal.Commit(ctx, store.Change{Message: m.ID, Revision: m.Revision, Events: []policy.Event{e}})
	if errors.Is(err, store.ErrConflict) {
		return nil
	}
	k.log.Info("message in Postfix's hold queue", zap.Stringer("id", m.ID), zap.String("queue_id", m.Envelope.QueueID),
		zap.String("event", string(e.Kind)), zap.String("reason", e.Reason))
	k.mu.Lock()
	delete(k.seen, m.ID)
	k.mu.Unlock()
	return err
}

// clean deletes what still lies in the hold queue although it was taken back from all recipients, or
// from some and sent to the others, because the helper was away or we died in between.
func (k *Keeper) clean(ctx context.Context, listed map[string]Queued, claimed map[string]bool) error {
	for id, q := range listed {
		if q.Queue != "hold" || claimed[id] {
			continue
		}
		query, err := store.ParseQuery("queue:"+id+" state:recalled", k.now())
		if err != nil {
			return err
		}
		page, err := k.journal.Search(ctx, query, 10, "")
		if err != nil {
			return err
		}
		for i := range page.Messages {
			m := &page.Messages[i]
			if m.Envelope.Front != policy.Milter || !m.Due.IsZero() || !ours(&q, &m.Envelope) || m.States[policy.StateQueued] > 0 {
				continue
			}
			if _, err := k.Delete(ctx, m.ID, &m.Envelope); err != nil {
				return err
			}
		}
	}
	return nil
}
