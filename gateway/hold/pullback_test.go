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

// external concerns everybody but colleagues.
func external(a policy.Address) bool { return a.Domain() != "corp.example" }

// pull puts a message up because of a suspension.
func (b *bench) pull(id policy.ID, batch string) (int, error) {
	until := b.now().Add(72 * time.Hour)
	return b.s.PullBack(context.Background(), id, external, policy.Event{
		Actor: "anomaly", Until: until, Rule: "pulled back", Subject: batch, Reason: "ann is suspended",
		Findings: []policy.Finding{{Rule: "pulled back", Kind: "approval", Action: policy.Reject, Next: until}},
	})
}

func TestWhatWaitsIsPulledBack(t *testing.T) {
	const pending, mailbox, relayed = policy.StateApprovalPending, policy.StateDeliveredMailbox, policy.StateRelayedRemote
	for _, tt := range []struct {
		name   string
		put    func(*bench) policy.ID
		pulled int
		states []policy.State
	}{
		{"held", func(b *bench) policy.ID { return b.accept(time.Hour, to("bob@x.example", "eve@corp.example")...) },
			2, []policy.State{pending, pending}},
		{"held for colleagues", func(b *bench) policy.ID { return b.accept(time.Hour, to("eve@corp.example")...) }, 0, []policy.State{policy.StateHeld}},
		{"waiting to be tried again", func(b *bench) policy.ID { return b.accept(0, to("bob@x.example")...) }, 1, []policy.State{pending}},
		{"waiting, and delivered to others", func(b *bench) policy.ID {
			return b.accept(0, to("bob@x.example", "eve@corp.example", "joe@good.example")...)
		},
			2, []policy.State{pending, pending, relayed}},
		{"waiting for a colleague only", func(b *bench) policy.ID { return b.accept(0, to("joe@good.example", "eve@corp.example")...) },
			0, []policy.State{relayed, policy.StateDeferred}},
		{"waiting for approval already", func(b *bench) policy.ID { return b.request(time.Hour, policy.Pass, to("bob@x.example")...) }, 1, []policy.State{pending}},
		{"gone", func(b *bench) policy.ID { return b.accept(0, to("joe@good.example")...) }, 0, []policy.State{relayed}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			virtual(t, func(b *bench) {
				b.sender.answer = func(_ Delivery, r store.Recipient) Outcome {
					if r.Address.Domain() == "good.example" {
						return Outcome{Kind: policy.RelayedRemote}
					}
					return Outcome{Kind: policy.Deferred, Reply: "451 4.3.0 later"}
				}
				b.run()
				id := tt.put(b)
				synctest.Wait()
				n, err := b.pull(id, "incident")
				if got := b.states(id); n != tt.pulled || err != nil || !slices.Equal(got, tt.states) {
					t.Fatalf("pulled %d, error %v, states %v", n, err, got)
				}
				tries := len(b.sender.seen())
				later(2 * time.Hour)
				if tt.pulled == 0 {
					return
				}
				if got := b.states(id); !slices.Equal(got, tt.states) || len(b.sender.seen()) != tries {
					t.Fatalf("two hours later: states %v, %d tries", got, len(b.sender.seen())-tries)
				}
				b.sender.answer = func(Delivery, store.Recipient) Outcome { return Outcome{Kind: policy.DeliveredMailbox} }
				if _, err := b.s.Approve(context.Background(), id, "api:ops"); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				want := slices.Clone(tt.states)
				for i := range want {
					if want[i] == pending {
						want[i] = mailbox
					}
				}
				if got := b.states(id); !slices.Equal(got, want) {
					t.Errorf("approved: %v", got)
				}
			})
		})
	}
}

// What a person has let go is not asked about again because of the same suspension.
func TestApprovedMailIsNotPulledBackAgain(t *testing.T) {
	virtual(t, func(b *bench) {
		b.sender.answer = deferAll
		b.run()
		id := b.accept(time.Hour, to("bob@x.example")...)
		synctest.Wait()
		if n, err := b.pull(id, "first"); n != 1 || err != nil {
			t.Fatalf("pulled %d, %v", n, err)
		}
		if _, err := b.s.Approve(context.Background(), id, "api:ops"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n, err := b.pull(id, "first"); n != 0 || err != nil || b.states(id)[0] != policy.StateDeferred {
			t.Errorf("pulled %d again, %v, %v", n, err, b.states(id))
		}
		if n, err := b.pull(id, "second"); n != 1 || err != nil {
			t.Errorf("pulled %d because of another suspension, %v", n, err)
		}
	})
}

func TestWhatIsUnderDeliveryIsPulledBackLater(t *testing.T) {
	virtual(t, func(b *bench) {
		b.sender.answer, b.sender.delay = deferAll, time.Minute
		b.run()
		id := b.accept(0, to("bob@x.example")...)
		synctest.Wait()
		if _, err := b.pull(id, "incident"); !errors.Is(err, ErrInFlight) {
			t.Fatalf("error %v", err)
		}
		later(time.Minute)
		if n, err := b.pull(id, "incident"); n != 1 || err != nil {
			t.Fatalf("pulled %d, %v", n, err)
		}
		later(time.Hour)
		if n := len(b.sender.seen()); n != 1 {
			t.Errorf("%d tries", n)
		}
	})
}

func TestPulledBackMailIsReturnedInTheEnd(t *testing.T) {
	virtual(t, func(b *bench) {
		b.run()
		id := b.accept(time.Hour, to("bob@x.example")...)
		synctest.Wait()
		if _, err := b.pull(id, "incident"); err != nil {
			t.Fatal(err)
		}
		later(72*time.Hour + time.Second)
		if got := b.states(id)[0]; got != policy.StateBlocked {
			t.Errorf("state %s", got)
		}
		if got := b.bounces.all(); !slices.Equal(got, []string{"failed bob@x.example"}) {
			t.Errorf("notices %v", got)
		}
	})
}

func TestPullBackNeedsTheJournal(t *testing.T) {
	virtual(t, func(b *bench) {
		b.run()
		id := b.accept(time.Hour, to("bob@x.example")...)
		synctest.Wait()
		if _, err := b.pull(policy.ID{}, "incident"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("error %v", err)
		}
		b.journal.failWith(errBroken)
		if _, err := b.pull(id, "incident"); !errors.Is(err, errBroken) {
			t.Errorf("error %v", err)
		}
		b.journal.failWith(nil)
	})
}
