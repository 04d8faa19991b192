package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sendgate/sendgate/gateway/hold"
	"github.com/sendgate/sendgate/gateway/postfix"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/guard"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// A hijack is a journal with mail of alice and bob, and what pulls it back.
type hijack struct {
	*pullback
	t      *testing.T
	bars   map[string]guard.Suspension
	keeper *pullers
	sched  *pullers
	lines  *observer.ObservedLogs
}

// pullers counts who is asked, and fails as told before the one behind it is asked.
type pullers struct {
	puller
	mu    sync.Mutex
	asked []policy.ID
	fail  error
}

func (p *pullers) PullBack(ctx context.Context, id policy.ID, concerns func(policy.Address) bool, e policy.Event) (int, error) {
	p.mu.Lock()
	p.asked = append(p.asked, id)
	fail := p.fail
	p.mu.Unlock()
	if fail != nil {
		return 0, fail
	}
	return p.puller.PullBack(ctx, id, concerns, e)
}

// none is a puller of nothing.
type none struct{}

func (none) PullBack(context.Context, policy.ID, func(policy.Address) bool, policy.Event) (int, error) {
	return 1, nil
}

func newHijack(t *testing.T, after hold.PullBackAfter) *hijack {
	t.Helper()
	journal := openStore(t)
	core, lines := observer.New(zap.InfoLevel)
	feed := journal.Subscribe(0)
	s, err := hold.New(hold.DefaultConfig(), journal, feed, deliverer{}, mute{}, time.Now, zap.NewNop(), nil)
	if err != nil {
		t.Fatal(err)
	}
	h := &hijack{t: t, bars: map[string]guard.Suspension{}, keeper: &pullers{puller: none{}}, sched: &pullers{puller: s}, lines: lines}
	h.pullback = &pullback{
		journal: journal, feed: journal.Subscribe(0), scheduler: h.sched, keeper: h.keeper,
		cfg:      hold.PullBackConfig{After: after, Expires: 72 * time.Hour},
		external: func(a policy.Address) bool { return a.Domain() != "corp.test" },
		inForce:  func(identity string) (guard.Suspension, bool) { s, ok := h.bars[identity]; return s, ok },
		now:      time.Now, log: zap.New(core), open: map[string]*incident{},
	}
	return h
}

// put commits a message that is held, or in another state after more events.
func (h *hijack) put(front policy.Front, identity string, to policy.Address, more ...policy.Event) policy.ID {
	h.t.Helper()
	now := time.Now()
	e := policy.Envelope{Received: now, Front: front, Direction: policy.Outbound, Sender: policy.Address(identity), Identity: identity,
		Recipients: []policy.Recipient{{Address: to}}}
	id := h.journal.NewID()
	events := append([]policy.Event{{Kind: policy.Accepted, Time: now}, {Kind: policy.Held, Time: now, Until: now.Add(time.Hour)}}, more...)
	for i := range events {
		events[i].Time = now
	}
	commit(h.t, h.journal, store.Change{Message: id, Envelope: &e, Events: events})
	return id
}

// suspend commits a suspension and gives its record's id.
func (h *hijack) suspend(identity, actor string, until time.Time) (policy.ID, policy.Event) {
	h.t.Helper()
	e := policy.Event{Kind: policy.Suspended, Time: time.Now().UTC().Truncate(time.Microsecond), Actor: actor, Subject: identity, Until: until, Reason: "strangers"}
	id := h.journal.NewID()
	commit(h.t, h.journal, store.Change{Message: id, Events: []policy.Event{e}})
	h.bars[identity] = guard.Suspension{Identity: identity, Since: e.Time, Until: until, Author: actor}
	return id, e
}

// catchUp observes what the journal has.
func (h *hijack) catchUp() {
	h.t.Helper()
	last := h.journal.LastBatch()
	for {
		r, ok, err := h.feed.NextUpTo(h.t.Context(), last)
		if err != nil {
			h.t.Fatal(err)
		}
		if !ok {
			return
		}
		h.observe(h.t.Context(), &r)
	}
}

// batch gives the batch that a message waits in, or its state.
func (h *hijack) batch(id policy.ID) string {
	h.t.Helper()
	m, err := h.journal.Message(id)
	if err != nil {
		h.t.Fatal(err)
	}
	if m.States[policy.StateApprovalPending] == 0 {
		return string(m.State())
	}
	records, err := h.journal.Timeline(id)
	if err != nil {
		h.t.Fatal(err)
	}
	last := records[len(records)-1].Events
	return last[len(last)-1].Subject
}

func TestMailOfTheSuspendedIsPulledBack(t *testing.T) {
	soon := time.Now().Add(time.Hour)
	for _, tt := range []struct {
		name   string
		after  hold.PullBackAfter
		actor  string
		until  time.Time
		pulled bool
	}{
		{"by the rules", hold.PullBackAnomaly, "anomaly", soon, true},
		{"by the rules, until a person ends it", hold.PullBackAnomaly, "anomaly", time.Time{}, true},
		{"by the rules, long ago", hold.PullBackAnomaly, "anomaly", time.Now().Add(-time.Second), false},
		{"by a person", hold.PullBackAnomaly, "api:ops", soon, false},
		{"by a person, whose mail is pulled back, too", hold.PullBackAny, "api:ops", soon, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHijack(t, tt.after)
			held := h.put(policy.Relay, "alice@corp.test", "bob@x.test")
			deferred := h.put(policy.Relay, "alice@corp.test", "eve@x.test",
				policy.Event{Kind: policy.Released, Until: soon}, policy.Event{Kind: policy.Deferred, Until: soon})
			atPostfix := h.put(policy.Milter, "alice@corp.test", "eve@x.test")
			within := h.put(policy.Relay, "alice@corp.test", "carol@corp.test")
			other := h.put(policy.Relay, "dave@corp.test", "bob@x.test")
			h.catchUp()
			batch, _ := h.suspend("alice@corp.test", tt.actor, tt.until)
			h.catchUp()
			want := []string{"held", "deferred", "held", "held", "held"}
			if tt.pulled {
				want = []string{batch.String(), batch.String(), batch.String(), "held", "held"}
			}
			got := []string{h.batch(held), h.batch(deferred), h.batch(atPostfix), h.batch(within), h.batch(other)}
			if !slices.Equal(got, want) {
				t.Fatalf("got %q, want %q", got, want)
			}
			if !tt.pulled {
				return
			}
			records, err := h.journal.Timeline(held)
			if err != nil {
				t.Fatal(err)
			}
			e := records[len(records)-1].Events[0]
			at := h.open["alice@corp.test"].event.Time.Local().Format("2006-01-02 15:04")
			why := policy.Label{
				EN: "Pulled back: alice@corp.test was suspended from sending to other organisations at " + at,
				ZH: "已撤回待审：alice@corp.test 于 " + at + " 被暂停对外发送邮件",
			}
			if e.Rule != "pulled back" || e.Actor != tt.actor || e.Reason != why.EN || len(e.Findings) != 2 || e.Findings[0].Detail != why ||
				e.Findings[1].Kind != "approval" || e.Findings[1].Action != policy.Reject || e.Until.Sub(e.Time).Round(time.Minute) != 72*time.Hour {
				t.Errorf("%+v", e)
			}
			lines := h.lines.FilterMessage("pulled_back").All()
			if len(lines) != 1 || lines[0].ContextMap()["messages"] != int64(3) || lines[0].ContextMap()["batch"] != batch.String() {
				t.Errorf("log %v", lines)
			}
		})
	}
}

func TestWhatPostfixHasIsTheKeepers(t *testing.T) {
	soon := time.Now().Add(time.Hour)
	h := newHijack(t, hold.PullBackAnomaly)
	queued := h.put(policy.Milter, "alice@corp.test", "bob@x.test", policy.Event{Kind: policy.Released}, policy.Event{Kind: policy.Queued})
	h.suspend("alice@corp.test", "anomaly", soon)
	h.catchUp()
	if !slices.Contains(h.keeper.asked, queued) || slices.Contains(h.sched.asked, queued) {
		t.Errorf("the keeper was asked for %v, the scheduler for %v", h.keeper.asked, h.sched.asked)
	}

	h = newHijack(t, hold.PullBackAnomaly)
	h.keeper.fail = fmt.Errorf("look for it: %w", postfix.ErrNotFound)
	h.put(policy.Milter, "alice@corp.test", "bob@x.test", policy.Event{Kind: policy.Released}, policy.Event{Kind: policy.Queued})
	h.suspend("alice@corp.test", "anomaly", soon)
	h.catchUp()
	if in := h.open["alice@corp.test"]; in.late == 0 || len(in.again) != 0 {
		t.Errorf("%d were late, to be asked again: %v", in.late, in.again)
	}
}

func TestWhatIsUnderDeliveryIsAskedForAgain(t *testing.T) {
	h := newHijack(t, hold.PullBackAnomaly)
	held := h.put(policy.Relay, "alice@corp.test", "bob@x.test")
	h.catchUp()
	h.sched.fail = hold.ErrInFlight
	batch, _ := h.suspend("alice@corp.test", "anomaly", time.Time{})
	h.catchUp()
	h.retry(t.Context())
	if got := h.batch(held); got != "held" || len(h.sched.asked) != 2 {
		t.Fatalf("%s, asked %d times", got, len(h.sched.asked))
	}
	h.sched.fail = nil
	h.retry(t.Context())
	h.retry(t.Context())
	if got := h.batch(held); got != batch.String() || len(h.sched.asked) != 3 {
		t.Errorf("%s, asked %d times", got, len(h.sched.asked))
	}
	if n := h.lines.FilterMessage("a message of a suspended sender could not be pulled back yet").Len(); n != 0 {
		t.Errorf("%d warnings", n)
	}
}

func TestWhatTurnsUpLaterIsPulledBackWhileTheSuspensionLasts(t *testing.T) {
	h := newHijack(t, hold.PullBackAnomaly)
	batch, _ := h.suspend("alice@corp.test", "anomaly", time.Time{})
	h.catchUp()
	late := h.put(policy.Relay, "alice@corp.test", "bob@x.test")
	other := h.put(policy.Relay, "dave@corp.test", "bob@x.test")
	h.catchUp()
	if got := []string{h.batch(late), h.batch(other)}; !slices.Equal(got, []string{batch.String(), "held"}) {
		t.Errorf("got %q", got)
	}
	commit(t, h.journal, store.Change{Message: h.journal.NewID(), Events: []policy.Event{{Kind: policy.Unsuspended, Time: time.Now(), Subject: "alice@corp.test"}}})
	h.catchUp()
	free := h.put(policy.Relay, "alice@corp.test", "bob@x.test")
	h.catchUp()
	if got := []string{h.batch(late), h.batch(free)}; !slices.Equal(got, []string{batch.String(), "held"}) {
		t.Errorf("got %q", got)
	}

	h.suspend("alice@corp.test", "anomaly", time.Now().Add(time.Hour))
	h.catchUp()
	h.suspend("alice@corp.test", "api:ops", time.Now().Add(-time.Second)) // a person lets it end
	h.catchUp()
	again := h.put(policy.Relay, "alice@corp.test", "bob@x.test")
	h.catchUp()
	h.retry(t.Context())
	if got := h.batch(again); got != "held" || len(h.open) != 0 {
		t.Errorf("got %q, open %v", got, h.open)
	}
}

// A process that starts goes on with the suspensions that are in force.
func TestPullingBackGoesOnAfterARestart(t *testing.T) {
	h := newHijack(t, hold.PullBackAnomaly)
	held := h.put(policy.Relay, "alice@corp.test", "bob@x.test")
	over := h.put(policy.Relay, "dave@corp.test", "bob@x.test")
	h.suspend("alice@corp.test", "anomaly", time.Time{})
	batch, _ := h.suspend("alice@corp.test", "anomaly", time.Time{}) // the newer one is in force
	h.suspend("dave@corp.test", "anomaly", time.Time{})
	delete(h.bars, "dave@corp.test")
	h.feed = h.journal.Subscribe(0)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- h.run(ctx) }()
	changes := h.journal.Subscribe(0)
	patience, end := context.WithTimeout(t.Context(), time.Minute)
	defer end()
	for h.batch(held) == "held" {
		if _, err := changes.Next(patience); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := []string{h.batch(held), h.batch(over)}; !slices.Equal(got, []string{batch.String(), "held"}) {
		t.Errorf("got %q", got)
	}
}

func TestNothingIsPulledBackWhereNobodyWantsIt(t *testing.T) {
	h := newHijack(t, hold.PullBackNever)
	h.suspend("alice@corp.test", "anomaly", time.Time{})
	if err := h.run(t.Context()); err != nil || len(h.open) != 0 {
		t.Errorf("%v, open %v", err, h.open)
	}
}

func TestAJournalThatFailsIsAskedAgain(t *testing.T) {
	h := newHijack(t, hold.PullBackAnomaly)
	held := h.put(policy.Relay, "alice@corp.test", "bob@x.test")
	h.sched.fail = errors.New("the disk is broken")
	h.suspend("alice@corp.test", "anomaly", time.Time{})
	h.catchUp()
	if in := h.open["alice@corp.test"]; !in.again[held] || h.lines.FilterMessage("a message of a suspended sender could not be pulled back yet").Len() == 0 {
		t.Errorf("%v", in.again)
	}
}
