package postfix

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/text/transform"
)

// A shelf is a Postfix queue with its helper, as a Keeper sees them.
type shelf struct {
	mu      sync.Mutex
	files   map[string]Envelope
	content string
	missed  map[string]bool // there, and not in the listing
	asked   []string        // "release ID" and so on
	busy    map[string]bool // under delivery
	// vanishing are deleted by hand between the helper's look at the recipients and its own deletion.
	vanishing map[string]bool
	failing   string // the helper's text of failure for every verb
	away      error  // nothing arrives
	silent    error  // everything is done, no answer comes
}

var errDial = fmt.Errorf("%w: %w", ErrAway, &net.OpError{Op: "dial", Net: "unix", Err: errors.New("no such file")})

func (s *shelf) put(e Envelope) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[e.ID] = e
}

func (s *shelf) drop(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.files, id)
}

// where gives the queue of a message, or "".
func (s *shelf) where(id string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.files[id].Queue
}

func (s *shelf) List(_ context.Context, _ []string, fn func(Queued) bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away != nil {
		return s.away
	}
	for id, f := range s.files {
		if !s.missed[id] && !fn(Queued{ID: id, Queue: f.Queue, Arrival: f.Arrival.Truncate(time.Second), Sender: f.Sender}) {
			return nil
		}
	}
	return nil
}

func (s *shelf) Read(_ context.Context, want Identity) (Envelope, *Content, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, "read "+want.ID)
	if s.away != nil {
		return Envelope{}, nil, s.away
	}
	f, ok := s.files[want.ID]
	if !ok {
		return Envelope{}, nil, ErrNotFound
	}
	ours, theirs := net.Pipe()
	return f, &Content{answer: &answer{conn: ours, unwatch: func() bool { return theirs.Close() == nil }}, rest: []byte(s.content), err: io.EOF}, nil
}

func (s *shelf) Hold(_ context.Context, messages []Identity) ([]Result, error) {
	return s.act("hold", messages, func(f *Envelope) Outcome {
		if s.vanishing[f.ID] {
			return NotFound
		}
		f.Queue = holdQueue
		return Held
	})
}

func (s *shelf) Release(_ context.Context, messages []Identity) ([]Result, error) {
	return s.act("release", messages, func(f *Envelope) Outcome {
		if f.Queue != holdQueue {
			return NotHeld
		}
		f.Queue = deferredQueue
		return Released
	})
}

func (s *shelf) Delete(_ context.Context, messages []Identity) ([]Result, error) {
	return s.act("delete", messages, func(f *Envelope) Outcome {
		f.Queue = holdQueue
		switch {
		case s.busy[f.ID]:
			return InFlight
		case s.vanishing[f.ID]:
			return NotFound
		}
		return Removed
	})
}

// act does what the real helper does: it checks whose the message is, and then acts.
func (s *shelf) act(verb string, messages []Identity, fn func(*Envelope) Outcome) ([]Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away != nil {
		return nil, s.away
	}
	results := make([]Result, len(messages))
	for i := range messages {
		s.asked = append(s.asked, verb+" "+messages[i].ID)
		results[i] = s.one(verb, &messages[i], fn)
	}
	if s.silent != nil {
		return nil, s.silent
	}
	return results, nil
}

func (s *shelf) one(verb string, want *Identity, fn func(*Envelope) Outcome) Result {
	r := Result{ID: want.ID, Outcome: NotFound, Text: s.failing}
	f, ok := s.files[want.ID]
	switch {
	case s.failing != "":
		r.Outcome = Failed
	case ok && want.matches(&f) != nil:
		r.Outcome = DifferentMessage
	case ok:
		r.Outcome = fn(&f)
		s.files[want.ID] = f
		if r.Outcome == Removed || r.Outcome == NotFound {
			delete(s.files, want.ID)
		}
		if verb == "delete" {
			r.Recipients = f.Recipients
		}
	}
	return r
}

// A keeping is a Keeper with a real journal, a shelf, and a clock of its own.
type keeping struct {
	*Keeper
	shelf   *shelf
	journal *store.Store
	at      atomic.Pointer[time.Time]
	lines   *observer.ObservedLogs
}

func (k *keeping) clock() time.Time { return *k.at.Load() }

// pass lets time pass, or go back.
func (k *keeping) pass(d time.Duration) { k.at.Store(new(k.clock().Add(d))) }

func startKeeping(t *testing.T) *keeping {
	t.Helper()
	k := &keeping{
		shelf: &shelf{files: map[string]Envelope{}, missed: map[string]bool{}, busy: map[string]bool{}, vanishing: map[string]bool{}},
	}
	k.at.Store(new(time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)))
	cfg := store.DefaultConfig()
	cfg.Dir, cfg.Node, cfg.Now, cfg.Log, cfg.MinFree = t.TempDir(), "test", k.clock, zap.NewNop(), 64
	journal, err := store.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := journal.Close(); err != nil {
			t.Error(err)
		}
	})
	k.journal = journal
	k.restart(t)
	t.Cleanup(func() { k.batcher.Close() })
	return k
}

// restart makes a new Keeper, as a new process does.
func (k *keeping) restart(t *testing.T) {
	t.Helper()
	if k.Keeper != nil {
		k.batcher.Close()
	}
	core, lines := observer.New(zap.InfoLevel)
	keeper, err := NewKeeper(k.shelf, k.journal, k.clock, zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	k.Keeper, k.lines = keeper, lines
}

// later lets time pass and compares.
func (k *keeping) later(t *testing.T, d time.Duration) {
	t.Helper()
	k.pass(d)
	if err := k.round(t.Context()); err != nil {
		t.Fatal(err)
	}
}

const sender policy.Address = "alice@corp.test"

// hold is what the milter does: the journal has a message that Postfix is to hold.
func (k *keeping) hold(t *testing.T, queueID string) policy.ID {
	t.Helper()
	return k.holdFrom(t, queueID, policy.Milter)
}

func (k *keeping) holdFrom(t *testing.T, queueID string, front policy.Front) policy.ID {
	t.Helper()
	id := k.journal.NewID()
	e := policy.Envelope{
		Received: k.clock(), Front: front, Direction: policy.Outbound, Sender: sender, Identity: "alice", QueueID: queueID,
		Client:     netip.MustParseAddr("127.0.0.1"),
		Recipients: []policy.Recipient{{Address: "bob@corp.test"}, {Address: "carol@corp.test"}},
	}
	k.commit(t, store.Change{Message: id, Envelope: &e, Events: []policy.Event{
		{Kind: policy.Accepted, Time: k.clock(), QueueID: queueID},
		{Kind: policy.Held, Time: k.clock(), Until: k.clock().Add(time.Hour), QueueID: queueID},
	}})
	return id
}

// decide is what a person or a timer does.
func (k *keeping) decide(t *testing.T, id policy.ID, e policy.Event) {
	t.Helper()
	m := k.message(t, id)
	e.Time = k.clock()
	k.commit(t, store.Change{Message: id, Revision: m.Revision, Events: []policy.Event{e}})
}

func (k *keeping) commit(t *testing.T, c store.Change) {
	t.Helper()
	if _, err := k.journal.Commit(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

func (k *keeping) message(t *testing.T, id policy.ID) store.Message {
	t.Helper()
	m, err := k.journal.Message(id)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// file puts the queue file of a message, which arrived so long ago, into a queue.
func (k *keeping) file(queueID, queue string, ago time.Duration) {
	k.shelf.put(Envelope{ID: queueID, Queue: queue, Arrival: k.clock().Add(-ago), Sender: sender})
}

// timeline gives the events of a message by kind and reason.
func (k *keeping) timeline(t *testing.T, id policy.ID) []string {
	t.Helper()
	records, err := k.journal.Timeline(id)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, r := range records {
		for _, e := range r.Events {
			all = append(all, strings.TrimSuffix(string(e.Kind)+": "+e.Reason, ": "))
		}
	}
	return all
}

const (
	queueID = "4jX2Mt505zz1q9rB"
	shortID = "1A2B3C4D"

	byHand = "the message has left Postfix's hold queue: released or deleted there by hand"
	never  = "Postfix did not keep the message; its client was not told that it was accepted"
)

func TestRounds(t *testing.T) {
	tests := []struct {
		name string
		// run begins with a message just held under queueID, without a queue file.
		run   func(t *testing.T, k *keeping, id policy.ID)
		state policy.State
		event string // the last of the timeline
		due   bool
		queue string // of queueID in the end
	}{
		{"what lies in the hold queue stays held", func(t *testing.T, k *keeping, _ policy.ID) {
			k.file(queueID, holdQueue, 0)
			k.later(t, 20*time.Second)
			k.later(t, 10*time.Minute)
		}, policy.StateHeld, "held", true, holdQueue},
		{"what is not there within a minute may still come", func(t *testing.T, k *keeping, _ policy.ID) {
			k.later(t, 59*time.Second)
		}, policy.StateHeld, "held", true, ""},
		{"what is not there after a minute was never queued", func(t *testing.T, k *keeping, _ policy.ID) {
			k.later(t, 59*time.Second)
			k.later(t, time.Second)
		}, policy.StateNeverQueued, "never_queued: " + never, false, ""},
		{"what a listing missed is looked for", func(t *testing.T, k *keeping, _ policy.ID) {
			k.file(queueID, holdQueue, 0)
			k.later(t, 20*time.Second)
			k.shelf.missed[queueID] = true
			k.later(t, 2*time.Minute)
		}, policy.StateHeld, "held", true, holdQueue},
		{"what Postfix is still receiving stays held", func(t *testing.T, k *keeping, _ policy.ID) {
			k.file(queueID, "incoming", 0)
			k.later(t, 2*time.Minute)
		}, policy.StateHeld, "held", true, "incoming"},
		{"what somebody has released is Postfix's", func(t *testing.T, k *keeping, _ policy.ID) {
			k.file(queueID, "active", 0)
			k.later(t, time.Second)
		}, policy.StateQueued, "released: released by hand in Postfix", false, "active"},
		{"what was there and is gone has left by hand", func(t *testing.T, k *keeping, _ policy.ID) {
			k.file(queueID, holdQueue, 0)
			k.later(t, time.Second)
			k.shelf.drop(queueID)
			k.later(t, 20*time.Second)
		}, policy.StateUnknown, "unknown: " + byHand, false, ""},
		{"what was there before a restart has left by hand", func(t *testing.T, k *keeping, _ policy.ID) {
			k.file(queueID, holdQueue, 0)
			k.later(t, 20*time.Second)
			k.restart(t)
			k.shelf.drop(queueID)
			k.later(t, 20*time.Second)
		}, policy.StateUnknown, "unknown: " + byHand, false, ""},
		{"what came between the last round and a restart was never queued", func(t *testing.T, k *keeping, _ policy.ID) {
			k.file(queueID, holdQueue, 0)
			k.pass(-time.Minute)
			k.file(shortID, holdQueue, 0)
			k.hold(t, shortID) // another one makes the round worth a note
			k.later(t, 50*time.Second)
			k.shelf.drop(queueID)
			k.restart(t)
			k.later(t, 30*time.Second)
			k.later(t, time.Minute)
		}, policy.StateNeverQueued, "never_queued: " + never, false, ""},
		{"a newer message with its queue id is another one", func(t *testing.T, k *keeping, _ policy.ID) {
			k.pass(time.Hour)
			k.file(queueID, holdQueue, 0)
			k.later(t, time.Second)
		}, policy.StateNeverQueued, "never_queued: " + never, false, holdQueue},
		{"an older message with its queue id is another one", func(t *testing.T, k *keeping, _ policy.ID) {
			k.file(queueID, deferredQueue, 3*time.Hour)
			k.later(t, time.Minute)
		}, policy.StateNeverQueued, "never_queued: " + never, false, deferredQueue},
		{"the message of a slow client is its own", func(t *testing.T, k *keeping, _ policy.ID) {
			k.file(queueID, holdQueue, time.Hour)
			k.later(t, 2*time.Minute)
		}, policy.StateHeld, "held", true, holdQueue},
		{"what waits for its release is left to it", func(t *testing.T, k *keeping, id policy.ID) {
			k.decide(t, id, policy.Event{Kind: policy.Released, Until: k.clock()})
			k.later(t, 10*time.Minute)
		}, policy.StateQueued, "released", true, ""},
		{"what was taken back is deleted a minute later", func(t *testing.T, k *keeping, id policy.ID) {
			k.file(queueID, holdQueue, 0)
			k.decide(t, id, policy.Event{Kind: policy.Canceled, Reason: "wrong"})
			k.later(t, 59*time.Second)
			if k.shelf.where(queueID) == "" {
				t.Error("whoever took it back was not given a minute")
			}
			k.later(t, time.Second)
		}, policy.StateCanceled, "recall_outcome: removed_from_queue", false, ""},
		{"what nobody approved is deleted at once", func(t *testing.T, k *keeping, id policy.ID) {
			k.file(queueID, holdQueue, 0)
			k.decide(t, id, policy.Event{Kind: policy.ApprovalRequested, Until: k.clock().Add(time.Minute)})
			k.later(t, time.Minute)
			k.decide(t, id, policy.Event{Kind: policy.Blocked, Reason: "approval expired"})
			k.later(t, time.Second)
		}, policy.StateBlocked, "recall_outcome: removed_from_queue", false, ""},
		{"what was taken back is deleted after a restart", func(t *testing.T, k *keeping, id policy.ID) {
			k.file(queueID, holdQueue, 0)
			k.decide(t, id, policy.Event{Kind: policy.Canceled, Reason: "wrong"})
			k.restart(t)
			k.later(t, 2*time.Minute)
		}, policy.StateCanceled, "recall_outcome: removed_from_queue", false, ""},
		{"what was taken back from some stays for the others", func(t *testing.T, k *keeping, id policy.ID) {
			k.file(queueID, holdQueue, 0)
			k.decide(t, id, policy.Event{Kind: policy.Canceled, Recipients: []int{0}, Reason: "wrong"})
			k.later(t, 2*time.Minute)
		}, policy.StateHeld, "canceled: wrong", true, holdQueue},
		{"what was taken back from some and sent to the others is deleted", func(t *testing.T, k *keeping, id policy.ID) {
			k.file(queueID, holdQueue, 0)
			k.decide(t, id, policy.Event{Kind: policy.Canceled, Recipients: []int{0}, Reason: "wrong"})
			k.decide(t, id, policy.Event{Kind: policy.Released, Until: k.clock()})
			k.commit(t, store.Change{Message: id, Events: []policy.Event{{Kind: policy.RelayedRemote, Time: k.clock(), Recipients: []int{1}}}})
			k.later(t, 2*time.Minute)
		}, policy.StateMixed, "recall_outcome: removed_from_queue", false, ""},
		{"what was let go and somebody holds again is not ours", func(t *testing.T, k *keeping, id policy.ID) {
			k.decide(t, id, policy.Event{Kind: policy.Released, Until: k.clock()})
			k.commit(t, store.Change{Message: id, Events: []policy.Event{{Kind: policy.Queued, Time: k.clock()}}})
			k.file(queueID, holdQueue, 0)
			k.later(t, 2*time.Minute)
		}, policy.StateQueued, "queued", false, holdQueue},
		{"a newer message in the hold queue is not the one taken back", func(t *testing.T, k *keeping, id policy.ID) {
			k.decide(t, id, policy.Event{Kind: policy.Canceled, Reason: "wrong"})
			k.pass(time.Hour)
			k.file(queueID, holdQueue, 0)
			k.later(t, time.Minute)
		}, policy.StateCanceled, "canceled: wrong", false, holdQueue},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := startKeeping(t)
			id := k.hold(t, queueID)
			tt.run(t, k, id)
			m := k.message(t, id)
			if m.State() != tt.state || m.Due.IsZero() == tt.due {
				t.Errorf("the message is %s and due %v", m.State(), m.Due)
			}
			if events := k.timeline(t, id); events[len(events)-1] != tt.event {
				t.Errorf("the timeline is %q", events)
			}
			if at := k.shelf.where(queueID); at != tt.queue {
				t.Errorf("the queue file is in %q", at)
			}
		})
	}
}

func TestRoundsLeaveOtherMailAlone(t *testing.T) {
	k := startKeeping(t)
	relayed := k.holdFrom(t, "", policy.Relay)
	k.file(queueID, holdQueue, 0) // held by an administrator's rule
	k.file(shortID, deferredQueue, 0)
	for range 5 {
		k.later(t, time.Minute)
	}
	if m := k.message(t, relayed); m.State() != policy.StateHeld {
		t.Errorf("the relay's message is %s", m.State())
	}
	if k.shelf.where(queueID) != holdQueue || k.shelf.where(shortID) != deferredQueue || k.shelf.asked != nil {
		t.Errorf("asked for %q", k.shelf.asked)
	}
	if _, known := k.foreign[queueID]; !known || len(k.foreign) != 1 {
		t.Errorf("known as foreign: %v", k.foreign)
	}
	k.shelf.drop(queueID)
	k.later(t, time.Minute)
	if len(k.foreign) != 0 {
		t.Errorf("known as foreign: %v", k.foreign)
	}
}

func TestRoundsRememberOnlyWhatIsHeld(t *testing.T) {
	k := startKeeping(t)
	id := k.hold(t, queueID)
	k.file(queueID, holdQueue, 0)
	k.later(t, time.Second)
	k.shelf.silent = fmt.Errorf("%w: broken pipe", ErrAway)
	k.decide(t, id, policy.Event{Kind: policy.Released, Until: k.clock()})
	if _, err := k.Release(t.Context(), id, new(k.message(t, id).Envelope), false); !errors.Is(err, ErrAway) {
		t.Errorf("the release: %v", err)
	}
	if len(k.seen) != 1 || len(k.asked) != 1 {
		t.Errorf("seen %v, asked %v", k.seen, k.asked)
	}
	k.commit(t, store.Change{Message: id, Events: []policy.Event{{Kind: policy.Queued, Time: k.clock()}}})
	k.later(t, time.Second)
	if len(k.seen) != 0 || len(k.asked) != 0 {
		t.Errorf("seen %v, asked %v", k.seen, k.asked)
	}
}

func TestListingsAreNotedOnlyWithNews(t *testing.T) {
	k := startKeeping(t)
	notes := func() int {
		ids, err := k.journal.Records(t.Context(), policy.Queued, 10, policy.ID{})
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, id := range ids {
			n += len(k.timeline(t, id))
		}
		return n
	}
	k.later(t, 20*time.Second)
	if n := notes(); n != 0 {
		t.Errorf("%d notes about an empty queue", n)
	}
	k.hold(t, queueID)
	k.file(queueID, holdQueue, 0)
	for range 3 {
		k.later(t, 20*time.Second)
	}
	if n := notes(); n != 1 {
		t.Errorf("%d notes about one message", n)
	}
	k.hold(t, shortID)
	k.file(shortID, holdQueue, 0)
	k.later(t, 20*time.Second)
	if n := notes(); n != 2 {
		t.Errorf("%d notes about two messages", n)
	}
	last, err := lastListing(k.journal)
	if err != nil || !last.Equal(k.clock().Add(-commitSlack)) {
		t.Errorf("listed up to %v (%v), now %v", last, err, k.clock())
	}
}

func TestADecisionMeanwhileWins(t *testing.T) {
	k := startKeeping(t)
	id := k.hold(t, queueID)
	before := k.message(t, id)
	k.decide(t, id, policy.Event{Kind: policy.HoldChanged, Until: k.clock().Add(2 * time.Hour)})
	k.file(queueID, "active", 0)
	if err := k.explain(t.Context(), &before); err != nil {
		t.Fatal(err)
	}
	if m := k.message(t, id); m.State() != policy.StateHeld {
		t.Errorf("the message is %s", m.State())
	}
}

func TestReady(t *testing.T) {
	k := startKeeping(t)
	if err := k.Ready(); err == nil || err.Error() != "the queue was not listed yet" {
		t.Errorf("before the first round: %v", err)
	}
	run := func(away error) error {
		k.shelf.away = away
		k.report(k.round(t.Context()))
		return k.Ready()
	}
	if err := run(nil); err != nil {
		t.Errorf("after a round: %v", err)
	}
	for range 2 {
		if err := run(errDial); !errors.Is(err, ErrAway) || err.Error() != "the postfix helper is away: dial unix: no such file" {
			t.Errorf("without the helper: %v", err)
		}
	}
	if err := run(nil); err != nil {
		t.Errorf("with the helper again: %v", err)
	}
	var lines []string
	for _, l := range k.lines.All() {
		lines = append(lines, l.Message)
	}
	want := []string{
		"Postfix's queue can be looked at", "Postfix's queue cannot be looked at; what is held there waits", "Postfix's queue can be looked at",
	}
	if !slices.Equal(lines, want) {
		t.Errorf("the log: %q", lines)
	}
}

func TestReadyBetweenRounds(t *testing.T) {
	for name, ask := range map[string]func(k *keeping, id policy.ID, e *policy.Envelope) error{
		"release": func(k *keeping, id policy.ID, e *policy.Envelope) error {
			_, err := k.Release(context.Background(), id, e, false)
			return err
		},
		"delete": func(k *keeping, id policy.ID, e *policy.Envelope) error {
			_, err := k.Delete(context.Background(), id, e)
			return err
		},
		"held": func(k *keeping, _ policy.ID, e *policy.Envelope) error {
			_, err := k.Held(context.Background(), e)
			return err
		},
		"read": func(k *keeping, _ policy.ID, e *policy.Envelope) error {
			_, _, err := k.Read(context.Background(), e)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			k := startKeeping(t)
			id := k.hold(t, queueID)
			k.report(k.round(t.Context()))
			k.shelf.away = errDial
			if err := ask(k, id, new(k.message(t, id).Envelope)); !errors.Is(err, ErrAway) {
				t.Errorf("the error is %v", err)
			}
			if err := k.Ready(); !errors.Is(err, ErrAway) {
				t.Errorf("ready: %v", err)
			}
		})
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	k := startKeeping(t)
	k.shelf.away = errDial
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- k.Run(ctx) }()
	eventually(t, "a round was tried", func() bool { return errors.Is(k.Ready(), ErrAway) })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := k.batcher.Release(t.Context(), Identity{ID: queueID}); !errors.Is(err, ErrClosed) {
		t.Errorf("the batcher goes on: %v", err)
	}
}

func TestRelease(t *testing.T) {
	tests := []struct {
		name string
		// run begins with a message just held under queueID, without a queue file.
		run   func(t *testing.T, k *keeping)
		again bool
		want  Outcome // "" for an error
		err   string  // what it says
		queue string
	}{
		{"from the hold queue", func(_ *testing.T, k *keeping) { k.file(queueID, holdQueue, time.Second) }, false, Released, "", deferredQueue},
		{"after a slow dialogue", func(_ *testing.T, k *keeping) { k.file(queueID, holdQueue, time.Hour) }, false, Released, "", deferredQueue},
		{"after Postfix has rewritten the sender", func(_ *testing.T, k *keeping) {
			k.shelf.put(Envelope{ID: queueID, Queue: holdQueue, Arrival: k.clock(), Sender: "alice.liddell@corp.test"})
		}, false, Released, "", deferredQueue},
		{"while Postfix is receiving it", func(_ *testing.T, k *keeping) { k.file(queueID, "incoming", 0) },
			false, "", queueID + ": still being received by Postfix", "incoming"},
		{"released by hand before", func(_ *testing.T, k *keeping) { k.file(queueID, "active", 0) }, false, NotHeld, "", "active"},
		{"deleted by hand before", func(t *testing.T, k *keeping) {
			k.file(queueID, holdQueue, 0)
			k.later(t, time.Second)
			k.shelf.drop(queueID)
		}, false, NotFound, "", ""},
		{"never there", func(*testing.T, *keeping) {}, false, NeverListed, "", ""},
		{"never there, and the release waited long for the helper", func(t *testing.T, k *keeping) {
			k.decide(t, k.due(t), policy.Event{Kind: policy.Released, Until: k.clock()})
			k.later(t, 10*time.Second)
			k.later(t, 10*time.Second)
		}, false, NeverListed, "", ""},
		{"not there, and asked for by an earlier process", func(*testing.T, *keeping) {}, true, NotHeld, "", ""},
		{"not there, and done without an answer", func(t *testing.T, k *keeping) {
			k.file(queueID, holdQueue, 0)
			k.shelf.silent = fmt.Errorf("%w: broken pipe", ErrAway)
			id := k.due(t)
			if _, err := k.Release(t.Context(), id, new(k.message(t, id).Envelope), false); !errors.Is(err, ErrAway) {
				t.Errorf("the first release: %v", err)
			}
			k.shelf.silent = nil
			k.shelf.drop(queueID) // delivered meanwhile
		}, false, NotHeld, "", ""},
		{"not there, and the helper was never reached", func(t *testing.T, k *keeping) {
			k.shelf.away = errDial
			id := k.due(t)
			if _, err := k.Release(t.Context(), id, new(k.message(t, id).Envelope), false); !errors.Is(err, ErrAway) {
				t.Errorf("the first release: %v", err)
			}
			k.shelf.away = nil
		}, false, NeverListed, "", ""},
		{"a newer message has its queue id", func(_ *testing.T, k *keeping) {
			k.shelf.put(Envelope{ID: queueID, Queue: holdQueue, Arrival: k.clock().Add(time.Minute), Sender: sender})
		}, false, NeverListed, "", holdQueue},
		{"the helper cannot", func(_ *testing.T, k *keeping) {
			k.file(queueID, holdQueue, 0)
			k.shelf.failing = "postsuper: fatal"
		}, false, "", "release " + queueID + ": failed postsuper: fatal", holdQueue},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := startKeeping(t)
			id := k.hold(t, queueID)
			tt.run(t, k)
			r, err := k.Release(t.Context(), id, new(k.message(t, id).Envelope), tt.again)
			if tt.err != "" {
				if err == nil || err.Error() != tt.err {
					t.Errorf("the error is %v", err)
				}
			} else if err != nil || r.Outcome != tt.want || r.ID != queueID {
				t.Errorf("%+v, %v", r, err)
			}
			if at := k.shelf.where(queueID); at != tt.queue {
				t.Errorf("the queue file is in %q", at)
			}
		})
	}
}

// due gives the one message with which there is something to do.
func (k *keeping) due(t *testing.T) (id policy.ID) {
	t.Helper()
	if err := k.journal.Due(func(d store.DueMessage) bool { id = d.ID; return true }); err != nil {
		t.Fatal(err)
	}
	return id
}

func TestDelete(t *testing.T) {
	tests := []struct {
		name  string
		run   func(k *keeping)
		want  Outcome // "" for an error
		err   string
		queue string
	}{
		{"from the hold queue", func(k *keeping) { k.file(queueID, holdQueue, time.Hour) }, Removed, "", ""},
		{"not there", func(*keeping) {}, NotFound, "", ""},
		{"a newer message has its queue id", func(k *keeping) {
			k.shelf.put(Envelope{ID: queueID, Queue: holdQueue, Arrival: k.clock().Add(time.Minute), Sender: sender})
		}, NotFound, "", holdQueue},
		{"under delivery", func(k *keeping) {
			k.file(queueID, "active", 0)
			k.shelf.busy[queueID] = true
		}, "", "delete " + queueID + ": in_flight ", holdQueue},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := startKeeping(t)
			id := k.hold(t, queueID)
			tt.run(k)
			outcome, err := k.Delete(t.Context(), id, new(k.message(t, id).Envelope))
			if tt.err != "" {
				if err == nil || err.Error() != tt.err {
					t.Errorf("the error is %v", err)
				}
			} else if err != nil || outcome != tt.want {
				t.Errorf("%s, %v", outcome, err)
			}
			if at := k.shelf.where(queueID); at != tt.queue {
				t.Errorf("the queue file is in %q", at)
			}
			recorded := slices.Contains(k.timeline(t, id), "recall_outcome: removed_from_queue")
			if recorded != (tt.want == Removed) {
				t.Errorf("the timeline is %q", k.timeline(t, id))
			}
		})
	}
}

func TestReadGivesLinesAsInSMTP(t *testing.T) {
	k := startKeeping(t)
	id := k.hold(t, queueID)
	e := k.message(t, id).Envelope
	if _, _, err := k.Read(t.Context(), &e); !errors.Is(err, ErrNotFound) {
		t.Errorf("without a queue file: %v", err)
	}
	k.file(queueID, holdQueue, 0)
	k.shelf.content = "Subject: x\n\n.\n\nlast\n"
	got, r, err := k.Read(t.Context(), &e)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil || string(text) != "Subject: x\r\n\r\n.\r\n\r\nlast\r\n" || got.Queue != holdQueue {
		t.Errorf("%q in %q, %v", text, got.Queue, err)
	}
	if held, err := k.Held(t.Context(), &e); !held || err != nil {
		t.Errorf("held: %v, %v", held, err)
	}
}

func TestLineEndsFitAnywhere(t *testing.T) {
	long := strings.Repeat("\nx", 10_000) + "\n"
	got, _, err := transform.String(lineEnds{}, long)
	if err != nil || got != strings.ReplaceAll(long, "\n", "\r\n") {
		t.Errorf("%d octets, %v", len(got), err)
	}
}

func TestAMessageWithoutAQueueIDIsNowhere(t *testing.T) {
	k := startKeeping(t)
	if held, err := k.Held(t.Context(), &policy.Envelope{QueueID: "../../etc"}); held || err != nil || k.shelf.asked != nil {
		t.Errorf("held: %v, %v, asked %q", held, err, k.shelf.asked)
	}
}
