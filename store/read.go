package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"
	"github.com/sendgate/sendgate/policy"
)

// Message gives the row of a message, or ErrNotFound.
func (s *Store) Message(id policy.ID) (m Message, err error) {
	err = s.view(func(txn *badger.Txn) error {
		m, err = readMessage(txn, id)
		return err
	})
	return m, err
}

// Recipients gives the rows of all recipients: those of the envelope in its order, then the members
// of groups and later attempts in the order in which they became known.
func (s *Store) Recipients(id policy.ID) (rows policy.Rows, err error) {
	err = s.view(func(txn *badger.Txn) error {
		m, err := readMessage(txn, id)
		if err != nil {
			return err
		}
		rows, err = readRecipients(txn, &m)
		return err
	})
	return rows, err
}

// RecipientsOf is Recipients for who has read the message, as of that time: members of groups and attempts that have
// come since are left out.
func (s *Store) RecipientsOf(m *Message) (rows policy.Rows, err error) {
	err = s.view(func(txn *badger.Txn) error {
		rows, err = readRecipients(txn, m)
		return err
	})
	if errors.Is(err, badger.ErrKeyNotFound) {
		err = fmt.Errorf("recipients of %s: %w", m.ID, ErrNotFound) // pruned meanwhile
	}
	return rows, err
}

// Timeline gives every change of a message in order. ErrNotFound when nothing is known of the id.
func (s *Store) Timeline(id policy.ID) (records []Record, err error) {
	err = s.view(func(txn *badger.Txn) error {
		prefix := idKey(keyEvents, id)
		it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix, PrefetchValues: true, PrefetchSize: 16})
		defer it.Close()
		for it.Seek(prefix); it.Valid(); it.Next() {
			k := it.Item().Key()
			r := Record{
				Message:  id,
				Batch:    binary.BigEndian.Uint64(k[1+idSize:]),
				Position: int(binary.BigEndian.Uint16(k[9+idSize:])),
			}
			err := it.Item().Value(func(v []byte) error { return decoding.Unmarshal(v, &r.Events) })
			if err != nil {
				return fmt.Errorf("events of %s: %w", id, err)
			}
			records = append(records, r)
		}
		return nil
	})
	if err == nil && len(records) == 0 {
		err = fmt.Errorf("message %s: %w", id, ErrNotFound)
	}
	return records, err
}

// Records gives the ids of timelines that are no messages and contain an event of a kind, newest
// first: those below before, or from the newest on when before is zero. At most MaxPage of them.
func (s *Store) Records(ctx context.Context, kind policy.Kind, limit int, before policy.ID) (ids []policy.ID, err error) {
	limit = max(1, min(limit, MaxPage))
	top := lastPossible
	if before != (policy.ID{}) {
		top = previous(before)
	}
	err = s.view(func(txn *badger.Txn) error {
		l := newPostings(txn, termPrefix(indexRecord, string(kind)))
		defer l.close()
		for id, ok := l.seek(top); ok && len(ids) < limit; id, ok = l.seek(previous(id)) {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			ids = append(ids, id)
		}
		return nil
	})
	return ids, err
}

// Due calls fn for every message on which sendgate has to act, in order of time, until fn returns false.
func (s *Store) Due(fn func(DueMessage) bool) error {
	return s.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{keyDue}})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			t, id := parseTimeKey(it.Item().Key())
			if !fn(DueMessage{ID: id, Due: t}) {
				return nil
			}
		}
		return nil
	})
}

func readMessage(txn *badger.Txn, id policy.ID) (m Message, err error) {
	item, err := txn.Get(idKey(keyMessage, id))
	if errors.Is(err, badger.ErrKeyNotFound) {
		return m, fmt.Errorf("message %s: %w", id, ErrNotFound)
	}
	if err != nil {
		return m, err
	}
	return decodeMessage(id, item)
}

func decodeMessage(id policy.ID, item *badger.Item) (m Message, err error) {
	err = item.Value(func(v []byte) error { return decoding.Unmarshal(v, &m) })
	if err != nil {
		return m, fmt.Errorf("message %s: %w", id, err)
	}
	m.ID = id
	return m, nil
}

func readRecipients(txn *badger.Txn, m *Message) (policy.Rows, error) { return readRows(m, txn.Get) }

// readRows reads all rows of a message, in order.
func readRows(m *Message, get lookup) (policy.Rows, error) {
	rows := make(policy.Rows, m.Recipients)
	for i := range rows {
		item, err := get(recipientKey(m.ID, i))
		if err == nil {
			err = item.Value(func(v []byte) error { return decoding.Unmarshal(v, &rows[i]) })
		}
		if err != nil {
			return nil, fmt.Errorf("recipient %d of %s: %w", i, m.ID, err)
		}
		rows[i].Index = i
	}
	return rows, nil
}

// keys collects the keys under a prefix.
func (s *Store) keys(prefix []byte) (keys [][]byte, err error) {
	err = s.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			keys = append(keys, it.Item().KeyCopy(nil))
		}
		return nil
	})
	return keys, err
}

// deleteAll deletes keys in as many transactions as it takes, in their order: a crash leaves a
// rest, and no hole before it.
func (s *Store) deleteAll(keys [][]byte) error {
	wb := s.db.NewWriteBatch()
	defer wb.Cancel()
	for _, k := range keys {
		if err := wb.Delete(k); err != nil {
			return err
		}
	}
	if err := wb.Flush(); err != nil {
		return err
	}
	s.waiting.forget(keys)
	return nil
}

func (s *Store) view(fn func(txn *badger.Txn) error) error {
	if err := s.door.enter(); err != nil {
		return err
	}
	defer s.door.leave()
	return s.db.View(fn)
}
