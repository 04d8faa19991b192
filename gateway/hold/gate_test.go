package hold

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// A counter is a Gate that counts how often it is asked, and answers as told.
type counter struct {
	mu     sync.Mutex
	asked  []time.Time
	answer func(m *store.Message) (policy.Verdict, bool)
}

func (c *counter) Admit(_ context.Context, m *store.Message) (policy.Verdict, bool) {
	c.mu.Lock()
	c.asked = append(c.asked, time.Now())
	c.mu.Unlock()
	return c.answer(m)
}

func (c *counter) times() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.asked)
}

var (
	someCharge   = &policy.Charge{At: 1, Amounts: []policy.Amount{{Rule: "hour", Key: "ann", Window: time.Hour, Units: 1}}}
	someFindings = []policy.Finding{{Rule: "hour", Kind: "limit", Key: "ann", Asked: 1, Used: 2, Limit: 3}}
)

func admitted(*store.Message) (policy.Verdict, bool) {
	return policy.Verdict{Charge: someCharge, Findings: someFindings}, true
}

func TestWhatTheGateAdmitsGoesWithItsCharge(t *testing.T) {
	virtual(t, func(b *bench) {
		g := &counter{answer: admitted}
		b.gate = g
		b.run()
		id := b.accept(time.Minute, to("bob@x.example")...)
		later(2 * time.Minute)
		e := b.journal.events(id)[2]
		if e.Kind != policy.Released || e.Actor != "hold" || !reflect.DeepEqual(e.Charge, someCharge) || !reflect.DeepEqual(e.Findings, someFindings) {
			t.Errorf("%+v", e)
		}
		if g.times() != 1 || b.states(id)[0] != policy.StateRelayedRemote {
			t.Errorf("asked %d times, state %s", g.times(), b.states(id)[0])
		}
	})
}

func TestTheGateHoldsUntilThereIsRoom(t *testing.T) {
	virtual(t, func(b *bench) {
		var free time.Time
		g := &counter{}
		g.answer = func(m *store.Message) (policy.Verdict, bool) {
			if time.Now().Before(free) {
				return policy.Verdict{Action: policy.Hold, Rule: "hour", Until: free, Findings: someFindings}, false
			}
			return admitted(m)
		}
		b.gate = g
		b.run()
		free = time.Now().Add(time.Hour)
		id := b.accept(time.Minute, to("bob@x.example")...)
		later(time.Hour - time.Second)
		e := b.journal.events(id)[2]
		if e.Kind != policy.HoldChanged || e.Rule != "hour" || !e.Until.Equal(free) || e.Actor != "hold" || !reflect.DeepEqual(e.Findings, someFindings) {
			t.Errorf("%+v", e)
		}
		if b.states(id)[0] != policy.StateHeld || g.times() != 1 {
			t.Fatalf("state %s, asked %d times", b.states(id)[0], g.times())
		}
		later(2 * time.Second)
		want := []policy.Kind{policy.Accepted, policy.Held, policy.HoldChanged, policy.Released, policy.RelayedRemote}
		if got := b.journal.kinds(id); !slices.Equal(got, want) {
			t.Errorf("%v", got)
		}
	})
}

func TestTheGateIsNotAskedInALoop(t *testing.T) {
	for name, until := range map[string]time.Duration{"no time": 0, "the past": -time.Hour, "at once": time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(b *bench) {
				g := &counter{answer: func(*store.Message) (policy.Verdict, bool) {
					v := policy.Verdict{Rule: "hour"}
					if until != 0 {
						v.Until = time.Now().Add(until)
					}
					return v, false
				}}
				b.gate = g
				b.run()
				b.accept(time.Minute, to("bob@x.example")...)
				later(11*time.Minute + time.Millisecond)
				if n := g.times(); n != 11 {
					t.Errorf("asked %d times in 10 min", n)
				}
			})
		})
	}
}

// What a person lets go, what was never held, and what is tried again concern no gate.
func TestTheGateIsAskedAboutEndsOfHoldsOnly(t *testing.T) {
	virtual(t, func(b *bench) {
		g := &counter{answer: func(*store.Message) (policy.Verdict, bool) { return policy.Verdict{}, false }}
		b.gate = g
		b.sender.answer = deferAll
		b.run()
		b.accept(0, to("bob@x.example")...)
		id := b.accept(time.Hour, to("bob@x.example")...)
		synctest.Wait()
		if _, err := b.s.Release(context.Background(), id, "api:ops"); err != nil {
			t.Fatal(err)
		}
		later(2 * time.Hour)
		if g.times() != 0 || len(b.sender.seen()) < 4 {
			t.Errorf("asked %d times, tried %d times", g.times(), len(b.sender.seen()))
		}
	})
}

// The journal decides between the timer and a person.
func TestAPersonIsQuickerThanTheGate(t *testing.T) {
	for name, ok := range map[string]bool{"admitted": true, "kept back": false} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(b *bench) {
				g := &counter{}
				g.answer = func(m *store.Message) (policy.Verdict, bool) {
					if _, _, err := b.s.Cancel(context.Background(), m.ID, nil, "oops", "sender"); err != nil {
						t.Error(err)
					}
					return policy.Verdict{}, ok
				}
				b.gate = g
				b.run()
				id := b.accept(time.Minute, to("bob@x.example")...)
				later(time.Hour)
				if b.states(id)[0] != policy.StateCanceled || len(b.sender.seen()) != 0 || g.times() != 1 {
					t.Errorf("state %s, tried %d times, asked %d times", b.states(id)[0], len(b.sender.seen()), g.times())
				}
			})
		})
	}
}

func TestTheGateIsAskedAgainWhenTheJournalWasAway(t *testing.T) {
	virtual(t, func(b *bench) {
		g := &counter{answer: admitted}
		b.gate = g
		b.run()
		id := b.accept(time.Minute, to("bob@x.example")...)
		synctest.Wait()
		b.journal.failWith(errBroken)
		later(time.Minute + time.Second)
		b.journal.failWith(nil)
		later(time.Minute)
		if b.states(id)[0] != policy.StateRelayedRemote || g.times() != 2 {
			t.Errorf("state %s, asked %d times", b.states(id)[0], g.times())
		}
	})
}

func TestReleaseAdmitted(t *testing.T) {
	virtual(t, func(b *bench) {
		b.run()
		id := b.accept(time.Hour, to("bob@x.example")...)
		synctest.Wait()
		if err := b.s.ReleaseAdmitted(context.Background(), id, someCharge, someFindings); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		e := b.journal.events(id)[2]
		if e.Kind != policy.Released || e.Actor != "limits" || !e.Until.Equal(e.Time) || !reflect.DeepEqual(e.Charge, someCharge) || !reflect.DeepEqual(e.Findings, someFindings) {
			t.Errorf("%+v", e)
		}
		if b.states(id)[0] != policy.StateRelayedRemote {
			t.Errorf("state %s", b.states(id)[0])
		}
		err := b.s.ReleaseAdmitted(context.Background(), id, someCharge, nil)
		if !errors.Is(err, ErrNotHeld) || err.Error() != "the message is not held: it is relayed_remote" {
			t.Errorf("error %v", err)
		}
		if err := b.s.ReleaseAdmitted(context.Background(), policy.ID{}, nil, nil); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("error %v", err)
		}
	})
}
