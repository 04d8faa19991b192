package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync"

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

// A Subscription reads the journal forward and waits at its end. It is used by one goroutine. A
// slow reader costs nobody anything: what is no longer in memory it reads from disk.
type Subscription struct {
	store *Store
	next  uint64
	rest  []Record
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

// Next gives the next record, waiting for it. Its error is the context's, ErrClosed, or what the
// disk said.
func (sub *Subscription) Next(ctx context.Context) (Record, error) {
	r, _, err := sub.NextUpTo(ctx, math.MaxUint64)
	return r, err
}

// NextUpTo is Next for what is there: after the batch of that number it gives false instead of waiting.
func (sub *Subscription) NextUpTo(ctx context.Context, last uint64) (r Record, ok bool, err error) {
	for len(sub.rest) == 0 {
		if sub.next > last {
			return Record{}, false, nil
		}
		records, old, changed := sub.store.hub.get(sub.next)
		switch {
		case old:
			if records, err = sub.store.batch(sub.next); err != nil {
				return Record{}, false, err
			}
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

// batch reads a batch from disk; one that was pruned is empty.
func (s *Store) batch(number uint64) (records []Record, err error) {
	err = s.view(func(txn *badger.Txn) error {
		item, err := txn.Get(batchKey(number))
		if errors.Is(err, badger.ErrKeyNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		ids, err := item.ValueCopy(nil)
		if err != nil {
			return err
		}
		for position, ids := 0, ids[8:]; len(ids) >= idSize; position, ids = position+1, ids[idSize:] {
			r := Record{Batch: number, Position: position, Message: policy.ID(ids[:idSize])}
			item, err := txn.Get(eventsKey(r.Message, number, position))
			if errors.Is(err, badger.ErrKeyNotFound) {
				continue
			}
			if err == nil {
				err = item.Value(func(v []byte) error { return decoding.Unmarshal(v, &r.Events) })
			}
			if err != nil {
				return fmt.Errorf("batch %d: %w", number, err)
			}
			records = append(records, r)
		}
		return nil
	})
	return records, err
}
