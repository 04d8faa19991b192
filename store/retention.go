package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/sendgate/sendgate/policy"
	"go.uber.org/zap"
)

// Retention runs every pruneEvery. A clock that has jumped must not delete mail; see pruneClock.
const (
	pruneEvery = 10 * time.Minute
	maxSilence = 48 * time.Hour
	pruneGrace = time.Hour
	pruneChunk = 2000 // keys looked at in a round
	pruneGroup = 100  // messages in a transaction: the committer waits for it
)

func (s *Store) retentionLoop() {
	clock := s.newPruneClock()
	s.every(pruneEvery, func(ctx context.Context) {
		now, ok := clock.now()
		if !ok {
			return
		}
		if err := s.retain(ctx, now); err != nil && ctx.Err() == nil {
			s.cfg.Log.Warn("retention", zap.Error(err))
		}
	})
}

// retain is one round of retention.
func (s *Store) retain(ctx context.Context, now time.Time) error {
	if err := s.failed(); err != nil {
		return err
	}
	return errors.Join(s.note(now), s.prune(ctx, now))
}

// pruneClock is the time for retention: the wall clock at the start plus what has really passed
// since, and never later than the wall clock of now. When the start is more than maxSilence after
// what was the time when the store was last open, it waits for pruneGrace, in which an operator can
// mend the clock.
type pruneClock struct {
	wall    func() time.Time
	passed  func() time.Duration // since the start
	base    time.Time            // the time at the start
	known   time.Time            // when the store was last open, the zero time when that is not known
	suspect bool
}

func (s *Store) newPruneClock() pruneClock {
	started := time.Now()
	c := pruneClock{
		wall: s.cfg.Now, passed: func() time.Duration { return time.Since(started) },
		base: s.cfg.Now().Round(0), known: s.notedTime(),
	}
	if c.suspect = c.jumped(c.base); c.suspect {
		s.cfg.Log.Warn("the clock is far past the time when the store was last open; nothing is pruned for an hour: check the time of this machine",
			zap.Time("last_open", c.known), zap.Time("clock", c.base))
	}
	return c
}

func (c *pruneClock) jumped(t time.Time) bool {
	return !c.known.IsZero() && t.Sub(c.known) > maxSilence
}

// now gives the time, or false while the clock is not believed.
func (c *pruneClock) now() (time.Time, bool) {
	wall, passed := c.wall().Round(0), c.passed()
	if c.suspect {
		if c.jumped(wall) && passed < pruneGrace {
			return time.Time{}, false
		}
		c.suspect, c.base = false, wall.Add(-passed)
	}
	if t := c.base.Add(passed); t.Before(wall) {
		return t, true
	}
	return wall, true
}

// note records the time for the pruneClock of the next start, and the garbage for its collection.
func (s *Store) note(now time.Time) error {
	s.rows.Lock()
	defer s.rows.Unlock()
	return s.db.Update(func(txn *badger.Txn) error {
		v := binary.BigEndian.AppendUint64(nil, uint64(now.UnixMicro()))
		return txn.Set(notesKey, binary.BigEndian.AppendUint64(v, uint64(max(0, s.garbage.Load()))))
	})
}

// loadGarbage takes up the count of garbage where the last note left it.
func (s *Store) loadGarbage() error {
	return s.view(func(txn *badger.Txn) error {
		item, err := txn.Get(notesKey)
		if errors.Is(err, badger.ErrKeyNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		return item.Value(func(v []byte) error {
			s.garbage.Store(int64(binary.BigEndian.Uint64(v[8:])))
			return nil
		})
	})
}

// notedTime is the last noted time, or that of the newest batch if that is earlier.
func (s *Store) notedTime() (t time.Time) {
	newest, _ := s.batchTime(s.lastBatch.Load())
	noted, ok := s.timeAt(notesKey)
	if ok && (newest.IsZero() || noted.Before(newest)) {
		return noted
	}
	return newest
}

// batchTime is when a batch was written.
func (s *Store) batchTime(number uint64) (t time.Time, ok bool) { return s.timeAt(batchKey(number)) }

// timeAt gives the time with which a value begins.
func (s *Store) timeAt(key []byte) (t time.Time, ok bool) {
	err := s.view(func(txn *badger.Txn) error {
		item, err := txn.Get(key)
		if err != nil {
			return err
		}
		return item.Value(func(v []byte) error {
			t, ok = time.UnixMicro(int64(binary.BigEndian.Uint64(v))).UTC(), true
			return nil
		})
	})
	return t, ok && err == nil
}

// prune deletes the bodies, messages and batches whose time has come.
func (s *Store) prune(ctx context.Context, now time.Time) error {
	if err := s.pruneBodies(ctx, now.Add(-s.cfg.BodiesFor)); err != nil {
		return err
	}
	cutoff := now.Add(-s.cfg.EventsFor)
	if err := s.pruneMessages(ctx, cutoff); err != nil {
		return err
	}
	return errors.Join(s.pruneBatches(ctx, cutoff), s.dropCounts(cutoff))
}

// pruneBodies deletes the bodies of messages that reached their end before the cutoff.
func (s *Store) pruneBodies(ctx context.Context, cutoff time.Time) error {
	from := []byte{keyFinal}
	for ctx.Err() == nil {
		entries, err := s.keysBetween(from, timeKey(keyFinal, cutoff, policy.ID{}), pruneGroup)
		if err != nil || len(entries) == 0 {
			return err
		}
		pruned, err := s.pruneSomeBodies(entries, math.MaxInt64)
		if err != nil {
			return fmt.Errorf("prune bodies: %w", err)
		}
		from = entries[pruned-1]
	}
	return ctx.Err()
}

// pruneSomeBodies prunes in one transaction as many of the entries as fit, until so many octets are gone, and tells
// how many.
func (s *Store) pruneSomeBodies(entries [][]byte, most int64) (pruned int, err error) {
	s.rows.Lock()
	defer s.rows.Unlock()
	w := s.newWriter()
	defer w.txn.Discard()
	var octets int64
	for _, entry := range entries {
		n, err := w.pruneBody(entry)
		if err == nil {
			err = w.flush()
		}
		if errors.Is(err, errNoRoom) && pruned > 0 {
			break
		}
		if err != nil {
			return 0, err
		}
		octets += n
		if pruned++; octets >= most {
			break
		}
	}
	if err := w.txn.Commit(); err != nil {
		return 0, err
	}
	s.garbage.Add(octets)
	return pruned, nil
}

// pruneBody stages the end of a body and gives its size. An entry without its message, or with one
// that was sent anew meanwhile, is only a leftover.
func (w *writer) pruneBody(entry []byte) (octets int64, err error) {
	ended, id := parseTimeKey(entry)
	w.delete(entry)
	m, err := readMessage(w.txn, id)
	if errors.Is(err, ErrNotFound) || err == nil && !m.Ended.Equal(ended) {
		return 0, nil
	}
	if err != nil {
		w.discard()
		return 0, err
	}
	octets = m.BodySize
	w.dropBody(&m)
	return octets, nil
}

// dropBody stages the end of a body; its entry in the index of ends is left for pruneBodies.
func (w *writer) dropBody(m *Message) {
	for i := range m.BodyChunks {
		w.delete(bodyKey(m.ID, i))
	}
	m.BodyChunks, m.BodySize = 0, 0
	w.set(idKey(keyMessage, m.ID), encode(m))
}

// pruneMessages deletes what is older than the cutoff, except messages on which sendgate still has
// to act. It goes by the events, which are deleted last; the other rows find what came back (see
// garbage.go).
func (s *Store) pruneMessages(ctx context.Context, cutoff time.Time) error {
	var last policy.ID
	_ = last.SetTime(unixMilli(cutoff))
	for _, kind := range []byte{keyEvents, keyMessage, keyRecipient, keyBody} {
		for from := []byte{kind}; ; {
			ids, err := s.idsBetween(from, idKey(kind, last), pruneGroup)
			if err != nil {
				return err
			}
			if len(ids) == 0 {
				break
			}
			if err := errors.Join(ctx.Err(), s.pruneSomeMessages(ids)); err != nil {
				return err
			}
			from = afterID(kind, ids[len(ids)-1])
		}
	}
	return nil
}

func (s *Store) pruneSomeMessages(ids []policy.ID) error {
	_, _, err := s.pruneCounted(ids)
	return err
}

// messageKeys lists all keys of a message, none when sendgate still has to act on it. They are
// deleted in this order, maybe not all before a crash: indexes before the rows that name them, and
// the events, by which pruneMessages finds the rest again, last.
func (s *Store) messageKeys(id policy.ID) (keys [][]byte, err error) {
	err = s.view(func(txn *badger.Txn) error {
		m, err := readMessage(txn, id)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err == nil && !m.Due.IsZero() {
			return errStillDue
		}
		var rows []Recipient
		if err == nil {
			rows, err = readRecipients(txn, &m)
		}
		if err != nil { // damaged: what cannot be derived from its rows stays behind
			s.cfg.Log.Warn("retention of a damaged message", zap.Error(err))
		}
		keys = append(indexEntries(&m, rows), idKey(keyMessage, id))
		return nil
	})
	if errors.Is(err, errStillDue) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	records, err := s.Timeline(id)
	if err != nil {
		s.cfg.Log.Warn("retention of a damaged message", zap.Error(err))
	}
	for _, r := range records {
		keys = append(keys, eventEntries(id, r.Events)...)
		for _, e := range r.Events {
			keys = append(keys, indexKey(indexRecord, string(e.Kind), id))
		}
	}
	for _, kind := range []byte{keyRecipient, keySeen, keyBody, keyEvents} {
		more, err := s.keys(idKey(kind, id))
		if err != nil {
			return nil, err
		}
		keys = append(keys, more...)
	}
	return keys, nil
}

var errStillDue = errors.New("sendgate still has to act on it")

// pruneBatches deletes the batch records before the cutoff, from the oldest on, so that the numbers
// that are left stay dense. The newest one always stays.
func (s *Store) pruneBatches(ctx context.Context, cutoff time.Time) error {
	from := []byte{keyBatch}
	for ctx.Err() == nil {
		keys, err := s.keysBetween(from, batchKey(s.lastBatch.Load()), pruneChunk)
		if err != nil {
			return err
		}
		old := keys[:0]
		for _, k := range keys {
			t, ok := s.batchTime(binary.BigEndian.Uint64(k[1:]))
			if !ok || !t.Before(cutoff) {
				break
			}
			old = append(old, k)
		}
		if len(old) == 0 {
			return nil
		}
		if err := s.deleteAll(old); err != nil {
			return err
		}
		from = old[len(old)-1]
	}
	return ctx.Err()
}

// keysBetween gives up to limit keys of the kind that from begins with, from there on and below
// end. Who deletes them goes on from the last one: from the beginning the engine would read all that
// was deleted again.
func (s *Store) keysBetween(from, end []byte, limit int) (keys [][]byte, err error) {
	err = s.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: from[:1]})
		defer it.Close()
		for it.Seek(from); it.Valid() && len(keys) < limit; it.Next() {
			k := it.Item().Key()
			if bytes.Compare(k, end) >= 0 {
				break
			}
			keys = append(keys, bytes.Clone(k))
		}
		return nil
	})
	return keys, err
}

// idsBetween gives up to limit different ids of keys of the kind that from begins with, from there
// on and below end.
func (s *Store) idsBetween(from, end []byte, limit int) (ids []policy.ID, err error) {
	err = s.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: from[:1]})
		defer it.Close()
		for it.Seek(from); it.Valid() && len(ids) < limit; {
			k := it.Item().Key()
			if bytes.Compare(k, end) >= 0 {
				break
			}
			id := policy.ID(k[1 : 1+idSize])
			ids = append(ids, id)
			it.Seek(afterID(from[0], id))
		}
		return nil
	})
	return ids, err
}

// afterID sorts after all keys of an id and before those of the next one.
func afterID(kind byte, id policy.ID) []byte {
	return append(idKey(kind, id), bytes.Repeat([]byte{0xff}, 16)...)
}
