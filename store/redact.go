package store

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/sendgate/sendgate/policy"
)

// ErrUnfinished is returned for a message that sendgate still has to act on, or of which more is expected.
var ErrUnfinished = errors.New("the message is still on its way")

// A Stored is all that the journal has of a message, for who rewrites it.
type Stored struct {
	Message *Message
	Rows    policy.Rows
	Records []Record
}

// Redact rewrites what is stored of a message whose recipients have all come to an end, and deletes its body. fn
// takes out of it what shall not be known any more; it may be called again, keeps the states of the rows and the
// kinds and the number of events, and an error of it is given back. All indexes follow. It is one transaction: the
// message is either as before or as fn left it. Errors: [ErrNotFound], ErrUnfinished, [ErrTooLarge].
//
// This is the one exception to a journal in which nothing changes. Batches keep their numbers, so that they are whole
// as before. What was written remains in files of the engine until it compacts them.
func (s *Store) Redact(id policy.ID, fn func(*Stored) error) error {
	if err := s.door.enter(); err != nil {
		return err
	}
	defer s.door.leave()
	if err := s.reserve(maxBatchBytes); err != nil {
		return err
	}
	defer s.written(maxBatchBytes)
	s.rows.Lock()
	defer s.rows.Unlock()
	records, err := s.Timeline(id)
	if err != nil {
		return err
	}
	w := s.newWriter()
	defer w.txn.Discard()
	octets, err := w.redact(id, records, fn)
	if err == nil {
		err = w.flush()
	}
	if errors.Is(err, errNoRoom) {
		return ErrTooLarge
	}
	if err != nil {
		return err
	}
	if err := w.txn.Commit(); err != nil {
		return fmt.Errorf("redact %s: %w", id, err)
	}
	s.garbage.Add(octets)
	return nil
}

// redact stages what differs afterwards, and gives the size of the body that goes.
func (w *writer) redact(id policy.ID, records []Record, fn func(*Stored) error) (octets int64, err error) {
	m, err := readMessage(w.txn, id)
	if err != nil {
		return 0, err
	}
	if !m.final() {
		return 0, fmt.Errorf("redact %s: %w", id, ErrUnfinished)
	}
	rows, err := readRecipients(w.txn, &m)
	if err != nil {
		return 0, err
	}
	before := redactedKeys(&m, rows, records)
	was := encodedRows(rows)
	events := make([][]byte, len(records))
	for i := range records {
		events[i] = encode(records[i].Events)
	}
	if err := fn(&Stored{&m, rows, records}); err != nil {
		return 0, err
	}
	for i := range records {
		if after := encode(records[i].Events); !bytes.Equal(after, events[i]) {
			w.set(eventsKey(id, records[i].Batch, records[i].Position), after)
		}
	}
	for i, after := range encodedRows(rows) {
		if !bytes.Equal(after, was[i]) {
			w.set(recipientKey(id, i), after)
		}
	}
	octets = m.BodySize
	w.dropBody(&m) // writes the message, too
	w.reindex(before, redactedKeys(&m, rows, records))
	return octets, nil
}

// redactedKeys are all by which a message is found; the entry of its end goes with its body.
func redactedKeys(m *Message, rows policy.Rows, records []Record) map[string]bool {
	keys := map[string]bool{}
	for _, k := range indexEntries(m, rows) {
		keys[string(k)] = true
	}
	for _, r := range records {
		for _, k := range eventEntries(m.ID, r.Events) {
			keys[string(k)] = true
		}
	}
	return keys
}

func encodedRows(rows policy.Rows) [][]byte {
	all := make([][]byte, len(rows))
	for i := range rows {
		all[i] = encode(&rows[i])
	}
	return all
}

// reindex stages what differs between two sets of keys.
func (w *writer) reindex(before, after map[string]bool) {
	for k := range before {
		if !after[k] {
			w.delete([]byte(k))
		}
	}
	for k := range after {
		if !before[k] {
			w.set([]byte(k), nil)
		}
	}
}

// Finished reports whether nothing more is expected of any recipient and sendgate has nothing to do.
func (m *Message) Finished() bool { return m.final() }
