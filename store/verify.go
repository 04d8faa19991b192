package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/dgraph-io/badger/v4"
	"go.uber.org/zap"
)

// schema is the version of the keys and rows; see migrate.go for what has to be done to raise it.
const schema = 2

var (
	schemaKey = []byte{keyMeta, 's'}
	// gapKey with a batch number: the batches from it up to the number in the value are known to be lost.
	gapKey = []byte{keyMeta, 'g'}
	// notesKey holds the time when the store was last open, and the garbage then.
	notesKey = []byte{keyMeta, 'n'}
)

// verify checks that what was written is there: the schema, and every batch up to the mark.
func (s *Store) verify(ctx context.Context) error {
	found, err := s.verifySchema()
	if err != nil {
		return err
	}
	if err := s.verifyTables(); err != nil {
		return err
	}
	unreadable, err := s.finishIntents()
	if err != nil {
		return err
	}
	if len(unreadable) > 0 {
		return fmt.Errorf("%w: in %s cannot be read: %s. Restore a backup, or give it up with \"sendgate store repair --data %s\"",
			ErrDamaged, s.cfg.Dir, strings.Join(unreadable, ", "), s.cfg.Dir)
	}
	mark, err := readWatermark(s.cfg.Dir)
	if err != nil {
		return err
	}
	holes, last, err := s.holes()
	if err != nil {
		return fmt.Errorf("verify journal: %w", err)
	}
	if mark > last {
		holes = append(holes, hole{last + 1, mark})
	}
	if len(holes) > 0 {
		return fmt.Errorf("%w: %s of %d in %s are missing; they were durable and are gone (a failing disk, or a copy of a running store). "+
			"Restore a backup, or give them up with \"sendgate store repair --data %s\"",
			ErrDamaged, describe(holes), max(mark, last), s.cfg.Dir, s.cfg.Dir)
	}
	if err := s.verifyBodies(); err != nil {
		return err
	}
	s.start(last)
	return s.migrate(ctx, found)
}

// maxVerified bounds the tables that are read at the start: some seconds.
const maxVerified = 2 << 30

// verifyTables reads all tables, if they are not too many. A damaged block is noticed only by who
// reads it by key; iterators end there as if nothing followed, and compaction makes that true.
func (s *Store) verifyTables() error {
	if text, err := os.ReadFile(filepath.Join(s.cfg.Dir, lossFile)); err == nil {
		s.cfg.Log.Warn("this journal is known to have lost a part: restore a backup when you can", zap.ByteString("loss", text))
		return nil
	}
	if s.tableSize() > maxVerified {
		return nil
	}
	if err := s.tableDamage(); err != nil {
		return fmt.Errorf("%w: %w in %s. Restore a backup, or go on with what is left after \"sendgate store repair --data %s\"",
			ErrDamaged, err, s.cfg.Dir, s.cfg.Dir)
	}
	return nil
}

// tableDamage reads all tables. The engine has a nil pointer where it would name the bad block.
func (s *Store) tableDamage() (err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("a block of a table is damaged")
		}
	}()
	return s.db.VerifyChecksum()
}

// newestBodies is how many bodies are looked at at the start.
const newestBodies = 16

// verifyBodies reads the last piece of the newest bodies. The engine cuts its value log at the
// first bad octet without a word, so that what was lost is the end, as in the journal.
func (s *Store) verifyBodies() error {
	page, err := s.Search(context.Background(), Query{}, newestBodies, "")
	if err != nil {
		return fmt.Errorf("verify bodies: %w", err)
	}
	for _, m := range page.Messages {
		if m.BodyChunks == 0 {
			continue
		}
		r := bodyReader{store: s, id: m.ID, next: m.BodyChunks - 1, left: m.BodySize - int64(m.BodyChunks-1)*chunkSize}
		if err := r.load(); err != nil {
			return fmt.Errorf("%w: more may be missing in %s. Restore a backup, or give up what is lost with \"sendgate store repair --data %s\"",
				err, s.cfg.Dir, s.cfg.Dir)
		}
	}
	return nil
}

func (s *Store) start(last uint64) {
	s.lastBatch.Store(last)
	s.hub = newHub(last)
}

// verifySchema gives the schema of what is in the directory, which is made the newest where there is nothing.
func (s *Store) verifySchema() (found int, err error) {
	err = s.db.Update(func(txn *badger.Txn) error {
		item, err := txn.Get(schemaKey)
		if errors.Is(err, badger.ErrKeyNotFound) {
			found = schema
			return txn.Set(schemaKey, []byte(strconv.Itoa(schema)))
		}
		if err != nil {
			return err
		}
		return item.Value(func(v []byte) error {
			if found, err = strconv.Atoi(string(v)); err != nil || found < 1 {
				return fmt.Errorf("%w: its schema is %q", ErrDamaged, v)
			}
			if found > schema {
				return fmt.Errorf("%w: %s has schema %d, this sendgate knows up to %d: install the newer version again, or restore a backup from before the upgrade",
					ErrNewerSchema, s.cfg.Dir, found, schema)
			}
			return nil
		})
	})
	return found, err
}

// A hole is a run of batches that are missing.
type hole struct{ from, to uint64 }

func (h hole) missing() string { return describe([]hole{h}) + ": missing" }

// holes finds the numbers that are missing between the first and the last batch, other than those
// given up by a repair, and the last number.
func (s *Store) holes() (found []hole, last uint64, err error) {
	given, err := s.givenUp()
	if err != nil {
		return nil, 0, err
	}
	skip := func() { // gaps of several repairs may follow each other
		for to := given[last+1]; to > last; to = given[last+1] {
			last = to
		}
	}
	err = s.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{keyBatch}})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			n := binary.BigEndian.Uint64(it.Item().Key()[1:])
			if last != 0 {
				skip()
			}
			if last != 0 && n > last+1 {
				found = append(found, hole{last + 1, n - 1})
			}
			last = n
		}
		return nil
	})
	skip()
	return found, last, err
}

// givenUp gives the gaps that a repair recorded, first number to last.
func (s *Store) givenUp() (map[uint64]uint64, error) {
	gaps := map[uint64]uint64{}
	err := s.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: gapKey, PrefetchValues: true, PrefetchSize: 10})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			from := binary.BigEndian.Uint64(it.Item().Key()[len(gapKey):])
			err := it.Item().Value(func(v []byte) error {
				gaps[from] = binary.BigEndian.Uint64(v)
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return gaps, err
}

func describe(holes []hole) string {
	var parts []string
	for i, h := range holes {
		if i == 5 {
			parts = append(parts, fmt.Sprintf("and %d more runs", len(holes)-i))
			break
		}
		if h.from == h.to {
			parts = append(parts, fmt.Sprintf("batch %d", h.from))
		} else {
			parts = append(parts, fmt.Sprintf("batches %d to %d", h.from, h.to))
		}
	}
	return strings.Join(parts, ", ")
}

const watermarkFile = "synced"

// watermarkLoop notes once a second how far the journal is durable.
func (s *Store) watermarkLoop() {
	noted := uint64(0)
	s.every(time.Second, func(context.Context) {
		last := s.lastBatch.Load()
		if last == noted {
			return
		}
		if err := s.writeWatermark(); err != nil {
			s.cfg.Log.Warn("the mark of the last synced batch could not be written", zap.Error(err))
			return
		}
		noted = last
	})
}

// writeWatermark replaces the file atomically: a torn one would lock the operator out.
func (s *Store) writeWatermark() error {
	name := filepath.Join(s.cfg.Dir, watermarkFile)
	f, err := os.OpenFile(name+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%d\n", s.lastBatch.Load())
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(name+".new", name); err != nil {
		return err
	}
	return syncDir(s.cfg.Dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// readWatermark gives the last number known to be synced, 0 in a new directory.
func readWatermark(dir string) (uint64, error) {
	b, err := os.ReadFile(filepath.Join(dir, watermarkFile))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read mark: %w", err)
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: %s does not hold a number; \"sendgate store repair --data %s\" makes it anew", ErrDamaged, filepath.Join(dir, watermarkFile), dir)
	}
	return n, nil
}
