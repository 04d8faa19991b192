package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/sendgate/sendgate/policy"
)

// Bounds of one batch. The ids of a batch stay below the value threshold, so that the journal's own
// records never enter the value log.
const (
	maxBatchChanges = 250
	maxBatchBytes   = 8 << 20
	// patience is how long patient changes wait for others to share their sync with.
	patience = 5 * time.Millisecond
)

// A pendingChange waits for the committer.
type pendingChange struct {
	change   Change
	fresh    *freshRows // prepared by the caller, for the first change of a message
	events   []byte     // encoded
	moved    counts     // by how much it moves the counts of its hour
	entered  []moved    // states in which the message waits
	left     []moved
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
// on a message that is not stored, [ErrFull], [ErrTooLarge], [ErrClosed]: nothing was written. With
// [ErrFailed] it is open whether the change will be found after a restart.
//
// The context is looked at only until the change is handed to the committer.
func (s *Store) Commit(ctx context.Context, c Change) (revision uint64, err error) {
	begun := time.Now()
	p, err := s.prepare(c)
	if err == nil {
		err = ctx.Err() // or else it would be left to chance whether it is still taken
	}
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
	select {
	case <-p.done:
	case <-s.committed:
		select {
		case <-p.done:
		default:
			return 0, ErrClosed // queued after the committer had ended: nobody will look at it
		}
	}
	if c.Body != nil && (p.err == nil || errors.Is(p.err, ErrFailed)) {
		c.Body.settled = true
	}
	if s.cfg.Took != nil && p.err == nil {
		s.cfg.Took(time.Since(begun))
	}
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
	c.Events = slices.Clone(c.Events) // subscribers keep them
	for i := range c.Events {
		if err := s.prepareEvent(&c.Events[i]); err != nil {
			return nil, err
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

func (s *Store) prepareEvent(e *policy.Event) error {
	if !e.Kind.Valid() {
		return fmt.Errorf("commit: %q is not a kind of event", e.Kind)
	}
	if e.Time.IsZero() {
		e.Time = s.cfg.Now()
	}
	e.Time = e.Time.UTC().Truncate(time.Microsecond)
	e.Until = e.Until.UTC().Truncate(time.Microsecond)
	e.NextTry = e.NextTry.UTC().Truncate(time.Microsecond)
	if e.Node == "" {
		e.Node = s.cfg.Node
	}
	if !storable(e.Time) || !e.Until.IsZero() && !storable(e.Until) || !e.NextTry.IsZero() && !storable(e.NextTry) {
		return fmt.Errorf("commit: %s at %v until %v: not a time of this era", e.Kind, e.Time, e.Until)
	}
	return nil
}

// storable reports whether rows and keys can hold a time: RFC 3339 ends with the year 9999, and
// keys count from 1970.
func storable(t time.Time) bool { return t.Year() >= 1970 && t.Year() <= 9999 }

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

// gather takes what waits, up to the bounds of a batch. While one batch is synced the next one gathers
// by itself, so it waits for more only when everything it has is patient.
func (s *Store) gather(first *pendingChange) []*pendingChange {
	batch := append(s.batchBuf[:0], first)
	size := first.size()
	var company <-chan time.Time
	if first.change.Patient {
		company = time.After(patience)
	}
	for len(batch) < maxBatchChanges && size < maxBatchBytes {
		p := s.next(company)
		if p == nil {
			break
		}
		batch = append(batch, p)
		size += p.size()
		if !p.change.Patient {
			company = nil
		}
	}
	s.batchBuf = batch
	return batch
}

// next gives the next change that waits, or waits for one until company ends; nil when none came.
func (s *Store) next(company <-chan time.Time) *pendingChange {
	select {
	case p := <-s.queue:
		return p
	default:
	}
	if company == nil {
		return nil
	}
	select {
	case p := <-s.queue:
		return p
	case <-company:
	case <-s.stop:
	}
	return nil
}

// writeBatch commits changes in as few transactions as fit, usually one.
func (s *Store) writeBatch(batch []*pendingChange) {
	for rest := batch; len(rest) > 0; {
		rest = s.writeSome(rest)
	}
	clear(batch) // the bodies in it need not wait for the next batch
}

// writeSome commits the longest beginning of batch that fits into one transaction and returns the rest.
func (s *Store) writeSome(batch []*pendingChange) (rest []*pendingChange) {
	var octets int64
	for _, p := range batch {
		octets += int64(p.size())
	}
	err := s.failed()
	if err == nil {
		err = s.reserve(octets)
	}
	if err != nil {
		finishAll(batch, err)
		return nil
	}
	defer s.written(octets)
	s.rows.Lock()
	defer s.rows.Unlock()
	b := s.newBatch(len(batch))
	defer b.txn.Discard()
	for i, p := range batch {
		err := s.project(&b.writer, p, b.number, len(b.changes))
		if errors.Is(err, errNoRoom) {
			if len(b.changes) == 0 {
				s.writeLarge(b, p)
				return batch[i+1:]
			}
			b.discard()
			rest = batch[i:]
			break
		}
		if err != nil || p.duplicate() {
			p.finish(err)
			continue
		}
		b.add(p)
	}
	if len(b.changes) > 0 {
		s.commitBatch(b)
	}
	return rest
}

// A batch is one transaction of the committer in the making.
type batch struct {
	writer
	number  uint64
	index   []byte // what the journal keeps under the number: the time, then the ids
	changes []*pendingChange
	records []Record
	octets  int
	moved   map[int64]counts // by hour
}

func (s *Store) newBatch(size int) *batch {
	b := &batch{writer: s.newWriter(), number: s.lastBatch.Load() + 1}
	b.index = make([]byte, 0, 8+idSize*size)
	b.index = binary.BigEndian.AppendUint64(b.index, uint64(s.cfg.Now().UnixMicro()))
	b.records = make([]Record, 0, size)
	return b
}

func (b *batch) add(p *pendingChange) {
	b.index = append(b.index, p.change.Message[:]...)
	r := Record{Batch: b.number, Position: len(b.changes), Message: p.change.Message, Events: p.change.Events}
	b.octets += len(p.events)
	if p.fresh != nil {
		r.Envelope = p.fresh.envelope
		b.octets += p.fresh.octets
	}
	b.records = append(b.records, r)
	b.changes = append(b.changes, p)
	b.count(p)
}

// commitBatch writes a batch and tells everyone.
func (s *Store) commitBatch(b *batch) {
	err := b.spoiled
	if b.staged = s.countMutations(b); err == nil {
		err = b.flush() // newWriter left room for it
	}
	if err == nil {
		err = b.txn.Set(batchKey(b.number), b.index) // and for this
	}
	if err != nil { // nothing was written
		finishAll(b.changes, fmt.Errorf("commit: %w", err))
		return
	}
	s.waiting.enter(b)
	if err := b.txn.Commit(); err != nil {
		s.fail(fmt.Errorf("batch %d: %w", b.number, err))
	}
	s.concludeBatch(b)
}

// concludeBatch tells everyone about a batch that was written, or that could not be.
func (s *Store) concludeBatch(b *batch) {
	err := s.failed()
	if err == nil {
		s.lastBatch.Store(b.number)
		s.counted(b)
		s.waiting.settle(b)
		s.stats.batches.Add(1)
		s.stats.commits.Add(uint64(len(b.changes)))
		s.hub.publish(b.records, b.octets)
	}
	finishAll(b.changes, err)
}

func finishAll(changes []*pendingChange, err error) {
	for _, p := range changes {
		p.finish(err)
	}
}

// duplicate reports whether all that the change had to say was known already.
func (p *pendingChange) duplicate() bool { return len(p.change.Events) == 0 }

func (p *pendingChange) finish(err error) {
	p.err = err
	close(p.done)
}

// errNoRoom says that the transaction is full.
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
	spoiled    error // a part of a change may be in the transaction: it must not be committed
}

// newWriter begins a transaction. Its bounds leave room for the record of the batch and its counts.
func (s *Store) newWriter() writer {
	return writer{
		txn:        s.db.NewTransaction(true),
		maxEntries: s.db.MaxBatchCount() - 8 - maxBatchChanges, maxBytes: s.db.MaxBatchSize() - 160<<10,
	}
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

// flush moves what is staged into the transaction; with errNoRoom nothing was moved, and it stays
// staged.
func (w *writer) flush() error {
	var bytes int64
	for i := range w.staged {
		bytes += estimate(&w.staged[i])
	}
	if w.entries+int64(len(w.staged)) > w.maxEntries || w.bytes+bytes > w.maxBytes {
		return errNoRoom
	}
	defer w.discard()
	for i := range w.staged {
		m := &w.staged[i]
		var err error
		if m.delete {
			err = w.txn.Delete(m.key)
		} else {
			err = w.txn.Set(m.key, m.value)
		}
		if err != nil {
			w.spoiled = err
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
