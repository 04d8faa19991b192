package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/sendgate/sendgate/policy"
)

// counts is how many recipients of an hour are in each state.
type counts map[policy.State]int64

// hourOf numbers the hour in which a message was received.
func hourOf(id policy.ID) int64 { return id.Timestamp().Unix() / 3600 }

// countKey keeps the counts of an hour. They are written with every batch that moves them.
func countKey(hour int64) []byte {
	return binary.BigEndian.AppendUint64([]byte{keyCount}, uint64(hour))
}

// Counts gives how many recipients are in each state now, of the messages that were received from one
// time to another, in whole hours. What sendgate wrote itself is not counted.
func (s *Store) Counts(from, to time.Time) map[policy.State]int64 {
	total := counts{}
	s.countsMu.Lock()
	defer s.countsMu.Unlock()
	for hour := from.Unix() / 3600; hour <= to.Unix()/3600; hour++ {
		total.add(s.counts[hour], 1)
	}
	return total
}

func (c counts) add(other counts, sign int64) {
	for state, n := range other {
		if c[state] += sign * n; c[state] == 0 {
			delete(c, state)
		}
	}
}

// move is add for what is kept: of an hour that was dropped there is nothing to take away from.
func (c counts) move(moved counts) {
	c.add(moved, 1)
	maps.DeleteFunc(c, func(_ policy.State, n int64) bool { return n < 0 })
}

// countsOf gives the counts of one message.
func countsOf(m *Message) counts {
	c := make(counts, len(m.States))
	if m.Envelope.Front == policy.Internal {
		return c
	}
	for state, n := range m.States {
		c[state] = int64(n)
	}
	return c
}

// count notes what a change has moved, in the batch that carries it.
func (b *batch) count(p *pendingChange) {
	if len(p.moved) == 0 {
		return
	}
	hour := hourOf(p.change.Message)
	if b.moved == nil {
		b.moved = map[int64]counts{}
	}
	if b.moved[hour] == nil {
		b.moved[hour] = counts{}
	}
	b.moved[hour].add(p.moved, 1)
}

// countMutations gives what the counts of the hours of a batch become.
func (s *Store) countMutations(b *batch) (all []mutation) {
	s.countsMu.Lock()
	defer s.countsMu.Unlock()
	for hour, moved := range b.moved {
		c := counts{}
		c.add(s.counts[hour], 1)
		c.move(moved)
		all = append(all, mutation{key: countKey(hour), value: encode(c)})
	}
	return all
}

// counted takes over the counts of a batch that was written.
func (s *Store) counted(b *batch) {
	s.countsMu.Lock()
	defer s.countsMu.Unlock()
	for hour, moved := range b.moved {
		if s.counts[hour] == nil {
			s.counts[hour] = counts{}
		}
		s.counts[hour].move(moved)
	}
}

// loadCounts reads the counts. A directory from before there were any counts from now on.
func (s *Store) loadCounts() error {
	s.counts = map[int64]counts{}
	return s.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{keyCount}, PrefetchValues: true, PrefetchSize: 100})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			c := counts{}
			err := it.Item().Value(func(v []byte) error { return decoding.Unmarshal(v, &c) })
			if err != nil {
				return fmt.Errorf("counts: %w", err)
			}
			s.counts[int64(binary.BigEndian.Uint64(it.Item().Key()[1:]))] = c
		}
		return nil
	})
}

// recount makes the counts anew from the rows of messages, by their keys.
func (s *Store) recount(messages [][]byte) error {
	old, err := s.keys([]byte{keyCount})
	if err == nil {
		err = s.deleteAll(old)
	}
	if err != nil {
		return fmt.Errorf("recount: %w", err)
	}
	s.counts = map[int64]counts{}
	wb := s.db.NewWriteBatch()
	defer wb.Cancel()
	for _, k := range messages {
		m, err := s.Message(lastID(k))
		if err != nil {
			continue // a repair names what cannot be read
		}
		hour := hourOf(m.ID)
		if s.counts[hour] == nil {
			s.counts[hour] = counts{}
		}
		s.counts[hour].add(countsOf(&m), 1)
	}
	for hour, c := range s.counts {
		if err := wb.Set(countKey(hour), encode(c)); err != nil {
			return fmt.Errorf("recount: %w", err)
		}
	}
	return wb.Flush()
}

// dropCounts forgets the hours before a time.
func (s *Store) dropCounts(before time.Time) error {
	s.countsMu.Lock()
	defer s.countsMu.Unlock()
	var old [][]byte
	maps.DeleteFunc(s.counts, func(hour int64, _ counts) bool {
		if hour >= before.Unix()/3600 {
			return false
		}
		old = append(old, countKey(hour))
		return true
	})
	err := s.deleteAll(old)
	if errors.Is(err, badger.ErrBlockedWrites) {
		return nil // closing
	}
	return err
}
