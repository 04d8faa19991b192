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
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// request puts a message that needs approval into the journal, as a front does.
func (b *bench) request(wait time.Duration, onExpiry policy.Action, recipients ...policy.Recipient) policy.ID {
	b.t.Helper()
	now := b.now()
	return b.commit(recipients,
		policy.Event{Kind: policy.Accepted, Time: now, Actor: "smtp"},
		policy.Event{Kind: policy.ApprovalRequested, Time: now, Actor: "smtp", Until: now.Add(wait), Rule: "large", Findings: []policy.Finding{
			{Rule: "large", Kind: "limit", Action: policy.Approval, Decided: true},
			{Rule: "large", Kind: "approval", Action: onExpiry, Next: now.Add(wait)},
		}})
}

func TestApprovedMailGoesAtOnce(t *testing.T) {
	virtual(t, func(b *bench) {
		b.gate = &counter{answer: func(*store.Message) (policy.Verdict, bool) {
			t.Error("the gate was asked")
			return policy.Verdict{}, false
		}}
		b.run()
		id := b.request(72*time.Hour, policy.Reject, to("bob@x.example", "eve@y.example")...)
		later(time.Hour)
		if got := b.states(id); !slices.Equal(got, []policy.State{policy.StateApprovalPending, policy.StateApprovalPending}) {
			t.Fatalf("states %v", got)
		}
		m, err := b.s.Approve(context.Background(), id, "api:ops")
		if err != nil || m.Revision != 2 || m.States[policy.StateQueued] != 2 {
			t.Fatalf("message %+v, error %v", m, err)
		}
		synctest.Wait()
		if got := b.states(id); !slices.Equal(got, []policy.State{policy.StateRelayedRemote, policy.StateRelayedRemote}) {
			t.Errorf("states %v", got)
		}
		if e := b.journal.events(id)[2]; e.Kind != policy.Approved || e.Actor != "api:ops" || !e.Until.Equal(e.Time) {
			t.Errorf("event %+v", e)
		}
		later(100 * time.Hour)
		if n := len(b.sender.seen()); n != 2 {
			t.Errorf("delivered %d times", n)
		}
	})
}

func TestOnlyWhatWaitsCanBeApproved(t *testing.T) {
	virtual(t, func(b *bench) {
		b.run()
		held := b.accept(time.Hour, to("bob@x.example")...)
		waiting := b.request(time.Hour, policy.Reject, to("bob@x.example")...)
		synctest.Wait()
		_, err := b.s.Approve(context.Background(), held, "api:ops")
		if !errors.Is(err, ErrNoApproval) || err.Error() != "the message does not wait for approval: it is held" {
			t.Errorf("error %v", err)
		}
		_, err = b.s.Release(context.Background(), waiting, "api:ops")
		if !errors.Is(err, ErrNotHeld) || err.Error() != "the message is not held: it is approval_pending" {
			t.Errorf("error %v", err)
		}
		if _, err = b.s.Approve(context.Background(), policy.ID{}, "api:ops"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("error %v", err)
		}
		b.journal.failWith(errBroken)
		if _, err = b.s.Approve(context.Background(), waiting, "api:ops"); !errors.Is(err, errBroken) {
			t.Errorf("error %v", err)
		}
		b.journal.failWith(nil)
	})
}

func TestUnapprovedMailIsReturned(t *testing.T) {
	virtual(t, func(b *bench) {
		b.run()
		recipients := to("bob@x.example", "eve@x.example", "joe@x.example")
		recipients[2].Notify = []string{"NEVER"}
		id := b.request(72*time.Hour, policy.Reject, recipients...)
		synctest.Wait()
		if _, _, err := b.s.Cancel(context.Background(), id, []int{1}, "not eve", "sender"); err != nil {
			t.Fatal(err)
		}
		later(72*time.Hour - time.Second)
		if got := b.states(id)[0]; got != policy.StateApprovalPending {
			t.Fatalf("state %s", got)
		}
		later(2 * time.Second)
		if got := b.states(id); !slices.Equal(got, []policy.State{policy.StateBlocked, policy.StateCanceled, policy.StateBlocked}) {
			t.Errorf("states %v", got)
		}
		events := b.journal.events(id)
		blocked, notified := events[len(events)-2], events[len(events)-1]
		if blocked.Kind != policy.Blocked || blocked.Reason != "approval expired" || blocked.Rule != "large" || blocked.Actor != "hold" ||
			blocked.Reply != "550 5.7.1 Nobody approved the message in time" || !slices.Equal(blocked.Recipients, []int{0, 2}) {
			t.Errorf("%+v", blocked)
		}
		if notified.Kind != policy.Notified || notified.Reason != "failed" || !slices.Equal(notified.Recipients, []int{0}) {
			t.Errorf("%+v", notified)
		}
		if got := b.bounces.all(); !slices.Equal(got, []string{"failed bob@x.example"}) {
			t.Errorf("notices %v", got)
		}
		later(100 * time.Hour)
		if len(b.sender.seen()) != 0 || b.s.waitingMessages() != 0 || b.s.busyMessages() != 0 {
			t.Errorf("%d deliveries, %d waiting, %d in work", len(b.sender.seen()), b.s.waitingMessages(), b.s.busyMessages())
		}
	})
}

func TestUnapprovedMailGoes(t *testing.T) {
	virtual(t, func(b *bench) {
		b.run()
		id := b.request(time.Hour, policy.Pass, to("bob@x.example")...)
		later(time.Hour + time.Second)
		want := []policy.Kind{policy.Accepted, policy.ApprovalRequested, policy.Released, policy.RelayedRemote}
		if got := b.journal.kinds(id); !slices.Equal(got, want) {
			t.Errorf("%v", got)
		}
		if e := b.journal.events(id)[2]; e.Reason != "approval expired" || e.Rule != "large" || e.Actor != "hold" {
			t.Errorf("%+v", e)
		}
		if len(b.bounces.all()) != 0 {
			t.Errorf("notices %v", b.bounces.all())
		}
	})
}

// A request that does not say what is to become of the message is no permission to send it.
func TestARequestWithoutAnOutcomeIsReturned(t *testing.T) {
	virtual(t, func(b *bench) {
		b.run()
		now := b.now()
		id := b.commit(to("bob@x.example"), policy.Event{Kind: policy.Accepted, Time: now},
			policy.Event{Kind: policy.ApprovalRequested, Time: now, Until: now.Add(time.Hour)})
		later(2 * time.Hour)
		if got := b.states(id)[0]; got != policy.StateBlocked {
			t.Errorf("state %s", got)
		}
	})
}

func TestApprovalsSurviveARestart(t *testing.T) {
	virtual(t, func(b *bench) {
		gone := b.request(time.Hour, policy.Pass, to("bob@x.example")...)
		back := b.request(time.Hour, policy.Reject, to("bob@x.example")...)
		later(2 * time.Hour) // nobody is there
		b.run()
		later(time.Second)
		if b.states(gone)[0] != policy.StateRelayedRemote || b.states(back)[0] != policy.StateBlocked {
			t.Errorf("states %s, %s", b.states(gone)[0], b.states(back)[0])
		}
		if tries := b.sender.seen(); len(tries) != 1 || tries[0].MayBeDuplicate {
			t.Errorf("%+v", tries)
		}
	})
}

func TestAnExpiredApprovalIsTriedAgainWhenItCannotBeWritten(t *testing.T) {
	for name, breaks := range map[string]func(b *bench, err error){
		"the journal":  func(b *bench, err error) { b.journal.failWith(err) },
		"the timeline": func(b *bench, err error) { b.journal.mu.Lock(); b.journal.unreadable = err; b.journal.mu.Unlock() },
		"the notice":   func(b *bench, err error) { b.bounces.mu.Lock(); b.bounces.fail = err; b.bounces.mu.Unlock() },
	} {
		for _, outcome := range []policy.Action{policy.Reject, policy.Pass} {
			t.Run(name+" "+string(outcome), func(t *testing.T) {
				virtual(t, func(b *bench) {
					b.run()
					id := b.request(time.Hour, outcome, to("bob@x.example")...)
					synctest.Wait()
					breaks(b, errBroken)
					later(time.Hour + time.Second)
					if name != "the notice" && b.states(id)[0] != policy.StateApprovalPending {
						t.Errorf("state %s", b.states(id)[0])
					}
					breaks(b, nil)
					later(time.Minute)
					want := policy.StateBlocked
					if outcome == policy.Pass {
						want = policy.StateRelayedRemote
					}
					if b.states(id)[0] != want {
						t.Errorf("state %s", b.states(id)[0])
					}
				})
			})
		}
	}
}

func TestCancelOfWhatWaitsForApproval(t *testing.T) {
	virtual(t, func(b *bench) {
		b.run()
		id := b.request(time.Hour, policy.Pass, to("bob@x.example")...)
		synctest.Wait()
		_, codes, err := b.s.Cancel(context.Background(), id, nil, "never mind", "sender")
		if got := only(codes); err != nil || !slices.Equal(got, []Code{RemovedFromHold}) {
			t.Fatalf("codes %v, error %v", got, err)
		}
		later(2 * time.Hour)
		if b.states(id)[0] != policy.StateCanceled || len(b.sender.seen()) != 0 || len(b.bounces.all()) != 0 {
			t.Errorf("state %s, %d deliveries, notices %v", b.states(id)[0], len(b.sender.seen()), b.bounces.all())
		}
	})
}

// While the end of an approval is being written nobody can approve: the message would go and come back.
func TestApprovalAndItsEndExcludeEachOther(t *testing.T) {
	virtual(t, func(b *bench) {
		writing, approved := make(chan bool), make(chan error, 1)
		b.bounces.meanwhile = func() {
			writing <- true
			time.Sleep(time.Second) // of virtual time, in which an approval would be done
		}
		id := b.request(time.Hour, policy.Reject, to("bob@x.example")...)
		b.run()
		go func() {
			<-writing
			_, err := b.s.Approve(context.Background(), id, "api:ops")
			approved <- err
		}()
		later(2 * time.Hour)
		if err := <-approved; !errors.Is(err, ErrNoApproval) || err.Error() != "the message does not wait for approval: it is blocked" {
			t.Errorf("error %v", err)
		}
		if b.states(id)[0] != policy.StateBlocked || len(b.sender.seen()) != 0 {
			t.Errorf("state %s, %d deliveries", b.states(id)[0], len(b.sender.seen()))
		}
	})
}

func TestTheMailLogTellsOfApprovals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, lines := observer.New(zap.InfoLevel)
		b := newBench(t)
		first := b.request(time.Hour, policy.Reject, to("bob@x.example")...)
		b.request(time.Hour, policy.Reject, to("eve@x.example")...)
		s, err := New(b.cfg, b.journal, b.journal.feed(), b.sender, b.bounces, b.now, zap.New(core), nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		if _, err := s.Approve(ctx, first, "api:ops"); err != nil {
			t.Fatal(err)
		}
		later(2 * time.Hour)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		var verbs []string
		for _, l := range lines.All() {
			verbs = append(verbs, l.Message)
		}
		if want := []string{"approved", "delivered", "blocked", "notified"}; !slices.Equal(verbs, want) {
			t.Fatalf("verbs %v, want %v", verbs, want)
		}
		if f := lines.All()[2].ContextMap(); f["reason"] != "approval expired" || f["reply"] != "550 5.7.1 Nobody approved the message in time" {
			t.Errorf("blocked: %v", f)
		}
	})
}
