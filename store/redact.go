package store

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/sendgate/sendgate/policy"
)

// ErrUnfinished is returned for a message that sendgate still has to act on, or of which more is expected.
var ErrUnfinished = errors.New("the message is still on its way")

// A Stored is all that the journal has of a message, or of a timeline that is no message, for who rewrites it.
type Stored struct {
	Message *Message // nil for a timeline that is no message
	Rows    policy.Rows
	Records []Record
	// KeepBody leaves the body, and is for who rewrites only what others have noted about the message.
	KeepBody bool
}

// Redact rewrites what is stored of a message whose recipients have all come to an end, and deletes its body, or of
// a timeline that is no message. fn takes out of it what shall not be known any more; it may be called again, keeps
// the states of the rows and the kinds and the number of events, and an error of it is given back. All indexes follow.
// It is one transaction: the message is either as before or as fn left it. Who follows the journal is told what is
// left from then on, of the past as well. Errors: [ErrNotFound], ErrUnfinished, [ErrTooLarge].
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
	octets, err := w.redact(&Stored{Records: records}, id, fn)
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
	s.hub.forget()
	return nil
}

// redact stages what differs afterwards, and gives the size of the body that goes.
func (w *writer) redact(m *Stored, id policy.ID, fn func(*Stored) error) (octets int64, err error) {
	if err := w.readStored(m, id); err != nil {
		return 0, err
	}
	before := m.keys(id)
	was := encodedRows(m.Rows)
	events := make([][]byte, len(m.Records))
	for i := range m.Records {
		events[i] = encode(m.Records[i].Events)
	}
	if err := fn(m); err != nil {
		return 0, err
	}
	for i := range m.Records {
		if after := encode(m.Records[i].Events); !bytes.Equal(after, events[i]) {
			w.set(eventsKey(id, m.Records[i].Batch, m.Records[i].Position), after)
		}
	}
	for i, after := range encodedRows(m.Rows) {
		if !bytes.Equal(after, was[i]) {
			w.set(recipientKey(id, i), after)
		}
	}
	switch {
	case m.Message == nil:
	case m.KeepBody:
		w.set(idKey(keyMessage, id), encode(m.Message))
	default:
		octets = m.Message.BodySize
		w.dropBody(m.Message) // writes the message, too
	}
	w.reindex(before, m.keys(id))
	return octets, nil
}

// readStored reads a message that is over. What has events alone is a timeline that is none.
func (w *writer) readStored(m *Stored, id policy.ID) error {
	message, err := readMessage(w.txn, id)
	if errors.Is(err, ErrNotFound) && len(m.Records) > 0 {
		return nil
	}
	if err != nil {
		return err
	}
	if !message.final() {
		return fmt.Errorf("redact %s: %w", id, ErrUnfinished)
	}
	m.Message = &message
	m.Rows, err = readRecipients(w.txn, &message)
	return err
}

// keys are all by which it is found; the entry of a message's end goes with its body.
func (m *Stored) keys(id policy.ID) map[string]bool {
	keys := map[string]bool{}
	if m.Message != nil {
		for _, k := range indexEntries(m.Message, m.Rows) {
			keys[string(k)] = true
		}
	}
	for _, r := range m.Records {
		for _, k := range eventEntries(id, r.Events) {
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
