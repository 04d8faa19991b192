package hold

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// memory is a journal without a disk: rows, revisions and a feed.
type memory struct {
	mu      sync.Mutex
	rows    map[policy.ID]*snapshot
	records []store.Record
	grown   chan struct{}
	refuse  error // what Commit answers

	unreadable error // what Timeline answers
}

func newMemory() *memory { return &memory{rows: map[policy.ID]*snapshot{}, grown: make(chan struct{})} }

func (j *memory) Commit(_ context.Context, c store.Change) (uint64, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.refuse != nil {
		return 0, j.refuse
	}
	v := j.rows[c.Message]
	if v == nil {
		if c.Envelope == nil {
			return 0, store.ErrNotFound
		}
		v = &snapshot{message: store.Message{ID: c.Message, Envelope: *c.Envelope, BodySize: 16}}
		for i, r := range c.Envelope.Recipients {
			v.recipients = append(v.recipients, store.Recipient{Index: i, Recipient: r})
		}
		j.rows[c.Message] = v
	}
	if slices.ContainsFunc(c.Events, func(e policy.Event) bool { return e.Kind.Decision() }) {
		if c.Revision != v.message.Revision {
			return 0, store.ErrConflict
		}
		v.message.Revision++
	}
	for _, e := range c.Events {
		v.recipients, _ = v.recipients.Apply(e)
	}
	v.message.States, v.message.Due, v.message.Recipients = map[policy.State]int{}, time.Time{}, len(v.recipients)
	for i := range v.recipients {
		r := &v.recipients[i]
		if r.Counted() {
			v.message.States[r.State]++
		}
		if d := r.Due; !d.IsZero() && (v.message.Due.IsZero() || d.Before(v.message.Due)) {
			v.message.Due = d
		}
	}
	j.records = append(j.records, store.Record{Batch: uint64(len(j.records) + 1), Message: c.Message, Events: c.Events})
	close(j.grown)
	j.grown = make(chan struct{})
	return v.message.Revision, nil
}

func (j *memory) Message(id policy.ID) (store.Message, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	v := j.rows[id]
	if v == nil {
		return store.Message{}, store.ErrNotFound
	}
	m := v.message
	m.States = maps.Clone(m.States)
	return m, nil
}

func (j *memory) RecipientsOf(m *store.Message) (policy.Rows, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if v := j.rows[m.ID]; v != nil {
		return slices.Clone(v.recipients), nil
	}
	return nil, store.ErrNotFound
}

func (j *memory) Timeline(id policy.ID) (records []store.Record, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.unreadable != nil {
		return nil, j.unreadable
	}
	for _, r := range j.records {
		if r.Message == id {
			records = append(records, r)
		}
	}
	return records, nil
}

func (j *memory) BodyOf(*store.Message) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader("Subject: x\r\n\r\nx\r\n")), nil
}

func (j *memory) Due(fn func(store.DueMessage) bool) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	var due []store.DueMessage
	for id, v := range j.rows {
		if !v.message.Due.IsZero() {
			due = append(due, store.DueMessage{ID: id, Due: v.message.Due})
		}
	}
	slices.SortFunc(due, func(a, b store.DueMessage) int {
		if c := a.Due.Compare(b.Due); c != 0 {
			return c
		}
		return bytes.Compare(a.ID[:], b.ID[:])
	})
	for _, d := range due {
		if !fn(d) {
			break
		}
	}
	return nil
}

func (j *memory) failWith(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.refuse = err
}

// events gives everything that was committed about a message.
func (j *memory) events(id policy.ID) (events []policy.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, r := range j.records {
		if r.Message == id {
			events = append(events, r.Events...)
		}
	}
	return events
}

func (j *memory) kinds(id policy.ID) (kinds []policy.Kind) {
	for _, e := range j.events(id) {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

// A reader is a feed of a memory.
type reader struct {
	journal *memory
	next    int
	broken  error
}

func (j *memory) feed() *reader {
	j.mu.Lock()
	defer j.mu.Unlock()
	return &reader{journal: j, next: len(j.records)}
}

func (r *reader) Next(ctx context.Context) (store.Record, error) {
	for {
		if r.broken != nil {
			return store.Record{}, r.broken
		}
		r.journal.mu.Lock()
		records, grown := r.journal.records, r.journal.grown
		r.journal.mu.Unlock()
		if r.next < len(records) {
			r.next++
			return records[r.next-1], nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return store.Record{}, ctx.Err()
		}
	}
}

// upstreams is a Sender that answers as told.
type upstreams struct {
	mu     sync.Mutex
	tries  []try
	answer func(d Delivery, r store.Recipient) Outcome // nil: 250
	delay  time.Duration
	active int
	most   int
	away   bool // nothing can be tried
}

type try struct {
	at time.Time
	Delivery
}

func (u *upstreams) Upstream(_ *policy.Envelope, a policy.Address) string { return a.Domain() }
func (u *upstreams) Workers(string) int                                   { return 0 }

func (u *upstreams) Deliver(ctx context.Context, d Delivery) []Outcome {
	u.mu.Lock()
	u.tries = append(u.tries, try{time.Now(), d})
	u.active++
	u.most = max(u.most, u.active)
	answer, delay := u.answer, u.delay
	u.mu.Unlock()
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-ctx.Done():
		}
	}
	u.mu.Lock()
	away := u.away
	u.mu.Unlock()
	if away {
		return nil
	}
	outcomes := make([]Outcome, len(d.Recipients))
	for i, r := range d.Recipients {
		outcomes[i] = Outcome{Kind: policy.RelayedRemote, Reply: "250 2.0.0 ok", Upstream: d.Upstream}
		if answer != nil {
			outcomes[i] = answer(d, r)
		}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.active--
	return outcomes
}

func (u *upstreams) seen() []try {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.tries)
}

// bounces is a Bouncer that only remembers.
type bounces struct {
	mu      sync.Mutex
	written []string
	fail    error

	meanwhile func() // happens while a notice is written; nil: nothing
}

func (b *bounces) note(about string, rs []store.Recipient) (policy.ID, []int, error) {
	if b.meanwhile != nil {
		b.meanwhile()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail != nil {
		return policy.ID{}, nil, b.fail
	}
	var told []int
	for _, r := range rs {
		if slices.Contains(r.Notify, "NEVER") {
			continue
		}
		told = append(told, r.Index)
		b.written = append(b.written, about+" "+r.Address.String())
	}
	return ulid.Make(), told, nil
}

func (b *bounces) Failed(_ context.Context, _ store.Message, rs []store.Recipient) (policy.ID, []int, error) {
	return b.note("failed", rs)
}

func (b *bounces) Delayed(_ context.Context, _ store.Message, rs []store.Recipient) (policy.ID, []int, error) {
	return b.note("delayed", rs)
}

func (b *bounces) Relayed(_ context.Context, _ store.Message, rs []store.Recipient) (policy.ID, []int, error) {
	return b.note("relayed", rs)
}

func (b *bounces) all() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.written)
}

// A bench is a scheduler with everything around it.
type bench struct {
	t       *testing.T
	journal *memory
	sender  *upstreams
	bounces *bounces
	step    time.Duration // by which the wall clock was set
	stepMu  sync.Mutex
	cfg     Config
	gate    Gate
	s       *Scheduler
	stop    func() error // ends Run
}

func newBench(t *testing.T) *bench {
	return &bench{t: t, journal: newMemory(), sender: &upstreams{}, bounces: &bounces{}, cfg: DefaultConfig()}
}

func (b *bench) now() time.Time {
	b.stepMu.Lock()
	defer b.stepMu.Unlock()
	return time.Now().Add(b.step)
}

func (b *bench) set(step time.Duration) {
	b.stepMu.Lock()
	defer b.stepMu.Unlock()
	b.step += step
}

// run starts a scheduler on the journal as it is.
func (b *bench) run() {
	b.t.Helper()
	s, err := New(b.cfg, b.journal, b.journal.feed(), b.sender, b.bounces, b.now, zap.NewNop(), b.gate)
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	b.s = s
	b.stop = sync.OnceValue(func() error { cancel(); return <-done })
}

// accept puts a message into the journal, as a front does.
func (b *bench) accept(hold time.Duration, recipients ...policy.Recipient) policy.ID {
	b.t.Helper()
	now := b.now()
	second := policy.Event{Kind: policy.Held, Time: now, Actor: "smtp", Until: now.Add(hold)}
	if hold == 0 {
		second.Kind = policy.Released
	}
	return b.commit(recipients, policy.Event{Kind: policy.Accepted, Time: now, Actor: "smtp"}, second)
}

func (b *bench) commit(recipients []policy.Recipient, events ...policy.Event) policy.ID {
	b.t.Helper()
	id := ulid.Make()
	_, err := b.journal.Commit(context.Background(), store.Change{Message: id, Events: events, Envelope: &policy.Envelope{
		Received: b.now().Round(0), Front: policy.Relay, Sender: "ann@corp.example", Identity: "ann", Recipients: recipients,
	}})
	if err != nil {
		b.t.Fatal(err)
	}
	return id
}

func (b *bench) row(id policy.ID, i int) store.Recipient {
	b.t.Helper()
	rs, err := b.journal.RecipientsOf(&store.Message{ID: id})
	if err != nil {
		b.t.Fatal(err)
	}
	return rs[i]
}

func (b *bench) states(id policy.ID) (states []policy.State) {
	b.t.Helper()
	rs, err := b.journal.RecipientsOf(&store.Message{ID: id})
	if err != nil {
		b.t.Fatal(err)
	}
	for _, r := range rs {
		states = append(states, r.State)
	}
	return states
}

func to(addresses ...policy.Address) (rs []policy.Recipient) {
	for _, a := range addresses {
		rs = append(rs, policy.Recipient{Address: a})
	}
	return rs
}

// later lets virtual time pass and everything that is due then happen.
func later(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func deferAll(Delivery, store.Recipient) Outcome {
	return Outcome{Kind: policy.Deferred, Reply: "451 4.3.0 later"}
}

var errBroken = errors.New("broken on purpose")
