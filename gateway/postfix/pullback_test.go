package postfix

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// pull puts a message up because of a suspension; only bob concerns it.
func (k *keeping) pull(t *testing.T, id policy.ID, batch string) (int, error) {
	t.Helper()
	return k.PullBack(t.Context(), id, func(a policy.Address) bool { return a == "bob@corp.test" }, policy.Event{
		Actor: "anomaly", Until: k.clock().Add(72 * time.Hour), Rule: "pulled back", Subject: batch, Reason: "alice is suspended",
	})
}

func TestPullBack(t *testing.T) {
	const gone = "Postfix was done with the message before it could hold it"
	pull := func(t *testing.T, k *keeping, id policy.ID) {
		if _, err := k.pull(t, id, "incident"); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name   string
		before func(t *testing.T, k *keeping, id policy.ID) // it is pulled back
		after  func(t *testing.T, k *keeping, id policy.ID)
		want   string // recipients, or the error
		states string
		queue  string // where the queue file is in the end
		last   string // of the timeline
	}{
		{"deferred", nil, nil, "2", "approval_pending approval_pending", holdQueue, "recall_outcome: held_in_queue"},
		{"carol has it", func(_ *testing.T, k *keeping, _ policy.ID) {
			k.served(func(a policy.Address) bool { return a == "carol@corp.test" })
		}, nil, "1", "approval_pending queued", holdQueue, "recall_outcome: held_in_queue"},
		{"only carol is left, who concerns nobody", func(_ *testing.T, k *keeping, _ policy.ID) {
			k.served(func(a policy.Address) bool { return a == "bob@corp.test" })
		}, nil, "0", "queued queued", deferredQueue, "queued"},
		{"pulled back already", pull, nil, "0", "approval_pending approval_pending", holdQueue, "recall_outcome: held_in_queue"},
		{"approved since", func(t *testing.T, k *keeping, id policy.ID) {
			pull(t, k, id)
			k.decide(t, id, policy.Event{Kind: policy.Approved})
		}, nil, "0", "queued queued", holdQueue, "approved"},
		{"held from the first", func(t *testing.T, k *keeping, _ policy.ID) {
			id := k.hold(t, "4jX2Mt505zz1q9rC")
			k.file("4jX2Mt505zz1q9rC", holdQueue, 0)
			if n, err := k.pull(t, id, "incident"); n != 0 || err != nil {
				t.Errorf("that is the scheduler's: %d, %v", n, err)
			}
		}, nil, "2", "approval_pending approval_pending", holdQueue, "recall_outcome: held_in_queue"},
		{"left before", func(_ *testing.T, k *keeping, _ policy.ID) { k.shelf.drop(queueID) }, nil,
			ErrNotFound.Error(), "queued queued", "", "queued"},
		{"leaves at this moment", func(_ *testing.T, k *keeping, _ policy.ID) { k.shelf.vanishing[queueID] = true }, nil,
			ErrNotFound.Error(), "queued queued", "", "released: " + gone},
		{"a newer message has its queue id", func(_ *testing.T, k *keeping, _ policy.ID) {
			k.shelf.drop(queueID)
			k.file(queueID, deferredQueue, 0)
		}, nil, ErrNotFound.Error(), "queued queued", deferredQueue, "queued"},
		{"the helper is away", func(_ *testing.T, k *keeping, _ policy.ID) { k.shelf.away = errDial }, nil,
			errDial.Error(), "queued queued", deferredQueue, "queued"},
		{"another withdrawal is under way", func(_ *testing.T, k *keeping, id policy.ID) { k.enter(id) }, nil,
			"the message is being taken back from Postfix's queue already", "queued queued", deferredQueue, "queued"},
		{"Postfix does not hold it, and a round asks again", func(_ *testing.T, k *keeping, _ policy.ID) { k.shelf.failing = "no room" },
			func(t *testing.T, k *keeping, id policy.ID) {
				k.later(t, time.Second)
				if at := k.shelf.where(queueID); at != deferredQueue || k.recipients(t, id) != "approval_pending approval_pending" {
					t.Errorf("it is in %q: %s", at, k.recipients(t, id))
				}
				k.shelf.failing = ""
				k.restart(t)
				k.later(t, 20*time.Second)
			}, "2", "approval_pending approval_pending", holdQueue, "recall_outcome: held_in_queue"},
		{"Postfix does not hold it, and delivers it", func(_ *testing.T, k *keeping, _ policy.ID) { k.shelf.failing = "no room" },
			func(t *testing.T, k *keeping, _ policy.ID) {
				k.shelf.failing = ""
				k.shelf.drop(queueID)
				k.later(t, 20*time.Second)
			}, "2", "queued queued", "", "released: " + gone},
		{"released by hand", nil, func(t *testing.T, k *keeping, _ policy.ID) {
			k.later(t, 20*time.Second)
			f := k.shelf.files[queueID]
			f.Queue = deferredQueue
			k.shelf.put(f)
			k.later(t, 20*time.Second)
		}, "2", "queued queued", deferredQueue, "released: released by hand in Postfix"},
		{"a round comes in between", func(t *testing.T, k *keeping, id policy.ID) {
			k.Keeper.journal = &deciding{k.journal, func() { // after it was decided to pull it back
				k.Keeper.journal = k.journal
				if err := k.round(t.Context()); err != nil {
					t.Error(err)
				}
			}}
		}, nil, "2", "approval_pending approval_pending", holdQueue, "recall_outcome: held_in_queue"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := startKeeping(t)
			id := k.letGo(t)
			if tt.before != nil {
				tt.before(t, k, id)
			}
			n, err := k.pull(t, id, "incident")
			got := fmt.Sprint(n)
			if err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("pulled back: %s", got)
			}
			if tt.after != nil {
				tt.after(t, k, id)
			}
			if states := k.recipients(t, id); states != tt.states {
				t.Errorf("the recipients are %s", states)
			}
			if at := k.shelf.where(queueID); at != tt.queue {
				t.Errorf("the queue file is in %q", at)
			}
			timeline := k.timeline(t, id)
			if last := timeline[len(timeline)-1]; last != tt.last {
				t.Errorf("the timeline is %q", timeline)
			}
		})
	}
}

// TestPullBackTwice pulls a message back that a person let go, and that is in Postfix's queue still.
func TestPullBackTwice(t *testing.T) {
	k := startKeeping(t)
	id := k.letGo(t)
	for _, batch := range []string{"first", "second"} {
		if n, err := k.pull(t, id, batch); n != 2 || err != nil || k.shelf.where(queueID) != holdQueue {
			t.Fatalf("%s: %d, %v, in %q", batch, n, err, k.shelf.where(queueID))
		}
		m := k.message(t, id)
		if unheld, err := k.unheld(&m); unheld || err != nil {
			t.Errorf("%s: not held, %v", batch, err)
		}
		k.pass(time.Minute)
		k.decide(t, id, policy.Event{Kind: policy.Approved})
		f := k.shelf.files[queueID]
		f.Queue = deferredQueue
		k.shelf.put(f)
	}
}

func TestPullBackOfNothing(t *testing.T) {
	k := startKeeping(t)
	if _, err := k.pull(t, k.journal.NewID(), "incident"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the error is %v", err)
	}
}

func TestPullBackOutlivesADecision(t *testing.T) {
	k := startKeeping(t)
	id := k.letGo(t)
	k.Keeper.journal = &deciding{k.journal, func() {
		k.decide(t, id, policy.Event{Kind: policy.Canceled, Recipients: []int{1}})
	}}
	if n, err := k.pull(t, id, "incident"); n != 1 || err != nil || k.recipients(t, id) != "approval_pending canceled" {
		t.Errorf("%d, %v, %s", n, err, k.recipients(t, id))
	}
}
