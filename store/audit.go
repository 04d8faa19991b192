package store

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// An AuditEntry is something that a person or a program did to sendgate. Entries are linked: the Hash of
// each covers that of the one before, so that none can be changed or left out unseen (RFC 9162 2.1 calls such
// a log append-only). What names people is covered by a salted digest only: when a person is erased, salt
// and fields go, and the links still hold.
type AuditEntry struct {
	Number uint64    `cbor:"-"` // from 1, without gaps
	Time   time.Time `cbor:"1,keyasint"`
	Act    string    `cbor:"2,keyasint"` // "recall", "suspend", "sign_in"
	// What names people; empty in an entry that was erased.
	Actor  string `cbor:"3,keyasint,omitempty"`
	Object string `cbor:"4,keyasint,omitempty"` // what it was done to: an id, an identity
	Detail string `cbor:"5,keyasint,omitempty"`
	Salt   []byte `cbor:"6,keyasint,omitempty"`

	Digest [sha256.Size]byte `cbor:"7,keyasint"`
	Hash   [sha256.Size]byte `cbor:"8,keyasint"`
}

// Erased reports whether the people in an entry were erased.
func (e *AuditEntry) Erased() bool { return e.Salt == nil }

// ErrAudit is what VerifyAudit gives for a log that was tampered with or damaged.
var ErrAudit = errors.New("the audit log is broken")

const (
	maxAuditField = 2000
	auditSalt     = 16
)

// Audit adds an entry; Time, Act, Actor, Object and Detail are the caller's. It is durable when the error is nil.
func (s *Store) Audit(e AuditEntry) error {
	if err := s.door.enter(); err != nil {
		return err
	}
	defer s.door.leave()
	if err := s.reserve(4 * maxAuditField); err != nil {
		return err
	}
	defer s.written(4 * maxAuditField)
	s.audit.Lock()
	defer s.audit.Unlock()
	err := s.db.Update(func(txn *badger.Txn) error {
		last, err := lastAudit(txn)
		if err != nil {
			return err
		}
		e.seal(last)
		return txn.Set(auditKey(e.Number), encode(&e))
	})
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}

// seal completes an entry so that it follows last.
func (e *AuditEntry) seal(last *AuditEntry) {
	e.Time = e.Time.UTC().Truncate(time.Microsecond)
	for _, f := range []*string{&e.Act, &e.Actor, &e.Object, &e.Detail} {
		*f = (*f)[:min(len(*f), maxAuditField)]
	}
	e.Number, e.Salt = last.Number+1, make([]byte, auditSalt)
	rand.Read(e.Salt) // never fails (crypto/rand)
	e.Digest = e.digest()
	e.Hash = e.link(&last.Hash)
}

// digest covers what names people.
func (e *AuditEntry) digest() [sha256.Size]byte {
	b := append([]byte(nil), e.Salt...)
	for _, f := range []string{e.Actor, e.Object, e.Detail} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(f)))
		b = append(b, f...)
	}
	return sha256.Sum256(b)
}

// link covers the entry and, by its hash, all before.
func (e *AuditEntry) link(before *[sha256.Size]byte) [sha256.Size]byte {
	b := append([]byte(nil), before[:]...)
	b = binary.BigEndian.AppendUint64(b, e.Number)
	b = binary.BigEndian.AppendUint64(b, uint64(e.Time.UnixMicro()))
	b = append(b, e.Digest[:]...)
	return sha256.Sum256(append(b, e.Act...))
}

// AuditLog gives entries, the newest first: those before a number, 0 for the newest, that keep lets through
// (nil: all), at most limit.
func (s *Store) AuditLog(before uint64, limit int, keep func(*AuditEntry) bool) (list []AuditEntry, err error) {
	limit = max(1, min(limit, MaxPage))
	err = s.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{keyAudit}, Reverse: true, PrefetchValues: true, PrefetchSize: 50})
		defer it.Close()
		from := auditKey(before - 1) // 0 is the greatest number after this
		for it.Seek(from); it.Valid() && len(list) < limit; it.Next() {
			e, err := readAudit(it.Item())
			if err != nil {
				return err
			}
			if keep == nil || keep(e) {
				list = append(list, *e)
			}
		}
		return nil
	})
	return list, err
}

// VerifyAudit looks at every entry and gives how many there are. Its error is [ErrAudit] with the number of the
// first entry that does not hold. Where entries were pruned, the first one there is stands for all before it.
func (s *Store) VerifyAudit() (entries uint64, err error) {
	var first error
	entries, err = s.eachAuditFault(func(fault error) bool { first = fault; return false })
	if first != nil {
		err = first
	}
	return entries, err
}

// errAuditLoss is an [ErrAudit] for what is missing or cannot be read. Everything else was changed by somebody.
var errAuditLoss = fmt.Errorf("%w", ErrAudit)

// eachAuditFault looks at every entry until fn returns false, which is called with what does not hold, and gives how
// many entries it has looked at. What follows a fault is held against nothing before it.
func (s *Store) eachAuditFault(fn func(fault error) bool) (entries uint64, err error) {
	err = s.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{keyAudit}, PrefetchValues: true, PrefetchSize: 100})
		defer it.Close()
		var last *AuditEntry
		for it.Rewind(); it.Valid(); it.Next() {
			e, err := readAudit(it.Item())
			if err != nil {
				err = fmt.Errorf("%w: %w", errAuditLoss, err)
			} else {
				err = e.follows(last)
			}
			if err != nil && !fn(err) {
				return nil
			}
			last = e // nil for one that cannot be read
			entries++
		}
		return nil
	})
	return entries, err
}

// follows checks an entry against the one before it, nil for none.
func (e *AuditEntry) follows(last *AuditEntry) error {
	switch {
	case !e.Erased() && e.digest() != e.Digest:
		return fmt.Errorf("%w: entry %d was changed", ErrAudit, e.Number)
	case e.Erased() && e.Actor+e.Object+e.Detail != "":
		return fmt.Errorf("%w: entry %d has lost its salt", ErrAudit, e.Number)
	case last == nil && e.Number > 1:
		return nil
	case last == nil:
		last = &AuditEntry{}
	}
	switch first := last.Number + 1; {
	case e.Number == first+1:
		return fmt.Errorf("%w: entry %d is missing", errAuditLoss, first)
	case e.Number != first:
		return fmt.Errorf("%w: entries %d to %d are missing", errAuditLoss, first, e.Number-1)
	}
	if e.link(&last.Hash) != e.Hash {
		return fmt.Errorf("%w: entry %d does not follow the one before it", ErrAudit, e.Number)
	}
	return nil
}

// EraseAudit takes the people out of the entries that match, and gives how many these were.
func (s *Store) EraseAudit(match func(*AuditEntry) bool) (erased int, err error) {
	if err := s.door.enter(); err != nil {
		return 0, err
	}
	defer s.door.leave()
	s.audit.Lock()
	defer s.audit.Unlock()
	for before := uint64(0); ; {
		page, err := s.auditPage(before)
		if err != nil || len(page) == 0 {
			return erased, err
		}
		before = page[len(page)-1].Number
		err = s.db.Update(func(txn *badger.Txn) error {
			for i := range page {
				e := &page[i]
				if e.Erased() || !match(e) {
					continue
				}
				e.Actor, e.Object, e.Detail, e.Salt = "", "", "", nil
				if err := txn.Set(auditKey(e.Number), encode(e)); err != nil {
					return err
				}
				erased++
			}
			return nil
		})
		if err != nil || before == 1 {
			return erased, err
		}
	}
}

func (s *Store) auditPage(before uint64) ([]AuditEntry, error) {
	return s.AuditLog(before, MaxPage, nil)
}

// lastAudit gives the newest entry, an empty one when there is none.
func lastAudit(txn *badger.Txn) (*AuditEntry, error) {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{keyAudit}, Reverse: true})
	defer it.Close()
	it.Seek(auditKey(^uint64(0)))
	if !it.Valid() {
		return &AuditEntry{}, nil
	}
	return readAudit(it.Item())
}

func readAudit(item *badger.Item) (*AuditEntry, error) {
	e := &AuditEntry{Number: binary.BigEndian.Uint64(item.Key()[1:])}
	err := item.Value(func(v []byte) error { return decoding.Unmarshal(v, e) })
	if err != nil {
		return nil, fmt.Errorf("audit entry %d: %w", e.Number, err)
	}
	return e, nil
}

func auditKey(number uint64) []byte { return binary.BigEndian.AppendUint64([]byte{keyAudit}, number) }
