package store

import (
	"bytes"
	"errors"
	"runtime"
	"slices"

	"github.com/dgraph-io/badger/v4"
	"github.com/sendgate/sendgate/policy"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
)

// Bounds of what is derived at a time: octets of memory, and hours, whose counts are written in one transaction.
const (
	maxDerived      = 24 << 20
	maxDerivedHours = 1000
	keyOverhead     = 40 // of a key in memory
)

// nearby is how many entries are read one after the other before one is looked for.
const nearby = 4

// derived is what follows from the rows of some messages and records, up to an id.
type derived struct {
	keys     [][]byte // by which they are found
	ended    []ending
	counts   map[int64]counts
	messages int
	octets   int
	upto     policy.ID
}

// An ending is a message of the first journals, which noted no end.
type ending struct {
	message Message
	wrong   []byte // its entry at the time of receipt, where retention takes it for a leftover; nil for none
}

// readDerived reads what follows an id, about so many octets, and tells whether there may be more.
func (s *Store) readDerived(after policy.ID, octets int) (d *derived, more bool, err error) {
	d = &derived{counts: map[int64]counts{}, upto: after}
	err = s.view(func(txn *badger.Txn) error {
		sc := newScan(s, txn, after)
		defer sc.close()
		for d.octets < octets && len(d.counts) < maxDerivedHours {
			id, ok := sc.next()
			if !ok {
				return nil
			}
			d.upto = id
			f, err := sc.read(id)
			if err != nil { // what a repair could not read either
				s.cfg.Log.Warn("not brought to the newer schema", zap.Stringer("id", id), zap.Error(err))
				continue
			}
			d.take(&f)
		}
		more = true
		return nil
	})
	return d, more, err
}

// take derives what follows from a message, or from a timeline that is none.
func (d *derived) take(f *file) {
	if f.message == nil {
		for _, e := range f.events {
			d.add(indexKey(indexRecord, string(e.Kind), f.id))
		}
		return
	}
	m := f.message
	d.messages++
	if m.Ended.IsZero() && m.final() {
		m.Ended = lastChange(m, f.rows)
		e := ending{message: *m}
		if !m.Ended.Equal(m.Envelope.Received) {
			e.wrong = timeKey(keyFinal, m.Envelope.Received, m.ID)
		}
		d.ended = append(d.ended, e)
		d.octets += 1 << 10
	}
	d.add(indexEntries(m, f.rows)...)
	d.add(eventEntries(m.ID, f.events)...)
	hour := hourOf(m.ID)
	if d.counts[hour] == nil {
		d.counts[hour] = counts{}
	}
	d.counts[hour].add(countsOf(m), 1)
}

func (d *derived) add(keys ...[]byte) {
	for _, k := range keys {
		d.octets += len(k) + keyOverhead
	}
	d.keys = append(d.keys, keys...)
}

// writeDerived writes what is not there.
func (s *Store) writeDerived(d *derived) error {
	missing, err := s.missing(d.keys)
	if err != nil {
		return err
	}
	wb := s.db.NewWriteBatch()
	defer wb.Cancel()
	for i := range d.ended {
		e := &d.ended[i]
		if e.wrong != nil {
			err = wb.Delete(e.wrong)
		}
		if err := errors.Join(err, wb.Set(idKey(keyMessage, e.message.ID), encode(&e.message))); err != nil {
			return err
		}
	}
	for _, k := range missing {
		if err := wb.Set(k, nil); err != nil {
			return err
		}
	}
	return wb.Flush()
}

// missing sorts keys, and gives those that are not there.
func (s *Store) missing(keys [][]byte) (missing [][]byte, err error) {
	slices.SortFunc(keys, bytes.Compare)
	keys = slices.CompactFunc(keys, bytes.Equal)
	parts := slices.Collect(slices.Chunk(keys, 1+len(keys)/runtime.GOMAXPROCS(0)))
	found := make([][][]byte, len(parts))
	var g errgroup.Group
	for i, part := range parts {
		g.Go(func() (err error) {
			found[i], err = s.missingOf(part)
			return err
		})
	}
	err = g.Wait()
	return slices.Concat(found...), err
}

// missingOf gives those of sorted keys that are not there. One in a damaged table is not, either, and is written again.
func (s *Store) missingOf(keys [][]byte) (missing [][]byte, err error) {
	err = s.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{})
		defer it.Close()
		for _, k := range keys {
			if !reach(it, k) {
				missing = append(missing, k)
			}
		}
		return nil
	})
	return missing, err
}

// reach brings an iterator forward to a key, and reports whether that is there.
func reach(it *badger.Iterator, key []byte) bool {
	for i := 0; i < nearby && it.Valid(); i++ {
		if c := bytes.Compare(it.Item().Key(), key); c >= 0 {
			return c == 0
		}
		it.Next()
	}
	it.Seek(key)
	return it.Valid() && bytes.Equal(it.Item().Key(), key)
}
