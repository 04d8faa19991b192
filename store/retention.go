package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/sendgate/sendgate/policy"
	"go.uber.org/zap"
)

// Retention runs every pruneEvery. A clock that has jumped must not delete mail: within the process
// time is monotonic (see pruneClock), and when the clock at the start is more than maxSilence past
// the newest event, pruning waits for pruneGrace, in which an operator can mend it.
const (
	pruneEvery = 10 * time.Minute
	maxSilence = 48 * time.Hour
	pruneGrace = time.Hour
	pruneChunk = 2000 // messages a round, so that a round stays short
)

func (s *Store) retentionLoop() {
	clock := s.newPruneClock()
	s.every(pruneEvery, func(ctx context.Context) {
		now, ok := clock.now()
		if !ok {
			return
		}
		if err := s.prune(ctx, now); err != nil && ctx.Err() == nil {
			s.cfg.Log.Warn("retention", zap.Error(err))
		}
		s.collectValueLog(ctx)
	})
}

// pruneClock is wall time at the start plus what has really passed since.
type pruneClock struct {
	wall    time.Time
	started time.Time // with its monotonic reading
	wait    time.Duration
}

func (s *Store) newPruneClock() pruneClock {
	c := pruneClock{wall: s.cfg.Now().Round(0), started: time.Now()}
	if newest, ok := s.batchTime(s.lastBatch.Load()); ok && c.wall.Sub(newest) > maxSilence {
		c.wait = pruneGrace
		s.cfg.Log.Warn("the clock is far past the newest event; nothing is pruned for an hour: check the time of this machine",
			zap.Time("newest_event", newest), zap.Time("clock", c.wall))
	}
	return c
}

func (c *pruneClock) now() (time.Time, bool) {
	passed := time.Since(c.started)
	return c.wall.Add(passed), passed >= c.wait
}

// batchTime is when a batch was written.
func (s *Store) batchTime(number uint64) (t time.Time, ok bool) {
	err := s.view(func(txn *badger.Txn) error {
		item, err := txn.Get(batchKey(number))
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
	return s.pruneBatches(ctx, cutoff)
}

// pruneBodies deletes the bodies of messages that reached their end before the cutoff. A message
// that was resent meanwhile keeps its body: its entry goes, and comes anew with its new end.
func (s *Store) pruneBodies(ctx context.Context, cutoff time.Time) error {
	for ctx.Err() == nil {
		keys, err := s.keysBelow([]byte{keyFinal}, timeKey(keyFinal, cutoff, policy.ID{}), pruneChunk)
		if err != nil || len(keys) == 0 {
			return err
		}
		for _, k := range keys {
			if err := s.pruneBody(k); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// pruneBody goes through the committer's rows in a transaction of its own: the row of a final
// message is written by nobody else but by late observations, which lose nothing but this.
func (s *Store) pruneBody(entry []byte) error {
	_, id := parseTimeKey(entry)
	s.rows.Lock()
	defer s.rows.Unlock()
	return s.db.Update(func(txn *badger.Txn) error {
		if err := txn.Delete(entry); err != nil {
			return err
		}
		m, err := readMessage(txn, id)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err != nil || !m.final() {
			return err
		}
		for i := range m.BodyChunks {
			if err := txn.Delete(bodyKey(id, i)); err != nil {
				return err
			}
		}
		m.BodyChunks, m.BodySize = 0, 0
		return txn.Set(idKey(keyMessage, id), encode(&m))
	})
}

// pruneMessages deletes what is older than the cutoff, except messages on which sendgate still has to act.
func (s *Store) pruneMessages(ctx context.Context, cutoff time.Time) error {
	var last policy.ID
	_ = last.SetTime(unixMilli(cutoff))
	from := []byte{keyEvents}
	for ctx.Err() == nil {
		ids, err := s.idsBelow(from, idKey(keyEvents, last), pruneChunk)
		if err != nil || len(ids) == 0 {
			return err
		}
		for _, id := range ids {
			if err := s.pruneMessage(id); err != nil {
				return err
			}
		}
		from = append(idKey(keyEvents, ids[len(ids)-1]), 0xff)
	}
	return ctx.Err()
}

func (s *Store) pruneMessage(id policy.ID) error {
	s.rows.Lock()
	defer s.rows.Unlock()
	var doomed [][]byte
	err := s.view(func(txn *badger.Txn) error {
		m, err := readMessage(txn, id)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err != nil || !m.Due.IsZero() {
			return err
		}
		rows, err := readRecipients(txn, &m)
		if err != nil {
			return err
		}
		doomed = append(indexEntries(&m, rows), idKey(keyMessage, id))
		for i := range rows {
			if q := rows[i].QueueID; q != "" {
				doomed = append(doomed, indexKey(indexQueueID, term(q), id))
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if doomed == nil {
		if _, err := s.Message(id); err == nil {
			return nil // still to be acted on
		}
	}
	for _, kind := range []byte{keyRecipient, keyEvents, keyBody, keySeen} {
		keys, err := s.keys(idKey(kind, id))
		if err != nil {
			return err
		}
		doomed = append(doomed, keys...)
	}
	return s.deleteAll(doomed)
}

// pruneBatches deletes the batch records before the cutoff, from the oldest on, so that the numbers
// that are left stay dense. The newest one always stays.
func (s *Store) pruneBatches(ctx context.Context, cutoff time.Time) error {
	for ctx.Err() == nil {
		keys, err := s.keysBelow([]byte{keyBatch}, batchKey(s.lastBatch.Load()), pruneChunk)
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
		if err := s.deleteInOrder(old); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// deleteInOrder deletes keys in one transaction each some hundred, oldest first, so that a crash
// leaves no hole.
func (s *Store) deleteInOrder(keys [][]byte) error {
	for len(keys) > 0 {
		n := min(len(keys), 500)
		err := s.db.Update(func(txn *badger.Txn) error {
			for _, k := range keys[:n] {
				if err := txn.Delete(k); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		keys = keys[n:]
	}
	return nil
}

// keysBelow gives up to limit keys with the prefix that sort below end.
func (s *Store) keysBelow(prefix, end []byte, limit int) (keys [][]byte, err error) {
	err = s.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
		defer it.Close()
		for it.Rewind(); it.Valid() && len(keys) < limit; it.Next() {
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

// idsBelow gives up to limit different ids of event keys from a key on that sort below end.
func (s *Store) idsBelow(from, end []byte, limit int) (ids []policy.ID, err error) {
	err = s.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{keyEvents}})
		defer it.Close()
		for it.Seek(from); it.Valid() && len(ids) < limit; {
			k := it.Item().Key()
			if bytes.Compare(k, end) >= 0 {
				break
			}
			id := policy.ID(k[1 : 1+idSize])
			ids = append(ids, id)
			it.Seek(append(idKey(keyEvents, id), bytes.Repeat([]byte{0xff}, 11)...))
		}
		return nil
	})
	return ids, err
}

// collectValueLog gives the space of deleted bodies back to the file system. Badger learns what is
// dead when compaction drops the pointers, so this lags behind prune.
func (s *Store) collectValueLog(ctx context.Context) {
	for ctx.Err() == nil {
		if err := s.db.RunValueLogGC(0.4); err != nil {
			if !errors.Is(err, badger.ErrNoRewrite) && !errors.Is(err, badger.ErrRejected) {
				s.cfg.Log.Warn("value log", zap.Error(err))
			}
			return
		}
	}
}
