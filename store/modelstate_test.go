package store

import (
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// A model is what the store should know, kept as simply as possible.
type model struct {
	messages map[policy.ID]*modelMessage
	records  map[policy.ID]*modelMessage // timelines without a message
	journal  []Record
	bodies   map[policy.ID][]byte // of all messages that were ever begun
	batch    uint64
	first    uint64               // the oldest batch that is left
	times    map[uint64]time.Time // of batches
	now      time.Time
	position int
}

type modelMessage struct {
	row      Message
	rows     policy.Rows
	keys     map[string]bool
	queueIDs map[string]bool
	kinds    map[policy.Kind]bool
	timeline []Record
}

func newModel() *model {
	return &model{
		messages: map[policy.ID]*modelMessage{}, records: map[policy.ID]*modelMessage{}, bodies: map[policy.ID][]byte{},
		times: map[uint64]time.Time{}, first: 1,
	}
}

func (m *model) clone() *model {
	c := *m
	c.messages, c.records = map[policy.ID]*modelMessage{}, map[policy.ID]*modelMessage{}
	for id, x := range m.messages {
		c.messages[id] = x.clone()
	}
	for id, x := range m.records {
		c.records[id] = x.clone()
	}
	c.journal, c.times = slices.Clone(m.journal), maps.Clone(m.times)
	return &c
}

func (x *modelMessage) clone() *modelMessage {
	return &modelMessage{
		row: x.row, rows: slices.Clone(x.rows), keys: maps.Clone(x.keys), queueIDs: maps.Clone(x.queueIDs),
		kinds: maps.Clone(x.kinds), timeline: slices.Clone(x.timeline),
	}
}

// begin begins a burst.
func (m *model) begin(now time.Time) { m.now = now }

// place gives the newest change its place in the journal, as a live subscriber was told it: the
// next one in the batch, or the first one of the next batch.
func (m *model) place(t *testing.T, seen Record) {
	t.Helper()
	r := &m.journal[len(m.journal)-1]
	r.Batch, r.Position = seen.Batch, seen.Position
	if !sameRecords([]Record{seen}, []Record{*r}) {
		t.Fatalf("live: %+v, want %+v", seen, *r)
	}
	if (seen.Envelope != nil) != (r.Envelope != nil) || seen.Envelope != nil && !reflect.DeepEqual(seen.Envelope.Recipients, r.Envelope.Recipients) {
		t.Fatalf("live: envelope %+v, want %+v", seen.Envelope, r.Envelope)
	}
	r.Envelope = nil // it is in no timeline
	last := Record{Batch: m.batch, Position: m.position}
	if seen.Batch == m.batch+1 {
		last = Record{Batch: seen.Batch, Position: -1}
		m.times[seen.Batch] = m.now
	}
	if seen.Batch != last.Batch || seen.Position != last.Position+1 {
		t.Fatalf("batch %d position %d came after %d, %d", seen.Batch, seen.Position, m.batch, m.position)
	}
	m.batch, m.position = seen.Batch, seen.Position
	x := m.messages[r.Message]
	if x == nil {
		x = m.records[r.Message]
	}
	x.timeline = append(x.timeline, *r)
}

// commit is Store.Commit, by the letter of its documentation.
func (m *model) commit(c Change) (revision uint64, err error) {
	x := m.messages[c.Message]
	switch {
	case c.Envelope != nil && x != nil:
		return 0, ErrConflict
	case c.Envelope == nil && x == nil && decides(c.Events):
		return 0, ErrNotFound
	case c.Envelope == nil && x != nil && decides(c.Events) && c.Revision != x.row.Revision:
		return 0, ErrConflict
	case c.Envelope != nil:
		x = &modelMessage{row: Message{ID: c.Message, Envelope: *c.Envelope, Recipients: len(c.Envelope.Recipients)}}
		x.row.Envelope.Recipients = nil
		for i, to := range c.Envelope.Recipients {
			x.rows = append(x.rows, Recipient{Index: i, Recipient: to})
		}
		if body := m.bodies[c.Message]; c.Body != nil {
			x.row.BodySize, x.row.BodyChunks = int64(len(body)), uint32((len(body)+chunkSize-1)/chunkSize)
		}
		m.messages[c.Message] = x
	case x == nil && m.records[c.Message] == nil:
		x = &modelMessage{}
		m.records[c.Message] = x
	case x == nil:
		x = m.records[c.Message]
	}
	x.init()
	var news []policy.Event
	for _, e := range c.Events {
		if c.Envelope == nil && e.Key != "" && x.keys[e.Key] {
			continue
		}
		if e.Time.IsZero() {
			e.Time = m.now
		}
		e.Node = "node1"
		news = append(news, e)
		x.apply(e)
	}
	if len(news) == 0 {
		return x.row.Revision, nil
	}
	if decides(news) {
		x.row.Revision++
	}
	now := m.now
	if c.Envelope != nil {
		now = c.Envelope.Received
	}
	x.summarise(now)
	m.journal = append(m.journal, Record{Message: c.Message, Events: news, Envelope: c.Envelope})
	return x.row.Revision, nil
}

func (m *model) isLarge(id policy.ID) bool {
	return m.messages[id] != nil && len(m.messages[id].rows) > 1000
}

func (x *modelMessage) init() {
	if x.keys == nil {
		x.keys, x.queueIDs, x.kinds = map[string]bool{}, map[string]bool{}, map[policy.Kind]bool{}
	}
}

func (x *modelMessage) apply(e policy.Event) {
	if e.Key != "" {
		x.keys[e.Key] = true
	}
	if e.QueueID != "" {
		x.queueIDs[e.QueueID] = true
	}
	x.kinds[e.Kind] = true
	x.rows, _ = x.rows.Apply(e)
}

func (x *modelMessage) summarise(now time.Time) {
	x.row.States, x.row.Due = map[policy.State]int{}, time.Time{}
	over := true
	x.row.Recipients = len(x.rows)
	for _, r := range x.rows {
		if r.Counted() {
			x.row.States[r.State]++
		}
		over = over && (r.State.Final() || r.State == policy.StateUnknown || r.State == policy.StateHandedOver)
		if !r.Due.IsZero() && (x.row.Due.IsZero() || r.Due.Before(x.row.Due)) {
			x.row.Due = r.Due
		}
	}
	switch {
	case !over || !x.row.Due.IsZero():
		x.row.Ended = time.Time{}
	case x.row.Ended.IsZero():
		x.row.Ended = now
	}
}

// prune is retention.
func (m *model) prune(now time.Time, events, bodies time.Duration) {
	for _, x := range m.messages {
		if e := x.row.Ended; !e.IsZero() && e.Before(now.Add(-bodies)) {
			x.row.BodySize, x.row.BodyChunks = 0, 0
		}
	}
	cutoff := now.Add(-events)
	old := func(id policy.ID, x *modelMessage) bool { return id.Timestamp().Before(cutoff) && x.row.Due.IsZero() }
	maps.DeleteFunc(m.messages, old)
	maps.DeleteFunc(m.records, old)
	for m.first < m.batch && m.times[m.first].Before(cutoff) {
		m.first++
	}
}
