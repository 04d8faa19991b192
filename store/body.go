package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/dgraph-io/badger/v4"
	"github.com/sendgate/sendgate/policy"
	"go.uber.org/zap"
)

// chunkSize is the size of the pieces of a body. A body that fits into one travels in the commit.
const chunkSize = 256 << 10

// A BodyWriter takes the octets of a message. Up to 256 KiB stay in memory and are written with the
// commit; each full piece beyond is written and synced at once. It is used by one goroutine, and
// ends in Commit (as Change.Body) or in Discard.
type BodyWriter struct {
	store   *Store
	id      policy.ID
	rest    []byte // not yet written
	chunks  uint32 // written
	size    int64
	err     error
	settled bool // it belongs to a message, or may do so
}

// NewBody starts the body of a message.
func (s *Store) NewBody(id policy.ID) *BodyWriter { return &BodyWriter{store: s, id: id} }

// Size is the number of octets written so far.
func (w *BodyWriter) Size() int64 { return w.size }

// Write adds octets. Its error is [ErrFull] or what the disk said; it stays.
func (w *BodyWriter) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	n := len(p)
	for len(p) > 0 {
		take := min(chunkSize-len(w.rest), len(p))
		w.rest = append(w.rest, p[:take]...)
		p = p[take:]
		if len(w.rest) == chunkSize && len(p) > 0 {
			if w.err = w.spill(); w.err != nil {
				return 0, w.err
			}
		}
	}
	w.size += int64(n)
	return n, nil
}

func (w *BodyWriter) spill() error {
	s := w.store
	if err := s.door.enter(); err != nil {
		return err
	}
	defer s.door.leave()
	if err := s.failed(); err != nil {
		return err
	}
	if err := s.reserve(chunkSize); err != nil {
		return err
	}
	defer s.written(chunkSize)
	err := s.db.Update(func(txn *badger.Txn) error {
		if w.chunks == 0 {
			if err := txn.Set(idKey(keyOpenBody, w.id), nil); err != nil {
				return err
			}
		}
		return txn.Set(bodyKey(w.id, w.chunks), w.rest)
	})
	if err != nil {
		s.fail(fmt.Errorf("body: %w", err))
	}
	if err := s.failed(); err != nil {
		return err
	}
	w.chunks++
	w.rest = make([]byte, 0, chunkSize)
	return nil
}

// Discard forgets the body. After a successful Commit it does nothing, nor after one with
// [ErrFailed], which may have been written.
func (w *BodyWriter) Discard() {
	if w.settled {
		return
	}
	w.err = errors.New("the body was discarded")
	w.rest = nil
	if w.chunks == 0 {
		return
	}
	if err := w.store.dropBody(w.id); err != nil {
		w.store.cfg.Log.Warn("an unfinished body stays until the next start", zap.Error(err))
	}
}

// dropBody deletes the chunks of a body that no message names.
func (s *Store) dropBody(id policy.ID) error {
	if err := s.door.enter(); err != nil {
		return err
	}
	defer s.door.leave()
	keys, err := s.keys(idKey(keyBody, id))
	if err != nil {
		return err
	}
	s.garbage.Add(int64(len(keys)) * chunkSize)
	return s.deleteAll(append(keys, idKey(keyOpenBody, id)))
}

// sweep deletes the chunks of bodies that were being written when the process ended.
func (s *Store) sweep() error {
	open, err := s.keys([]byte{keyOpenBody})
	if err != nil {
		return err
	}
	for _, k := range open {
		if err := s.dropBody(lastID(k)); err != nil {
			return fmt.Errorf("sweep unfinished bodies: %w", err)
		}
	}
	return nil
}

// Body opens the body of a message, octet for octet as it was written. ErrNotFound when it has
// none, or no longer. Reading fails with [ErrDamaged] where the disk has lost it.
func (s *Store) Body(id policy.ID) (io.ReadCloser, error) {
	m, err := s.Message(id)
	if err != nil {
		return nil, err
	}
	return s.BodyOf(&m)
}

// BodyOf is Body for who has read the message.
func (s *Store) BodyOf(m *Message) (io.ReadCloser, error) {
	if m.BodyChunks == 0 {
		return nil, fmt.Errorf("body of %s: %w", m.ID, ErrNotFound)
	}
	return &bodyReader{store: s, id: m.ID, left: m.BodySize}, nil
}

// A bodyReader holds one chunk at a time.
type bodyReader struct {
	store *Store
	id    policy.ID
	next  uint32
	left  int64 // octets that are still to be read from the store
	rest  []byte
	err   error
}

func (r *bodyReader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if len(r.rest) == 0 {
		if r.left == 0 {
			return 0, io.EOF
		}
		if r.err = r.load(); r.err != nil {
			return 0, r.err
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// load reads the next chunk. Its length is checked, because the engine gives an empty value and no
// error for what it cannot read (TestQuirkUnreadableValue).
func (r *bodyReader) load() error {
	err := r.store.view(func(txn *badger.Txn) error {
		item, err := txn.Get(bodyKey(r.id, r.next))
		if err != nil {
			return err
		}
		r.rest, err = item.ValueCopy(nil)
		return err
	})
	if errors.Is(err, ErrClosed) {
		return err
	}
	if err == nil && int64(len(r.rest)) != min(r.left, chunkSize) {
		err = fmt.Errorf("%d octets where %d were written", len(r.rest), min(r.left, chunkSize))
	}
	if err != nil {
		if m, gone := r.store.Message(r.id); gone != nil || m.BodyChunks == 0 {
			return fmt.Errorf("body of %s: %w", r.id, ErrNotFound) // pruned meanwhile
		}
		return fmt.Errorf("%w: piece %d of the body of %s: %w", ErrDamaged, r.next, r.id, err)
	}
	r.next++
	r.left -= int64(len(r.rest))
	return nil
}

// Close ends the reading.
func (r *bodyReader) Close() error {
	r.rest, r.err = nil, fs.ErrClosed
	return nil
}
