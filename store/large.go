package store

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/dgraph-io/badger/v4"
)

// maxIntent bounds what one change may write in all.
const maxIntent = 64 << 20

// An intent is a large change as it is kept until all of it is applied.
type intent struct {
	Mutations []intendedMutation `cbor:"1,keyasint"`
}

type intendedMutation struct {
	_      struct{} `cbor:",toarray"`
	Key    []byte
	Value  []byte
	Delete bool
}

// writeLarge commits a change that does not fit into one transaction (some thousand recipients), as
// a batch of its own. All that it writes is first kept in one value and synced: with that it is
// durable. Then it is applied in as many transactions as it takes, what makes it visible in the last
// one, together with the end of the intent. Open finishes what a crash has cut.
func (s *Store) writeLarge(b *batch, p *pendingChange) {
	in, octets := s.intend(b, p)
	if octets > maxIntent {
		p.finish(ErrTooLarge)
		return
	}
	room := 2 * int64(octets) // it is written twice
	if err := s.reserve(room); err != nil {
		p.finish(err)
		return
	}
	defer s.written(room)
	key := intentKey(b.number)
	s.waiting.enter(b)
	err := s.keepIntent(key, in)
	if err == nil {
		err = s.applyIntent(key, in.Mutations)
	}
	if err != nil {
		s.fail(fmt.Errorf("batch %d: %w", b.number, err))
	}
	s.garbage.Add(int64(octets))
	s.concludeBatch(b)
}

// intend makes an intent of what is staged, and gives its size.
func (s *Store) intend(b *batch, p *pendingChange) (in intent, octets int) {
	staged := b.staged
	b.discard()
	b.add(p)
	staged = append(staged, s.countMutations(b)...)
	for i := range staged {
		m := &staged[i]
		octets += len(m.key) + len(m.value)
		in.Mutations = append(in.Mutations, intendedMutation{Key: m.key, Value: m.value, Delete: m.delete})
	}
	in.Mutations = append(in.Mutations, intendedMutation{Key: batchKey(b.number), Value: b.index})
	slices.SortStableFunc(in.Mutations, func(x, y intendedMutation) int { return x.rank() - y.rank() })
	return in, octets
}

func (s *Store) keepIntent(key []byte, in intent) error {
	return s.db.Update(func(txn *badger.Txn) error { return txn.Set(key, encode(&in)) })
}

// rank puts last what makes a change visible.
func (m *intendedMutation) rank() int {
	switch m.Key[0] {
	case keyMessage, keyEvents, keyBatch:
		return 1
	}
	return 0
}

// applyIntent applies mutations and ends the intent. It may be repeated.
func (s *Store) applyIntent(key []byte, mutations []intendedMutation) error {
	for w := s.newWriter(); ; w = s.newWriter() {
		n, err := w.fill(mutations)
		if err == nil && n == len(mutations) {
			err = w.txn.Delete(key) // newWriter left room for it
		}
		if err == nil {
			err = w.txn.Commit()
		}
		w.txn.Discard()
		if err != nil || n == len(mutations) {
			return err
		}
		mutations = mutations[n:]
	}
}

// fill puts as many mutations into the transaction as fit and gives their number.
func (w *writer) fill(mutations []intendedMutation) (int, error) {
	for n := range mutations {
		m := &mutations[n]
		w.staged = append(w.staged[:0], mutation{key: m.Key, value: m.Value, delete: m.Delete})
		if err := w.flush(); err == errNoRoom {
			return n, nil
		} else if err != nil {
			return n, err
		}
	}
	return len(mutations), nil
}

// finishIntents applies the large changes that a crash has cut, and gives those that cannot be read,
// in words. An intent of a batch that is there was finished, and has come back from the value log
// (see garbage.go): to apply it again would undo what came after it.
func (s *Store) finishIntents() (unreadable []string, err error) {
	keys, err := s.keys([]byte{keyIntent})
	if err != nil || len(keys) == 0 {
		return nil, err
	}
	_, last, err := s.holes()
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		number := binary.BigEndian.Uint64(key[1:])
		if number <= last {
			if err := s.deleteAll([][]byte{key}); err != nil {
				return nil, err
			}
			continue
		}
		in, err := s.readIntent(key)
		if err != nil {
			unreadable = append(unreadable, fmt.Sprintf("batch %d, a large change (%v)", number, err))
			continue
		}
		if err := s.applyIntent(key, in.Mutations); err != nil {
			return nil, fmt.Errorf("finish a large change: %w", err)
		}
	}
	return unreadable, nil
}

func (s *Store) readIntent(key []byte) (in intent, err error) {
	err = s.view(func(txn *badger.Txn) error {
		item, err := txn.Get(key)
		if err != nil {
			return err
		}
		return item.Value(func(v []byte) error { return decoding.Unmarshal(v, &in) })
	})
	return in, err
}

// dropIntents gives up the large changes that cannot be read.
func (s *Store) dropIntents() error {
	keys, err := s.keys([]byte{keyIntent})
	if err != nil {
		return err
	}
	return s.deleteAll(keys)
}

func intentKey(batch uint64) []byte {
	k := batchKey(batch)
	k[0] = keyIntent
	return k
}
