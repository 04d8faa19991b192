package store

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/sendgate/sendgate/policy"
	"go.uber.org/zap"
)

// A journal that takes more than Config.MaxSize gives up what is oldest before its time: bodies of mail that is done
// with, then messages with their events. What counts is what would be left after the garbage was collected, so
// that nothing is deleted twice for the same octets; when it is above the bound, it is brought down to nine tenths of it.
const (
	boundStep = 20             // a compaction has to give back a twentieth of the bound
	boundKept = 24 * time.Hour // younger messages stay: a recall needs them
)

// An Early says what was deleted before its time since the start, because the journal has a bound.
type Early struct {
	Bodies   int
	Messages int
	Last     time.Time // when something was deleted last
	UpTo     time.Time // messages that were received before it are gone; zero while only bodies were deleted
	Over     bool      // the journal is above its bound, and nothing is left that may be deleted
}

// bounded is the account of the bound.
type bounded struct {
	shed  atomic.Int64 // octets in tables that were deleted and are not compacted yet, about
	mu    sync.Mutex
	early Early
}

// Early gives the account.
func (b *bounded) Early() Early {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.early
}

// used is what the journal takes on disk, garbage included.
func (s *Store) used() (octets int64, err error) {
	log, err := s.valueLogUse()
	if err != nil {
		return 0, err
	}
	logs, err := s.engineFiles("*.mem")
	return log + s.tableSize() + onDisk(logs), err
}

// over reports whether the journal takes more than it may.
func (s *Store) over() (bool, error) {
	if s.cfg.MaxSize == 0 {
		return false, nil
	}
	used, err := s.used()
	return used > s.cfg.MaxSize<<20, err
}

// excess is how many octets have to go, 0 for none.
func (s *Store) excess() (int64, error) {
	limit := s.cfg.MaxSize << 20
	if limit == 0 {
		return 0, nil
	}
	used, err := s.used()
	if err != nil {
		return 0, err
	}
	alive := used - s.garbage.Load() - s.bounded.shed.Load()
	if alive <= limit {
		return 0, nil
	}
	return alive - limit*9/10, nil
}

// bound deletes what is oldest until the journal would fit.
func (s *Store) bound(ctx context.Context) error {
	if err := s.failed(); err != nil {
		return err
	}
	excess, err := s.excess()
	if err != nil || excess == 0 {
		s.bounded.tell(func(e *Early) { e.Over = false })
		return err
	}
	bodies, freed, err := s.boundBodies(ctx, excess)
	if err != nil {
		return fmt.Errorf("hold the journal's bound: %w", err)
	}
	messages, upTo := 0, time.Time{}
	if freed < excess {
		var more int64
		if messages, upTo, more, err = s.boundMessages(ctx, excess-freed); err != nil {
			return fmt.Errorf("hold the journal's bound: %w", err)
		}
		freed += more
	}
	s.bounded.tell(func(e *Early) {
		e.Bodies, e.Messages, e.Over = e.Bodies+bodies, e.Messages+messages, freed < excess
		if bodies+messages > 0 {
			e.Last = s.cfg.Now().UTC()
		}
		if upTo.After(e.UpTo) {
			e.UpTo = upTo
		}
	})
	s.cfg.Log.Warn("the journal has reached store.max_size_mib: what is oldest was deleted before its time", zap.Int("bodies", bodies), zap.Int("messages", messages),
		zap.Time("messages_up_to", upTo), zap.Int64("octets", freed), zap.Bool("still_over", freed < excess))
	return nil
}

func (b *bounded) tell(fn func(*Early)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	fn(&b.early)
}

// boundBodies deletes bodies, those first whose message ended first.
func (s *Store) boundBodies(ctx context.Context, excess int64) (bodies int, freed int64, err error) {
	from := []byte{keyFinal}
	for ctx.Err() == nil && freed < excess {
		entries, err := s.keysBetween(from, []byte{keyFinal + 1}, pruneGroup)
		if err != nil || len(entries) == 0 {
			return bodies, freed, err
		}
		before := s.garbage.Load()
		pruned, err := s.pruneSomeBodies(entries, excess-freed)
		if err != nil {
			return bodies, freed, err
		}
		from = entries[pruned-1]
		bodies += pruned
		freed += max(0, s.garbage.Load()-before)
	}
	return bodies, freed, ctx.Err()
}

// boundMessages deletes messages with their events, the oldest first. Timelines that are no message stay, and the
// records of batches, by which those are read again: they are small, and say what people have decided.
func (s *Store) boundMessages(ctx context.Context, excess int64) (messages int, upTo time.Time, freed int64, err error) {
	var last policy.ID
	_ = last.SetTime(unixMilli(s.cfg.Now().Add(-boundKept)))
	octets := s.octetsPerKey()
	for from := []byte{keyMessage}; ctx.Err() == nil && freed < excess; {
		ids, err := s.idsBetween(from, idKey(keyMessage, last), pruneGroup)
		if err != nil || len(ids) == 0 {
			return messages, upTo, freed, err
		}
		next := afterID(keyMessage, ids[len(ids)-1])
		if ids, err = s.ended(ids); err != nil {
			return messages, upTo, freed, err
		}
		keys, gone, err := s.pruneCounted(ids)
		if err != nil {
			return messages, upTo, freed, err
		}
		if gone > 0 {
			upTo = ids[len(ids)-1].Timestamp().UTC()
		}
		messages += gone
		freed += int64(float64(keys) * octets)
		s.bounded.shed.Add(int64(float64(keys) * octets))
		from = next
	}
	return messages, upTo, freed, ctx.Err()
}

// ended leaves those messages whose recipients have all come to an end: what the server behind still has is on its way.
func (s *Store) ended(ids []policy.ID) (over []policy.ID, err error) {
	err = s.view(func(txn *badger.Txn) error {
		for _, id := range ids {
			m, err := readMessage(txn, id)
			if err == nil && m.Ended.IsZero() {
				continue
			}
			over = append(over, id) // also what is damaged or no message: pruneCounted knows what to do with it
		}
		return nil
	})
	return over, err
}

// octetsPerKey is what a key takes in the tables, with its value.
func (s *Store) octetsPerKey() float64 {
	var keys, octets int64
	for _, t := range s.db.Tables() {
		keys += int64(t.KeyCount)
		octets += int64(t.UncompressedSize)
	}
	if keys == 0 {
		return idSize
	}
	return float64(octets) / float64(keys)
}

// pruneCounted is pruneSomeMessages that tells how many keys and timelines it has deleted.
func (s *Store) pruneCounted(ids []policy.ID) (keys, timelines int, err error) {
	s.rows.Lock()
	defer s.rows.Unlock()
	var doomed [][]byte
	for _, id := range ids {
		of, err := s.messageKeys(id)
		if err != nil {
			return 0, 0, fmt.Errorf("prune %s: %w", id, err)
		}
		if len(of) > 0 {
			timelines++
		}
		doomed = append(doomed, of...)
	}
	return len(doomed), timelines, s.deleteAll(doomed)
}
