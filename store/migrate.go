package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/sendgate/sendgate/policy"
	"go.uber.org/zap"
)

// A journal of an older schema is brought to the newest one at the start, step by step, before anything else
// uses it. To raise the schema: add a step, raise the constant, and put a journal that the last version has
// written into testdata. A step only adds to or rewrites what is there, may be repeated from any point, and
// notes how far it has come after each group: after a kill -9, or when it is told to stop, it goes on from there. The version is raised
// when the step is done, together with the end of its note.

// migrationKey holds how far the step that is under way has come: a key of the journal.
var migrationKey = []byte{keyMeta, 'u'}

const migrationWord = 10 * time.Second // between two lines of the log that tell how far it has come

// A step brings the journal from one schema to the next.
type step struct {
	does string
	run  func(context.Context, *Store) error
}

// steps gives what leads from each schema to the next one, from 1 on.
func steps() []step {
	return []step{
		{"indexes of identities, records and ends, and the counts", func(ctx context.Context, s *Store) error { return s.deriveAll(ctx, maxDerived) }},
	}
}

// migrate brings a journal of schema found to the newest one.
func (s *Store) migrate(ctx context.Context, found int) error {
	for ; found < schema; found++ {
		st := steps()[found-1]
		log := s.cfg.Log.With(zap.Int("from", found), zap.Int("to", found+1))
		log.Info("the journal is brought to a newer schema: "+st.does, zap.String("dir", s.cfg.Dir))
		start := time.Now()
		if err := st.run(ctx, s); err != nil {
			return fmt.Errorf("bring %s from schema %d to %d: %w", s.cfg.Dir, found, found+1, err)
		}
		err := s.db.Update(func(txn *badger.Txn) error {
			return errors.Join(txn.Delete(migrationKey), txn.Set(schemaKey, []byte(strconv.Itoa(found+1))))
		})
		if err != nil {
			return fmt.Errorf("note schema %d: %w", found+1, err)
		}
		log.Info("the journal has the newer schema", zap.Duration("took", time.Since(start)))
	}
	return nil
}

// A migrationNote is how far a step has come.
type migrationNote struct {
	Upto policy.ID `cbor:"1,keyasint"` // everything up to it is done
	Done int       `cbor:"2,keyasint"` // messages
}

// migrated gives the note of the step that is under way; false when it has not begun.
func (s *Store) migrated() (note migrationNote, begun bool, err error) {
	err = s.view(func(txn *badger.Txn) error {
		item, err := txn.Get(migrationKey)
		if errors.Is(err, badger.ErrKeyNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		return item.Value(func(v []byte) error {
			begun = decoding.Unmarshal(v, &note) == nil // or else it is repeated from the beginning
			return nil
		})
	})
	return note, begun, err
}

// deriveAll leads from schema 1 to 2. Journals of schema 1 grew while they had it: the first ones know no end of
// a message, no index of records, no counts, and all but the last no index of identities. What is derived from the
// rows and is not there is written; nothing else in them has to change. At a time it derives about so many octets.
//
// It reads the rows in their order, many messages at a time, and looks for what it derives from them in order, too:
// to look for every row by its key, and to write again what is there, takes ten times as long.
func (s *Store) deriveAll(ctx context.Context, octets int) error {
	note, begun, err := s.migrated()
	if err != nil {
		return err
	}
	if begun {
		err = s.loadCounts()
	} else {
		note, err = migrationNote{}, s.forgetCounts()
	}
	if err != nil {
		return err
	}
	messages, err := s.countMessages()
	if err != nil {
		return err
	}
	for said := time.Now(); ; {
		if err := ctx.Err(); err != nil {
			return err // what is noted is done
		}
		d, more, err := s.readDerived(note.Upto, octets)
		if err == nil {
			err = errors.Join(s.room(), s.writeDerived(d))
		}
		if err != nil {
			return err
		}
		note.Upto, note.Done = d.upto, note.Done+d.messages
		if err := s.noteDerived(note, d); err != nil {
			return err
		}
		if !more {
			return nil
		}
		s.cfg.Log.Debug("migrated", zap.Stringer("up_to", note.Upto), zap.Int("done", note.Done))
		if time.Since(said) > migrationWord {
			said = time.Now()
			s.cfg.Log.Info("still bringing the journal to a newer schema",
				zap.Int("done", note.Done), zap.Int("of", messages), zap.Time("at_mail_of", note.Upto.Timestamp()))
		}
	}
}

// forgetCounts deletes the counts: they are made anew.
func (s *Store) forgetCounts() error {
	s.counts = map[int64]counts{}
	old, err := s.keys([]byte{keyCount})
	if err != nil {
		return err
	}
	return s.deleteAll(old)
}

// countMessages is for the log.
func (s *Store) countMessages() (n int, err error) {
	err = s.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{keyMessage}})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			n++
		}
		return nil
	})
	return n, err
}

// noteDerived notes how far it is done, together with the counts: they are added up only once.
func (s *Store) noteDerived(note migrationNote, d *derived) error {
	return s.db.Update(func(txn *badger.Txn) error {
		for hour, c := range d.counts {
			if s.counts[hour] == nil {
				s.counts[hour] = counts{}
			}
			s.counts[hour].add(c, 1)
			if err := txn.Set(countKey(hour), encode(s.counts[hour])); err != nil {
				return err
			}
		}
		return txn.Set(migrationKey, encode(&note))
	})
}

// derive writes all index entries of a message again, those of events that are left.
func (s *Store) derive(wb *badger.WriteBatch, m *Message, rows policy.Rows) error {
	records, err := s.Timeline(m.ID)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	keys := indexEntries(m, rows)
	for _, r := range records {
		keys = append(keys, eventEntries(m.ID, r.Events)...)
	}
	for _, k := range keys {
		if err := wb.Set(k, nil); err != nil {
			return err
		}
	}
	return nil
}

// lastChange is when the last recipient reached its state.
func lastChange(m *Message, rows policy.Rows) time.Time {
	at := m.Envelope.Received
	for i := range rows {
		if rows[i].Since.After(at) {
			at = rows[i].Since
		}
	}
	return at.UTC().Truncate(time.Microsecond)
}
