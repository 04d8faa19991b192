package store

import (
	"context"
	"encoding/binary"
	"math"
	"sync"
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"
	"github.com/sendgate/sendgate/policy"
)

// recentOctets bounds what the hub keeps in memory for subscribers, in octets of encoded events and
// envelopes.
const recentOctets = 2 << 20

// A hub keeps the newest batches and wakes subscribers.
type hub struct {
	mu      sync.Mutex
	first   uint64 // number of batches[0]
	batches []recent
	octets  int
	changed chan struct{}

	forgets atomic.Uint64 // calls of forget
}

type recent struct {
	records []Record
	octets  int
}

func newHub(last uint64) *hub { return &hub{first: last + 1, changed: make(chan struct{})} }

// publish adds the next batch.
func (h *hub) publish(records []Record, octets int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.batches = append(h.batches, recent{records, octets})
	h.octets += octets
	for h.octets > recentOctets && len(h.batches) > 1 {
		h.octets -= h.batches[0].octets
		h.batches[0] = recent{}
		h.batches = h.batches[1:]
		h.first++
	}
	close(h.changed)
	h.changed = make(chan struct{})
}

// forget makes subscribers read from the disk what was published so far.
func (h *hub) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.first += uint64(len(h.batches))
	h.batches, h.octets = nil, 0
	h.forgets.Add(1)
}

// get gives a batch if it is in memory; else old tells whether it is on disk already, and changed
// is closed when a newer batch comes.
func (h *hub) get(number uint64) (records []Record, old bool, changed <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case number < h.first:
		return nil, true, nil
	case number < h.first+uint64(len(h.batches)):
		return h.batches[number-h.first].records, false, nil
	}
	return nil, false, h.changed
}

// newestOld gives the newest batch that is no longer in memory.
func (h *hub) newestOld() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.first - 1
}

// A Subscription reads the journal forward and waits at its end. It is used by one goroutine. A
// slow reader costs nobody anything: what is no longer in memory it reads from disk.
type Subscription struct {
	store *Store
	next  uint64
	rest  []Record // of a batch in memory
	old   []coming // of batches on disk
	wants func([]policy.Event) bool

	forgets uint64 // of the hub, when they were read
}

// Subscribe reads every record after the batch of this number; 0 stands for those from now on.
func (s *Store) Subscribe(after uint64) *Subscription {
	if after == 0 {
		after = s.lastBatch.Load()
	}
	return &Subscription{store: s, next: after + 1}
}

// Replay reads every record from the first batch that is kept, and goes on as Subscribe does.
func (s *Store) Replay() (*Subscription, error) {
	sub := &Subscription{store: s, next: 1}
	err := s.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{keyBatch}})
		defer it.Close()
		if it.Rewind(); it.Valid() {
			sub.next = binary.BigEndian.Uint64(it.Item().Key()[1:])
		}
		return nil
	})
	return sub, err
}

// WithEnvelopes gives old records with such events their envelope, too, as far as it is at hand: one that is missing is
// to be had by [Store.Envelope]. Of may be called by several goroutines at the same time.
func (sub *Subscription) WithEnvelopes(of func([]policy.Event) bool) *Subscription {
	sub.wants = of
	return sub
}

// Next gives the next record, waiting for it. Its error is the context's, ErrClosed, or what the
// disk said.
func (sub *Subscription) Next(ctx context.Context) (Record, error) {
	r, _, err := sub.NextUpTo(ctx, math.MaxUint64)
	return r, err
}

// NextUpTo is Next for what is there: after the batch of that number it gives false instead of waiting.
func (sub *Subscription) NextUpTo(ctx context.Context, last uint64) (r Record, ok bool, err error) {
	for sub.forget(); len(sub.rest) == 0; sub.forget() {
		if r, ok, err = sub.nextOld(); ok || err != nil {
			return r, ok, err
		}
		if sub.next > last {
			return Record{}, false, nil
		}
		records, old, changed := sub.store.hub.get(sub.next)
		switch {
		case old:
			if err = sub.readAhead(min(sub.store.hub.newestOld(), last)); err != nil {
				return Record{}, false, err
			}
			continue
		case changed != nil:
			select {
			case <-changed:
			case <-ctx.Done():
				return Record{}, false, ctx.Err()
			case <-sub.store.committed:
				return Record{}, false, ErrClosed
			}
			continue
		}
		sub.next++
		sub.rest = records
	}
	r = sub.rest[0]
	sub.rest = sub.rest[1:]
	return r, true, nil
}
