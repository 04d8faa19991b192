package store

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/dgraph-io/badger/v4"
	"github.com/sendgate/sendgate/policy"
)

// Naming gives the ids of all messages and timelines in whose rows a text stands, oldest first. ASCII letters match in
// either case, and the text may be a part of a longer word: whoever asks looks at what is found. Bodies and what
// Keep has are not read. It reads all of the journal's rows, a million messages in some seconds. With [ErrDamaged] the ids
// are those in what can be read: an iterator ends at a damaged block as if nothing followed.
func (s *Store) Naming(ctx context.Context, text string) (ids []policy.ID, err error) {
	sought := lower(nil, []byte(text))
	err = s.view(func(txn *badger.Txn) error {
		for _, kind := range []byte{keyMessage, keyRecipient, keyEvents} {
			if err := eachNaming(ctx, txn, kind, sought, func(id policy.ID) { ids = append(ids, id) }); err != nil {
				return fmt.Errorf("find what names somebody: %w", err)
			}
		}
		if damage := s.tableDamage(); damage != nil {
			return fmt.Errorf("%w: not all rows can be searched: %w", ErrDamaged, damage)
		}
		return nil
	})
	slices.SortFunc(ids, policy.ID.Compare)
	return slices.Compact(ids), err
}

func eachNaming(ctx context.Context, txn *badger.Txn, kind byte, sought []byte, found func(policy.ID)) error {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{kind}, PrefetchValues: true, PrefetchSize: 100})
	defer it.Close()
	var folded []byte
	for it.Rewind(); it.Valid(); it.Next() {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		err := it.Item().Value(func(v []byte) error {
			if folded = lower(folded[:0], v); bytes.Contains(folded, sought) {
				found(policy.ID(it.Item().Key()[1 : 1+idSize]))
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// lower appends octets with ASCII letters in lower case; the rest may be no text at all.
func lower(to, from []byte) []byte {
	for _, c := range from {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		to = append(to, c)
	}
	return to
}
