package hold

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// virtual runs a test with virtual time and ends the scheduler.
func virtual(t *testing.T, test func(b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		test(b)
		if b.stop == nil {
			return
		}
		if err := b.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestHeldMailLeavesWhenItsTimeHasCome(t *testing.T) {
	virtual(t, func(b *bench) {
		b.run()
		id := b.accept(time.Minute, to("bob@x.example")...)
		later(time.Minute - time.Millisecond)
		if n := len(b.sender.seen()); n != 0 {
			t.Fatalf("tried %d times before the hold was over", n)
		}
		later(2 * time.Millisecond)
		if got := b.states(id); !slices.Equal(got, []policy.State{policy.StateRelayedRemote}) {
			t.Fatalf("states %v", got)
		}
		want := []policy.Kind{policy.Accepted, policy.Held, policy.Released, policy.RelayedRemote}
		if got := b.journal.kinds(id); !slices.Equal(got, want) {
			t.Errorf("events %v, want %v", got, want)
		}
		if b.s.waitingMessages() != 0 || b.s.busyMessages() != 0 {
			t.Error("something is left of a message that is gone")
		}
	})
}

func TestMailWithoutHoldLeavesAtOnce(t *testing.T) {
	virtual(t, func(b *bench) {
		b.run()
		id := b.accept(0, to("bob@x.example")...)
		synctest.Wait()
		if got := b.states(id)[0]; got != policy.StateRelayedRemote {
			t.Errorf("state %s", got)
		}
	})
}

func TestWallClockStepsNeitherStallNorBurst(t *testing.T) {
	for _, step := range []time.Duration{-time.Hour, time.Hour, 30 * 24 * time.Hour} {
		t.Run(step.String(), func(t *testing.T) {
			virtual(t, func(b *bench) {
				b.run()
				held := b.accept(time.Minute, to("bob@x.example")...)
				later(time.Second)
				b.set(step)
				later(58 * time.Second)
				if n := len(b.sender.seen()); n != 0 {
					t.Fatal("the step let the message go")
				}
				later(2 * time.Second)
				if got := b.states(held)[0]; got != policy.StateRelayedRemote {
					t.Fatalf("the step kept the message back: %s", got)
				}
				after := b.accept(time.Minute, to("bob@x.example")...)
				later(59 * time.Second)
				if got := b.states(after)[0]; got != policy.StateHeld {
					t.Fatalf("a message from after the step is %s", got)
				}
				later(2 * time.Second)
				if got := b.states(after)[0]; got != policy.StateRelayedRemote {
					t.Fatalf("a message from after the step is %s", got)
				}
			})
		})
	}
}

func TestRetriesGoOnAfterTheClockWasSetBack(t *testing.T) {
	virtual(t, func(b *bench) {
		b.sender.answer = deferAll
		b.run()
		id := b.accept(0, to("bob@x.example")...)
		synctest.Wait()
		b.set(-time.Hour)
		later(10 * time.Minute)
		if n := len(b.sender.seen()); n < 3 || n > 5 {
			t.Errorf("%d tries in 10 minutes", n)
		}
		if got := b.row(id, 0).Attempts; got != len(b.sender.seen()) {
			t.Errorf("%d tries known of %d", got, len(b.sender.seen()))
		}
	})
}

func TestAStepForwardExpiresNothing(t *testing.T) {
	virtual(t, func(b *bench) {
		b.sender.answer = deferAll
		b.run()
		id := b.accept(0, to("bob@x.example")...)
		synctest.Wait()
		b.set(365 * 24 * time.Hour)
		later(time.Hour)
		if got := b.states(id)[0]; got != policy.StateDeferred {
			t.Errorf("state %s", got)
		}
	})
}

func TestRestartSpreadsWhatIsOverdue(t *testing.T) {
	virtual(t, func(b *bench) {
		for range 500 {
			b.accept(time.Minute, to("bob@x.example")...)
		}
		later(time.Hour)
		soon := b.accept(time.Second, to("soon@x.example")...)
		b.run()
		for second := 1; second <= 10; second++ {
			later(time.Second)
			want := second * b.cfg.CatchUp
			if n := len(b.sender.seen()); n < want-1 || n > want+2 {
				t.Fatalf("%d messages after %d s, want about %d", n, second, want)
			}
			if second == 2 && b.states(soon)[0] != policy.StateRelayedRemote {
				t.Error("a message that was not overdue waits behind those that were")
			}
		}
		for _, try := range b.sender.seen() {
			if try.MayBeDuplicate {
				t.Fatal("held mail cannot have been under way")
			}
		}
	})
}

func TestAfterACrash(t *testing.T) {
	at := func(b *bench, kind policy.Kind, until time.Duration) policy.Event {
		return policy.Event{Kind: kind, Time: b.now(), Until: b.now().Add(until)}
	}
	tests := []struct {
		name      string
		kinds     func(b *bench) []policy.Event
		state     policy.State
		tries     int
		duplicate bool
	}{
		{"released may have been sent", func(b *bench) []policy.Event { return []policy.Event{at(b, policy.Released, 0)} }, policy.StateRelayedRemote, 1, true},
		{"an overdue retry may have been sent", func(b *bench) []policy.Event {
			return []policy.Event{at(b, policy.Released, 0), at(b, policy.Deferred, time.Minute)}
		}, policy.StateRelayedRemote, 1, true},
		{"a retry that was not due was not sent", func(b *bench) []policy.Event {
			return []policy.Event{at(b, policy.Released, 0), at(b, policy.Deferred, 2*time.Hour)}
		}, policy.StateRelayedRemote, 1, false},
		{"held was not sent", func(b *bench) []policy.Event { return []policy.Event{at(b, policy.Held, time.Minute)} }, policy.StateRelayedRemote, 1, false},
		{"offered is not sent again", func(b *bench) []policy.Event { return []policy.Event{at(b, policy.Offered, 0)} }, policy.StateUnknown, 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			virtual(t, func(b *bench) {
				id := b.commit(to("bob@x.example"), append([]policy.Event{at(b, policy.Accepted, 0)}, tt.kinds(b)...)...)
				later(time.Hour)
				b.run()
				later(2 * time.Hour)
				r := b.row(id, 0)
				if r.State != tt.state || r.MayBeDuplicate != tt.duplicate || len(b.sender.seen()) != tt.tries {
					t.Errorf("state %s, may be duplicate %v, tries %d", r.State, r.MayBeDuplicate, len(b.sender.seen()))
				}
				if tt.state == policy.StateUnknown && !strings.Contains(r.Reason, "was not sent again") {
					t.Errorf("reason %q", r.Reason)
				}
				if tt.tries > 0 && b.sender.seen()[0].MayBeDuplicate != tt.duplicate {
					t.Error("the sender was not told")
				}
			})
		})
	}
}

func TestWhatAnMTAHoldsIsLetGoAgainAfterACrash(t *testing.T) {
	for _, tt := range []struct {
		kind  policy.Kind
		state policy.State
	}{
		{policy.Queued, policy.StateQueued},
		{policy.NeverQueued, policy.StateNeverQueued},
		{policy.Unknown, policy.StateUnknown},
	} {
		t.Run(string(tt.kind), func(t *testing.T) {
			virtual(t, func(b *bench) {
				b.sender.answer = func(Delivery, store.Recipient) Outcome {
					return Outcome{Kind: tt.kind, Upstream: "mta", ReportsSuccess: true}
				}
				now := b.now()
				id := b.commit(to("bob@x.example"), policy.Event{Kind: policy.Accepted, Time: now}, policy.Event{Kind: policy.Released, Time: now, Until: now})
				later(time.Hour)
				b.run()
				later(2 * time.Hour)
				if r := b.row(id, 0); r.State != tt.state || !r.Due.IsZero() || r.MayBeDuplicate {
					t.Errorf("state %s, due %v, may be duplicate %v", r.State, r.Due, r.MayBeDuplicate)
				}
				if seen := b.sender.seen(); len(seen) != 1 || !seen[0].MayBeDuplicate {
					t.Errorf("tried %+v", seen)
				}
			})
		})
	}
}

func TestReleasedIsTriedAtOnceAfterAClockThatWasAhead(t *testing.T) {
	virtual(t, func(b *bench) {
		b.set(time.Hour)
		id := b.accept(0, to("bob@x.example")...)
		b.set(-time.Hour)
		b.run()
		later(time.Hour + time.Second)
		if r := b.row(id, 0); r.State != policy.StateRelayedRemote || !r.MayBeDuplicate {
			t.Errorf("state %s, may be duplicate %v", r.State, r.MayBeDuplicate)
		}
	})
}

func TestOfferedByThisProcessIsLeftAlone(t *testing.T) {
	virtual(t, func(b *bench) {
		b.run()
		now := b.now()
		id := b.commit(to("bob@x.example"), policy.Event{Kind: policy.Offered, Time: now, Until: now})
		later(time.Hour)
		if got := b.states(id)[0]; got != policy.StateOffered {
			t.Errorf("state %s", got)
		}
	})
}

func TestEachRecipientItsOutcome(t *testing.T) {
	virtual(t, func(b *bench) {
		b.sender.answer = func(d Delivery, r store.Recipient) Outcome {
			switch {
			case r.Address == "bad@x.example":
				return Outcome{Kind: policy.Bounced, Reply: "550 5.1.1 no such user"}
			case r.Address == "later@x.example" && r.Attempts == 0:
				return Outcome{Kind: policy.Deferred, Reply: "451 4.2.1 busy"}
			case r.Address == "odd@x.example":
				return Outcome{Kind: policy.Held, Reply: "not an outcome"}
			}
			return Outcome{Kind: policy.HandedOver, Reply: "250 ok", QueueID: "4XyZ", Upstream: "hub"}
		}
		b.run()
		id := b.accept(0, to("bob@x.example", "bad@x.example", "later@x.example", "odd@x.example")...)
		synctest.Wait()
		want := []policy.State{policy.StateHandedOver, policy.StateBounced, policy.StateDeferred, policy.StateDeferred}
		if got := b.states(id); !slices.Equal(got, want) {
			t.Fatalf("states %v, want %v", got, want)
		}
		if r := b.row(id, 0); r.QueueID != "4XyZ" || r.Upstream != "hub" {
			t.Errorf("evidence is lost: %+v", r)
		}
		later(2 * time.Minute)
		second := b.sender.seen()[1]
		if len(second.Recipients) != 2 || second.Recipients[0].Address != "later@x.example" {
			t.Errorf("second try for %v", second.Recipients)
		}
		if got := b.states(id)[2]; got != policy.StateHandedOver {
			t.Errorf("the delayed one is %s", got)
		}
		if got := b.bounces.all(); !slices.Equal(got, []string{"failed bad@x.example"}) {
			t.Errorf("notices %v", got)
		}
	})
}

func TestWhatCouldNotBeTriedIsLookedAtAgain(t *testing.T) {
	virtual(t, func(b *bench) {
		b.sender.away = true
		b.run()
		id := b.accept(0, to("bob@x.example")...)
		synctest.Wait()
		if r := b.row(id, 0); r.State != policy.StateQueued || r.Attempts != 0 {
			t.Errorf("after a try that was none: %s, %d attempts", r.State, r.Attempts)
		}
		b.sender.mu.Lock()
		b.sender.away = false
		b.sender.mu.Unlock()
		later(pauseAfterError)
		if got := b.states(id)[0]; got != policy.StateRelayedRemote {
			t.Errorf("state %s", got)
		}
		if tries := len(b.sender.seen()); tries != 2 {
			t.Errorf("%d tries, want 2", tries)
		}
	})
}

func TestASlowUpstreamHoldsUpOnlyItsOwn(t *testing.T) {
	virtual(t, func(b *bench) {
		b.cfg.Workers = 2
		slow := make(chan struct{})
		b.sender.answer = func(d Delivery, _ store.Recipient) Outcome {
			if d.Upstream == "slow.example" {
				<-slow
			}
			return Outcome{Kind: policy.RelayedRemote}
		}
		b.run()
		var both policy.ID
		for range 10 {
			both = b.accept(0, to("a@slow.example", "b@fast.example")...)
		}
		synctest.Wait()
		if got := b.states(both); !slices.Equal(got, []policy.State{policy.StateQueued, policy.StateRelayedRemote}) {
			t.Errorf("states %v", got)
		}
		if n := b.s.flights.number(); n != 2 {
			t.Errorf("%d in flight, want the 2 workers of the slow one", n)
		}
		close(slow)
		synctest.Wait()
		if got := b.states(both)[0]; got != policy.StateRelayedRemote {
			t.Errorf("the slow one is %s", got)
		}
		if b.s.busyMessages() != 0 {
			t.Error("tasks are left")
		}
	})
}

func TestWorkersAreBounded(t *testing.T) {
	virtual(t, func(b *bench) {
		b.sender.delay = time.Second
		b.run()
		for range 1000 {
			b.accept(0, to("bob@x.example")...)
		}
		later(5 * time.Second)
		b.sender.mu.Lock()
		most := b.sender.most
		b.sender.mu.Unlock()
		if most != b.cfg.Workers {
			t.Errorf("%d at a time, want %d", most, b.cfg.Workers)
		}
		later(time.Minute)
		if n := len(b.sender.seen()); n != 1000 {
			t.Errorf("%d tries", n)
		}
	})
}

func TestAnUpstreamThatIsAwayDoesNotMakeItSpin(t *testing.T) {
	virtual(t, func(b *bench) {
		b.sender.answer = func(Delivery, store.Recipient) Outcome {
			return Outcome{Kind: policy.Deferred, Reply: "connect: connection refused"}
		}
		b.run()
		for range 200 {
			b.accept(time.Minute, to("bob@x.example")...)
		}
		later(time.Minute + time.Second)
		later(90 * time.Second)
		first := b.sender.seen()[200:]
		if len(first) != 200 {
			t.Fatalf("%d second tries", len(first))
		}
		seconds := map[int]int{}
		for _, try := range first {
			seconds[try.at.Second()]++
		}
		for at, n := range seconds {
			if n > 50 {
				t.Errorf("%d of 200 came back in second %d", n, at)
			}
		}
	})
}

func TestResultsAreKeptWhileTheJournalCannotWrite(t *testing.T) {
	virtual(t, func(b *bench) {
		b.sender.delay = time.Second
		b.run()
		id := b.accept(0, to("bob@x.example")...)
		later(time.Millisecond)
		b.journal.failWith(store.ErrFull)
		later(10 * time.Minute)
		b.journal.failWith(nil)
		later(time.Minute)
		if got, n := b.states(id)[0], len(b.sender.seen()); got != policy.StateRelayedRemote || n != 1 {
			t.Errorf("state %s after %d tries", got, n)
		}
	})
}

func TestNothingIsReleasedWhileTheJournalCannotWrite(t *testing.T) {
	virtual(t, func(b *bench) {
		b.run()
		id := b.accept(time.Second, to("bob@x.example")...)
		b.journal.failWith(store.ErrFull)
		later(time.Hour)
		if n := len(b.sender.seen()); n != 0 {
			t.Fatalf("%d tries", n)
		}
		b.journal.failWith(nil)
		later(pauseAfterError)
		if got := b.states(id)[0]; got != policy.StateRelayedRemote {
			t.Errorf("state %s", got)
		}
	})
}

func TestRunEndsAfterWhatIsUnderWay(t *testing.T) {
	virtual(t, func(b *bench) {
		b.cfg.Workers = 1
		b.sender.delay = 10 * time.Second
		b.run()
		first := b.accept(0, to("bob@x.example")...)
		synctest.Wait()
		second := b.accept(0, to("bob@x.example")...)
		synctest.Wait()
		begin := time.Now()
		if err := b.stop(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took != 10*time.Second {
			t.Errorf("Run ended after %v", took)
		}
		if a, z := b.states(first)[0], b.states(second)[0]; a != policy.StateRelayedRemote || z != policy.StateQueued {
			t.Errorf("states %s and %s", a, z)
		}
	})
}

func TestRunGivesUpAfterTheGrace(t *testing.T) {
	virtual(t, func(b *bench) {
		b.sender.delay = time.Hour
		b.sender.answer = deferAll
		b.run()
		id := b.accept(0, to("bob@x.example")...)
		synctest.Wait()
		begin := time.Now()
		if err := b.stop(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took != grace {
			t.Errorf("Run ended after %v", took)
		}
		if got := b.states(id)[0]; got != policy.StateDeferred {
			t.Errorf("state %s", got)
		}
	})
}

func TestRunEndsWhenTheFeedBreaks(t *testing.T) {
	virtual(t, func(b *bench) {
		feed := b.journal.feed()
		feed.broken = errBroken
		s, err := New(b.cfg, b.journal, feed, b.sender, b.bounces, b.now, noLog(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Run(context.Background()); !errors.Is(err, errBroken) || err.Error() != "follow the journal: broken on purpose" {
			t.Errorf("error %v", err)
		}
	})
}

func TestMetricsTellWhatHappened(t *testing.T) {
	virtual(t, func(b *bench) {
		b.run()
		b.accept(time.Minute, to("bob@x.example")...)
		synctest.Wait()
		if got := gathered(t, b.s)["sendgate_hold_waiting_messages"]; got != 1 {
			t.Errorf("%v waiting", got)
		}
		later(2 * time.Minute)
		got := gathered(t, b.s)
		if got["sendgate_hold_waiting_messages"] != 0 || got["sendgate_hold_lag_seconds"] != 1 || got["sendgate_hold_attempts_total"] != 1 {
			t.Errorf("metrics %v", got)
		}
	})
}
