package store

import (
	"context"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/oklog/ulid/v2"
	"github.com/sendgate/sendgate/policy"
)

// Each calls fn for the messages that were received from a time on, oldest first, with their rows,
// until fn returns false. Messages that come meanwhile are not among them.
func (s *Store) Each(ctx context.Context, from time.Time, fn func(*Message, policy.Rows) bool) error {
	var first policy.ID
	_ = first.SetTime(ulid.Timestamp(from)) // a time before 1970 or after the year 10889 finds nothing
	return s.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{keyMessage}, PrefetchValues: true, PrefetchSize: 100})
		defer it.Close()
		for it.Seek(idKey(keyMessage, first)); it.Valid(); it.Next() {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			m := Message{ID: lastID(it.Item().Key())}
			if err := it.Item().Value(func(v []byte) error { return decoding.Unmarshal(v, &m) }); err != nil {
				return err
			}
			rows, err := readRecipients(txn, &m)
			if err != nil {
				return err
			}
			if !fn(&m, rows) {
				return nil
			}
		}
		return nil
	})
}
