package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/sendgate/sendgate/policy"
)

// maxFaults is how many faults are named; all are counted.
const maxFaults = 100

// A VerifyReport says what there is in a journal, and what is wrong with it.
type VerifyReport struct {
	Schema     int // an older one is brought to the newest at the next start
	FirstBatch uint64
	LastBatch  uint64
	Mark       uint64 // batches up to it were promised to be durable
	Messages   int
	Waiting    int // messages on which sendgate still has to act
	Recipients int
	Records    int // timelines that are no message
	Events     int
	Bodies     int
	BodyOctets int64
	Audit      uint64
	Oldest     time.Time // when the oldest message was received
	Faults     []string  // the first ones, in words
	FaultCount int
	// GivenUp are the first ones of the faults that a repair has found before. They are not among Faults.
	GivenUp      []GivenUp
	GivenUpCount int

	counts map[int64]counts     // by hour, of the messages that are there
	known  map[string]time.Time // what was given up
	repair *settling            // nil in a mere verify
}

// fault tells of something that is missing, cannot be read or disagrees. A repair gives it up.
func (v *VerifyReport) fault(format string, args ...any) {
	what := fmt.Sprintf(format, args...)
	when, known := v.known[what[:min(len(what), maxLoss)]]
	switch {
	case known:
		v.giveUp(what, when)
	case v.repair != nil:
		v.giveUp(what, v.repair.note(what))
	default:
		v.broken("%s", what)
	}
}

// broken tells of what no repair gives up.
func (v *VerifyReport) broken(format string, args ...any) {
	if v.FaultCount++; len(v.Faults) < maxFaults {
		v.Faults = append(v.Faults, fmt.Sprintf(format, args...))
	}
}

func (v *VerifyReport) giveUp(what string, when time.Time) {
	if v.GivenUpCount++; len(v.GivenUp) < maxFaults {
		v.GivenUp = append(v.GivenUp, GivenUp{what, when})
	}
}

// Verify reads every batch, row, event and body of a journal that is not open, and holds them against each other.
// Faults stand in the report; the error is inability. A log torn at its very end is repaired by opening it, as by
// any start; nothing else is changed.
func Verify(ctx context.Context, cfg Config) (report VerifyReport, err error) {
	if err := restored(cfg.Dir); err != nil {
		return report, err
	}
	s, err := open(cfg)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, s.release()) }()
	if report.Schema, err = s.verifySchema(); err != nil {
		return report, err
	}
	err = s.check(ctx, &report)
	return report, err
}

// check goes through everything. In a repair it notes what is wrong.
func (s *Store) check(ctx context.Context, v *VerifyReport) (err error) {
	if v.known, err = s.losses(); err != nil {
		return err
	}
	for _, check := range []func(context.Context, *VerifyReport) error{
		s.checkTables, s.checkBatches, s.checkMessages, s.checkTimelines, s.checkDue, s.checkCounts, s.checkAudit,
	} {
		if err := check(ctx, v); err != nil {
			return err
		}
	}
	return nil
}

// checkBatches looks for missing batches, and for missing events of those that are there.
func (s *Store) checkBatches(ctx context.Context, v *VerifyReport) error {
	intents, err := s.keys([]byte{keyIntent})
	if err != nil {
		return err
	}
	var unfinished uint64
	mark, err := readWatermark(s.cfg.Dir)
	if errors.Is(err, ErrDamaged) {
		v.fault("%v", err)
	} else if err != nil {
		return err
	}
	holes, last, err := s.holes()
	if err != nil {
		return err
	}
	for _, key := range intents {
		if n := binary.BigEndian.Uint64(key[1:]); n > last {
			unfinished = max(unfinished, n) // finished by the next start
			if _, err := s.readIntent(key); err != nil {
				v.fault("batch %d, a large change, cannot be read: %v", n, err)
			}
		}
	}
	if end := max(last, unfinished); mark > end {
		holes = append(holes, hole{end + 1, mark})
	}
	for _, h := range holes {
		v.fault("%s", h.missing())
	}
	if err := s.givenUpGaps(v); err != nil {
		return err
	}
	v.LastBatch, v.Mark = last, mark
	var list []coming
	err = s.eachKey(ctx, keyBatch, keyEvents, func(_ lookup, item *badger.Item) error {
		number := binary.BigEndian.Uint64(item.Key()[1:])
		if v.FirstBatch == 0 {
			v.FirstBatch = number
		}
		err := item.Value(func(b []byte) error {
			if len(b) < 8 || (len(b)-8)%idSize != 0 {
				v.fault("batch %d: its record cannot be read", number)
				return nil
			}
			list = appendBatch(list, number, b)
			return nil
		})
		if err == nil && len(list) >= verifiedAtOnce {
			err = s.checkRecords(v, list)
			list = list[:0]
		}
		return err
	})
	return errors.Join(err, s.checkRecords(v, list))
}

// verifiedAtOnce is how many records are looked for in order of their keys.
const verifiedAtOnce = 20_000

// checkRecords looks for the events that batches name. Those of a message that was pruned are gone with it.
func (s *Store) checkRecords(v *VerifyReport, list []coming) error {
	if err := inParts(inOrder(list), s.findEvents); err != nil {
		return err
	}
	return s.view(func(txn *badger.Txn) error {
		for i := range list {
			c := &list[i]
			if c.read {
				continue
			}
			if _, err := txn.Get(idKey(keyMessage, c.Message)); err == nil {
				v.fault("batch %d: the events of message %s are missing", c.Batch, c.Message)
			} else if !errors.Is(err, badger.ErrKeyNotFound) {
				return err
			}
		}
		return nil
	})
}

// findEvents marks the records whose events are there, without reading them.
func (s *Store) findEvents(part []*coming) error {
	return s.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{keyEvents}})
		defer it.Close()
		for _, c := range part {
			_, err := find(txn, it, eventsKey(c.Message, c.Batch, c.Position))
			if err != nil && !errors.Is(err, badger.ErrKeyNotFound) {
				return err
			}
			c.read = err == nil
		}
		return nil
	})
}

// checkMessages reads every message with its recipients and its body, and looks for the entries by which they are
// found: in the order of their keys, very many at a time.
func (s *Store) checkMessages(ctx context.Context, v *VerifyReport) error {
	v.counts = map[int64]counts{}
	var entries [][]byte
	octets := 0
	err := s.eachKey(ctx, keyMessage, keyRecipient, func(look lookup, item *badger.Item) (err error) {
		for _, k := range s.checkMessage(look, v, item) {
			entries, octets = append(entries, k), octets+len(k)+keyOverhead
		}
		if octets > maxDerived {
			err = s.checkIndexes(v, entries)
			entries, octets = nil, 0
		}
		return err
	})
	return errors.Join(err, s.checkIndexes(v, entries))
}

// checkMessage reads a message, and gives the keys of the entries by which it is found.
func (s *Store) checkMessage(look lookup, v *VerifyReport, item *badger.Item) [][]byte {
	id := lastID(item.Key())
	v.Messages++
	if v.Oldest.IsZero() {
		v.Oldest = id.Timestamp().UTC()
	}
	m, err := decodeMessage(id, item)
	if err != nil {
		v.fault("%v", err)
		return nil
	}
	if hour := hourOf(id); v.counts[hour] == nil {
		v.counts[hour] = counts{}
	}
	v.counts[hourOf(id)].add(countsOf(&m), 1)
	recipients, err := readRows(&m, look)
	if err != nil {
		v.fault("message %s: %v", id, err)
		return nil
	}
	v.Recipients += len(recipients)
	if !m.Due.IsZero() {
		v.Waiting++
	}
	sum := m
	if sum.summarise(recipients); !maps.Equal(sum.States, m.States) || !sum.Due.Equal(m.Due) {
		v.fault("message %s: its row does not agree with those of its recipients", id)
	}
	s.checkBody(v, &m)
	if v.Schema < schema {
		return nil // it may lack some
	}
	return indexEntries(&m, recipients)
}

func (s *Store) checkBody(v *VerifyReport, m *Message) {
	if m.BodyChunks == 0 {
		return
	}
	v.Bodies++
	n, err := io.Copy(io.Discard, &bodyReader{store: s, id: m.ID, left: m.BodySize})
	if v.BodyOctets += n; err != nil {
		v.fault("%v", err)
	}
}

// checkIndexes looks for entries by which messages are found. They end with their ids. A repair writes them again.
func (s *Store) checkIndexes(v *VerifyReport, entries [][]byte) error {
	suspects, err := s.missing(entries)
	if err != nil {
		return err
	}
	var gone [][]byte
	missing := map[policy.ID]int{}
	err = s.view(func(txn *badger.Txn) error {
		for _, k := range suspects {
			_, err := txn.Get(k)
			if errors.Is(err, badger.ErrKeyNotFound) {
				gone = append(gone, k)
				missing[lastID(k)]++
			} else if err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && v.repair != nil {
		return s.setAll(gone)
	}
	for _, id := range slices.SortedFunc(maps.Keys(missing), policy.ID.Compare) {
		v.fault("message %s: %d entries of indexes are missing", id, missing[id])
	}
	return err
}

// checkTimelines reads every event.
func (s *Store) checkTimelines(ctx context.Context, v *VerifyReport) error {
	var last policy.ID
	return s.eachKey(ctx, keyEvents, keyMessage, func(look lookup, item *badger.Item) error {
		key := item.Key()
		if len(key) != 1+idSize+10 {
			v.fault("events under a key of %d octets", len(key))
			return nil
		}
		id, number := policy.ID(key[1:1+idSize]), binary.BigEndian.Uint64(key[1+idSize:])
		var events []policy.Event
		err := item.Value(func(b []byte) error { return decoding.Unmarshal(b, &events) })
		if err != nil || len(events) == 0 {
			v.fault("batch %d: the events of %s cannot be read", number, id)
			return nil
		}
		v.Events += len(events)
		if id == last {
			return nil
		}
		last = id
		if _, err := look(idKey(keyMessage, id)); errors.Is(err, badger.ErrKeyNotFound) {
			v.Records++
			for i := range events {
				if k := events[i].Kind; k == policy.Accepted || k == policy.Held {
					v.fault("message %s: it has events and no row", id)
					break
				}
			}
		}
		return nil
	})
}

// checkDue holds the timers against the messages: they are what lets mail go.
func (s *Store) checkDue(ctx context.Context, v *VerifyReport) error {
	entries := 0
	err := s.eachKey(ctx, keyDue, keyMessage, func(look lookup, item *badger.Item) error {
		due, id := parseTimeKey(item.Key())
		var m Message
		row, err := look(idKey(keyMessage, id))
		if err == nil {
			m, err = decodeMessage(id, row)
		}
		if err != nil || !m.Due.Equal(due) {
			v.fault("message %s: there is a timer at %s, and the message does not wait for it", id, due.Format(time.RFC3339))
		}
		entries++
		return nil
	})
	if entries < v.Waiting {
		v.broken("%d messages wait, and there are timers for %d", v.Waiting, entries)
	}
	return err
}

// checkCounts counts the recipients of each hour anew. There may be more in the counts than in messages: pruned ones.
func (s *Store) checkCounts(_ context.Context, v *VerifyReport) error {
	if v.Schema < schema {
		return nil
	}
	if err := s.loadCounts(); err != nil {
		v.fault("%v", err)
		return nil
	}
	for hour, c := range v.counts {
		for state, n := range c {
			if kept := s.counts[hour][state]; kept < n {
				v.fault("hour %s: %d recipients are %s, %d are counted", time.Unix(hour*3600, 0).UTC().Format("2006-01-02 15h"), n, state, kept)
			}
		}
	}
	return nil
}

// checkAudit looks at the audit log. What was changed in it is no damage: a repair does not give it up.
func (s *Store) checkAudit(_ context.Context, v *VerifyReport) (err error) {
	v.Audit, err = s.eachAuditFault(func(fault error) bool {
		if errors.Is(fault, errAuditLoss) {
			v.fault("%v", fault)
		} else {
			v.broken("%v", fault)
		}
		return true
	})
	return err
}

// A lookup gives what is under a key.
type lookup func(key []byte) (*badger.Item, error)

// eachKey calls fn for every key of a kind, with a lookup that is fast for keys of another kind in their order. What fn
// keeps of the item it copies.
func (s *Store) eachKey(ctx context.Context, kind, beside byte, fn func(look lookup, item *badger.Item) error) error {
	return s.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{kind}})
		defer it.Close()
		side := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{beside}})
		defer side.Close()
		look := func(key []byte) (*badger.Item, error) { return find(txn, side, key) }
		for it.Rewind(); it.Valid(); it.Next() {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := fn(look, it.Item()); err != nil {
				return err
			}
		}
		return nil
	})
}
