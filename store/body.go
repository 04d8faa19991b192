package store

import (
	"errors"
	"fmt"
	"io"

	"github.com/dgraph-io/badger/v4"
	"github.com/sendgate/sendgate/policy"
)

// chunkSize is the size of the pieces of a body. A body that fits into one travels in the commit.
const chunkSize = 256 << 10

// A BodyWriter takes the octets of a message. Up to 256 KiB stay in memory and are written with the
// commit; each full piece beyond is written and synced at once. It is used by one goroutine, and
// ends in Commit (as Change.Body) or in Discard.
type BodyWriter struct {
	store  *Store
	id     policy.ID
	rest   []byte // not yet written
	chunks uint32 // written
	size   int64
	err    error
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
	if err := w.store.room(); err != nil {
		return err
	}
	err := w.store.db.Update(func(txn *badger.Txn) error {
		if w.chunks == 0 {
			if err := txn.Set(idKey(keyOpenBody, w.id), nil); err != nil {
				return err
			}
		}
		return txn.Set(bodyKey(w.id, w.chunks), w.rest)
	})
	if err != nil {
		return fmt.Errorf("write body: %w", err)
	}
	w.chunks++
	w.rest = make([]byte, 0, chunkSize)
	return nil
}

// Discard forgets the body. It must not be called after a successful Commit.
func (w *BodyWriter) Discard() {
	w.err = errors.New("the body was discarded")
	w.rest = nil
	if w.chunks == 0 {
		return
	}
	if err := w.store.dropBody(w.id); err != nil {
		w.store.cfg.Log.Warn("an unfinished body stays until the next start", zapError(err))
	}
}

// dropBody deletes the chunks of a body that no message names.
func (s *Store) dropBody(id policy.ID) error {
	keys, err := s.keys(idKey(keyBody, id))
	if err != nil {
		return err
	}
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
// none, or no longer.
func (s *Store) Body(id policy.ID) (io.ReadCloser, error) {
	m, err := s.Message(id)
	if err != nil {
		return nil, err
	}
	if m.BodyChunks == 0 {
		return nil, fmt.Errorf("body of %s: %w", id, ErrNotFound)
	}
	return &bodyReader{store: s, id: id, chunks: m.BodyChunks}, nil
}

// A bodyReader holds one chunk at a time.
type bodyReader struct {
	store  *Store
	id     policy.ID
	chunks uint32
	next   uint32
	rest   []byte
}

func (r *bodyReader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		if r.next == r.chunks {
			return 0, io.EOF
		}
		err := r.store.db.View(func(txn *badger.Txn) error {
			item, err := txn.Get(bodyKey(r.id, r.next))
			if err != nil {
				return err
			}
			r.rest, err = item.ValueCopy(nil)
			return err
		})
		if err != nil {
			return 0, fmt.Errorf("read body of %s: %w", r.id, err)
		}
		r.next++
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// Close ends the reading.
func (r *bodyReader) Close() error {
	r.rest, r.next, r.chunks = nil, 0, 0
	return nil
}
