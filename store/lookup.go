package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"
	"github.com/sendgate/sendgate/policy"
)

// maxKept bounds a value of Keep.
const maxKept = 64 << 10

// ByQueueID gives the messages that had an event with a queue id, newest first, at most MaxPage.
// Short queue ids of Postfix are used again: which of the messages is meant is for the caller to tell.
func (s *Store) ByQueueID(queueID string) ([]policy.ID, error) {
	return s.postingsOf(termPrefix(indexQueueID, term(queueID)))
}

// ByMessageID gives the messages with a Message-ID, with its angle brackets, newest first, at most
// MaxPage.
func (s *Store) ByMessageID(messageID string) ([]policy.ID, error) {
	return s.postingsOf(termPrefix(indexMessageID, term(messageID)))
}

// ByReference gives the messages that answer or forward one with a Message-ID, newest first, at most
// MaxPage.
func (s *Store) ByReference(messageID string) ([]policy.ID, error) {
	return s.postingsOf(termPrefix(indexReference, term(messageID)))
}

func (s *Store) postingsOf(prefix []byte) (ids []policy.ID, err error) {
	err = s.view(func(txn *badger.Txn) error {
		l := newPostings(txn, prefix)
		defer l.close()
		for id, ok := l.seek(lastPossible); ok && len(ids) < MaxPage; id, ok = l.seek(previous(id)) {
			ids = append(ids, id)
		}
		return nil
	})
	return ids, err
}

// InState calls fn for every message that has a recipient in a state, oldest first, until fn returns
// false. fn may read the store; what it commits shows in a later call.
func (s *Store) InState(ctx context.Context, state policy.State, fn func(policy.ID) bool) error {
	if waits(state) {
		return s.eachWaiting(ctx, state, fn)
	}
	return s.view(func(txn *badger.Txn) error {
		prefix := termPrefix(indexState, string(state))
		it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if !fn(lastID(it.Item().Key())) {
				return nil
			}
		}
		return nil
	})
}

func (s *Store) eachWaiting(ctx context.Context, state policy.State, fn func(policy.ID) bool) error {
	if err := s.door.enter(); err != nil {
		return err
	}
	defer s.door.leave()
	for _, chunk := range s.waiting.settled(state).chunks {
		for _, id := range chunk {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if !fn(id) {
				return nil
			}
		}
	}
	return nil
}

// Keep stores a small value of a part of sendgate, such as how far it has read a log, under a name of
// its own. It is durable when the error is nil, and no event: nothing of it shows. At most 64 KiB.
func (s *Store) Keep(name string, value []byte) error {
	if len(value) > maxKept {
		return fmt.Errorf("keep %s: %d octets are more than %d", name, len(value), maxKept)
	}
	if err := s.door.enter(); err != nil {
		return err
	}
	defer s.door.leave()
	octets := int64(len(value))
	if err := s.reserve(octets); err != nil {
		return err
	}
	defer s.written(octets)
	if err := s.db.Update(func(txn *badger.Txn) error { return txn.Set(keptKey(name), value) }); err != nil {
		return fmt.Errorf("keep %s: %w", name, err)
	}
	return nil
}

// Kept gives what Keep stored last under a name, nil when there is nothing.
func (s *Store) Kept(name string) (value []byte, err error) {
	err = s.view(func(txn *badger.Txn) error {
		item, err := txn.Get(keptKey(name))
		if errors.Is(err, badger.ErrKeyNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		value, err = item.ValueCopy(nil)
		return err
	})
	return value, err
}

// KeptNames lists the names that begin with a prefix under which something is stored, in order.
func (s *Store) KeptNames(prefix string) (names []string, err error) {
	err = s.view(func(txn *badger.Txn) error {
		key := keptKey(prefix)
		it := txn.NewIterator(badger.IteratorOptions{Prefix: key})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			names = append(names, string(it.Item().Key()[len(keptKey("")):]))
		}
		return nil
	})
	return names, err
}

// Drop removes what Keep stored under a name.
func (s *Store) Drop(name string) error {
	if err := s.door.enter(); err != nil {
		return err
	}
	defer s.door.leave()
	if err := s.db.Update(func(txn *badger.Txn) error { return txn.Delete(keptKey(name)) }); err != nil {
		return fmt.Errorf("drop %s: %w", name, err)
	}
	return nil
}

func keptKey(name string) []byte { return append([]byte{keyMeta, 'k'}, name...) }
