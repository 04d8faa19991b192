package gateway

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/sendgate/sendgate/gateway/hold"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/guard"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// A ledger is limits over a real store, with mail that is written as a front does.
type ledger struct {
	t     *testing.T
	dir   string
	store *store.Store
	l     *limits
	n     int
	set   func(*guard.Settings) // nil changes nothing
}

func newLedger(t *testing.T) *ledger { return newLedgerWith(t, nil) }

func newLedgerWith(t *testing.T, set func(*guard.Settings)) *ledger {
	t.Helper()
	b := &ledger{t: t, dir: t.TempDir(), set: set}
	b.open()
	t.Cleanup(func() {
		if err := b.store.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func (b *ledger) open() {
	b.t.Helper()
	cfg := store.DefaultConfig()
	cfg.Dir, cfg.MinFree = b.dir, 0
	var err error
	if b.store, err = store.Open(cfg); err != nil {
		b.t.Fatal(err)
	}
	b.l, err = openLimits(b.t.Context(), b.store, b.dir, b.settings(), newHistory(), time.Now, zap.NewNop())
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *ledger) settings() guard.Settings {
	directory, err := policy.NewDirectory(nil)
	if err != nil {
		b.t.Fatal(err)
	}
	var rule policy.LimitRule
	rule.SetDefaults()
	rule.Name, rule.Limit = "hour", 5
	c := policy.DefaultConfig()
	c.Hold.Default, c.Trial, c.Limits = 0, 0, []policy.LimitRule{rule}
	g := guard.Settings{Config: c, Directory: directory}
	if b.set != nil {
		b.set(&g)
	}
	return g
}

// send has a message decided and committed.
func (b *ledger) send(recipients int) (policy.ID, policy.Verdict) {
	b.t.Helper()
	b.n++
	e := &policy.Envelope{
		Received: time.Now(), Front: policy.Relay, Direction: policy.Outbound, Sender: "ann@corp.example", Identity: "ann",
		MessageID: fmt.Sprintf("<%d@corp.example>", b.n),
	}
	for i := range recipients {
		e.Recipients = append(e.Recipients, policy.Recipient{Address: policy.Address(fmt.Sprintf("r%d-%d@remote.example", b.n, i))})
	}
	id := b.store.NewID()
	v := b.l.Decide(b.t.Context(), policy.Submission{Time: e.Received, Envelope: e, ID: id, Trusted: true})
	events := []policy.Event{{Kind: policy.Accepted, Charge: v.Charge, Findings: v.Findings}}
	if v.Action == policy.Hold {
		events = append(events, policy.Event{Kind: policy.Held, Until: v.Until, Rule: v.Rule, Findings: v.Findings})
	}
	if _, err := b.store.Commit(b.t.Context(), store.Change{Message: id, Envelope: e, Events: events}); err != nil {
		b.t.Fatal(err)
	}
	return id, v
}

func (b *ledger) used() int64 {
	for _, f := range b.l.Usage(time.Now(), "ann") {
		return f.Used
	}
	return 0
}

// restart ends as a crash does, with or without a snapshot.
func (b *ledger) restart(saved bool) {
	b.t.Helper()
	if saved {
		if err := b.l.catchUp(b.t.Context()); err != nil {
			b.t.Fatal(err)
		}
		b.l.save()
	}
	if err := b.store.Close(); err != nil {
		b.t.Fatal(err)
	}
	b.open()
}

func TestUsageSurvivesACrash(t *testing.T) {
	for name, saved := range map[string][2]bool{
		"journal only": {false, false}, "snapshot": {true, true}, "snapshot and tail": {true, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newLedger(t)
			b.send(1)
			b.restart(saved[0])
			b.send(2)
			taken, _ := b.send(1)
			if _, err := b.store.Commit(t.Context(), store.Change{Message: taken, Revision: 1, Events: []policy.Event{{Kind: policy.Canceled}}}); err != nil {
				t.Fatal(err)
			}
			b.restart(saved[1])
			if got := b.used(); got != 3 {
				t.Errorf("counted %d", got)
			}
			b.restart(false)
			if got := b.used(); got != 3 {
				t.Errorf("counted %d when nothing was saved once more", got)
			}
		})
	}
}

func TestADamagedSnapshotIsNotUsed(t *testing.T) {
	b := newLedger(t)
	b.send(3)
	b.restart(true)
	for _, part := range guard.Parts {
		if err := os.WriteFile(filepath.Join(b.dir, memoryDir, part+".snapshot"), []byte("nonsense"), 0o600); err != nil {
			t.Fatal(err)
		}
		b.restart(false)
		if got := b.used(); got != 3 {
			t.Errorf("%s: counted %d", part, got)
		}
		b.restart(true)
	}
}

// releases records what is let go.
type releases struct {
	mu   sync.Mutex
	ids  []policy.ID
	fail error
}

func (r *releases) ReleaseAdmitted(_ context.Context, id policy.ID, c *policy.Charge, _ []policy.Finding) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil {
		return r.fail
	}
	if c == nil {
		return errors.New("without a charge")
	}
	r.ids = append(r.ids, id)
	return nil
}

func TestWhatWaitsIsFoundAgain(t *testing.T) {
	b := newLedger(t)
	first, _ := b.send(5)
	waiting, v := b.send(1)
	if v.Action != policy.Hold || v.Rule != "hour" {
		t.Fatalf("%+v", v)
	}
	b.restart(true)
	m, err := b.store.Message(waiting)
	if err != nil {
		t.Fatal(err)
	}
	if v, ok := b.l.Admit(t.Context(), &m); ok || v.Rule != "hour" || !v.Until.After(time.Now().Add(50*time.Minute)) {
		t.Errorf("admitted %v: %+v", ok, v)
	}
	if _, err := b.store.Commit(t.Context(), store.Change{Message: first, Revision: 1, Events: []policy.Event{{Kind: policy.Canceled}}}); err != nil {
		t.Fatal(err)
	}
	if err := b.l.catchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := &releases{fail: errors.New("no")}
	b.l.flow(t.Context(), r)
	b.restart(false)
	if got := b.used(); got != 0 {
		t.Errorf("what did not go counts %d", got)
	}
	r.fail = nil
	b.l.flow(t.Context(), r)
	if len(r.ids) != 1 || r.ids[0] != waiting {
		t.Errorf("let go: %v", r.ids)
	}
	if _, ok := b.l.Admit(t.Context(), &m); !ok {
		t.Error("still waits")
	}
}

func TestWhatTheJournalDoesNotTakeIsLetGoAgain(t *testing.T) {
	for name, tt := range map[string]struct {
		fail    error
		again   int
		charged bool
	}{
		"the journal fails":    {errors.New("journal full"), 1, true},
		"somebody was quicker": {fmt.Errorf("release: %w", hold.ErrNotHeld), 0, true},
		"it is gone":           {fmt.Errorf("release: %w", store.ErrNotFound), 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newLedger(t)
			b.send(5)
			waiting, _ := b.send(4)
			if err := b.l.catchUp(t.Context()); err != nil {
				t.Fatal(err)
			}
			b.l.now = func() time.Time { return time.Now().Add(2 * time.Hour) }
			r := &releases{fail: tt.fail}
			b.l.flow(t.Context(), r)
			v, ok := b.l.Admit(t.Context(), &store.Message{ID: waiting})
			if charged := v.Charge != nil && v.Charge.Amounts[0].Units == 4; !ok || charged != tt.charged {
				t.Errorf("admitted %v with %+v", ok, v.Charge)
			}
			r.fail = nil
			b.l.flow(t.Context(), r)
			if len(r.ids) != tt.again {
				t.Errorf("let go again: %v", r.ids)
			}
		})
	}
}

// A gatedReleases lets nothing go until it is told to.
type gatedReleases struct {
	asked, goes chan struct{}
}

func (r gatedReleases) ReleaseAdmitted(context.Context, policy.ID, *policy.Charge, []policy.Finding) error {
	r.asked <- struct{}{}
	<-r.goes
	return nil
}

func TestTheJournalIsFollowedWhileMailFlows(t *testing.T) {
	b := newLedger(t)
	b.send(5)
	for range 3 {
		b.send(1)
	}
	if err := b.l.catchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.l.now = func() time.Time { return time.Now().Add(2 * time.Hour) }
	ctx, cancel := context.WithCancel(t.Context())
	r := gatedReleases{make(chan struct{}), make(chan struct{})}
	done := make(chan error)
	go func() { done <- b.l.run(ctx, r) }()
	for range 3 { // all of them at the same time
		<-r.asked
	}
	// What only the feed brings: nobody has put it in force.
	e := policy.Event{Kind: policy.Suspended, Time: time.Now(), Actor: "ops", Subject: "eve", Reason: "r"}
	if _, err := b.store.Commit(ctx, store.Change{Message: b.store.NewID(), Events: []policy.Event{e}}); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; runtime.Gosched() {
		if _, ok := b.l.Suspended(time.Now(), "eve"); ok {
			break
		}
		if time.Now().After(deadline) {
			t.Error("the feed stands still")
			break
		}
	}
	close(r.goes)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestASnapshotThatIsNewerThanTheJournalIsNotBelieved(t *testing.T) {
	b := newLedger(t)
	b.send(1)
	if err := b.l.catchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.l.seen += 100
	b.l.save()
	b.restart(false)
	b.send(2)
	if err := b.l.catchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.restart(false)
	if got := b.used(); got != 3 {
		t.Errorf("counted %d", got)
	}
}

func TestAPersonsHoldSurvivesARestart(t *testing.T) {
	b := newLedger(t)
	b.send(5)
	waiting, _ := b.send(1)
	change := store.Change{Message: waiting, Revision: 1, Events: []policy.Event{{
		Kind: policy.HoldChanged, Time: time.Now(), Actor: "api:ops", Until: time.Now().Add(10 * time.Hour),
	}}}
	if _, err := b.store.Commit(t.Context(), change); err != nil {
		t.Fatal(err)
	}
	for _, saved := range []bool{true, false} {
		b.restart(saved)
		b.l.now = func() time.Time { return time.Now().Add(2 * time.Hour) }
		r := &releases{}
		b.l.flow(t.Context(), r)
		if _, ok := b.l.Admit(t.Context(), &store.Message{ID: waiting}); len(r.ids) != 0 || !ok {
			t.Errorf("let go %v; admitted by the end of its hold: %v", r.ids, ok)
		}
	}
}

func TestWhatIsLetGoAfterASnapshotCounts(t *testing.T) {
	b := newLedger(t)
	b.send(5)
	waiting, _ := b.send(1)
	b.restart(true)
	change := store.Change{Message: waiting, Revision: 1, Events: []policy.Event{{Kind: policy.Released, Time: time.Now(), Actor: "api:ops"}}}
	if _, err := b.store.Commit(t.Context(), change); err != nil {
		t.Fatal(err)
	}
	b.restart(false)
	if got := b.used(); got != 6 {
		t.Errorf("counted %d", got)
	}
}

func TestWhatWaitsForAPersonIsRememberedOverARestart(t *testing.T) {
	b := newLedger(t)
	id := b.store.NewID()
	e := &policy.Envelope{
		Received: time.Now(), Front: policy.Milter, Direction: policy.Outbound, Sender: "ann@corp.example", Identity: "ann",
		Recipients: []policy.Recipient{{Address: "r@remote.example"}},
	}
	f := []policy.Finding{{
		Rule: "hour", Kind: "limit", Key: "ann", Window: time.Hour, Asked: 1, Limit: 5, Exceeded: true, Decided: true, Action: policy.Approval,
	}}
	if _, err := b.store.Commit(t.Context(), store.Change{Message: id, Envelope: e, Events: []policy.Event{
		{Kind: policy.Accepted, Findings: f}, {Kind: policy.ApprovalRequested, Findings: f, Until: time.Now().Add(time.Hour)},
	}}); err != nil {
		t.Fatal(err)
	}
	b.restart(true)
	change := store.Change{Message: id, Revision: 1, Events: []policy.Event{{Kind: policy.Released, Time: time.Now(), Actor: "postfix"}}}
	if _, err := b.store.Commit(t.Context(), change); err != nil {
		t.Fatal(err)
	}
	if err := b.l.catchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := b.used(); got != 1 {
		t.Errorf("counted %d", got)
	}
}

func TestTheTrialCountsFromTheFirstStart(t *testing.T) {
	b := newLedger(t)
	now := time.Now()
	first, err := trialEnd(b.store, time.Hour, now)
	if err != nil {
		t.Fatal(err)
	}
	again, err := trialEnd(b.store, time.Hour, now.Add(24*time.Hour))
	if err != nil || !again.Equal(first) {
		t.Errorf("%v, then %v: %v", first, again, err)
	}
}
