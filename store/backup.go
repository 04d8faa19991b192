package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
	"github.com/sendgate/sendgate/policy"
)

// ErrBackupRuns is returned by Backup while another one is being made.
var ErrBackupRuns = errors.New("another backup is being made")

// Backup writes all of the journal as it is at this moment, bodies included, while mail goes on: exactly the batches
// up to the one that the header names. It is encrypted with the store's key when the store is; else whoever has
// it can read all mail in it. version names the program. When the context ends or a write fails, what was written
// is no backup, and cannot be taken for one. What cannot be read is named in the end; the rest is there.
func (s *Store) Backup(ctx context.Context, version string, to io.Writer) (end BackupEnd, err error) {
	if err := s.door.enter(); err != nil {
		return end, err
	}
	defer s.door.leave()
	if !s.backingUp.TryLock() {
		return end, ErrBackupRuns
	}
	defer s.backingUp.Unlock()
	damaged := s.knownDamage()
	txn, batch := s.snapshot()
	defer txn.Discard()
	w, err := beginBackup(to, BackupHeader{Version: version, Schema: schema, Node: s.cfg.Node, Batch: batch, Time: s.cfg.Now().UTC()}, s.key)
	if err != nil {
		return end, fmt.Errorf("write backup: %w", err)
	}
	w.end.Damaged = damaged
	if err := s.backUp(ctx, txn, w); err != nil {
		return w.end, err
	}
	if err := w.finish(); err != nil {
		return w.end, fmt.Errorf("write backup: %w", err)
	}
	return w.end, nil
}

// snapshot begins to read what one batch has left: no other is being written meanwhile.
func (s *Store) snapshot() (txn *badger.Txn, batch uint64) {
	s.rows.Lock()
	defer s.rows.Unlock()
	return s.db.NewTransaction(false), s.lastBatch.Load()
}

// knownDamage looks through the tables: an iterator ends at a damaged block as if nothing followed.
func (s *Store) knownDamage() (damaged []string) {
	if text, err := os.ReadFile(filepath.Join(s.cfg.Dir, lossFile)); err == nil {
		damaged = append(damaged, "rows that a repair has given up: "+string(text))
	}
	if err := s.tableDamage(); err != nil {
		damaged = append(damaged, "rows in tables: "+err.Error())
	}
	return damaged
}

// backUp writes every entry. One iterator stays open all the time: it keeps the files that it reads.
func (s *Store) backUp(ctx context.Context, txn *badger.Txn, w *backupWriter) error {
	it := txn.NewIterator(badger.IteratorOptions{})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.stop:
			return ErrClosed
		default:
		}
		item := it.Item()
		key := item.Key()
		if !backedUp(key) {
			continue
		}
		err := item.Value(func(v []byte) error {
			if len(v) == 0 && hasValue(key[0]) { // what the engine gives for what it cannot read (TestQuirkUnreadableValue)
				w.damage(key)
			}
			return w.entry(key, v)
		})
		if err != nil {
			return fmt.Errorf("write backup: %w", err)
		}
	}
	return nil
}

// backedUp reports whether a key belongs into a backup: not what only fills, nor what is of no use elsewhere.
func backedUp(key []byte) bool {
	switch key[0] {
	case keyFiller, keyIntent:
		return false
	}
	return !bytes.HasPrefix(key, lossOf(tableLoss))
}

// hasValue reports whether keys of a kind always have a value.
func hasValue(kind byte) bool {
	switch kind {
	case keyMessage, keyRecipient, keyEvents, keyBatch, keyBody, keyAudit:
		return true
	}
	return false
}

// damage notes that what is under a key cannot be read.
func (w *backupWriter) damage(key []byte) {
	switch n := len(w.end.Damaged); {
	case n > maxDamaged:
		return
	case n == maxDamaged:
		w.end.Damaged = append(w.end.Damaged, "and more")
		return
	}
	what := map[byte]string{
		keyMessage: "the row of message", keyRecipient: "a recipient of message", keyEvents: "events of", keyBody: "a part of the body of message",
	}[key[0]]
	if what == "" || len(key) < 1+idSize {
		w.end.Damaged = append(w.end.Damaged, fmt.Sprintf("the value of key %x", key))
		return
	}
	w.end.Damaged = append(w.end.Damaged, what+" "+policy.ID(key[1:1+idSize]).String())
}
