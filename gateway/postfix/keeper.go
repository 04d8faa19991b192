package postfix

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
	"golang.org/x/text/transform"
)

const (
	// longestDialogue is how much earlier than the end of a message its queue file may have been made.
	longestDialogue = 2 * time.Hour
	// clockSlack is how far the clocks of a queue file and of the journal may differ.
	clockSlack = 2 * time.Second
)

// actor is who acts in the events of a Keeper.
const actor = "postfix"

// NeverListed is the outcome of a release of what Postfix does not have and was never seen to have.
const NeverListed Outcome = "never_listed"

// A Journal is what a Keeper needs of the store.
type Journal interface {
	Message(id policy.ID) (store.Message, error)
	Due(fn func(store.DueMessage) bool) error
	Search(ctx context.Context, q store.Query, limit int, cursor string) (store.Page, error)
	Records(ctx context.Context, kind policy.Kind, limit int, before policy.ID) ([]policy.ID, error)
	Timeline(id policy.ID) ([]store.Record, error)
	Recipients(id policy.ID) (policy.Rows, error)
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

	// Of the rounds: what lies in the hold queue and is none of ours, by queue id with its arrival, and
	// what the journal has of listed.
	foreign map[string]time.Time
	written time.Time

	mu sync.Mutex
	// seen holds the held messages that were listed in the hold queue by this process.
	seen map[policy.ID]bool
	// asked holds the messages of which a release was asked for without an answer.
	asked map[policy.ID]bool
	// withdrawing holds the messages that are being taken back after their release, and settled those
	// of which it is known what the last request to remove them did.
	withdrawing, settled map[policy.ID]bool
	// listed is the time up to which all held mail was listed, also by the processes before this one.
	listed time.Time
	away   error // why the last round failed
}

// NewKeeper makes a Keeper, and reads up to when the process before it has seen the queue.
func NewKeeper(queue Queue, journal Journal, now func() time.Time, log *zap.Logger) (*Keeper, error) {
	k := &Keeper{
		queue: queue, batcher: NewBatcher(queue), journal: journal, now: now, log: log,
		seen: map[policy.ID]bool{}, asked: map[policy.ID]bool{}, withdrawing: map[policy.ID]bool{}, settled: map[policy.ID]bool{},
		foreign: map[string]time.Time{}, away: errNotYet,
	}
	var err error
	if k.listed, err = lastListing(journal); err != nil {
		return nil, fmt.Errorf("read up to when Postfix's queue was listed: %w", err)
	}
	k.written = k.listed
	return k, nil
}

// Ready is nil when the last look at the queue succeeded.
func (k *Keeper) Ready() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.away
}

// ours reports whether a queue file of that arrival can be the one of a message: it is not newer than
// our record.
func ours(arrival time.Time, e *policy.Envelope) bool {
	return !arrival.After(e.Received.Add(clockSlack)) && !arrival.Before(e.Received.Add(-longestDialogue))
}

// find gives what Postfix has of a message, or nil when it has nothing.
func (k *Keeper) find(ctx context.Context, e *policy.Envelope) (*Envelope, error) {
	q, content, err := k.open(ctx, e)
	if q != nil {
		_ = content.Close() // only the envelope was wanted
	}
	return q, err
}

// open is find with the content.
func (k *Keeper) open(ctx context.Context, e *policy.Envelope) (*Envelope, *Content, error) {
	if !ValidID(e.QueueID) {
		return nil, nil, nil
	}
	q, content, err := k.queue.Read(ctx, Identity{ID: e.QueueID})
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, nil, nil
	case err != nil:
		k.trouble(err)
		return nil, nil, err
	case !ours(q.Arrival, e):
		_ = content.Close()
		return nil, nil, nil
	}
	return &q, content, nil
}

func (e *Envelope) identity() Identity {
	return Identity{ID: e.ID, Arrival: e.Arrival, Sender: e.Sender}
}

// Release lets a held message go. again says that it may have been asked for before, by a process
// that has ended. An error says that nothing is known, and that it has to be asked again. The outcomes:
//
//	Released     we have let it go
//	NotHeld      it had been let go, by an earlier request of ours or by hand
//	NotFound     Postfix had it and has it no more
//	NeverListed  Postfix never had it in its hold queue, as far as we know
func (k *Keeper) Release(ctx context.Context, id policy.ID, e *policy.Envelope, again bool) (Result, error) {
	r, err := k.release(ctx, e)
	k.mu.Lock()
	defer k.mu.Unlock()
	if err != nil {
		k.asked[id] = k.asked[id] || mayHaveArrived(err)
		return r, err
	}
	if r.Outcome == NotFound {
		switch {
		case again || k.asked[id]:
			r.Outcome = NotHeld
		case !k.wasListed(id, e.Received):
			r.Outcome = NeverListed
		}
	}
	delete(k.asked, id)
	return r, nil
}

// mayHaveArrived reports whether a request that failed may have been carried out.
func mayHaveArrived(err error) bool {
	var network *net.OpError
	return !errors.As(err, &network) || network.Op != "dial"
}

// release tries the arrival that the journal knows first, which is right for quick clients and costs
// one request for many messages, and looks closer when that was not it.
func (k *Keeper) release(ctx context.Context, e *policy.Envelope) (Result, error) {
	r, err := k.batcher.Release(ctx, Identity{ID: e.QueueID, Arrival: e.Received, Sender: e.Sender})
	if err != nil {
		k.trouble(err)
		return r, err
	}
	if r.Outcome == Released || r.Outcome == NotFound {
		return r, nil
	}
	// A slow client, a sender that canonical maps have changed, a message that Postfix is still
	// receiving, or one that somebody has let go.
	q, err := k.find(ctx, e)
	switch {
	case err != nil:
		return r, err
	case q == nil && r.Outcome == NotHeld:
		return r, nil // it has left since
	case q == nil:
		return Result{ID: e.QueueID, Outcome: NotFound}, nil
	case q.Queue == "incoming":
		return r, fmt.Errorf("%s: %w", e.QueueID, errIncoming)
	case q.Queue != holdQueue:
		return Result{ID: e.QueueID, Outcome: NotHeld}, nil
	}
	return k.releaseAs(ctx, q.identity())
}

// errIncoming also stands for a message that other milters are looking at: it comes into the hold
// queue when Postfix has received it.
var errIncoming = errors.New("still being received by Postfix")

func (k *Keeper) releaseAs(ctx context.Context, i Identity) (Result, error) {
	r, err := k.batcher.Release(ctx, i)
	if err == nil && r.Outcome != Released && r.Outcome != NotHeld && r.Outcome != NotFound {
		err = fmt.Errorf("release %s: %s %s", r.ID, r.Outcome, r.Text)
	}
	return r, err
}

// wasListed reports whether Postfix ever had a message in its hold queue. The lock is held.
func (k *Keeper) wasListed(id policy.ID, received time.Time) bool {
	return k.seen[id] || !received.After(k.listed)
}

// Held reports whether Postfix has the message in its hold queue.
func (k *Keeper) Held(ctx context.Context, e *policy.Envelope) (bool, error) {
	q, err := k.find(ctx, e)
	return q != nil && q.Queue == holdQueue, err
}

// Delete removes a message that was taken back, and records that it is gone: Removed, or NotFound
// when Postfix did not have it. An error says that it has to be asked again.
func (k *Keeper) Delete(ctx context.Context, id policy.ID, e *policy.Envelope) (Outcome, error) {
	q, err := k.find(ctx, e)
	if err != nil || q == nil {
		return NotFound, err
	}
	r, err := k.batcher.Delete(ctx, q.identity())
	switch {
	case err != nil:
		k.trouble(err)
		return NotFound, err
	case r.Outcome == NotFound || r.Outcome == DifferentMessage:
		return NotFound, nil
	case r.Outcome != Removed:
		return r.Outcome, fmt.Errorf("delete %s: %s %s", r.ID, r.Outcome, r.Text)
	}
	_, err = k.journal.Commit(ctx, store.Change{Message: id, Events: []policy.Event{{
		Kind: policy.RecallOutcome, Time: k.now(), Actor: actor, QueueID: q.ID, Reason: "removed_from_queue",
		Evidence: fmt.Sprintf("postsuper -d %s: removed from the %s queue", q.ID, q.Queue), Key: keyDeleted + q.ID,
	}}})
	return Removed, err
}

// Read gives a message as it lies in Postfix's queue, with CRLF at the ends of lines. ErrNotFound when
// Postfix does not have it.
func (k *Keeper) Read(ctx context.Context, e *policy.Envelope) (Envelope, io.ReadCloser, error) {
	q, content, err := k.open(ctx, e)
	if err != nil {
		return Envelope{}, nil, err
	}
	if q == nil {
		return Envelope{}, nil, ErrNotFound
	}
	return *q, crlf{transform.NewReader(content, lineEnds{}), content}, nil
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
