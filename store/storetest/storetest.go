// Package storetest is the contract of a journal: one suite that every engine has to pass.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// An Engine is a journal as the rest of the program uses it.
type Engine interface {
	NewID() policy.ID
	NewBody(policy.ID) *store.BodyWriter
	Commit(context.Context, store.Change) (uint64, error)
	Body(policy.ID) (io.ReadCloser, error)
	Message(policy.ID) (store.Message, error)
	Recipients(policy.ID) (policy.Rows, error)
	Timeline(policy.ID) ([]store.Record, error)
	Due(func(store.DueMessage) bool) error
	Search(context.Context, store.Query, int, string) (store.Page, error)
	Subscribe(uint64) *store.Subscription
	Ready() error
	Close() error
}

// Open opens the engine on a directory; a second call on the same directory, after Close, finds
// what the first one wrote.
type Open func(t testing.TB, dir string) Engine

// Run runs the suite.
func Run(t *testing.T, open Open) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Open)
	}{
		{"a held message is found again after a restart", testHeldSurvives},
		{"a decision on an old revision conflicts and changes nothing", testConflict},
		{"release and cancel at the same time: exactly one wins", testRace},
		{"an observation with a known key is dropped", testIdempotent},
		{"an observation does not advance the revision", testObservation},
		{"bodies of every size come back octet for octet", testBodies},
		{"a discarded body leaves nothing", testDiscard},
		{"chosen recipients are canceled and the others stay", testPartialCancel},
		{"search finds by every field, newest first, page by page", testSearch},
		{"a subscriber sees every change in order, also late", testSubscribe},
		{"changes without a message are kept in a timeline", testTimelineOnly},
		{"bad changes are refused", testBadChanges},
		{"10,000 recipients are one change", testManyRecipients},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open) })
	}
}

var epoch = time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)

func envelope(from string, to ...string) *policy.Envelope {
	e := &policy.Envelope{Received: epoch, Front: policy.Relay, Direction: policy.Outbound,
		Sender: policy.Address(from), Identity: from, Subject: "Quarterly report", MessageID: "<1@corp.example>", Size: 7}
	for _, a := range to {
		e.Recipients = append(e.Recipients, policy.Recipient{Address: policy.Address(a)})
	}
	return e
}

// accept commits a held message and returns its id.
func accept(t testing.TB, s Engine, e *policy.Envelope, body string) policy.ID {
	t.Helper()
	id := s.NewID()
	w := s.NewBody(id)
	if _, err := io.WriteString(w, body); err != nil {
		t.Fatal(err)
	}
	rev, err := s.Commit(t.Context(), store.Change{Message: id, Envelope: e, Body: w, Events: []policy.Event{
		{Kind: policy.Accepted, Time: epoch, Actor: "smtp"},
		{Kind: policy.Held, Time: epoch, Until: epoch.Add(time.Minute), Rule: "default"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if rev != 1 {
		t.Fatalf("revision of a new message = %d, want 1", rev)
	}
	return id
}

func testHeldSurvives(t *testing.T, open Open) {
	dir := t.TempDir()
	s := open(t, dir)
	id := accept(t, s, envelope("a@corp.example", "b@example.org", "c@example.net"), "hello\r\n")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	defer s.Close()
	m, err := s.Message(id)
	if err != nil {
		t.Fatal(err)
	}
	if m.State() != policy.StateHeld || !m.Due.Equal(epoch.Add(time.Minute)) || m.Recipients != 2 || m.Revision != 1 {
		t.Errorf("message after restart: %+v", m)
	}
	rows, err := s.Recipients(id)
	if err != nil || len(rows) != 2 || rows[1].Address != "c@example.net" || rows[1].Index != 1 || rows[1].Rule != "default" {
		t.Errorf("recipients after restart: %+v, %v", rows, err)
	}
	if got := readBody(t, s, id); got != "hello\r\n" {
		t.Errorf("body = %q", got)
	}
	var due []policy.ID
	if err := s.Due(func(d store.DueMessage) bool { due = append(due, d.ID); return true }); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(due, []policy.ID{id}) {
		t.Errorf("due = %v, want %v", due, id)
	}
}

func readBody(t testing.TB, s Engine, id policy.ID) string {
	t.Helper()
	r, err := s.Body(id)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func testConflict(t *testing.T, open Open) {
	s := open(t, t.TempDir())
	defer s.Close()
	id := accept(t, s, envelope("a@corp.example", "b@example.org"), "x")
	release := store.Change{Message: id, Revision: 1, Events: []policy.Event{{Kind: policy.Released, Time: epoch.Add(time.Second), Until: epoch.Add(time.Second)}}}
	if rev, err := s.Commit(t.Context(), release); err != nil || rev != 2 {
		t.Fatalf("release: revision %d, %v", rev, err)
	}
	_, err := s.Commit(t.Context(), store.Change{Message: id, Revision: 1, Events: []policy.Event{{Kind: policy.Canceled}}})
	if !errors.Is(err, store.ErrConflict) {
		t.Fatalf("cancel at the old revision: %v, want ErrConflict", err)
	}
	if m, _ := s.Message(id); m.State() != policy.StateQueued || m.Revision != 2 {
		t.Errorf("after the conflict: %s at revision %d", m.State(), m.Revision)
	}
	if tl, _ := s.Timeline(id); len(tl) != 2 {
		t.Errorf("timeline has %d changes, want 2", len(tl))
	}
	_, err = s.Commit(t.Context(), store.Change{Message: s.NewID(), Revision: 1, Events: []policy.Event{{Kind: policy.Canceled}}})
	if !errors.Is(err, store.ErrNotFound) {
		t.Errorf("decision on an unknown message: %v, want ErrNotFound", err)
	}
}

func testRace(t *testing.T, open Open) {
	s := open(t, t.TempDir())
	defer s.Close()
	for range 200 {
		id := accept(t, s, envelope("a@corp.example", "b@example.org"), "x")
		var wins atomic.Int32
		var wg sync.WaitGroup
		for _, k := range []policy.Kind{policy.Released, policy.Canceled, policy.HoldChanged} {
			wg.Go(func() {
				_, err := s.Commit(t.Context(), store.Change{Message: id, Revision: 1, Events: []policy.Event{{Kind: k, Until: epoch}}})
				if err == nil {
					wins.Add(1)
				} else if !errors.Is(err, store.ErrConflict) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if wins.Load() != 1 {
			t.Fatalf("%d decisions won, want 1", wins.Load())
		}
	}
}

func testIdempotent(t *testing.T, open Open) {
	s := open(t, t.TempDir())
	defer s.Close()
	id := accept(t, s, envelope("a@corp.example", "b@example.org"), "x")
	sent := store.Change{Message: id, Events: []policy.Event{
		{Kind: policy.RelayedRemote, Key: "log:1:42", Reply: "250 ok"}}}
	for range 3 {
		if _, err := s.Commit(t.Context(), sent); err != nil {
			t.Fatal(err)
		}
	}
	if tl, _ := s.Timeline(id); len(tl) != 2 {
		t.Errorf("timeline has %d changes, want 2: the accept and one observation", len(tl))
	}
}

func testObservation(t *testing.T, open Open) {
	s := open(t, t.TempDir())
	defer s.Close()
	id := accept(t, s, envelope("a@corp.example", "b@example.org"), "x")
	rev, err := s.Commit(t.Context(), store.Change{Message: id, Events: []policy.Event{{Kind: policy.Deferred, Time: epoch.Add(time.Second), Reply: "451 later"}}})
	if err != nil || rev != 1 {
		t.Fatalf("revision %d, %v; want 1", rev, err)
	}
	if _, err := s.Commit(t.Context(), store.Change{Message: id, Revision: 1, Events: []policy.Event{{Kind: policy.Canceled}}}); err != nil {
		t.Errorf("the decision after an observation: %v", err)
	}
}

func testBodies(t *testing.T, open Open) {
	s := open(t, t.TempDir())
	defer s.Close()
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{1, 4 << 10, 256<<10 - 1, 256 << 10, 256<<10 + 1, 3 << 20} {
		want := make([]byte, size)
		for i := range want {
			want[i] = byte(rnd.Uint32())
		}
		id := s.NewID()
		w := s.NewBody(id)
		for rest := want; len(rest) > 0; {
			n := min(len(rest), 1+rnd.IntN(70<<10))
			if _, err := w.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if w.Size() != int64(size) {
			t.Errorf("Size = %d, want %d", w.Size(), size)
		}
		_, err := s.Commit(t.Context(), store.Change{Message: id, Envelope: envelope("a@corp.example", "b@example.org"), Body: w,
			Events: []policy.Event{{Kind: policy.Accepted}}})
		if err != nil {
			t.Fatal(err)
		}
		if got := readBody(t, s, id); !bytes.Equal([]byte(got), want) {
			t.Errorf("a body of %d octets came back with %d, different", size, len(got))
		}
	}
}

func testDiscard(t *testing.T, open Open) {
	s := open(t, t.TempDir())
	defer s.Close()
	id := s.NewID()
	w := s.NewBody(id)
	if _, err := w.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	w.Discard()
	if _, err := s.Body(id); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Body after Discard: %v, want ErrNotFound", err)
	}
	if _, err := w.Write([]byte("x")); err == nil {
		t.Error("a discarded body still takes octets")
	}
}

func testPartialCancel(t *testing.T, open Open) {
	s := open(t, t.TempDir())
	defer s.Close()
	id := accept(t, s, envelope("a@corp.example", "b@example.org", "c@example.org", "d@example.org"), "x")
	_, err := s.Commit(t.Context(), store.Change{Message: id, Revision: 1, Events: []policy.Event{
		{Kind: policy.Canceled, Recipients: []int{0, 2, 99}, Reason: "wrong file"}}})
	if err != nil {
		t.Fatal(err)
	}
	m, _ := s.Message(id)
	if m.States[policy.StateCanceled] != 2 || m.States[policy.StateHeld] != 1 || m.Due.IsZero() {
		t.Errorf("states %v, due %v", m.States, m.Due)
	}
	if _, err := s.Commit(t.Context(), store.Change{Message: id, Revision: 2, Events: []policy.Event{{Kind: policy.Released, Until: epoch}}}); err != nil {
		t.Fatal(err)
	}
	rows, _ := s.Recipients(id)
	if rows[0].State != policy.StateCanceled || rows[1].State != policy.StateQueued || rows[2].State != policy.StateCanceled {
		t.Errorf("after the release: %s %s %s", rows[0].State, rows[1].State, rows[2].State)
	}
}

func testSearch(t *testing.T, open Open) {
	s := open(t, t.TempDir())
	defer s.Close()
	var all []policy.ID
	for i := range 30 {
		e := envelope(fmt.Sprintf("user%d@corp.example", i%3), fmt.Sprintf("x%d@example.org", i), "boss@partner.example")
		e.MessageID = fmt.Sprintf("<m%d@corp.example>", i)
		e.Received = epoch.Add(time.Duration(i) * time.Hour)
		if i%2 == 0 {
			e.Subject = "季度会议通知 Budget 2026"
		}
		all = append(all, accept(t, s, e, "x"))
	}
	if _, err := s.Commit(t.Context(), store.Change{Message: all[7], Revision: 1, Events: []policy.Event{{Kind: policy.Canceled}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Commit(t.Context(), store.Change{Message: all[8], Events: []policy.Event{{Kind: policy.HandedOver, QueueID: "4bXyzQ0"}}}); err != nil {
		t.Fatal(err)
	}
	count := func(want int) func([]policy.ID) bool { return func(ids []policy.ID) bool { return len(ids) == want } }
	only := func(want ...policy.ID) func([]policy.ID) bool {
		return func(ids []policy.ID) bool { return slices.Equal(ids, want) }
	}
	for _, c := range []struct {
		query string
		ok    func([]policy.ID) bool
	}{
		{"", count(30)},
		{"from:user1@corp.example", count(10)},
		{"from:USER1@Corp.Example", count(10)},
		{"from:user1", count(10)},
		{"from:@corp.example", count(30)},
		{"from:user", count(0)},
		{"to:x5@example.org", only(all[5])},
		{"to:@partner.example", count(30)},
		{"to:boss subject:budget", count(15)},
		{"subject:会议", count(15)},
		{"subject:季度会议通知", count(15)},
		{"subject:知", count(15)},
		{"subject:议会", count(0)},
		{`subject:"budget 2026"`, count(15)},
		{"budg*", count(15)},
		{"quarterly", count(15)},
		{"state:held", count(28)},
		{"state:delivering", count(29)},
		{"state:已撤回", only(all[7])},
		{"state:recalled", only(all[7])},
		{"queue:4bXyzQ0", only(all[8])},
		{"id:<m3@corp.example>", only(all[3])},
		{"id:m3@corp.example", only(all[3])},
		{"id:" + all[4].String(), only(all[4])},
		{"from:user0 subject:会议", only(all[24], all[18], all[12], all[6], all[0])},
		{"!!!", count(0)},
	} {
		t.Run(c.query, func(t *testing.T) {
			if ids := search(t, s, c.query); !c.ok(ids) {
				t.Errorf("found %d: %v", len(ids), ids)
			}
		})
	}
}

// search walks all pages, with pages of 4, and checks their order.
func search(t *testing.T, s Engine, q string) (ids []policy.ID) {
	t.Helper()
	query, err := store.ParseQuery(q, epoch)
	if err != nil {
		t.Fatal(err)
	}
	for cursor := ""; ; {
		page, err := s.Search(t.Context(), query, 4, cursor)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range page.Messages {
			if len(ids) > 0 && m.ID.Compare(ids[len(ids)-1]) >= 0 {
				t.Fatalf("%s after %s: not newest first", m.ID, ids[len(ids)-1])
			}
			ids = append(ids, m.ID)
		}
		if page.Next == "" {
			return ids
		}
		cursor = page.Next
	}
}

func testSubscribe(t *testing.T, open Open) {
	dir := t.TempDir()
	s := open(t, dir)
	first := accept(t, s, envelope("a@corp.example", "b@example.org"), "x")
	tl, err := s.Timeline(first)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	s = open(t, dir)
	defer s.Close()
	live := s.Subscribe(0)
	var want []policy.ID
	for range 5000 / 10 {
		var wg sync.WaitGroup
		var mu sync.Mutex
		for range 10 {
			wg.Go(func() {
				id := accept(t, s, envelope("a@corp.example", "b@example.org"), "x")
				mu.Lock()
				want = append(want, id)
				mu.Unlock()
			})
		}
		wg.Wait()
	}
	for name, sub := range map[string]*store.Subscription{"live": live, "from the disk": s.Subscribe(tl[0].Batch)} {
		seen := map[policy.ID]bool{}
		var last store.Record
		for range want {
			r, err := sub.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if r.Batch < last.Batch || r.Batch == last.Batch && r.Position != last.Position+1 {
				t.Fatalf("%s: batch %d position %d after %d, %d", name, r.Batch, r.Position, last.Batch, last.Position)
			}
			if len(r.Events) != 2 || r.Events[0].Kind != policy.Accepted {
				t.Fatalf("%s: events %+v", name, r.Events)
			}
			last = r
			seen[r.Message] = true
		}
		for _, id := range want {
			if !seen[id] {
				t.Errorf("%s: %s was not seen", name, id)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := sub.Next(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: at the end: %v", name, err)
		}
	}
}

func testTimelineOnly(t *testing.T, open Open) {
	s := open(t, t.TempDir())
	defer s.Close()
	id := s.NewID()
	if _, err := s.Commit(t.Context(), store.Change{Message: id, Events: []policy.Event{{Kind: policy.ConfigChanged, Reason: "reload"}}}); err != nil {
		t.Fatal(err)
	}
	tl, err := s.Timeline(id)
	if err != nil || len(tl) != 1 || tl[0].Events[0].Reason != "reload" || tl[0].Events[0].Time.IsZero() {
		t.Errorf("timeline %+v, %v", tl, err)
	}
	if _, err := s.Message(id); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Message: %v, want ErrNotFound", err)
	}
	if _, err := s.Timeline(s.NewID()); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Timeline of nothing: %v, want ErrNotFound", err)
	}
}

func testBadChanges(t *testing.T, open Open) {
	s := open(t, t.TempDir())
	defer s.Close()
	id := accept(t, s, envelope("a@corp.example", "b@example.org"), "x")
	for name, c := range map[string]store.Change{
		"no events":        {Message: id},
		"no id":            {Events: []policy.Event{{Kind: policy.Login}}},
		"no such kind":     {Message: id, Events: []policy.Event{{Kind: "exploded"}}},
		"id taken":         {Message: id, Envelope: envelope("a@corp.example", "b@example.org"), Events: []policy.Event{{Kind: policy.Accepted}}},
		"without identity": {Message: s.NewID(), Envelope: &policy.Envelope{}, Events: []policy.Event{{Kind: policy.Accepted}}},
	} {
		if _, err := s.Commit(t.Context(), c); err == nil {
			t.Errorf("%s: committed", name)
		}
	}
}

func testManyRecipients(t *testing.T, open Open) {
	s := open(t, t.TempDir())
	defer s.Close()
	e := envelope("a@corp.example")
	for i := range 10_000 {
		e.Recipients = append(e.Recipients, policy.Recipient{Address: policy.Address(fmt.Sprintf("recipient-%d@example-%d.org", i, i%50))})
	}
	id := accept(t, s, e, "x")
	if _, err := s.Commit(t.Context(), store.Change{Message: id, Revision: 1, Events: []policy.Event{{Kind: policy.Canceled, Reason: "all"}}}); err != nil {
		t.Fatal(err)
	}
	m, err := s.Message(id)
	if err != nil || m.States[policy.StateCanceled] != 10_000 || !m.Due.IsZero() {
		t.Errorf("states %v, due %v, %v", m.States, m.Due, err)
	}
	if ids := search(t, s, "to:recipient-9999@example-49.org"); !slices.Equal(ids, []policy.ID{id}) {
		t.Errorf("search for the last recipient found %v", ids)
	}
}
