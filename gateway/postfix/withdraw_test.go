package postfix

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// letGo makes a message to bob and carol that Postfix was let go on with a minute after it came, and
// could not deliver yet.
func (k *keeping) letGo(t *testing.T) policy.ID {
	t.Helper()
	id := k.hold(t, queueID)
	k.served(nil)
	k.pass(time.Minute)
	k.decide(t, id, policy.Event{Kind: policy.Released})
	k.commit(t, store.Change{Message: id, Events: []policy.Event{{Kind: policy.Queued, Time: k.clock(), QueueID: queueID}}})
	return id
}

// served puts the queue file into the deferred queue; gone are done with.
func (k *keeping) served(gone func(policy.Address) bool) {
	f := Envelope{ID: queueID, Queue: deferredQueue, Arrival: k.clock(), Sender: sender}
	if had, ok := k.shelf.files[queueID]; ok {
		f.Arrival = had.Arrival
	}
	for _, a := range []policy.Address{"bob@corp.test", "carol@corp.test"} {
		f.Recipients = append(f.Recipients, Recipient{Recipient: policy.Recipient{Address: a}, Gone: gone != nil && gone(a)})
	}
	k.shelf.put(f)
}

// recipients gives the states.
func (k *keeping) recipients(t *testing.T, id policy.ID) string {
	t.Helper()
	rows, err := k.journal.Recipients(id)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s %s", rows[0].State, rows[1].State)
}

var errSilent = fmt.Errorf("%w: the connection broke", ErrAway)

func TestWithdraw(t *testing.T) {
	ask := func(t *testing.T, k *keeping, id policy.ID) {
		if _, err := k.Withdraw(t.Context(), id, "wrong file", "api:test"); err != nil {
			t.Fatal(err)
		}
	}
	fail := func(t *testing.T, k *keeping, id policy.ID) {
		if w, err := k.Withdraw(t.Context(), id, "wrong file", "api:test"); err == nil {
			t.Fatalf("an outcome without an answer: %+v", w)
		}
	}
	tests := []struct {
		name   string
		run    func(t *testing.T, k *keeping, id policy.ID)
		want   string // outcome, gone, unclear; or the error
		states string
		queue  string // where the queue file is in the end
		last   string // of the timeline
	}{
		{"deferred", nil, "removed [] []", "canceled canceled", "", "canceled: wrong file"},
		{"asked again", ask, "removed [] []", "canceled canceled", "", "canceled: wrong file"},
		{"carol has it", func(_ *testing.T, k *keeping, _ policy.ID) {
			k.served(func(a policy.Address) bool { return a == "carol@corp.test" })
		}, "removed [1] []", "canceled queued", "", "recall_outcome: delivered_before_recall"},
		{"carol has it, asked again", func(t *testing.T, k *keeping, id policy.ID) {
			k.served(func(a policy.Address) bool { return a == "carol@corp.test" })
			ask(t, k, id)
			k.restart(t)
		}, "removed [1] []", "canceled queued", "", "recall_outcome: delivered_before_recall"},
		{"carol is an alias of two, and one of them has it", func(_ *testing.T, k *keeping, _ policy.ID) {
			k.served(nil)
			f := k.shelf.files[queueID]
			f.Recipients[1] = Recipient{Recipient: policy.Recipient{Address: "c1@corp.test"}, Before: "Carol@CORP.test", Gone: true}
			f.Recipients = append(f.Recipients, Recipient{Recipient: policy.Recipient{Address: "c2@corp.test"}, Before: "carol@corp.test"})
			k.shelf.put(f)
		}, "removed [1] []", "canceled queued", "", "recall_outcome: delivered_before_recall"},
		{"carol has another name, and nobody has it", func(_ *testing.T, k *keeping, _ policy.ID) {
			k.served(nil)
			k.shelf.files[queueID].Recipients[1].Address = "other@corp.test"
		}, "removed [] []", "canceled canceled", "", "canceled: wrong file"},
		{"carol has another name, and somebody has it", func(_ *testing.T, k *keeping, _ policy.ID) {
			k.served(func(a policy.Address) bool { return a == "carol@corp.test" })
			k.shelf.files[queueID].Recipients[1].Address = "other@corp.test"
		}, "removed [] [1]", "canceled queued", "", "canceled: wrong file"},
		{"under delivery", func(_ *testing.T, k *keeping, _ policy.ID) { k.shelf.busy[queueID] = true },
			"in_flight [] []", "queued queued", holdQueue, "recall_requested: wrong file"},
		{"under delivery, which delivers it", func(t *testing.T, k *keeping, id policy.ID) {
			k.shelf.busy[queueID] = true
			ask(t, k, id)
			k.shelf.drop(queueID)
		}, "not_found [] []", "queued queued", "", "recall_outcome: delivered_before_recall"},
		{"under delivery, which fails, and a round comes first", func(t *testing.T, k *keeping, id policy.ID) {
			k.shelf.busy[queueID] = true
			ask(t, k, id)
			k.later(t, time.Second)
			if at := k.shelf.where(queueID); at != holdQueue {
				t.Errorf("after a round during the delivery the message is in %q", at)
			}
			k.shelf.busy[queueID] = false
			k.later(t, 20*time.Second)
			if states := k.recipients(t, id); states != "canceled canceled" {
				t.Errorf("after the round: %s", states)
			}
		}, "removed [] []", "canceled canceled", "", "canceled: wrong file"},
		{"left before", func(_ *testing.T, k *keeping, _ policy.ID) { k.shelf.drop(queueID) },
			"not_found [] []", "queued queued", "", "recall_outcome: delivered_before_recall"},
		{"left before, asked again by another process", func(t *testing.T, k *keeping, id policy.ID) {
			k.shelf.drop(queueID)
			ask(t, k, id)
			k.restart(t)
		}, "not_found [] []", "queued queued", "", "recall_outcome: delivered_before_recall"},
		{"a newer message has its queue id", func(_ *testing.T, k *keeping, _ policy.ID) {
			k.shelf.drop(queueID)
			k.file(queueID, deferredQueue, 0)
		}, "not_found [] []", "queued queued", deferredQueue, "recall_outcome: delivered_before_recall"},
		{"deleted by hand while it is taken back", func(_ *testing.T, k *keeping, _ policy.ID) {
			k.served(nil)
			k.shelf.vanishing[queueID] = true
		}, "lost [] []", "queued queued", "", "recall_outcome: unknown"},
		{"removed, and the answer did not come", func(t *testing.T, k *keeping, id policy.ID) {
			k.shelf.silent = errSilent
			fail(t, k, id)
			k.shelf.silent = nil
		}, "lost [] []", "queued queued", "", "recall_outcome: unknown"},
		{"asked by a process that has ended, and not there", func(t *testing.T, k *keeping, id policy.ID) {
			k.shelf.away = errDial
			fail(t, k, id)
			k.restart(t)
			k.shelf.away = nil
			k.shelf.drop(queueID)
		}, "lost [] []", "queued queued", "", "recall_outcome: unknown"},
		{"the helper was away", func(t *testing.T, k *keeping, id policy.ID) {
			k.shelf.away = errDial
			fail(t, k, id)
			k.shelf.away = nil
			k.shelf.drop(queueID)
		}, "not_found [] []", "queued queued", "", "recall_outcome: delivered_before_recall"},
		{"the helper is away", func(_ *testing.T, k *keeping, _ policy.ID) { k.shelf.away = errDial },
			errDial.Error(), "queued queued", deferredQueue, "recall_requested: wrong file"},
		{"the helper fails", func(_ *testing.T, k *keeping, _ policy.ID) { k.shelf.failing = "no room" },
			"take back " + queueID + ": failed no room", "queued queued", deferredQueue, "recall_requested: wrong file"},
		{"another withdrawal is under way", func(_ *testing.T, k *keeping, id policy.ID) { k.enter(id) },
			"the message is being taken back from Postfix's queue already", "queued queued", deferredQueue, "queued"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := startKeeping(t)
			id := k.letGo(t)
			if tt.run != nil {
				tt.run(t, k, id)
			}
			w, err := k.Withdraw(t.Context(), id, "wrong file", "api:test")
			got := fmt.Sprint(w.Outcome, " ", w.Gone, " ", w.Unclear)
			if err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("%s", got)
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
			if n := len(slices.DeleteFunc(timeline, func(e string) bool { return !strings.HasPrefix(e, "recall_requested") })); n > 1 {
				t.Errorf("%d requests are recorded", n)
			}
		})
	}
}

func TestWithdrawOfNothing(t *testing.T) {
	k := startKeeping(t)
	if _, err := k.Withdraw(t.Context(), k.journal.NewID(), "wrong file", "api:test"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the error is %v", err)
	}
}

// TestWithdrawOutlivesADecision lets a decision come between the reading and the recording.
func TestWithdrawOutlivesADecision(t *testing.T) {
	k := startKeeping(t)
	id := k.letGo(t)
	k.Keeper.journal = &deciding{k.journal, func() {
		k.decide(t, id, policy.Event{Kind: policy.Canceled, Recipients: []int{1}})
	}}
	w, err := k.Withdraw(t.Context(), id, "wrong file", "api:test")
	if err != nil || w.Outcome != Removed || k.recipients(t, id) != "canceled canceled" {
		t.Errorf("%+v, %v, %s", w, err, k.recipients(t, id))
	}
}

// deciding is a journal in which a decision comes before the first recording of a cancellation.
type deciding struct {
	*store.Store
	first func()
}

func (d *deciding) Recipients(id policy.ID) (policy.Rows, error) {
	rows, err := d.Store.Recipients(id)
	if first := d.first; first != nil {
		d.first = nil
		first()
	}
	return rows, err
}
