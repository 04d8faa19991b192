package postfix

import (
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

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
