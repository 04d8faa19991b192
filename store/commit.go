package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/sendgate/sendgate/policy"
)

// Bounds of one batch. The ids of a batch stay below the value threshold, so that the journal's own
// records never enter the value log.
const (
	maxBatchChanges = 250
	maxBatchBytes   = 8 << 20
)

// A pendingChange waits for the committer.
type pendingChange struct {
	change   Change
	fresh    *freshRows // prepared by the caller, for the first change of a message
	events   []byte     // encoded
	done     chan struct{}
	revision uint64
	err      error
}

func (p *pendingChange) size() int {
	n := len(p.events)
	if p.change.Body != nil {
		n += len(p.change.Body.rest)
	}
	return n
}

// Commit adds a change to the journal. It is durable when the error is nil. It returns the
// message's decision revision after the change. Errors: [ErrConflict], [ErrNotFound] for a decision
// on a message that is not stored, [ErrFull], [ErrTooLarge], [ErrClosed]; with any other error it is
// open whether the change will be found after a restart.
//
// The context is looked at only until the change is handed to the committer.
func (s *Store) Commit(ctx context.Context, c Change) (revision uint64, err error) {
	p, err := s.prepare(c)
	if err != nil {
		return 0, err
	}
	select {
	case s.queue <- p:
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-s.stop:
		return 0, ErrClosed
	}
	<-p.done
	return p.revision, p.err
}

// prepare does what needs no order in the goroutine of the caller: checks and encoding.
func (s *Store) prepare(c Change) (*pendingChange, error) {
	if len(c.Events) == 0 {
		return nil, errors.New("commit: a change without events")
	}
	if c.Message == (policy.ID{}) {
		return nil, errors.New("commit: a change without a message id")
	}
	for i := range c.Events {
		e := &c.Events[i]
		if !e.Kind.Valid() {
			return nil, fmt.Errorf("commit: %q is not a kind of event", e.Kind)
		}
		if e.Time.IsZero() {
			e.Time = s.cfg.Now()
		}
		e.Time = e.Time.UTC().Truncate(time.Microsecond)
		e.Until = e.Until.UTC().Truncate(time.Microsecond)
		if e.Node == "" {
			e.Node = s.cfg.Node
		}
	}
	p := &pendingChange{change: c, done: make(chan struct{})}
	if c.Envelope != nil {
		fresh, err := newFreshRows(&c)
		if err != nil {
			return nil, err
		}
		p.fresh = fresh
	}
	p.events = encode(c.Events)
	return p, nil
}

// commitLoop is the committer. It ends when stop is closed and nothing waits.
func (s *Store) commitLoop() {
	defer close(s.committed)
	for {
		select {
		case first := <-s.queue:
			s.writeBatch(s.gather(first))
		case <-s.stop:
			for {
				select {
				case p := <-s.queue:
					p.finish(ErrClosed)
				default:
					return
				}
			}
		}
	}
}

// gather takes what waits, up to the bounds of a batch. It does not wait for more: while one batch
// is synced the next one gathers by itself.
func (s *Store) gather(first *pendingChange) []*pendingChange {
	batch := append(s.batchBuf[:0], first)
	size := first.size()
	for len(batch) < maxBatchChanges && size < maxBatchBytes {
		select {
		case p := <-s.queue:
			batch = append(batch, p)
			size += p.size()
		default:
			s.batchBuf = batch
			return batch
		}
	}
	s.batchBuf = batch
	return batch
}

// writeBatch commits changes in as few transactions as fit, usually one.
func (s *Store) writeBatch(batch []*pendingChange) {
	for len(batch) > 0 {
		batch = s.writeSome(batch)
	}
}

// writeSome commits the longest beginning of batch that fits into one transaction and returns the rest.
func (s *Store) writeSome(batch []*pendingChange) (rest []*pendingChange) {
	if err := s.room(); err != nil {
		for _, p := range batch {
			p.finish(err)
		}
		return nil
	}
	s.rows.Lock()
	defer s.rows.Unlock()
	number := s.lastBatch.Load() + 1
	now := s.cfg.Now()
	w := &writer{txn: s.db.NewTransaction(true), maxEntries: s.db.MaxBatchCount() - 8, maxBytes: s.db.MaxBatchSize() - 64<<10}
	defer w.txn.Discard()
	ids := binary.BigEndian.AppendUint64(make([]byte, 0, 8+idSize*len(batch)), uint64(now.UnixMicro()))
	var written []*pendingChange
	records := make([]Record, 0, len(batch))
	for i, p := range batch {
		p.err = s.project(w, p, number, len(written))
		if errors.Is(p.err, errNoRoom) {
			if len(written) > 0 {
				rest = batch[i:]
				break
			}
			p.err = ErrTooLarge
		}
		if p.err != nil || p.duplicate() {
			p.finish(p.err)
			continue
		}
		ids = append(ids, p.change.Message[:]...)
		records = append(records, Record{Batch: number, Position: len(written), Message: p.change.Message, Events: p.change.Events})
		written = append(written, p)
	}
	if len(written) == 0 {
		return rest
	}
	err := w.txn.Set(batchKey(number), ids)
	if err == nil {
		err = w.txn.Commit()
	}
	if err != nil {
		err = fmt.Errorf("commit: %w", err)
		s.cfg.Log.Error("a batch could not be written", zapBatch(number), zapError(err))
	} else {
		s.lastBatch.Store(number)
		s.stats.batches.Add(1)
		s.stats.commits.Add(uint64(len(written)))
		s.hub.publish(number, records)
	}
	for _, p := range written {
		p.finish(err)
	}
	return rest
}

// duplicate reports whether all that the change had to say was known already.
func (p *pendingChange) duplicate() bool { return len(p.change.Events) == 0 }

func (p *pendingChange) finish(err error) {
	p.err = err
	close(p.done)
}

// errNoRoom says that the transaction is full; the writer has kept nothing of the change.
var errNoRoom = errors.New("the transaction is full")

// A writer gathers the mutations of changes in one transaction. The mutations of one change are
// staged first, so that a change that does not fit leaves nothing behind.
type writer struct {
	txn        *badger.Txn
	maxEntries int64
	maxBytes   int64
	entries    int64
	bytes      int64
	staged     []mutation
}

type mutation struct {
	key    []byte
	value  []byte
	delete bool
}

func (w *writer) set(key, value []byte) {
	w.staged = append(w.staged, mutation{key: key, value: value})
}
func (w *writer) delete(key []byte) { w.staged = append(w.staged, mutation{key: key, delete: true}) }

// discard drops what is staged.
func (w *writer) discard() { w.staged = w.staged[:0] }

// flush moves what is staged into the transaction, or nothing of it.
func (w *writer) flush() error {
	defer w.discard()
	var bytes int64
	for i := range w.staged {
		bytes += estimate(&w.staged[i])
	}
	if w.entries+int64(len(w.staged)) > w.maxEntries || w.bytes+bytes > w.maxBytes {
		return errNoRoom
	}
	for i := range w.staged {
		m := &w.staged[i]
		var err error
		if m.delete {
			err = w.txn.Delete(m.key)
		} else {
			err = w.txn.Set(m.key, m.value)
		}
		if err != nil {
			return err
		}
	}
	w.entries += int64(len(w.staged))
	w.bytes += bytes
	return nil
}

// estimate is what Badger counts for an entry: values above the threshold go to the value log and
// leave a pointer.
func estimate(m *mutation) int64 {
	if len(m.value) > valueThreshold {
		return int64(len(m.key)) + 32
	}
	return int64(len(m.key)+len(m.value)) + 24
}
