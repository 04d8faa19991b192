package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/sendgate/sendgate/policy"
	"go.uber.org/zap"
)

// Bodies lie in the value log, a row of files. The engine rewrites a file when it knows that much of
// it is dead, and it learns that only where compaction meets a deletion and what it deletes in one
// table. Under much traffic that happens by itself within days. Under little traffic with big
// messages nothing is compacted for weeks, while the log grows by gigabytes. So the store counts
// the octets it deletes, and when they are many compared with what is there, has them compacted.
//
// What is rewritten while its deletion is on the way down comes back when the deletion has reached
// the bottom (TestQuirkDeletedValueComesBack). Bodies of one file die at about the same time;
// therefore files are rewritten only when nearly all of them is known to be dead, or right after
// everything was compacted, and bodies without a message are swept up then.
const (
	collectEvery  = time.Minute
	minGarbage    = 256 << 20
	nearlyDead    = 0.9
	partlyDead    = 0.4
	littleDead    = 0.1 // where the size is bounded: see retentionbound.go
	flushPatience = 30 * time.Second
	compactTries  = 3
)

func (s *Store) garbageLoop() {
	s.every(collectEvery, func(ctx context.Context) {
		if err := errors.Join(s.bound(ctx), s.collect(ctx, minGarbage)); err != nil && ctx.Err() == nil {
			s.cfg.Log.Warn("value log", zap.Error(err))
		}
	})
}

// collect gives the space of deleted bodies back to the file system. It compacts when there is more
// garbage than least, than a quarter of the value log, and than a quarter of the tables, which is
// what compaction costs.
func (s *Store) collect(ctx context.Context, least int64) error {
	if err := s.failed(); err != nil {
		return err
	}
	if err := s.rewriteValueLog(ctx, nearlyDead); err != nil {
		return err
	}
	log, err := s.valueLogUse()
	if err != nil {
		return err
	}
	garbage, shed, dead := s.garbage.Load(), s.bounded.shed.Load(), partlyDead
	switch over, err := s.over(); {
	case err != nil:
		return err
	case over:
		least, dead = min(least, s.cfg.MaxSize<<20/boundStep), littleDead
	case s.full.Load():
		least = min(least, valueLogSize) // this may be what fills the disk
	default:
		least = max(least, log/4, s.tableSize()/4)
	}
	if garbage+shed < least || !s.enough() {
		return nil
	}
	start := time.Now()
	if err := s.compact(ctx); err != nil {
		return err
	}
	s.lessGarbage(garbage)
	s.bounded.shed.Add(-shed)
	if err := errors.Join(s.rewriteValueLog(ctx, dead), s.sweepOrphans(ctx)); err != nil {
		return err
	}
	after, err := s.valueLogUse()
	s.cfg.Log.Info("value log", zap.Int64("before_mib", log>>20), zap.Int64("after_mib", after>>20),
		zap.Int64("garbage_mib", garbage>>20), zap.Duration("took", time.Since(start)))
	return err
}

// compact merges everything into one level, where deletions meet what they delete. It cannot be
// interrupted; Close waits for it.
func (s *Store) compact(ctx context.Context) error {
	if err := s.flushTables(ctx); err != nil {
		return err
	}
	err := s.db.Flatten(1)
	for range compactTries { // it fails when the engine compacts the same tables itself
		if err == nil {
			return nil
		}
		err = s.db.Flatten(1)
	}
	return fmt.Errorf("compact: %w", err)
}

// rewriteValueLog rewrites files as long as one has that part of it dead. What is alive in a file is
// written anew before the file goes.
func (s *Store) rewriteValueLog(ctx context.Context, dead float64) error {
	for ctx.Err() == nil && s.enough() {
		before, err := s.valueLogUse()
		if err != nil {
			return err
		}
		switch err := s.db.RunValueLogGC(dead); {
		case errors.Is(err, badger.ErrNoRewrite), errors.Is(err, badger.ErrRejected):
			return nil
		case err != nil:
			return fmt.Errorf("rewrite value log: %w", err)
		}
		after, err := s.valueLogUse()
		if err != nil {
			return err
		}
		s.lessGarbage(before - after)
	}
	return nil
}

// sweepOrphans deletes bodies that no message names and nobody is writing.
func (s *Store) sweepOrphans(ctx context.Context) error {
	for from := []byte{keyBody}; ctx.Err() == nil; {
		ids, err := s.idsBetween(from, []byte{keyBody + 1}, pruneChunk)
		if err != nil || len(ids) == 0 {
			return err
		}
		for _, id := range ids {
			if err := s.sweepOrphan(id); err != nil {
				return fmt.Errorf("sweep orphans: %w", err)
			}
		}
		from = afterID(keyBody, ids[len(ids)-1])
	}
	return ctx.Err()
}

// sweepOrphan deletes a body if it belongs to nobody. Not while a large change is being applied,
// whose message becomes visible last.
func (s *Store) sweepOrphan(id policy.ID) error {
	s.rows.Lock()
	defer s.rows.Unlock()
	orphan := false
	err := s.view(func(txn *badger.Txn) error {
		_, err := txn.Get(idKey(keyOpenBody, id))
		if !errors.Is(err, badger.ErrKeyNotFound) {
			return err
		}
		m, err := readMessage(txn, id)
		if errors.Is(err, ErrNotFound) {
			orphan = true
			return nil
		}
		orphan = err == nil && m.BodyChunks == 0
		return err
	})
	if err != nil || !orphan {
		return err
	}
	return s.dropBody(id)
}

// enough reports whether there is room for work that will make more of it: half of the reserve will do.
func (s *Store) enough() bool {
	free, err := freeBytes(s.cfg.Dir)
	return err == nil && free-s.inFlight.Load() > s.reserved.Load()/2
}

func (s *Store) lessGarbage(octets int64) {
	if left := s.garbage.Add(-max(0, octets)); left < 0 {
		s.garbage.CompareAndSwap(left, 0)
	}
}

// flushTables brings what is in the memory tables to disk, where compaction sees it, and sees to it
// that there is a level to compact into. The engine flushes a memory table only when it is full, and
// leaves a few tables in its first level alone: so it is filled, with what expires at once.
func (s *Store) flushTables(ctx context.Context) error {
	for range s.db.Opts().NumLevelZeroTables + 1 {
		logs, err := s.engineFiles("*.mem")
		if err != nil {
			return err
		}
		if err := s.fillMemoryTable(ctx); err != nil {
			return fmt.Errorf("fill memory table: %w", err)
		}
		if err := s.waitFor(ctx, func() bool { return s.gone(logs) }); err != nil {
			return err
		}
		if s.hasLevels() {
			return nil
		}
	}
	return s.waitFor(ctx, s.hasLevels)
}

// hasLevels reports whether any table is below the first level.
func (s *Store) hasLevels() bool {
	for _, l := range s.db.Levels()[1:] {
		if l.NumTables > 0 {
			return true
		}
	}
	return false
}

func (s *Store) waitFor(ctx context.Context, condition func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, flushPatience)
	defer cancel()
	t := time.NewTicker(20 * time.Millisecond)
	defer t.Stop()
	for !condition() {
		select {
		case <-t.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for the engine: %w", ctx.Err())
		}
	}
	return nil
}

// fillMemoryTable writes a little more than one memory table.
func (s *Store) fillMemoryTable(ctx context.Context) error {
	const perTxn = 128
	filler := make([]byte, valueThreshold-1)
	for i := 0; i <= memTableSize/len(filler)+perTxn; i += perTxn {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := s.writeFiller(filler, perTxn); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) writeFiller(filler []byte, entries int) error {
	if !s.enough() {
		return ErrFull
	}
	s.rows.Lock()
	defer s.rows.Unlock()
	return s.db.Update(func(txn *badger.Txn) error {
		for i := range entries {
			key := binary.BigEndian.AppendUint16([]byte{keyFiller}, uint16(i))
			if err := txn.SetEntry(badger.NewEntry(key, filler).WithTTL(time.Second)); err != nil {
				return err
			}
		}
		return nil
	})
}

// tableSize is the size of all tables on disk.
func (s *Store) tableSize() (octets int64) {
	for _, l := range s.db.Levels() {
		octets += l.Size
	}
	return octets
}

// valueLogUse is what the value log takes on disk; its newest file is longer than that.
func (s *Store) valueLogUse() (octets int64, err error) {
	files, err := s.engineFiles("*.vlog")
	return onDisk(files), err
}

// gone reports whether none of the files is there any more.
func (s *Store) gone(files []fs.FileInfo) bool {
	for _, f := range files {
		if _, err := os.Stat(filepath.Join(s.cfg.Dir, engineDir, f.Name())); err == nil {
			return false
		}
	}
	return true
}

func (s *Store) engineFiles(pattern string) (files []fs.FileInfo, err error) {
	names, err := filepath.Glob(filepath.Join(s.cfg.Dir, engineDir, pattern))
	for _, name := range names {
		f, err := os.Stat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // collected meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("size of the journal: %w", err)
		}
		files = append(files, f)
	}
	return files, err
}
