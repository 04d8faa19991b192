package recall

import (
	"context"
	"encoding/binary"
	"slices"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// A memory is a Journal without a disk.
type memory struct {
	life      *life
	now       func() time.Time
	mu        sync.Mutex
	serial    uint64
	batch     uint64
	messages  map[policy.ID]*store.Message
	rows      map[policy.ID]policy.Rows
	timelines map[policy.ID][]store.Record
	kept      map[string][]byte
	feeds     map[*feed]bool
	commits   int
	broken    error // of each look at a message
}

// unreadable makes every look at a message fail.
func (m *memory) unreadable(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.broken = err
}

func newMemory(l *life) *memory {
	return &memory{
		life: l, now: time.Now, messages: map[policy.ID]*store.Message{}, rows: map[policy.ID]policy.Rows{},
		timelines: map[policy.ID][]store.Record{}, kept: map[string][]byte{}, feeds: map[*feed]bool{},
	}
}

func (m *memory) NewID() (id policy.ID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.serial++
	_ = id.SetTime(ulid.Timestamp(m.now()))
	binary.BigEndian.PutUint64(id[8:], m.serial)
	return id
}

func (m *memory) Commit(_ context.Context, c store.Change) (uint64, error) {
	happens, answered := m.life.step()
	if !happens {
		return 0, errDead
	}
	revision, err := m.commit(c)
	if !answered {
		return 0, errDead
	}
	return revision, err
}

func (m *memory) commit(c store.Change) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	msg := m.messages[c.Message]
	decides := slices.ContainsFunc(c.Events, func(e policy.Event) bool { return e.Kind.Decision() })
	if c.Envelope != nil {
		msg = &store.Message{ID: c.Message, Envelope: *c.Envelope}
		m.messages[c.Message] = msg
		for i, r := range c.Envelope.Recipients {
			m.rows[c.Message] = append(m.rows[c.Message], policy.Row{Index: i, Recipient: r})
		}
		msg.Envelope.Recipients = nil
	} else if decides && (msg == nil || msg.Revision != c.Revision) {
		return 0, store.ErrConflict
	}
	c.Events = slices.Clone(c.Events)
	for i := range c.Events {
		c.Events[i].Time = c.Events[i].Time.UTC().Truncate(time.Microsecond)
	}
	m.batch++
	m.commits++
	r := store.Record{Batch: m.batch, Message: c.Message, Events: c.Events}
	m.timelines[c.Message] = append(m.timelines[c.Message], r)
	if msg != nil {
		m.project(msg, c.Events, decides)
	}
	for f := range m.feeds {
		f.put(r)
	}
	if msg == nil {
		return 0, nil
	}
	return msg.Revision, nil
}

func (m *memory) project(msg *store.Message, events []policy.Event, decides bool) {
	rows := m.rows[msg.ID]
	for _, e := range events {
		rows, _ = rows.Apply(e)
	}
	m.rows[msg.ID] = rows
	msg.Recipients, msg.States = len(rows), map[policy.State]int{}
	for i := range rows {
		if rows[i].Counted() {
			msg.States[rows[i].State]++
		}
	}
	if decides {
		msg.Revision++
	}
}

func (m *memory) Message(id policy.ID) (store.Message, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken != nil {
		return store.Message{}, m.broken
	}
	if msg := m.messages[id]; msg != nil {
		return *msg, nil
	}
	return store.Message{}, store.ErrNotFound
}

func (m *memory) Recipients(id policy.ID) (policy.Rows, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.messages[id] == nil {
		return nil, store.ErrNotFound
	}
	return slices.Clone(m.rows[id]), nil
}

func (m *memory) Timeline(id policy.ID) ([]store.Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.timelines[id]) == 0 {
		return nil, store.ErrNotFound
	}
	return slices.Clone(m.timelines[id]), nil
}

func (m *memory) Records(_ context.Context, kind policy.Kind, limit int, before policy.ID) (ids []policy.ID, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, records := range m.timelines {
		has := slices.ContainsFunc(records, func(r store.Record) bool {
			return slices.ContainsFunc(r.Events, func(e policy.Event) bool { return e.Kind == kind })
		})
		if m.messages[id] == nil && has && (before == policy.ID{} || id.Compare(before) < 0) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b policy.ID) int { return b.Compare(a) })
	return ids[:min(limit, len(ids))], nil
}

func (m *memory) ByReference(messageID string) (ids []policy.ID, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, msg := range m.messages {
		if slices.Contains(msg.Envelope.References, messageID) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b policy.ID) int { return b.Compare(a) })
	return ids, nil
}

func (m *memory) Keep(name string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kept[name] = value
	return nil
}

func (m *memory) Kept(name string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.kept[name], nil
}

// A feed gives the records of a memory.
type feed struct {
	mu      sync.Mutex
	records []store.Record
	more    chan struct{}
}

func (m *memory) subscribe() *feed {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := &feed{more: make(chan struct{}, 1)}
	m.feeds = map[*feed]bool{f: true} // who subscribed before is dead
	return f
}

func (f *feed) put(r store.Record) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.records = append(f.records, r)
	select {
	case f.more <- struct{}{}:
	default:
	}
}

func (f *feed) Next(ctx context.Context) (store.Record, error) {
	for {
		f.mu.Lock()
		if len(f.records) > 0 {
			r := f.records[0]
			f.records = f.records[1:]
			f.mu.Unlock()
			return r, nil
		}
		f.mu.Unlock()
		select {
		case <-f.more:
		case <-ctx.Done():
			return store.Record{}, ctx.Err()
		}
	}
}
