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
}

func newFreshRows(c *Change) (*freshRows, error) {
	env := *c.Envelope
	if env.Identity == "" {
		return nil, errors.New("commit: an envelope without an identity")
	}
	env.Received = env.Received.UTC().Truncate(time.Microsecond)
	m := Message{ID: c.Message, Envelope: env, Recipients: len(env.Recipients)}
	m.Envelope.Recipients = nil
	rows := make([]Recipient, len(env.Recipients))
	for i := range rows {
		rows[i] = Recipient{Index: i, Recipient: env.Recipients[i]}
	}
	for _, e := range c.Events {
		applyTo(rows, e)
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

	f := &freshRows{revision: m.Revision, mutations: make([]mutation, 0, 16+3*len(rows))}
	put := func(k, v []byte) { f.mutations = append(f.mutations, mutation{key: k, value: v}) }
	put(idKey(keyMessage, m.ID), encode(&m))
	for i := range rows {
		put(recipientKey(m.ID, i), encode(&rows[i]))
	}
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
	return f, nil
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
	switch {
	case p.fresh != nil && err == nil:
		return ErrConflict
	case p.fresh != nil && errors.Is(err, ErrNotFound):
		w.staged = append(w.staged, p.fresh.mutations...)
		p.revision = p.fresh.revision
		return nil
	case errors.Is(err, ErrNotFound):
		if decides(p.change.Events) {
			return ErrNotFound
		}
		return nil // events about something that is not a message: only recorded
	case err != nil:
		return err
	}
	p.revision = m.Revision
	if decides(p.change.Events) {
		if p.change.Revision != m.Revision {
			return fmt.Errorf("%w: revision %d, not %d", ErrConflict, m.Revision, p.change.Revision)
		}
	}
	if err := dropKnown(w, p); err != nil || p.duplicate() {
		return err
	}
	return s.update(w, &m, p)
}

// update applies the events to the rows and stages what differs.
func (s *Store) update(w *writer, m *Message, p *pendingChange) error {
	rows, err := readRecipients(w.txn, m)
	if err != nil {
		return err
	}
	states, due, final := maps.Clone(m.States), m.Due, m.final()
	dirty := map[int]bool{}
	for _, e := range p.change.Events {
		for _, i := range applyTo(rows, e) {
			dirty[i] = true
		}
		if e.QueueID != "" {
			w.set(indexKey(indexQueueID, e.QueueID, m.ID), nil)
		}
	}
	if decides(p.change.Events) {
		m.Revision++
		p.revision = m.Revision
	}
	m.summarise(rows)
	for i := range dirty {
		w.set(recipientKey(m.ID, i), encode(&rows[i]))
	}
	w.set(idKey(keyMessage, m.ID), encode(m))
	for st := range states {
		if m.States[st] == 0 {
			w.delete(indexKey(indexState, string(st), m.ID))
		}
	}
	for st := range m.States {
		if states[st] == 0 {
			w.set(indexKey(indexState, string(st), m.ID), nil)
		}
	}
	if !due.Equal(m.Due) {
		if !due.IsZero() {
			w.delete(timeKey(keyDue, due, m.ID))
		}
		if !m.Due.IsZero() {
			w.set(timeKey(keyDue, m.Due, m.ID), nil)
		}
	}
	if m.final() && !final && m.BodySize > 0 {
		w.set(timeKey(keyFinal, s.cfg.Now(), m.ID), nil)
	}
	return nil
}

// dropKnown removes observations whose key was seen before and remembers the new keys.
func dropKnown(w *writer, p *pendingChange) error {
	known := 0
	for _, e := range p.change.Events {
		if e.Key == "" {
			continue
		}
		k := seenKey(p.change.Message, e.Key)
		switch _, err := w.txn.Get(k); {
		case err == nil:
			known++
		case errors.Is(err, badger.ErrKeyNotFound):
			w.set(k, nil)
		default:
			return err
		}
	}
	if known == 0 {
		return nil
	}
	p.change.Events = slices.DeleteFunc(slices.Clone(p.change.Events), func(e policy.Event) bool {
		if e.Key == "" {
			return false
		}
		_, err := w.txn.Get(seenKey(p.change.Message, e.Key))
		return err == nil
	})
	p.events = encode(p.change.Events)
	return nil
}

func seenKey(id policy.ID, key string) []byte {
	h := fnv.New128a()
	h.Write([]byte(key))
	return h.Sum(idKey(keySeen, id))
}

// applyTo moves the fates an event is about and returns the indexes of those that changed.
func applyTo(rows []Recipient, e policy.Event) (changed []int) {
	move := func(i int) {
		if next := rows[i].Fate.Apply(e); next != rows[i].Fate {
			rows[i].Fate = next
			changed = append(changed, i)
		}
	}
	if e.Recipients == nil {
		for i := range rows {
			move(i)
		}
		return changed
	}
	for _, i := range e.Recipients {
		if i >= 0 && i < len(rows) {
			move(i)
		}
	}
	return changed
}

// summarise derives the message's counts and its due time from its recipients.
func (m *Message) summarise(rows []Recipient) {
	m.States = make(map[policy.State]int, 1)
	m.Due = time.Time{}
	for i := range rows {
		m.States[rows[i].State]++
		if d := rows[i].Due; !d.IsZero() && (m.Due.IsZero() || d.Before(m.Due)) {
			m.Due = d
		}
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
