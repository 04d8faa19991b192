package store

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"
	"github.com/sendgate/sendgate/policy"
)

// A scan reads all that is stored of messages and records, in order of their ids: three iterators that go side by
// side. An iterator ends at a damaged block as if nothing followed. What one that has ended does not give is
// therefore looked for by its key.
type scan struct {
	store                *Store
	messages, rows, tale *badger.Iterator
}

// A file is all that is stored of an id, without its body.
type file struct {
	id      policy.ID
	message *Message // nil for a timeline that is no message
	rows    policy.Rows
	events  []policy.Event
}

func newScan(s *Store, txn *badger.Txn, after policy.ID) *scan {
	from := func(kind byte) *badger.Iterator {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{kind}})
		it.Seek(afterID(kind, after))
		return it
	}
	return &scan{store: s, messages: from(keyMessage), rows: from(keyRecipient), tale: from(keyEvents)}
}

func (sc *scan) close() {
	sc.messages.Close()
	sc.rows.Close()
	sc.tale.Close()
}

// at gives the id at which an iterator is, false when it has ended.
func at(it *badger.Iterator) (id policy.ID, ok bool) {
	if !it.Valid() {
		return id, false
	}
	return policy.ID(it.Item().Key()[1 : 1+idSize]), true
}

// next gives the next id that has a message row or events.
func (sc *scan) next() (id policy.ID, ok bool) {
	m, ok := at(sc.messages)
	e, told := at(sc.tale)
	if !ok || told && bytes.Compare(e[:], m[:]) < 0 {
		return e, told
	}
	return m, ok
}

// read reads what there is of an id, and goes on to the next one whether it can or not.
func (sc *scan) read(id policy.ID) (f file, err error) {
	f.id = id
	m, whole := at(sc.messages)
	if whole && m == id {
		f.message = &Message{ID: id}
		err = sc.messages.Item().Value(func(v []byte) error { return decoding.Unmarshal(v, f.message) })
		sc.messages.Next()
	}
	err = errors.Join(err, sc.readRows(&f), sc.readEvents(&f))
	if f.message != nil && len(f.rows) != f.message.Recipients || len(f.events) == 0 || !whole || !sc.rows.Valid() || !sc.tale.Valid() {
		return sc.store.lookUp(id)
	}
	if err != nil {
		return f, fmt.Errorf("message %s: %w", id, err)
	}
	return f, nil
}

// readRows reads the rows of recipients as far as they are dense.
func (sc *scan) readRows(f *file) (err error) {
	for ; sc.rows.Valid(); sc.rows.Next() {
		id, _ := at(sc.rows)
		if c := bytes.Compare(id[:], f.id[:]); c > 0 {
			break
		} else if c < 0 {
			continue // what a deletion has left
		}
		r := Recipient{}
		if !bytes.Equal(sc.rows.Item().Key(), recipientKey(id, len(f.rows))) {
			continue
		}
		err = errors.Join(err, sc.rows.Item().Value(func(v []byte) error { return decoding.Unmarshal(v, &r) }))
		r.Index = len(f.rows)
		f.rows = append(f.rows, r)
	}
	return err
}

func (sc *scan) readEvents(f *file) (err error) {
	for id, ok := at(sc.tale); ok && id == f.id; id, ok = at(sc.tale) {
		var events []policy.Event
		err = errors.Join(err, sc.tale.Item().Value(func(v []byte) error { return decoding.Unmarshal(v, &events) }))
		f.events = append(f.events, events...)
		sc.tale.Next()
	}
	return err
}

// lookUp reads all of an id by its keys.
func (s *Store) lookUp(id policy.ID) (f file, err error) {
	f.id = id
	m, err := s.Message(id)
	switch {
	case err == nil:
		f.message = &m
		f.rows, err = s.Recipients(id)
	case errors.Is(err, ErrNotFound):
		err = nil
	}
	if err != nil {
		return f, err
	}
	records, err := s.Timeline(id)
	for _, r := range records {
		f.events = append(f.events, r.Events...)
	}
	return f, err
}
