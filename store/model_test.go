package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/sendgate/sendgate/policy"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"
)

// TestModel runs random changes, restarts, crashes and power losses against a simple model.
//
// Changes come in bursts that the committer writes as one batch, or more if they are big. After a burst the store may be
//
//   - closed and opened again;
//   - crashed: its directory is copied as it lies in the page cache while the store is open, which is
//     what a killed process leaves, and the copy is opened;
//   - cut off from power during the burst: the directory is copied before the burst (C1) and after
//     it (C2). The engine writes a batch in two steps, each ended by a sync: values go to the value log
//     (.vlog), then keys and pointers to the log of the memory table (.mem). A power loss in the
//     first step leaves any of the 4 KiB pages in which the value logs of C1 and C2 differ as they are
//     in C2, the others as in C1, because pages that are not yet synced reach the disk in any
//     order, and everything else as in C1. One in the second step leaves the value log of C2, any
//     of the differing pages of the .mem log, and everything else as in C1. Several such
//     directories are made of each burst, and each is crashed once more right after it was opened.
//
// After each, what was acknowledged before the burst has to be there exactly, and the burst wholly
// or not at all, as far as rows, bodies, timelines, every index, batch numbers and the replay of
// subscriptions tell.
//
// SENDGATE_SEED repeats a run, SENDGATE_LONG=1 makes it long.
func TestModel(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if v := os.Getenv("SENDGATE_SEED"); v != "" {
		var err error
		if seed, err = strconv.ParseUint(v, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("SENDGATE_SEED=%d", seed)
	rounds := 15
	if os.Getenv("SENDGATE_LONG") != "" {
		rounds = 1000
	}
	r := newModelRun(t, seed)
	for range rounds {
		r.round()
		if t.Failed() {
			t.FailNow()
		}
	}
	r.s.Close()
}

// A modelRun drives a store and its model side by side.
type modelRun struct {
	t     *testing.T
	rnd   *rand.Rand
	clock atomic.Pointer[time.Time]
	dir   string
	s     *Store
	m     *model
}

func newModelRun(t *testing.T, seed uint64) *modelRun {
	r := &modelRun{t: t, rnd: rand.New(rand.NewPCG(seed, seed)), dir: t.TempDir(), m: newModel()}
	start := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	r.clock.Store(&start)
	r.s = r.open(r.dir)
	return r
}

func (r *modelRun) now() time.Time { return *r.clock.Load() }

func (r *modelRun) open(dir string) *Store {
	r.t.Helper()
	cfg := DefaultConfig()
	cfg.Dir, cfg.Node, cfg.Now, cfg.MinFree = dir, "node1", r.now, 1
	cfg.Log = zaptest.NewLogger(r.t, zaptest.Level(zap.ErrorLevel))
	s, err := Open(cfg)
	if err != nil {
		r.t.Fatalf("open: %v", err)
	}
	return s
}

// round is one burst and what happens after it.
func (r *modelRun) round() {
	next := r.now().Add(time.Duration(1+r.rnd.IntN(3600)) * time.Second)
	r.clock.Store(&next)
	before := r.m.clone()
	changes := r.changes()
	power := r.rnd.IntN(3) == 0
	var c1 string
	if power {
		c1 = copyDir(r.t, r.dir)
	}
	r.burst(changes)
	switch {
	case power:
		r.powerLoss(c1, before)
	case r.rnd.IntN(4) == 0:
		r.s.Close()
		r.s = r.open(r.dir)
	case r.rnd.IntN(4) == 0:
		r.crash(copyDir(r.t, r.dir))
	case r.rnd.IntN(4) == 0:
		r.retain()
	case r.rnd.IntN(4) == 0:
		if err := r.s.collect(context.Background(), 1); err != nil {
			r.t.Fatalf("collect: %v", err)
		}
	}
	r.m.check(r.t, r.s)
}

// crash goes on in a copy of the directory.
func (r *modelRun) crash(dir string) {
	r.s.Close()
	os.RemoveAll(r.dir) // a long run makes many
	r.dir, r.s = dir, r.open(dir)
}

// powerLoss goes on in one of several directories that a power loss in the last burst could leave.
func (r *modelRun) powerLoss(c1 string, before *model) {
	c2 := copyDir(r.t, r.dir)
	defer os.RemoveAll(c1)
	defer os.RemoveAll(c2)
	if !sameFiles(r.t, c1, c2) || r.m.batch != before.batch+1 {
		return // a memory table was flushed in the burst, or it took several batches
	}
	if slices.ContainsFunc(r.m.journal[len(before.journal):], func(x Record) bool { return r.m.isLarge(x.Message) }) {
		return // it took several transactions: see TestLargeChangeIsFinishedAfterACrash
	}
	after := r.m
	for i := range 4 {
		dir := copyDir(r.t, c1)
		step := []string{".vlog", ".mem"}[i%2]
		if step == ".mem" {
			for _, path := range engineLogs(r.t, c2, ".vlog") {
				if err := copySparse(path, filepath.Join(dir, engineDir, filepath.Base(path))); err != nil {
					r.t.Fatal(err)
				}
			}
		}
		for _, path := range engineLogs(r.t, c2, step) {
			mixPages(r.t, r.rnd, dir, c2, filepath.Base(path))
		}
		r.crash(dir)
		if last := r.s.lastBatch.Load(); last == before.batch {
			r.m = before.clone()
		} else {
			r.m = after.clone()
		}
		r.m.check(r.t, r.s)
		r.crash(copyDir(r.t, r.dir))
		r.m.check(r.t, r.s)
	}
}

// retain prunes with a clock that is up to a hundred days ahead.
func (r *modelRun) retain() {
	ahead := r.now().Add(time.Duration(r.rnd.IntN(100*24)) * time.Hour)
	if err := r.s.prune(context.Background(), ahead); err != nil {
		r.t.Fatalf("prune: %v", err)
	}
	r.m.prune(ahead, r.s.cfg.EventsFor, r.s.cfg.BodiesFor)
}

// burst has the committer write the changes together and compares its answers with the model's.
func (r *modelRun) burst(changes []Change) {
	r.s.rows.Lock() // the committer stops before its next batch
	plug, err := r.s.prepare(Change{Message: r.s.NewID(), Revision: 1, Events: []policy.Event{{Kind: policy.Canceled}}})
	if err != nil {
		r.t.Fatal(err)
	}
	r.s.queue <- plug
	for r.s.inFlight.Load() == 0 { // until it has gathered the plug and waits
		runtime.Gosched()
	}
	var waiting []*pendingChange
	for _, c := range changes {
		p, err := r.s.prepare(c)
		if err != nil {
			r.t.Fatal(err)
		}
		waiting = append(waiting, p)
		r.s.queue <- p
	}
	live := r.s.Subscribe(r.m.batch)
	if r.m.batch == 0 {
		live = &Subscription{store: r.s, next: 1}
	}
	r.s.rows.Unlock()
	<-plug.done
	r.m.begin(r.now())
	for i, p := range waiting {
		<-p.done
		known := len(r.m.journal)
		revision, err := r.m.commit(changes[i])
		if p.revision != revision && err == nil || !errors.Is(p.err, err) {
			r.t.Fatalf("%+v: revision %d, %v; the model says %d, %v", changes[i], p.revision, p.err, revision, err)
		}
		if len(r.m.journal) > known {
			r.m.place(r.t, next(r.t, live))
		}
	}
	if last := r.s.lastBatch.Load(); last != r.m.batch {
		r.t.Fatalf("the last batch is %d, the model says %d", last, r.m.batch)
	}
}

// next reads a record that has to be there.
func next(t *testing.T, sub *Subscription) Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	r, err := sub.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var (
	modelSenders    = []string{"", "alice@corp.example", "Bob@Corp.Example", `"odd one"@corp.example`, "王@例子.example"}
	modelRecipients = []string{"carol@example.org", "dave@example.net", "erin@sub.example.org", "postmaster", "李@例子.example"}
	modelWords      = []string{"invoice", "Quarterly", "会议通知", "日本語テスト", "re", "2026", "straße"}
	// How far a message may be received from when its id was made.
	modelSkews    = []time.Duration{0, 0, 0, time.Second, -time.Minute, 119 * time.Minute, -119 * time.Minute}
	modelQueueIDs = []string{"4bXyzQ0", "ABCDEF1", strings.Repeat("Q", 200)}
)

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// changes makes a burst: new messages and events about old ones, some of them stale or repeated.
func (r *modelRun) changes() (changes []Change) {
	ids := slices.SortedFunc(maps.Keys(r.m.messages), policy.ID.Compare)
	for range 1 + r.rnd.IntN(40) {
		switch n := r.rnd.IntN(10); {
		case n < 4 || len(ids) == 0:
			c := r.accept()
			changes = append(changes, c)
			ids = append(ids, c.Message)
		case n == 4:
			changes = append(changes, r.record())
		case n < 7:
			changes = append(changes, r.decision(pick(r.rnd, ids)))
		default:
			changes = append(changes, r.observation(pick(r.rnd, ids)))
		}
	}
	return changes
}

func (r *modelRun) accept() Change {
	id := r.s.NewID()
	e := &policy.Envelope{
		Received: r.now().Add(pick(r.rnd, modelSkews)), Front: policy.Relay, Direction: policy.Outbound, Identity: "x",
		Sender:    policy.Address(pick(r.rnd, modelSenders)),
		Helo:      pick(r.rnd, []string{"client.example", "bad \xff\xfe utf-8"}),
		Subject:   pick(r.rnd, modelWords) + " " + pick(r.rnd, modelWords),
		MessageID: fmt.Sprintf("<%d@corp.example>", r.rnd.IntN(20)),
	}
	for range r.rnd.IntN(3) {
		if id := fmt.Sprintf("<%d@corp.example>", r.rnd.IntN(20)); !slices.Contains(e.References, id) {
			e.References = append(e.References, id)
		}
	}
	for range r.rnd.IntN(5) {
		e.Recipients = append(e.Recipients, policy.Recipient{Address: policy.Address(pick(r.rnd, modelRecipients))})
	}
	if n := r.rnd.IntN(300); n < 10 {
		for i := range []int{200, 6000}[min(1, n/9)] { // 6000 take several transactions
			e.Recipients = append(e.Recipients, policy.Recipient{Address: policy.Address(fmt.Sprintf("many%d@example.org", i))})
		}
	}
	c := Change{Message: id, Envelope: e, Events: []policy.Event{
		{Kind: policy.Accepted}, {Kind: policy.Held, Until: r.until(), Rule: "default"},
	}}
	if r.rnd.IntN(5) == 0 {
		c.Events[1] = policy.Event{Kind: policy.Blocked, QueueID: pick(r.rnd, modelQueueIDs), Key: "first"}
	}
	sizes := []int{0, 1, 100, 4095, 4096, 4097, 20_000}
	if r.rnd.IntN(10) == 0 {
		sizes = []int{chunkSize - 1, chunkSize, chunkSize + 1, 3*chunkSize + 7}
	}
	if size := pick(r.rnd, sizes); size > 0 {
		body := make([]byte, size)
		for i := range body {
			body[i] = byte(r.rnd.Uint32())
		}
		c.Body = r.s.NewBody(id)
		if _, err := c.Body.Write(body); err != nil {
			r.t.Fatal(err)
		}
		r.m.bodies[id] = body
	}
	return c
}

func (r *modelRun) until() time.Time {
	return r.now().Add(time.Duration(r.rnd.IntN(1e9)) * time.Microsecond)
}

func (r *modelRun) record() Change {
	c := Change{Message: r.s.NewID(), Events: []policy.Event{{Kind: pick(r.rnd, []policy.Kind{policy.RecallRequested, policy.Login}), Key: "k"}}}
	if r.rnd.IntN(2) == 0 && len(r.m.records) > 0 {
		c.Message = pick(r.rnd, slices.SortedFunc(maps.Keys(r.m.records), policy.ID.Compare))
		c.Events[0].Key = fmt.Sprint(r.rnd.IntN(3))
	}
	return c
}

// some are recipients that an event concerns; nil means all.
func (r *modelRun) some() (recipients []int) {
	for range r.rnd.IntN(3) {
		recipients = append(recipients, r.rnd.IntN(6))
	}
	return recipients
}

func (r *modelRun) decision(id policy.ID) Change {
	c := Change{Message: id, Revision: 1, Events: []policy.Event{{
		Kind:  pick(r.rnd, []policy.Kind{policy.Released, policy.HoldChanged, policy.Canceled, policy.Resent}),
		Until: r.until(), Recipients: r.some(), Reason: "why",
	}}}
	if m := r.m.messages[id]; m != nil && r.rnd.IntN(4) > 0 {
		c.Revision = m.row.Revision
	}
	if r.rnd.IntN(4) == 0 {
		c.Events = append([]policy.Event{{Kind: policy.RecallRequested, Actor: "api:x"}}, c.Events...)
	}
	return c
}

func (r *modelRun) observation(id policy.ID) Change {
	c := Change{Message: id}
	for range 1 + r.rnd.IntN(3) {
		e := policy.Event{
			Kind: pick(r.rnd, []policy.Kind{policy.Deferred, policy.HandedOver, policy.DeliveredMailbox, policy.RelayedRemote,
				policy.Bounced, policy.AsyncBounced, policy.Unknown, policy.Notified}),
			Time: r.now().Add(-time.Duration(r.rnd.IntN(100)) * time.Second), Recipients: r.some(),
			Reply: "250 2.0.0 ok", Evidence: strings.Repeat("e", r.rnd.IntN(3000)),
		}
		if e.Kind == policy.Deferred {
			e.Until = r.until()
		}
		if r.rnd.IntN(2) == 0 {
			e.Key = fmt.Sprint("log:", r.rnd.IntN(5))
		}
		if r.rnd.IntN(3) == 0 {
			e.QueueID = pick(r.rnd, modelQueueIDs)
		}
		c.Events = append(c.Events, e)
	}
	return c
}

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

// check compares everything that can be asked of the store with the model.
func (m *model) check(t *testing.T, s *Store) {
	t.Helper()
	holes, last, err := s.holes()
	if err != nil || len(holes) > 0 || last != m.batch {
		t.Errorf("journal: holes %v, last %d, %v; the model ends at %d", holes, last, err, m.batch)
	}
	for id, x := range m.messages {
		x.check(t, s, id, m.bodies[id])
	}
	for id, x := range m.records {
		if got, err := s.Timeline(id); err != nil || !sameRecords(got, x.timeline) {
			t.Errorf("timeline of %s: %v, %v; want %v", id, got, err, x.timeline)
		}
	}
	m.checkDue(t, s)
	m.checkIndexes(t, s)
	m.checkReplay(t, s)
	m.checkLeftovers(t, s)
}

func (x *modelMessage) check(t *testing.T, s *Store, id policy.ID, body []byte) {
	t.Helper()
	row, err := s.Message(id)
	if err != nil || !reflect.DeepEqual(row, x.row) {
		t.Errorf("message %s: %v\n got %+v\nwant %+v", id, err, row, x.row)
	}
	rows, err := s.Recipients(id)
	if err != nil || len(rows) != len(x.rows) || len(rows) > 0 && !reflect.DeepEqual(rows, x.rows) {
		t.Errorf("recipients of %s: %v\n got %+v\nwant %+v", id, err, rows, x.rows)
	}
	timeline, err := s.Timeline(id)
	if err != nil || !sameRecords(timeline, x.timeline) {
		t.Errorf("timeline of %s: %v\n got %+v\nwant %+v", id, err, timeline, x.timeline)
	}
	r, err := s.Body(id)
	if x.row.BodyChunks == 0 {
		if !errors.Is(err, ErrNotFound) {
			t.Errorf("body of %s: %v, want ErrNotFound", id, err)
		}
		return
	}
	if err != nil {
		t.Errorf("body of %s: %v", id, err)
		return
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, body) {
		t.Errorf("body of %s: %d octets, %v; want %d", id, len(got), err, len(body))
	}
}

// sameRecords compares records as they are stored.
func sameRecords(a, b []Record) bool {
	return slices.EqualFunc(a, b, func(x, y Record) bool {
		return x.Batch == y.Batch && x.Position == y.Position && x.Message == y.Message && bytes.Equal(encode(x.Events), encode(y.Events))
	})
}

func (m *model) checkDue(t *testing.T, s *Store) {
	t.Helper()
	var got, want []DueMessage
	if err := s.Due(func(d DueMessage) bool { got = append(got, d); return true }); err != nil {
		t.Error(err)
	}
	for id, x := range m.messages {
		if !x.row.Due.IsZero() {
			want = append(want, DueMessage{id, x.row.Due})
		}
	}
	slices.SortFunc(want, func(a, b DueMessage) int {
		if c := a.Due.Compare(b.Due); c != 0 {
			return c
		}
		return a.ID.Compare(b.ID)
	})
	if !slices.Equal(got, want) {
		t.Errorf("due:\n got %v\nwant %v", got, want)
	}
}

// checkIndexes asks for every term that occurs and compares with a search through the model.
func (m *model) checkIndexes(t *testing.T, s *Store) {
	t.Helper()
	ask := func(query string, selects func(*modelMessage) bool) {
		t.Helper()
		want := m.selected(m.messages, selects)
		if got := searchAll(t, s, query); !slices.Equal(got, want) {
			t.Errorf("search %q:\n got %v\nwant %v", query, got, want)
		}
	}
	ask("", func(*modelMessage) bool { return true })
	for _, st := range policy.States {
		ask("state:"+string(st), func(x *modelMessage) bool {
			return x.row.States[st] > 0 || st == policy.StateRecalled && x.row.States[policy.StateCanceled] > 0 // the label of both
		})
		if waits(st) {
			want := m.selected(m.messages, func(x *modelMessage) bool { return x.row.States[st] > 0 })
			slices.Reverse(want)
			if got := s.inState(t, st); !slices.Equal(got, want) {
				t.Errorf("in state %s:\n got %v\nwant %v", st, got, want)
			}
		}
	}
	at := m.now.Add(-time.Duration(len(m.messages)%5) * time.Hour).Truncate(time.Second)
	ask("before:"+at.Format(time.RFC3339), func(x *modelMessage) bool { return x.row.Envelope.Received.Before(at) })
	ask("after:"+at.Format(time.RFC3339), func(x *modelMessage) bool { return !x.row.Envelope.Received.Before(at) })
	ask("state:delivering after:"+at.Format(time.RFC3339), func(x *modelMessage) bool {
		return !x.row.Envelope.Received.Before(at) && slices.ContainsFunc(policy.States, func(st policy.State) bool {
			return st.Label() == policy.LabelDelivering && x.row.States[st] > 0
		})
	})
	for _, a := range modelSenders {
		ask(`from:"`+strings.ReplaceAll(policy.Address(a).String(), `"`, "")+`"`, func(x *modelMessage) bool {
			return !strings.Contains(a, `"`) && x.row.Envelope.Sender.Key() == policy.Address(a).Key()
		})
	}
	for _, a := range modelRecipients {
		ask("to:"+a, func(x *modelMessage) bool {
			return a != "postmaster" && slices.ContainsFunc(x.rows, func(r Recipient) bool { return r.Address.Key() == policy.Address(a).Key() })
		})
	}
	for n := range 20 {
		of := fmt.Sprintf("<%d@corp.example>", n)
		want := m.selected(m.messages, func(x *modelMessage) bool { return slices.Contains(x.row.Envelope.References, of) })
		if got, err := s.ByReference(of); err != nil || !slices.Equal(got, want) {
			t.Errorf("by reference %s: %v\n got %v\nwant %v", of, err, got, want)
		}
	}
	ask("to:@example.org", func(x *modelMessage) bool {
		return slices.ContainsFunc(x.rows, func(r Recipient) bool { return r.Address.Domain() == "example.org" })
	})
	for _, w := range modelWords {
		ask("subject:"+w, func(x *modelMessage) bool { return strings.Contains(x.row.Envelope.Subject, w) })
	}
	for _, q := range modelQueueIDs {
		ask("queue:"+q, func(x *modelMessage) bool { return x.queueIDs[q] })
	}
	ask("id:<7@corp.example>", func(x *modelMessage) bool { return x.row.Envelope.MessageID == "<7@corp.example>" })
	for _, k := range []policy.Kind{policy.RecallRequested, policy.Login} {
		want := m.selected(m.records, func(x *modelMessage) bool { return x.kinds[k] })
		if got, err := s.Records(context.Background(), k, MaxPage, policy.ID{}); err != nil || !slices.Equal(got, want) {
			t.Errorf("records of %s: %v\n got %v\nwant %v", k, err, got, want)
		}
	}
}

// selected gives ids newest first.
func (m *model) selected(from map[policy.ID]*modelMessage, selects func(*modelMessage) bool) (ids []policy.ID) {
	for id, x := range from {
		if selects(x) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b policy.ID) int { return b.Compare(a) })
	return ids
}

func searchAll(t *testing.T, s *Store, query string) (ids []policy.ID) {
	t.Helper()
	q, err := ParseQuery(query, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for cursor := ""; ; {
		page, err := s.Search(context.Background(), q, 50, cursor)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range page.Messages {
			ids = append(ids, m.ID)
		}
		if cursor = page.Next; cursor == "" {
			return ids
		}
	}
}

// checkReplay subscribes after the first batch that is left and compares the records, but those of
// messages that were pruned.
func (m *model) checkReplay(t *testing.T, s *Store) {
	t.Helper()
	var want, got []Record
	for _, r := range m.journal {
		if r.Batch > m.first && (m.messages[r.Message] != nil || m.records[r.Message] != nil) {
			want = append(want, r)
		}
	}
	sub := s.Subscribe(m.first)
	for len(got) < len(want) {
		r := next(t, sub)
		if m.messages[r.Message] != nil || m.records[r.Message] != nil { // the hub still has what was pruned
			got = append(got, r)
		}
	}
	if !sameRecords(got, want) {
		t.Errorf("replay:\n got %v\nwant %v", got, want)
	}
}

// checkLeftovers looks for keys that belong to no message. Values of the value log may come back
// (see garbage.go): bodies until they are swept, events until they are pruned again.
func (m *model) checkLeftovers(t *testing.T, s *Store) {
	t.Helper()
	if err := s.sweepOrphans(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []byte{keyRecipient, keyEvents, keyBody, keyOpenBody, keySeen, keyIndex} {
		keys, err := s.keys([]byte{kind})
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range keys {
			id := policy.ID(k[1:min(len(k), 1+idSize)])
			if kind == keyIndex {
				id = lastID(k)
			}
			x := m.messages[id]
			switch {
			case kind == keyEvents && isLarge(t, s, k):
			case kind == keyOpenBody, x == nil && m.records[id] == nil, kind == keyBody && (x == nil || x.row.BodyChunks == 0):
				t.Errorf("a key was left behind: %q", k)
			}
		}
	}
}

func isLarge(t *testing.T, s *Store, key []byte) (large bool) {
	err := s.view(func(txn *badger.Txn) error {
		item, err := txn.Get(key)
		large = err == nil && item.ValueSize() >= valueThreshold
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return large
}
