package store

import (
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"
	"github.com/sendgate/sendgate/policy"
)

// maxEnvelopes bounds the recipients of the envelopes that are read ahead at a time.
const maxEnvelopes = 20_000

// enveloped is what the rows of a message tell about its envelope.
type enveloped struct {
	Envelope   policy.Envelope `cbor:"1,keyasint"`
	Recipients int             `cbor:"3,keyasint"` // rows
}

func (m *enveloped) decode(v []byte) error { return decoding.Unmarshal(v, m) }

// addressee adds the recipient of a row, unless it is a member of a group or a later attempt.
func (m *enveloped) addressee(v []byte) error {
	var r struct {
		policy.Recipient `cbor:"1,keyasint"`
		Group            int `cbor:"3,keyasint"`
		Attempt          int `cbor:"4,keyasint"`
	}
	err := decoding.Unmarshal(v, &r)
	if err == nil && r.Group == 0 && r.Attempt == 0 {
		m.Envelope.Recipients = append(m.Envelope.Recipients, r.Recipient)
	}
	return err
}

// Envelope gives the envelope of a message with its recipients, or ErrNotFound.
func (s *Store) Envelope(id policy.ID) (*policy.Envelope, error) {
	var m enveloped
	err := s.view(func(txn *badger.Txn) error {
		item, err := txn.Get(idKey(keyMessage, id))
		if errors.Is(err, badger.ErrKeyNotFound) {
			return ErrNotFound
		}
		if err == nil {
			err = item.Value(m.decode)
		}
		for i := 0; i < m.Recipients && err == nil; i++ {
			if item, err = txn.Get(recipientKey(id, i)); err == nil {
				err = item.Value(m.addressee)
			}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("envelope of %s: %w", id, err)
	}
	return &m.Envelope, nil
}

// envelopes reads them in order of their ids.
type envelopes struct {
	messages, rows *badger.Iterator
	recipients     int // of all so far
	id             policy.ID
	last           *policy.Envelope // that of id
}

func newEnvelopes(txn *badger.Txn) *envelopes {
	return &envelopes{
		messages: txn.NewIterator(badger.IteratorOptions{Prefix: []byte{keyMessage}}),
		rows:     txn.NewIterator(badger.IteratorOptions{Prefix: []byte{keyRecipient}}),
	}
}

func (e *envelopes) close() {
	e.messages.Close()
	e.rows.Close()
}

// of gives the envelope of a message, nil when it is not found or there have been too many recipients.
func (e *envelopes) of(id policy.ID) *policy.Envelope {
	if e.id != id {
		e.id, e.last = id, e.read(id)
	}
	return e.last
}

func (e *envelopes) read(id policy.ID) *policy.Envelope {
	var m enveloped
	if !reach(e.messages, idKey(keyMessage, id)) || e.messages.Item().Value(m.decode) != nil {
		return nil
	}
	if e.recipients += m.Recipients; e.recipients > maxEnvelopes {
		return nil
	}
	for i := range m.Recipients {
		if !reach(e.rows, recipientKey(id, i)) || e.rows.Item().Value(m.addressee) != nil {
			return nil
		}
	}
	return &m.Envelope
}
