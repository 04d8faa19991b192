package hold

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

func TestReleaseNow(t *testing.T) {
	virtual(t, func(b *bench) {
		b.run()
		id := b.accept(time.Hour, to("bob@x.example")...)
		synctest.Wait()
		m, err := b.s.Release(context.Background(), id, "api:ops")
		if err != nil || m.Revision != 2 {
			t.Fatalf("revision %d, error %v", m.Revision, err)
		}
		synctest.Wait()
		if got := b.states(id)[0]; got != policy.StateRelayedRemote {
			t.Errorf("state %s", got)
		}
		if e := b.journal.events(id)[2]; e.Kind != policy.Released || e.Actor != "api:ops" {
			t.Errorf("event %+v", e)
		}
		_, err = b.s.Release(context.Background(), id, "api:ops")
		if !errors.Is(err, ErrNotHeld) || err.Error() != "the message is not held: it is relayed_remote" {
			t.Errorf("error %v", err)
		}
		if _, err := b.s.Release(context.Background(), policy.ID{}, "api:ops"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("error %v", err)
		}
		later(2 * time.Hour)
		if n := len(b.sender.seen()); n != 1 {
			t.Errorf("delivered %d times", n)
		}
	})
}

func TestHoldLongerAndShorter(t *testing.T) {
	for _, hold := range []time.Duration{10 * time.Second, 3 * time.Hour} {
		virtual(t, func(b *bench) {
			b.run()
			id := b.accept(time.Hour, to("bob@x.example")...)
			synctest.Wait()
			if _, err := b.s.Hold(context.Background(), id, b.now().Add(hold), "api:ops"); err != nil {
				t.Fatal(err)
			}
			later(hold - time.Second)
			if got := b.states(id)[0]; got != policy.StateHeld {
				t.Errorf("%v: state %s", hold, got)
			}
			later(2 * time.Second)
			if got := b.states(id)[0]; got != policy.StateRelayedRemote {
				t.Errorf("%v: state %s", hold, got)
			}
		})
	}
}

func TestHoldHasABound(t *testing.T) {
	virtual(t, func(b *bench) {
		b.run()
		id := b.accept(time.Hour, to("bob@x.example")...)
		tests := []struct {
			until time.Duration
			text  string
		}{
			{25 * time.Hour, "not a possible end of a hold: it must be at most 24h0m0s from now"},
			{-time.Second, "not a possible end of a hold: it must be in the future"},
		}
		for _, tt := range tests {
			_, err := b.s.Hold(context.Background(), id, b.now().Add(tt.until), "api:ops")
			if !errors.Is(err, ErrHoldEnd) || err.Error() != tt.text {
				t.Errorf("%v: error %v", tt.until, err)
			}
		}
	})
}

func TestCancelEndsItForAllOrSome(t *testing.T) {
	virtual(t, func(b *bench) {
		b.run()
		id := b.accept(time.Minute, to("bob@x.example", "eve@x.example", "joe@x.example")...)
		synctest.Wait()
		m, codes, err := b.s.Cancel(context.Background(), id, []int{1, 1}, "wrong eve", "sender")
		if err != nil || m.States[policy.StateCanceled] != 1 {
			t.Fatalf("states %v, error %v", m.States, err)
		}
		if got := only(codes); !slices.Equal(got, []Code{RemovedFromHold}) {
			t.Errorf("codes %v", got)
		}
		later(2 * time.Minute)
		want := []policy.State{policy.StateRelayedRemote, policy.StateCanceled, policy.StateRelayedRemote}
		if got := b.states(id); !slices.Equal(got, want) {
			t.Errorf("states %v", got)
		}
		if r := b.row(id, 1); r.Reason != "wrong eve" {
			t.Errorf("reason %q", r.Reason)
		}

		all := b.accept(time.Minute, to("bob@x.example", "eve@x.example")...)
		synctest.Wait()
		if _, _, err := b.s.Cancel(context.Background(), all, nil, "all wrong", "sender"); err != nil {
			t.Fatal(err)
		}
		if n := b.s.waitingMessages(); n != 0 {
			t.Errorf("%d still waiting", n)
		}
		later(time.Hour)
		if n := len(b.sender.seen()); n != 1 {
			t.Errorf("%d deliveries", n)
		}
	})
}

func only(codes []Canceled) (list []Code) {
	for _, c := range codes {
		list = append(list, c.Code)
	}
	return list
}

func TestCancelSaysWhatItDidForEach(t *testing.T) {
	tests := []struct {
		state  policy.State
		flying bool
		raced  bool
		code   Code
	}{
		{policy.StateAccepted, false, false, RemovedFromHold},
		{policy.StateHeld, false, false, RemovedFromHold},
		{policy.StateApprovalPending, false, false, RemovedFromHold},
		{policy.StateQueued, false, false, RemovedFromQueue},
		{policy.StateDeferred, false, true, RemovedFromQueue},
		{policy.StateQueued, true, false, WaitingInFlight},
		{policy.StateOffered, false, false, WaitingInFlight},
		{policy.StateCanceled, false, false, AlreadyRecalled},
		{policy.StateRecalled, false, false, AlreadyRecalled},
		{policy.StateBounced, false, false, NeverDelivered},
		{policy.StateExpired, false, false, NeverDelivered},
		{policy.StateAsyncBounced, false, false, NeverDelivered},
		{policy.StateBlocked, false, false, NeverDelivered},
		{policy.StateNeverQueued, false, false, NeverDelivered},
		{policy.StateDeliveredMailbox, false, false, DeliveredBeforeRecall},
		{policy.StateRelayedRemote, false, false, ExternalRecipient},
		{policy.StateHandedOver, false, false, ExternalRecipient},
		{policy.StateHandedOver, false, true, DeliveredBeforeRecall},
		{policy.StateUnknown, false, false, UnknownOutcome},
	}
	seen := map[policy.State]bool{}
	for _, tt := range tests {
		seen[tt.state] = true
		r := store.Recipient{Fate: policy.Fate{State: tt.state, Due: time.Unix(1, 0)}}
		if got := code(&r, tt.flying, tt.raced); got != tt.code {
			t.Errorf("%s flying %v raced %v: %s, want %s", tt.state, tt.flying, tt.raced, got, tt.code)
		}
	}
	for _, s := range policy.States {
		if !seen[s] {
			t.Errorf("no row for %s", s)
		}
	}
	behind := store.Recipient{Fate: policy.Fate{State: policy.StateQueued}}
	if got := code(&behind, false, false); got != WaitingInFlight {
		t.Errorf("in a queue behind us: %s", got)
	}
}

func TestCancelIsRefusedInFlight(t *testing.T) {
	virtual(t, func(b *bench) {
		b.sender.delay = time.Minute
		b.sender.answer = deferAll
		b.run()
		id := b.accept(0, to("bob@x.example")...)
		synctest.Wait()
		_, codes, err := b.s.Cancel(context.Background(), id, nil, "wrong", "sender")
		if !errors.Is(err, ErrInFlight) || !slices.Equal(only(codes), []Code{WaitingInFlight}) {
			t.Fatalf("codes %v, error %v", codes, err)
		}
		if err.Error() != "the message is being delivered at this moment: ask again when the attempt is over" {
			t.Errorf("text %q", err)
		}
		later(time.Minute)
		_, codes, err = b.s.Cancel(context.Background(), id, nil, "wrong", "sender")
		if err != nil || !slices.Equal(only(codes), []Code{RemovedFromQueue}) {
			t.Fatalf("codes %v, error %v", codes, err)
		}
		later(time.Hour)
		if n := len(b.sender.seen()); n != 1 {
			t.Errorf("%d tries", n)
		}
		_, codes, err = b.s.Cancel(context.Background(), id, nil, "wrong", "sender")
		if err != nil || !slices.Equal(only(codes), []Code{AlreadyRecalled}) {
			t.Errorf("second cancel: codes %v, error %v", codes, err)
		}
		_, _, err = b.s.Cancel(context.Background(), id, []int{1}, "wrong", "sender")
		if !errors.Is(err, ErrNoRecipient) || err.Error() != "the message has no such recipient: number 1 of 1" {
			t.Errorf("error %v", err)
		}
	})
}

func TestCancelTakesWhatWaitsForAWorker(t *testing.T) {
	virtual(t, func(b *bench) {
		b.cfg.Workers = 1
		b.sender.delay = time.Minute
		b.run()
		b.accept(0, to("bob@x.example")...)
		synctest.Wait()
		waits := b.accept(0, to("eve@x.example", "joe@x.example")...)
		synctest.Wait()
		_, codes, err := b.s.Cancel(context.Background(), waits, []int{0}, "wrong", "sender")
		if err != nil || !slices.Equal(only(codes), []Code{RemovedFromQueue}) {
			t.Fatalf("codes %v, error %v", codes, err)
		}
		later(time.Hour)
		tries := b.sender.seen()
		if len(tries) != 2 || len(tries[1].Recipients) != 1 || tries[1].Recipients[0].Address != "joe@x.example" {
			t.Errorf("tries %+v", tries)
		}
	})
}

func TestADecisionIsTakenAnewWhenAnotherCameFirst(t *testing.T) {
	virtual(t, func(b *bench) {
		b.run()
		id := b.accept(time.Hour, to("bob@x.example")...)
		calls := 0
		m, err := b.s.decideIn(id, policy.StateHeld, ErrNotHeld, func(m *store.Message) error {
			if calls++; calls < tries {
				return store.ErrConflict
			}
			return b.s.letGo(context.Background(), m, policy.Event{Kind: policy.Released, Actor: "api:ops"})
		})
		if err != nil || m.Revision != 2 {
			t.Errorf("revision %d, error %v", m.Revision, err)
		}
		id = b.accept(time.Hour, to("bob@x.example")...)
		if _, err := b.s.decideIn(id, policy.StateHeld, ErrNotHeld, func(*store.Message) error { return store.ErrConflict }); !errors.Is(err, store.ErrConflict) {
			t.Errorf("error %v", err)
		}
	})
}
