package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/sendgate/sendgate/policy"
)

// lossFile is where a repair notes that tables are damaged and have lost rows.
const lossFile = "loss"

// A RepairReport says what a repair found and did.
type RepairReport struct {
	Lost       []string    // what was given up, runs of batches or tables, in words
	LastBatch  uint64      // the journal goes on after it
	Messages   int         // messages that were read and are sound
	Doubtful   int         // of these, messages that wait and may have been sent in what was lost
	Unreadable []policy.ID // messages whose rows cannot be read; nothing is done with them
	Bodiless   []policy.ID // messages that should have a body and have none that can be read
	// GivenUp is all that this repair and earlier ones could not mend, the first of it; a [Verify] names it as such from
	// now on. Faults are what no repair gives up: somebody has changed the audit log, or mail waits for nothing.
	GivenUp      []GivenUp
	GivenUpCount int
	Faults       []string
}

// Repair gives up batches that are missing, so that Open succeeds again: it records the gap and
// goes on after the last number that was ever promised. It reads every message that is left. Those
// that wait to be sent are marked as possible duplicates when something was lost, because it may
// have been their delivery; those whose body is gone become unknown, so that nobody waits for them.
// Damaged tables are left as they are and what can be read of them goes on being used. It restores
// nothing. In the end it notes in the journal what it could not mend, and when: [Verify] tells that from new damage.
// The store must not be open.
func Repair(cfg Config) (report RepairReport, err error) {
	if err := restored(cfg.Dir); err != nil {
		return report, err
	}
	if err := cutLogs(cfg); err != nil {
		return report, err
	}
	return repair(cfg)
}

// repair is Repair of a directory that may have just been restored.
func repair(cfg Config) (report RepairReport, err error) {
	s, err := open(cfg)
	if errors.Is(err, ErrDamaged) {
		return report, fmt.Errorf("this is beyond repair: %w", err)
	}
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, s.release()) }()
	found, err := s.verifySchema()
	if err != nil {
		return report, err
	}
	if report.Lost, err = s.finishIntents(); err != nil {
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
	}
	if err := s.noteLoss(&report); err != nil {
		return report, err
	}
	s.start(last)
	if err := errors.Join(s.migrate(context.Background(), found), s.sweep()); err != nil {
		return report, err
	}
	if err := s.inspect(&report); err != nil {
		return report, err
	}
	if err := s.dropIntents(); err != nil {
		return report, err
	}
	for _, h := range holes { // last: who was interrupted before has to repair again
		if err := s.giveUp(h); err != nil {
			return report, fmt.Errorf("record the gap: %w", err)
		}
	}
	report.LastBatch = s.lastBatch.Load()
	if err := s.writeWatermark(); err != nil {
		return report, err
	}
	err = s.settleFaults(&report)
	return report, err
}

// noteLoss notes in a file whether tables are damaged, for Open to accept them.
func (s *Store) noteLoss(report *RepairReport) error {
	file := filepath.Join(s.cfg.Dir, lossFile)
	damage := s.tableDamage()
	if damage == nil {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	report.Lost = append(report.Lost, fmt.Sprintf("rows in tables: %v", damage))
	return os.WriteFile(file, []byte(damage.Error()+"\n"), 0o600)
}

func (s *Store) giveUp(h hole) error {
	return s.db.Update(func(txn *badger.Txn) error {
		key := binary.BigEndian.AppendUint64(append([]byte(nil), gapKey...), h.from)
		return errors.Join(
			txn.Set(key, binary.BigEndian.AppendUint64(nil, h.to)),
			txn.Set(lossOf(h.missing()), lossTime(s.cfg.Now())),
		)
	})
}

// inspect reads everything that is left and settles what it finds.
func (s *Store) inspect(report *RepairReport) error {
	keys, err := s.keys([]byte{keyMessage})
	if err != nil {
		return err
	}
	if err := s.recount(keys); err != nil {
		return err
	}
	go s.commitLoop()
	defer func() { close(s.stop); <-s.committed }()
	for _, k := range keys {
		if err := s.settle(lastID(k), report); err != nil {
			return fmt.Errorf("settle %s: %w", lastID(k), err)
		}
	}
	return nil
}

func (s *Store) settle(id policy.ID, report *RepairReport) error {
	m, err := s.Message(id)
	var rows []Recipient
	if err == nil {
		rows, err = s.Recipients(id)
	}
	switch {
	case err != nil:
		report.Unreadable = append(report.Unreadable, id)
		return nil
	case m.BodyChunks > 0 && !s.readable(id):
		report.Bodiless = append(report.Bodiless, id)
		return s.settleBodiless(&m)
	}
	report.Messages++
	if len(report.Lost) > 0 {
		if err := s.deriveIndexes(&m, rows); err != nil {
			return err
		}
	}
	events := doubts(rows, "repair", "a part of the journal was lost, in which it may have been sent")
	if len(report.Lost) == 0 || len(events) == 0 {
		return nil
	}
	report.Doubtful++
	_, err = s.Commit(context.Background(), Change{Message: id, Revision: m.Revision, Events: events})
	return err
}

// deriveIndexes writes the index entries of a message again; some may be in what was lost.
func (s *Store) deriveIndexes(m *Message, rows []Recipient) error {
	s.rows.Lock()
	defer s.rows.Unlock()
	wb := s.db.NewWriteBatch()
	defer wb.Cancel()
	if err := s.derive(wb, m, rows); err != nil {
		return err
	}
	return wb.Flush()
}

// doubts repeats what the recipients that wait are waiting for, with the mark of a possible duplicate.
func doubts(rows []Recipient, actor, reason string) (events []policy.Event) {
	type wait struct {
		kind        policy.Kind
		until       time.Time
		reply, rule string
	}
	found := map[wait]int{} // to the index in events
	for i := range rows {
		r := &rows[i]
		if r.Due.IsZero() || r.State == policy.StateOffered { // what was offered is never sent again
			continue
		}
		w := wait{policy.Deferred, r.Due, r.Reply, r.Rule}
		if r.State == policy.StateHeld {
			w.kind = policy.HoldChanged
		}
		j, ok := found[w]
		if !ok {
			j = len(events)
			found[w] = j
			events = append(events, policy.Event{
				Kind: w.kind, Until: w.until, Reply: w.reply, Rule: w.rule, Actor: actor, MayBeDuplicate: true, Reason: reason,
			})
		}
		events[j].Recipients = append(events[j].Recipients, i)
	}
	return events
}

// settleBodiless ends a message whose body is gone.
func (s *Store) settleBodiless(m *Message) error {
	if !m.Due.IsZero() {
		_, err := s.Commit(context.Background(), Change{Message: m.ID, Events: []policy.Event{{
			Kind: policy.Unknown, Actor: "repair", Reason: "the body was lost with a part of the journal; the message cannot be sent",
		}}})
		if err != nil {
			return err
		}
	}
	s.rows.Lock()
	defer s.rows.Unlock()
	w := s.newWriter()
	defer w.txn.Discard()
	row, err := readMessage(w.txn, m.ID)
	if err != nil {
		return err
	}
	w.dropBody(&row)
	if err := w.flush(); err != nil {
		return err
	}
	return w.txn.Commit()
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
