package store

import (
	"cmp"
	"errors"
	"fmt"
	"runtime"
	"slices"

	"github.com/dgraph-io/badger/v4"
	"github.com/sendgate/sendgate/policy"
	"golang.org/x/sync/errgroup"
)

// Bounds of what a subscription that is behind reads at a time.
const (
	maxAhead       = 2000    // records; a batch is taken whole
	maxAheadOctets = 4 << 20 // of their events, as they are stored; the rest is read when its turn comes
)

// A coming record is one that is on disk.
type coming struct {
	Record
	read bool // its events
}

// readAhead reads what comes next, up to a batch. To look for every record by its key takes several times as long
// as to go through them in order of their keys. What is not found like that, because it was pruned, or because an
// iterator has ended at a damaged block, is looked for by its key when its turn comes.
func (sub *Subscription) readAhead(upto uint64) error {
	sub.forgets = sub.store.hub.forgets.Load()
	list, next, err := sub.store.list(sub.next, upto)
	if err != nil {
		return err
	}
	sub.old, sub.next = list, next
	return inParts(inOrder(list), sub.readPart)
}

// inOrder sorts records by the keys of their events.
func inOrder(list []coming) []*coming {
	order := make([]*coming, len(list))
	for i := range list {
		order[i] = &list[i]
	}
	slices.SortFunc(order, func(a, b *coming) int {
		return cmp.Or(a.Message.Compare(b.Message), cmp.Compare(a.Batch, b.Batch), cmp.Compare(a.Position, b.Position))
	})
	return order
}

// inParts does something for the parts of a list at the same time, one for each processor.
func inParts[T any](list []T, do func(part []T) error) error {
	var g errgroup.Group
	for part := range slices.Chunk(list, 1+len(list)/runtime.GOMAXPROCS(0)) {
		g.Go(func() error { return do(part) })
	}
	return g.Wait()
}

// list gives the records of the batches from one to another, or as many as are read at a time, and the number of
// the batch after them.
func (s *Store) list(from, upto uint64) (list []coming, next uint64, err error) {
	err = s.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{keyBatch}})
		defer it.Close()
		for next = from; next <= upto && len(list) < maxAhead; next++ {
			item, err := find(txn, it, batchKey(next))
			if err == nil {
				err = item.Value(func(ids []byte) error { list = appendBatch(list, next, ids); return nil })
			}
			switch {
			case err == nil || errors.Is(err, badger.ErrKeyNotFound): // pruned, or given up by a repair
			case len(list) > 0:
				return nil // what is before it comes first
			default:
				return fmt.Errorf("batch %d: %w", next, err)
			}
		}
		return nil
	})
	return list, next, err
}

// appendBatch adds the records that a batch names.
func appendBatch(list []coming, number uint64, value []byte) []coming {
	for position, ids := 0, value[min(8, len(value)):]; len(ids) >= idSize; position, ids = position+1, ids[idSize:] {
		list = append(list, coming{Record: Record{Batch: number, Position: position, Message: policy.ID(ids[:idSize])}})
	}
	return list
}

// find gives what an iterator finds going forward to a key, or else what is found by the key.
func find(txn *badger.Txn, it *badger.Iterator, key []byte) (*badger.Item, error) {
	if reach(it, key) {
		return it.Item(), nil
	}
	return txn.Get(key)
}

// readPart reads the events of records that are in order of their keys, and the envelopes that are wanted.
func (sub *Subscription) readPart(part []*coming) error {
	return sub.store.view(func(txn *badger.Txn) error {
		events := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{keyEvents}})
		defer events.Close()
		envelopes := newEnvelopes(txn)
		defer envelopes.close()
		octets := 0
		for _, c := range part {
			if octets > maxAheadOctets {
				break
			}
			if !reach(events, eventsKey(c.Message, c.Batch, c.Position)) {
				continue
			}
			octets += int(events.Item().ValueSize())
			if events.Item().Value(c.decode) != nil {
				continue // it is said when its turn comes
			}
			if c.read = true; sub.wants != nil && sub.wants(c.Events) {
				c.Envelope = envelopes.of(c.Message)
			}
		}
		return nil
	})
}

func (c *coming) decode(v []byte) error {
	c.Events = nil
	return decoding.Unmarshal(v, &c.Events)
}

// forget drops what was read before something was taken out of the journal: it is read anew in its turn.
func (sub *Subscription) forget() {
	n := sub.store.hub.forgets.Load()
	if n == sub.forgets {
		return
	}
	sub.forgets = n
	for i := range sub.old {
		sub.old[i].read, sub.old[i].Envelope = false, nil
	}
	for _, r := range sub.rest { // then there is nothing old
		sub.old = append(sub.old, coming{Record: Record{Batch: r.Batch, Position: r.Position, Message: r.Message}})
	}
	sub.rest = nil
}

// nextOld gives the next one of the records that are on disk.
func (sub *Subscription) nextOld() (r Record, ok bool, err error) {
	for len(sub.old) > 0 && !ok {
		c := &sub.old[0]
		if ok, err = c.there(sub.store); err != nil {
			return r, false, fmt.Errorf("batch %d: %w", c.Batch, err)
		}
		r, sub.old = c.Record, sub.old[1:]
	}
	if len(sub.old) == 0 {
		sub.old = nil // they need not wait for a next one
	}
	return r, ok, nil
}

// there reports whether the record is still there, and reads it if that was not done.
func (c *coming) there(s *Store) (bool, error) {
	if c.read {
		return true, nil
	}
	err := s.view(func(txn *badger.Txn) error {
		item, err := txn.Get(eventsKey(c.Message, c.Batch, c.Position))
		if err != nil {
			return err
		}
		return item.Value(c.decode)
	})
	if errors.Is(err, badger.ErrKeyNotFound) {
		return false, nil // pruned
	}
	return err == nil, err
}
