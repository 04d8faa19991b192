package store

import (
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/sendgate/sendgate/policy"
)

// freshRows are the rows and index entries of a message that is new; they depend on nothing stored
// and are made by the caller of Commit.
type freshRows struct {
	mutations []mutation
	revision  uint64
	counts    counts
	entered   []moved
	envelope  *policy.Envelope // a copy for subscribers
	octets    int              // what the copy takes about, as it is encoded
}

func newFreshRows(c *Change) (*freshRows, error) {
	env := *c.Envelope
	if env.Identity == "" {
		return nil, errors.New("commit: an envelope without an identity")
	}
	env.Received = env.Received.UTC().Truncate(time.Microsecond)
	if !storable(env.Received) {
		return nil, fmt.Errorf("commit: received at %v: not a time of this era", env.Received)
	}
	m := Message{ID: c.Message, Envelope: env}
	m.Envelope.Recipients = nil
	rows := make(policy.Rows, len(env.Recipients))
	for i := range rows {
		rows[i] = Recipient{Index: i, Recipient: env.Recipients[i]}
	}
	for _, e := range c.Events {
		rows, _ = rows.Apply(e)
		if e.Kind.Decision() {
			m.Revision = 1
		}
	}
	if b := c.Body; b != nil {
		m.BodySize, m.BodyChunks = b.size, b.chunks
		if len(b.rest) > 0 {
			m.BodyChunks++
		}
	}
	m.summarise(rows)
	m.end(env.Received)

	f := &freshRows{revision: m.Revision, counts: countsOf(&m), mutations: make([]mutation, 0, 16+3*len(rows))}
	for st := range m.States {
		if waits(st) {
			f.entered = append(f.entered, moved{st, m.ID})
		}
	}
	put := func(k, v []byte) { f.mutations = append(f.mutations, mutation{key: k, value: v}) }
	put(idKey(keyMessage, m.ID), encode(&m))
	for i := range rows {
		put(recipientKey(m.ID, i), encode(&rows[i]))
	}
	for i := range f.mutations {
		f.octets += len(f.mutations[i].value)
	}
	env.Recipients, env.References = slices.Clone(env.Recipients), slices.Clone(env.References)
	f.envelope = &env
	if b := c.Body; b != nil {
		if len(b.rest) > 0 {
			put(bodyKey(m.ID, b.chunks), b.rest)
		}
		if b.chunks > 0 {
			f.mutations = append(f.mutations, mutation{key: idKey(keyOpenBody, m.ID), delete: true})
		}
	}
	for _, k := range indexEntries(&m, rows) {
		put(k, nil)
	}
	for _, k := range eventEntries(m.ID, c.Events) {
		put(k, nil)
	}
	return f, nil
}

// eventEntries gives the keys by which events are found or known again.
func eventEntries(id policy.ID, events []policy.Event) (keys [][]byte) {
	for _, e := range events {
		if e.QueueID != "" {
			keys = append(keys, indexKey(indexQueueID, term(e.QueueID), id))
		}
		if e.Key != "" {
			keys = append(keys, seenKey(id, e.Key))
		}
		for i := range e.Findings {
			if c := e.Findings[i].Campaign(); c != "" {
				keys = append(keys, indexKey(indexCampaign, term(c), id))
			}
		}
	}
	return keys
}

// project stages and flushes everything that a change writes.
func (s *Store) project(w *writer, p *pendingChange, batch uint64, position int) error {
	if err := s.projectRows(w, p); err != nil {
		w.discard()
		return err
	}
	if p.duplicate() {
		w.discard()
		return nil
	}
	w.set(eventsKey(p.change.Message, batch, position), p.events)
	return w.flush()
}

func (s *Store) projectRows(w *writer, p *pendingChange) error {
	id := p.change.Message
	m, err := readMessage(w.txn, id)
	known := err == nil
	switch {
	case !known && !errors.Is(err, ErrNotFound):
		return err
	case p.fresh != nil && known:
		return fmt.Errorf("%w: there is a message with this id", ErrConflict)
	case p.fresh != nil:
		w.staged = append(w.staged, p.fresh.mutations...)
		p.revision, p.moved, p.entered = p.fresh.revision, p.fresh.counts, p.fresh.entered
		return nil
	case !known && decides(p.change.Events):
		return err
	case decides(p.change.Events) && p.change.Revision != m.Revision:
		return fmt.Errorf("%w: revision %d, not %d", ErrConflict, m.Revision, p.change.Revision)
	}
	p.revision = m.Revision
	if err := dropKnown(w, p); err != nil || p.duplicate() {
		return err
	}
	for _, k := range eventEntries(id, p.change.Events) {
		w.set(k, nil)
	}
	if !known { // events about something that is not a message are only recorded
		for _, e := range p.change.Events {
			w.set(indexKey(indexRecord, string(e.Kind), id), nil)
		}
		return nil
	}
	return s.update(w, &m, p)
}

// update applies the events to the rows and stages what differs.
func (s *Store) update(w *writer, m *Message, p *pendingChange) error {
	rows, err := readRecipients(w.txn, m)
	if err != nil {
		return err
	}
	before := countsOf(m)
	states, due, ended := maps.Clone(m.States), m.Due, m.Ended
	dirty := map[int]bool{}
	for _, e := range p.change.Events {
		var changed []int
		rows, changed = rows.Apply(e)
		for _, i := range changed {
			dirty[i] = true
		}
	}
	for _, k := range recipientEntries(m.ID, rows[m.Recipients:]) {
		w.set(k, nil)
	}
	if decides(p.change.Events) {
		m.Revision++
		p.revision = m.Revision
	}
	m.summarise(rows)
	m.end(s.cfg.Now())
	p.moved = countsOf(m)
	p.moved.add(before, -1)
	for i := range dirty {
		w.set(recipientKey(m.ID, i), encode(&rows[i]))
	}
	w.set(idKey(keyMessage, m.ID), encode(m))
	p.left, p.entered = moveStates(w, m, states)
	w.moveTime(keyDue, due, m.Due, m.ID)
	if m.BodySize > 0 {
		w.moveTime(keyFinal, ended, m.Ended, m.ID)
	}
	return nil
}

// moveStates brings the index of states up to date, and says where the message waits no more, and where it does now.
func moveStates(w *writer, m *Message, before map[policy.State]int) (left, entered []moved) {
	for st := range before {
		if m.States[st] == 0 {
			w.delete(indexKey(indexState, string(st), m.ID))
			if waits(st) {
				left = append(left, moved{st, m.ID})
			}
		}
	}
	for st := range m.States {
		if before[st] == 0 {
			w.set(indexKey(indexState, string(st), m.ID), nil)
			if waits(st) {
				entered = append(entered, moved{st, m.ID})
			}
		}
	}
	return left, entered
}

// moveTime replaces an entry of an index by time; there is none for the zero time.
func (w *writer) moveTime(kind byte, from, to time.Time, id policy.ID) {
	if from.Equal(to) {
		return
	}
	if !from.IsZero() {
		w.delete(timeKey(kind, from, id))
	}
	if !to.IsZero() {
		w.set(timeKey(kind, to, id), nil)
	}
}

// dropKnown removes the events whose key was seen before, also those that the change itself repeats.
func dropKnown(w *writer, p *pendingChange) error {
	var seen map[string]bool
	var kept []policy.Event
	for i, e := range p.change.Events {
		known := seen[e.Key]
		if e.Key != "" && !known {
			_, err := w.txn.Get(seenKey(p.change.Message, e.Key))
			if err != nil && !errors.Is(err, badger.ErrKeyNotFound) {
				return err
			}
			if known = err == nil; seen == nil {
				seen = map[string]bool{}
			}
			seen[e.Key] = true
		}
		if known && kept == nil {
			kept = append(make([]policy.Event, 0, len(p.change.Events)), p.change.Events[:i]...)
		}
		if !known && kept != nil {
			kept = append(kept, e)
		}
	}
	if kept != nil {
		p.change.Events, p.events = kept, encode(kept)
	}
	return nil
}

func seenKey(id policy.ID, key string) []byte {
	h := fnv.New128a()
	h.Write([]byte(key))
	return h.Sum(idKey(keySeen, id))
}

// summarise derives the message's counts and its due time from its recipients.
func (m *Message) summarise(rows policy.Rows) {
	m.States = make(map[policy.State]int, 1)
	m.Due = time.Time{}
	m.Recipients = len(rows)
	for i := range rows {
		if rows[i].Counted() {
			m.States[rows[i].State]++
		}
		if d := rows[i].Due; !d.IsZero() && (m.Due.IsZero() || d.Before(m.Due)) {
			m.Due = d
		}
	}
}

// end notes when the last recipient reached its end.
func (m *Message) end(now time.Time) {
	switch {
	case !m.final():
		m.Ended = time.Time{}
	case m.Ended.IsZero():
		m.Ended = now.UTC().Truncate(time.Microsecond)
	}
}

// final reports whether nothing more is expected of any recipient and sendgate has nothing to do.
func (m *Message) final() bool {
	if !m.Due.IsZero() {
		return false
	}
	for s := range m.States {
		if !s.Final() && s != policy.StateHandedOver && s != policy.StateUnknown {
			return false
		}
	}
	return true
}

func decides(events []policy.Event) bool {
	return slices.ContainsFunc(events, func(e policy.Event) bool { return e.Kind.Decision() })
}
