package store

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/sendgate/sendgate/policy"
)

// message puts together what there is of a message; nil when it has left, or was deleted.
func (s *salvage) message(id policy.ID) *Salvaged {
	m := &Salvaged{salvage: s}
	v, err := s.get(idKey(keyMessage, id))
	if c := s.cells[string(idKey(keyMessage, id))]; c != nil && c.deleted {
		return nil
	}
	if err == nil {
		err = decoding.Unmarshal(v, &m.Message)
	}
	if err != nil {
		m.Message, m.Lost = Message{}, true
	}
	m.Message.ID = id
	for i := 0; m.Lost || i < m.Message.Recipients; i++ {
		v, err := s.get(recipientKey(id, i))
		if err != nil && m.Lost { // how many there are is not known
			break
		}
		var r Recipient
		if err == nil {
			err = decoding.Unmarshal(v, &r)
		}
		if err != nil {
			m.Missing++
			continue
		}
		if r.Index = i; unsent(&r) {
			m.Waiting = append(m.Waiting, r)
		}
	}
	if m.Lost && len(m.Waiting) > 0 {
		s.fault("message %s: its row is lost, and with it the sender", id)
	}
	if m.Missing > 0 {
		s.fault("message %s: %d of its recipients are lost", id, m.Missing)
	}
	m.MayBeDuplicate = len(s.report.Faults) > 0 || slices.ContainsFunc(m.Waiting, func(r Recipient) bool {
		return r.MayBeDuplicate || r.State == policy.StateQueued || r.State == policy.StateDeferred
	})
	return m
}

// HasBody reports whether the store is to have the octets of the message. In milter mode the mail server has them.
func (m *Salvaged) HasBody() bool {
	if m.Lost {
		_, err := m.salvage.get(bodyKey(m.Message.ID, 0))
		return err == nil
	}
	return m.Message.BodyChunks > 0
}

// WriteBody writes the message octet for octet as it would be sent. With [ErrDamaged] what was written is not all
// of it.
func (m *Salvaged) WriteBody(w io.Writer) error {
	id, written := m.Message.ID, int64(0)
	for i := uint32(0); m.Lost || i < m.Message.BodyChunks; i++ {
		piece, err := m.salvage.get(bodyKey(id, i))
		if m.Lost && errors.Is(err, ErrNotFound) && i > 0 {
			return nil
		}
		if err == nil && !m.Lost && int64(len(piece)) != min(m.Message.BodySize-written, chunkSize) {
			err = fmt.Errorf("%d octets where %d were written", len(piece), min(m.Message.BodySize-written, chunkSize))
		}
		if err != nil {
			return fmt.Errorf("%w: piece %d of the body of %s: %w", ErrDamaged, i, id, err)
		}
		n, err := w.Write(piece)
		written += int64(n)
		if err != nil {
			return err
		}
	}
	return nil
}
