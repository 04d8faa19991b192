package store

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"go.uber.org/zap"
)

func TestBadChangesAreNamed(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	defer s.Close()
	taken := keep(t, s, 0)
	event := []policy.Event{{Kind: policy.Accepted}}
	good := &policy.Envelope{Received: time.Now(), Identity: "x"}
	for want, c := range map[string]Change{
		"commit: a change without events":                                           {Message: taken},
		"commit: a change without a message id":                                     {Events: event},
		`commit: "exploded" is not a kind of event`:                                 {Message: taken, Events: []policy.Event{{Kind: "exploded"}}},
		"commit: an envelope without an identity":                                   {Message: s.NewID(), Envelope: &policy.Envelope{Received: time.Now()}, Events: event},
		"commit: received at 0001-01-01 00:00:00 +0000 UTC: not a time of this era": {Message: s.NewID(), Envelope: &policy.Envelope{Identity: "x"}, Events: event},
		"commit: held at 2026-11-21 10:00:00 +0000 UTC until 10000-01-01 00:00:00 +0000 UTC: not a time of this era": {
			Message: taken, Events: []policy.Event{{Kind: policy.Held, Time: now, Until: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}}},
		"the message has changed meanwhile: there is a message with this id": {Message: taken, Envelope: good, Events: event},
		"the message has changed meanwhile: revision 1, not 7":               {Message: taken, Revision: 7, Events: []policy.Event{{Kind: policy.Canceled}}},
	} {
		if _, err := s.Commit(t.Context(), c); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if _, err := s.Commit(t.Context(), Change{Message: s.NewID(), Events: []policy.Event{{Kind: policy.Canceled}}}); !errors.Is(err, ErrNotFound) {
		t.Errorf("a decision about nothing: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 { // either, but never half: it was committed, or the context's error
		id := s.NewID()
		_, err := s.Commit(ctx, Change{Message: id, Events: event[:1:1], Envelope: good})
		if _, found := s.Message(id); (err == nil) != (found == nil) || err != nil && !errors.Is(err, context.Canceled) {
			t.Fatalf("%v, found: %v", err, found)
		}
	}
}

func TestCommitLeavesTheCallersEventsAlone(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	defer s.Close()
	sub := s.Subscribe(0)
	events := []policy.Event{{Kind: policy.Login}}
	c := Change{Message: s.NewID(), Events: events}
	var wg sync.WaitGroup
	for range 8 { // with -race: the same change from several goroutines
		wg.Go(func() {
			if _, err := s.Commit(t.Context(), c); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if !events[0].Time.IsZero() || events[0].Node != "" {
		t.Errorf("the caller's event was changed: %+v", events[0])
	}
	events[0].Reason = "changed later"
	if r, err := sub.Next(t.Context()); err != nil || r.Events[0].Reason != "" || r.Events[0].Node != "test" || r.Events[0].Time.IsZero() {
		t.Errorf("what the subscriber sees: %+v, %v", r, err)
	}
}

func TestKnownKeysAreDropped(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	defer s.Close()
	id, other, record := keep(t, s, 0), keep(t, s, 0), s.NewID()
	event := func(key, reply string) policy.Event {
		return policy.Event{Kind: policy.Deferred, Key: key, Reply: reply}
	}
	for _, c := range []struct {
		about  policy.ID
		events []policy.Event
		want   int // events that are new
	}{
		{id, []policy.Event{event("a", "1")}, 1},
		{id, []policy.Event{event("a", "2")}, 0},
		{other, []policy.Event{event("a", "1")}, 1},
		{id, []policy.Event{event("b", "1"), event("b", "2"), event("", "3"), event("", "3"), event("a", "4"), event("c", "5")}, 4},
		{id, []policy.Event{event("c", "1"), event("b", "2")}, 0},
		{record, []policy.Event{event("a", "1"), event("a", "1")}, 1},
		{record, []policy.Event{event("a", "1")}, 0},
	} {
		before, _ := s.Timeline(c.about)
		if _, err := s.Commit(t.Context(), Change{Message: c.about, Events: c.events}); err != nil {
			t.Fatal(err)
		}
		after, err := s.Timeline(c.about)
		if err != nil {
			t.Fatal(err)
		}
		got := 0
		for _, r := range after[len(before):] {
			got += len(r.Events)
		}
		if got != c.want {
			t.Errorf("%v: %d events are new, want %d", c.events, got, c.want)
		}
	}
	if rows, err := s.Recipients(id); err != nil || rows[0].Attempts != 5 {
		t.Errorf("%d attempts, %v; a known event was applied", rows[0].Attempts, err)
	}
	// A key of the first change counts too.
	first := s.NewID()
	e := &policy.Envelope{Received: now, Identity: "x", Recipients: []policy.Recipient{{Address: "b@example.org"}}}
	if _, err := s.Commit(t.Context(), Change{Message: first, Envelope: e, Events: []policy.Event{event("k", "1")}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Commit(t.Context(), Change{Message: first, Events: []policy.Event{event("k", "2")}}); err != nil {
		t.Fatal(err)
	}
	if rows, _ := s.Recipients(first); rows[0].Attempts != 1 || rows[0].Reply != "1" {
		t.Errorf("%+v", rows[0].Fate)
	}
}

func TestAnEventHappensOnceToARecipient(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	defer s.Close()
	id := keep(t, s, 0)
	if _, err := s.Commit(t.Context(), Change{Message: id, Events: []policy.Event{
		{Kind: policy.Deferred, Recipients: []int{1, 1, -1, 2, 1 << 40, 1}},
	}}); err != nil {
		t.Fatal(err)
	}
	if rows, _ := s.Recipients(id); rows[0].Attempts != 0 || rows[1].Attempts != 1 {
		t.Errorf("attempts %d and %d, want 0 and 1", rows[0].Attempts, rows[1].Attempts)
	}
}

func TestRecords(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	defer s.Close()
	message := keep(t, s, 0)
	var recalls []policy.ID
	for i := range 5 {
		id := s.NewID()
		recalls = append([]policy.ID{id}, recalls...)
		for _, e := range []policy.Event{{Kind: policy.RecallRequested, Reason: fmt.Sprint(i)}, {Kind: policy.RecallOutcome}} {
			if _, err := s.Commit(t.Context(), Change{Message: id, Events: []policy.Event{e}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	observe(t, s, message, policy.RecallRequested) // about a message: no record
	observe(t, s, s.NewID(), policy.Login)
	var paged []policy.ID
	for before := (policy.ID{}); ; before = paged[len(paged)-1] {
		page, err := s.Records(t.Context(), policy.RecallRequested, 2, before)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		paged = append(paged, page...)
	}
	if !slices.Equal(paged, recalls) {
		t.Errorf("%v, want %v", paged, recalls)
	}
	if got, err := s.Records(t.Context(), policy.RecallOutcome, 0, policy.ID{}); err != nil || !slices.Equal(got, recalls[:1]) {
		t.Errorf("a limit of 0 is 1: %v, %v", got, err)
	}
	if got, err := s.Records(t.Context(), policy.Suspended, 10, policy.ID{}); err != nil || len(got) != 0 {
		t.Errorf("of a kind that never was: %v, %v", got, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Records(ctx, policy.RecallRequested, 10, policy.ID{}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// After the engine has failed nothing is accepted, what may have been written is not deleted, and
// the next start goes on from what is there.
func TestEngineFailure(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	before := keep(t, s, 100)
	dir := copyDir(t, s.cfg.Dir)
	s.fail(errors.New("batch 7: input/output error"))
	s.fail(errors.New("the first one counts"))
	if err := s.Ready(); err == nil || err.Error() != "the storage engine failed: look at the disk, then restart sendgate: batch 7: input/output error" {
		t.Errorf("Ready: %v", err)
	}
	for name, use := range map[string]func() error{
		"the next commit": func() error { _, err := offer(s, 100, 1); return err },
		"a big body":      func() error { _, err := s.NewBody(s.NewID()).Write(make([]byte, 600_000)); return err },
		"readiness":       s.Ready,
		"retention":       func() error { return s.retain(t.Context(), now) },
		"collection":      func() error { return s.collect(t.Context(), 0) },
	} {
		if err := use(); !errors.Is(err, ErrFailed) {
			t.Errorf("%s: %v, want ErrFailed", name, err)
		}
	}
	s.Close()
	s = mustOpen(t, dir)
	defer s.Close()
	if !s.readable(before) || s.Ready() != nil {
		t.Error("after a restart")
	}
}

func TestUncertainBodyIsKept(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	defer s.Close()
	id := s.NewID()
	w := s.NewBody(id)
	if _, err := w.Write(make([]byte, 600_000)); err != nil {
		t.Fatal(err)
	}
	s.fail(errors.New("no luck"))
	e := &policy.Envelope{Received: now, Identity: "x"}
	if _, err := s.Commit(t.Context(), Change{Message: id, Envelope: e, Body: w, Events: []policy.Event{{Kind: policy.Accepted}}}); !errors.Is(err, ErrFailed) {
		t.Fatal(err)
	}
	w.Discard()
	if keys, err := s.keys(idKey(keyBody, id)); err != nil || len(keys) != 2 {
		t.Errorf("%d pieces are left, %v", len(keys), err)
	}
}

// The engine reports a value log that could not be synced in its log only (badger v4.9.6, value.go,
// write).
func TestUnsyncedValueLogIsAFailure(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	defer s.Close()
	log := engineLog{zap.NewNop().Sugar(), s.fail}
	log.Errorf("while deleting file: %s, err: %v", "x", "y")
	if err := s.Ready(); err != nil {
		t.Fatal(err)
	}
	log.Errorf("Error while curlf sync: %v\n", errors.New("input/output error"))
	if _, err := offer(s, 10, 1); !errors.Is(err, ErrFailed) || !strings.Contains(err.Error(), "input/output error") {
		t.Errorf("%v", err)
	}
}

func TestDiscardAfterCommitIsHarmless(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	defer s.Close()
	id := s.NewID()
	w := s.NewBody(id)
	defer w.Discard()
	if _, err := w.Write(make([]byte, 600_000)); err != nil {
		t.Fatal(err)
	}
	e := &policy.Envelope{Received: now, Identity: "x"}
	if _, err := s.Commit(t.Context(), Change{Message: id, Envelope: e, Body: w, Events: []policy.Event{{Kind: policy.Accepted}}}); err != nil {
		t.Fatal(err)
	}
	w.Discard()
	if !s.readable(id) {
		t.Error("the body of a message was discarded")
	}
}

func TestQueueIDsAreFound(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	defer s.Close()
	long := strings.Repeat("Q", 300) + "\x00x"
	first := s.NewID()
	e := &policy.Envelope{Received: now, Identity: "x", QueueID: "QENV", Recipients: []policy.Recipient{{Address: "b@example.org"}}}
	if _, err := s.Commit(t.Context(), Change{Message: first, Envelope: e, Events: []policy.Event{{Kind: policy.Offered, QueueID: "QFIRST"}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Commit(t.Context(), Change{Message: first, Events: []policy.Event{{Kind: policy.RelayedRemote, QueueID: long}}}); err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{"QENV", "QFIRST", long} {
		if got := searchAll(t, s, `queue:"`+q+`"`); !slices.Equal(got, []policy.ID{first}) {
			t.Errorf("queue:%.10s: %v", q, got)
		}
	}
}

func TestSubscriberFallsBehind(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	defer s.Close()
	keep(t, s, 0)
	slow := s.Subscribe(0)
	const batches = 60
	evidence := strings.Repeat("e", 50<<10)
	for i := range batches { // 3 MB, of which the hub keeps two
		if _, err := s.Commit(t.Context(), Change{Message: s.NewID(), Events: []policy.Event{{Kind: policy.Login, Evidence: evidence, Reason: fmt.Sprint(i)}}}); err != nil {
			t.Fatal(err)
		}
	}
	s.hub.mu.Lock()
	if len(s.hub.batches) == 0 || len(s.hub.batches) > recentOctets/len(evidence)+1 || s.hub.octets > recentOctets+len(evidence) {
		t.Errorf("the hub keeps %d batches, %d octets", len(s.hub.batches), s.hub.octets)
	}
	s.hub.mu.Unlock()
	for i := range batches {
		if r, err := slow.Next(t.Context()); err != nil || r.Events[0].Reason != fmt.Sprint(i) || len(r.Events[0].Evidence) != len(evidence) {
			t.Fatalf("record %d: %+v, %v", i, r, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan error, 1)
	go func() { _, err := slow.Next(ctx); got <- err }()
	cancel()
	if err := <-got; !errors.Is(err, context.Canceled) {
		t.Errorf("at the end: %v", err)
	}
	ahead := s.Subscribe(s.lastBatch.Load() + 1) // waits for the one after the next
	keep(t, s, 0)
	id := keep(t, s, 0)
	if r, err := ahead.Next(t.Context()); err != nil || r.Message != id {
		t.Errorf("%+v, %v", r, err)
	}
}

// Whoever follows the journal has a new message with its envelope, and need not look it up. It is a copy:
// the author may go on with his.
func TestNewMessagesComeWithTheirEnvelope(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	defer s.Close()
	keep(t, s, 0)
	live := s.Subscribe(0)
	zone := time.FixedZone("", 3600)
	env := policy.Envelope{
		Received: time.Date(2026, 11, 22, 10, 0, 0, 123456789, zone), Identity: "joe", Sender: "joe@corp.example", References: []string{"<1@corp.example>"},
		Recipients: []policy.Recipient{{Address: "a@example.org"}, {Address: "b@example.org"}},
	}
	want := env
	want.Recipients, want.References = slices.Clone(env.Recipients), slices.Clone(env.References)
	want.Received = env.Received.UTC().Truncate(time.Microsecond)
	id := s.NewID()
	before := s.LastBatch()
	accepted := policy.Event{Kind: policy.Accepted}
	if _, err := s.Commit(t.Context(), Change{Message: id, Envelope: &env, Events: []policy.Event{accepted}}); err != nil {
		t.Fatal(err)
	}
	env.Identity, env.Recipients[0].Address, env.References[0] = "other", "other@example.org", "<2@corp.example>"
	if _, err := s.Commit(t.Context(), Change{Message: id, Events: []policy.Event{{Kind: policy.HandedOver}}}); err != nil {
		t.Fatal(err)
	}
	next := func(sub *Subscription) Record {
		t.Helper()
		r, err := sub.Next(t.Context())
		if err != nil || r.Message != id {
			t.Fatalf("%+v, %v", r, err)
		}
		return r
	}
	r := next(live)
	if !reflect.DeepEqual(r.Envelope, &want) {
		t.Errorf("a new message has\n%+v, want\n%+v", r.Envelope, want)
	}
	if r := next(live); r.Envelope != nil {
		t.Errorf("an event of a known message has %+v", r.Envelope)
	}
	m, err := s.Message(id)
	if want.Recipients = nil; err != nil || !reflect.DeepEqual(m.Envelope, want) {
		t.Errorf("%v: stored is\n%+v, want\n%+v", err, m.Envelope, want)
	}
	s.hub.mu.Lock()
	s.hub.first += uint64(len(s.hub.batches))
	s.hub.batches, s.hub.octets = nil, 0
	s.hub.mu.Unlock()
	if r := next(s.Subscribe(before)); r.Envelope != nil || len(r.Events) != 1 {
		t.Errorf("from disk comes %+v", r)
	}
}

// What envelopes take counts for what the hub keeps.
func TestHubCountsEnvelopes(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	defer s.Close()
	s.hub.mu.Lock()
	before := s.hub.octets
	s.hub.mu.Unlock()
	env := policy.Envelope{Received: s.cfg.Now(), Identity: "joe", Subject: strings.Repeat("x", 30<<10)}
	for range 100 {
		env.Recipients = append(env.Recipients, policy.Recipient{Address: "somebody@example.org"})
	}
	if _, err := s.Commit(t.Context(), Change{Message: s.NewID(), Envelope: &env, Events: []policy.Event{{Kind: policy.Accepted}}}); err != nil {
		t.Fatal(err)
	}
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	if grown := s.hub.octets - before; grown < 32<<10 {
		t.Errorf("the hub counts %d octets for an envelope with 30 KiB of subject and 100 recipients", grown)
	}
}

// A batch that is bigger than what the hub keeps is given all the same.
func TestHubKeepsTheNewest(t *testing.T) {
	h := newHub(7)
	h.publish([]Record{{Batch: 8}}, 3*recentOctets)
	if records, old, _ := h.get(8); old || len(records) != 1 {
		t.Errorf("%v, %v", records, old)
	}
	h.publish([]Record{{Batch: 9}}, 1)
	if _, old, _ := h.get(8); !old {
		t.Error("it keeps too much")
	}
	if records, old, _ := h.get(9); old || len(records) != 1 {
		t.Errorf("%v, %v", records, old)
	}
	if _, old, changed := h.get(10); old || changed == nil {
		t.Error("the next one is neither old nor waited for")
	}
}
