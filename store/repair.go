package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/dgraph-io/badger/v4"
	"github.com/sendgate/sendgate/policy"
)

// A RepairReport says what a repair found and did.
type RepairReport struct {
	Lost       []string    // runs of batches that were given up, in words
	LastBatch  uint64      // the journal goes on after it
	Messages   int         // messages that were read and are sound
	Unreadable []policy.ID // messages whose rows cannot be read; nothing is done with them
	Bodiless   []policy.ID // messages that should have a body and have none that can be read
}

// Repair gives up batches that are missing, so that Open succeeds again: it records the gap and
// goes on after the last number that was ever promised. It reads every message that is left, and
// marks those whose body is gone and which were still to be sent as unknown, so that nobody waits
// for them. It restores nothing. The store must not be open.
func Repair(cfg Config) (report RepairReport, err error) {
	s, err := open(cfg)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, s.release()) }()
	if err := s.verifySchema(); err != nil {
		return report, err
	}
	mark, err := readWatermark(cfg.Dir)
	if err != nil && !errors.Is(err, ErrDamaged) {
		return report, err
	}
	holes, last, err := s.holes()
	if err != nil {
		return report, err
	}
	if mark > last {
		holes = append(holes, hole{last + 1, mark})
		last = mark
	}
	for _, h := range holes {
		report.Lost = append(report.Lost, describe([]hole{h}))
		if err := s.giveUp(h); err != nil {
			return report, fmt.Errorf("record the gap: %w", err)
		}
	}
	report.LastBatch = last
	s.start(last)
	if err := s.writeWatermark(); err != nil {
		return report, err
	}
	if err := s.sweep(); err != nil {
		return report, err
	}
	err = s.inspect(&report)
	return report, err
}

func (s *Store) giveUp(h hole) error {
	return s.db.Update(func(txn *badger.Txn) error {
		key := binary.BigEndian.AppendUint64(append([]byte(nil), gapKey...), h.from)
		return txn.Set(key, binary.BigEndian.AppendUint64(nil, h.to))
	})
}

// inspect reads everything that is left and settles the messages that cannot be sent any more.
func (s *Store) inspect(report *RepairReport) error {
	keys, err := s.keys([]byte{keyMessage})
	if err != nil {
		return err
	}
	go s.commitLoop()
	defer func() { close(s.stop); <-s.committed }()
	for _, k := range keys {
		id := lastID(k)
		m, err := s.Message(id)
		if err == nil {
			_, err = s.Recipients(id)
		}
		if err != nil {
			report.Unreadable = append(report.Unreadable, id)
			continue
		}
		report.Messages++
		if m.BodyChunks == 0 || s.readable(id) {
			continue
		}
		report.Bodiless = append(report.Bodiless, id)
		if m.Due.IsZero() {
			continue
		}
		_, err = s.Commit(context.Background(), Change{Message: id, Events: []policy.Event{{
			Kind: policy.Unknown, Actor: "repair", Reason: "the body was lost with a part of the journal; the message cannot be sent",
		}}})
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) readable(id policy.ID) bool {
	r, err := s.Body(id)
	if err != nil {
		return false
	}
	defer r.Close()
	_, err = io.Copy(io.Discard, r)
	return err == nil
}
