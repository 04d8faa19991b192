package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// The tests in this file assert that Badger 4.9 behaves as badly as the store believes. When one
// fails after an upgrade, the code that cites it may become simpler.

// quirkEngine is a small Badger: memory tables and value logs of 1 MiB, values of 1 KiB and more in
// the log.
func quirkEngine(t *testing.T, dir string) *badger.DB {
	t.Helper()
	db, err := badger.Open(badger.DefaultOptions(dir).WithLogger(nil).WithSyncWrites(true).WithMetricsEnabled(false).
		WithMemTableSize(1 << 20).WithValueLogFileSize(1 << 20).WithValueThreshold(1 << 10).WithVerifyValueChecksum(true))
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func quirkKey(n int) []byte { return binary.BigEndian.AppendUint32([]byte{'k'}, uint32(n)) }

func quirkSet(t *testing.T, db *badger.DB, key, value []byte) {
	t.Helper()
	if err := db.Update(func(txn *badger.Txn) error { return txn.Set(key, value) }); err != nil {
		t.Fatal(err)
	}
}

func quirkDelete(t *testing.T, db *badger.DB, key []byte) {
	t.Helper()
	if err := db.Update(func(txn *badger.Txn) error { return txn.Delete(key) }); err != nil {
		t.Fatal(err)
	}
}

func quirkHas(t *testing.T, db *badger.DB, key []byte) bool {
	t.Helper()
	err := db.View(func(txn *badger.Txn) error { _, err := txn.Get(key); return err })
	if err != nil && !errors.Is(err, badger.ErrKeyNotFound) {
		t.Fatal(err)
	}
	return err == nil
}

// quirkFlush brings the memory table to a table on disk.
func quirkFlush(t *testing.T, db *badger.DB, dir string) {
	t.Helper()
	filler := make([]byte, 1000)
	for i := range 1 << 20 / len(filler) {
		quirkSet(t, db, quirkKey(1<<20+i), filler)
	}
	waitUntil(t, func() bool {
		logs, _ := filepath.Glob(filepath.Join(dir, "*.mem"))
		return len(logs) == 1
	})
}

// waitUntil polls a condition that another goroutine or the engine brings about.
func waitUntil(t *testing.T, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !condition(); {
		if time.Now().After(deadline) {
			t.Fatal("it did not come about")
		}
		<-time.After(5 * time.Millisecond)
	}
}

// A deletion that has left the memory table is dropped at the bottom together with what it deletes,
// although a copy of that was written above it by the collection of the value log meanwhile.
func TestQuirkDeletedValueComesBack(t *testing.T) {
	dir := t.TempDir()
	db := quirkEngine(t, dir)
	defer db.Close()
	value := make([]byte, 10<<10)
	for i := range 200 {
		quirkSet(t, db, quirkKey(i), value)
	}
	for i := range 100 {
		if i != 50 {
			quirkDelete(t, db, quirkKey(i))
		}
	}
	for range 6 { // so that there is a level to compact into
		quirkFlush(t, db, dir)
	}
	if err := db.Flatten(1); err != nil {
		t.Fatal(err)
	}
	quirkDelete(t, db, quirkKey(50))
	quirkFlush(t, db, dir)
	if err := db.RunValueLogGC(0.5); err != nil {
		t.Fatal(err)
	}
	if quirkHas(t, db, quirkKey(50)) {
		t.Fatal("it is back before compaction")
	}
	if err := db.Flatten(1); err != nil {
		t.Fatal(err)
	}
	if !quirkHas(t, db, quirkKey(50)) {
		t.Error("a deleted value did not come back: bodies without a message need not be swept")
	}
}

// Deleted values are not found by the collection before compaction has met their deletion.
func TestQuirkGarbageNeedsCompaction(t *testing.T) {
	dir := t.TempDir()
	db := quirkEngine(t, dir)
	defer db.Close()
	for i := range 200 {
		quirkSet(t, db, quirkKey(i), make([]byte, 10<<10))
	}
	for i := range 200 {
		quirkDelete(t, db, quirkKey(i))
	}
	if err := db.RunValueLogGC(0.01); !errors.Is(err, badger.ErrNoRewrite) {
		t.Errorf("collection of a log that is all dead: %v; it needs no compaction", err)
	}
	if err := db.Flatten(1); err != nil {
		t.Fatal(err)
	}
	if err := db.RunValueLogGC(0.01); !errors.Is(err, badger.ErrNoRewrite) {
		t.Errorf("collection after Flatten: %v; Flatten flushes memory tables", err)
	}
}

// A value that cannot be read is given as an empty one, without an error.
func TestQuirkUnreadableValue(t *testing.T) {
	dir := t.TempDir()
	db := quirkEngine(t, dir)
	value := bytes.Repeat([]byte("abcdefgh"), 1<<10)
	quirkSet(t, db, quirkKey(1), value)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "000001.vlog")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)-100]++
	// A newer value log, so that the damaged one is not cut at the next start.
	if err := os.WriteFile(filepath.Join(dir, "000002.vlog"), raw[:20], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	db = quirkEngine(t, dir)
	defer db.Close()
	err = db.View(func(txn *badger.Txn) error {
		item, err := txn.Get(quirkKey(1))
		if err != nil {
			return err
		}
		got, err := item.ValueCopy(nil)
		if err == nil && len(got) != 0 {
			t.Errorf("%d octets", len(got))
		}
		return err
	})
	if err != nil {
		t.Errorf("%v: lengths need not be checked any more", err)
	}
}

// The log of a memory table is replayed up to the first bad octet, without a word.
func TestQuirkLogEndsAtDamage(t *testing.T) {
	dir := t.TempDir()
	db := quirkEngine(t, dir)
	defer db.Close()
	for i := range 100 {
		quirkSet(t, db, quirkKey(i), []byte("value"))
	}
	crashed := t.TempDir()
	if err := copyFiles(dir, crashed); err != nil {
		t.Fatal(err)
	}
	overwrite(t, filepath.Join(crashed, "00001.mem"), 2000, 3)
	again := quirkEngine(t, crashed)
	defer again.Close()
	if !quirkHas(t, again, quirkKey(0)) || quirkHas(t, again, quirkKey(99)) {
		t.Error("damage in the middle of the log is noticed or mended: batch numbers need not be dense")
	}
}

// overwrite changes n octets of a file at an offset.
func overwrite(t testing.TB, path string, offset int64, n int) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, n)
	if _, err := f.ReadAt(b, offset); err != nil {
		t.Fatal(err)
	}
	for i := range b {
		b[i] ^= 0x55
	}
	if _, err := f.WriteAt(b, offset); err != nil {
		t.Fatal(err)
	}
}
