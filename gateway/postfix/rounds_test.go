package postfix

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

func TestRounds(t *testing.T) {
	tests := []struct {
		name string
		// run begins with a message just held under queueID, without a queue file.
		run   func(t *testing.T, k *keeping, id policy.ID)
		state policy.State
		event string // the last of the timeline
		due   bool
		queue string // of queueID in the end
	}{
		{"what lies in the hold queue stays held", func(t *testing.T, k *keeping, _ policy.ID) {
			k.file(queueID, holdQueue, 0)
			k.later(t, 20*time.Second)
			k.later(t, 10*time.Minute)
		}, policy.StateHeld, "held", true, holdQueue},
		{"what is not there within a minute may still come", func(t *testing.T, k *keeping, _ policy.ID) {
			k.later(t, 59*time.Second)
		}, policy.StateHeld, "held", true, ""},
		{"what is not there after a minute was never queued", func(t *testing.T, k *keeping, _ policy.ID) {
			k.later(t, 59*time.Second)
			k.later(t, time.Second)
		}, policy.StateNeverQueued, "never_queued: " + never, false, ""},
		{"what a listing missed is looked for", func(t *testing.T, k *keeping, _ policy.ID) {
			k.file(queueID, holdQueue, 0)
			k.later(t, 20*time.Second)
			k.shelf.missed[queueID] = true
			k.later(t, 2*time.Minute)
		}, policy.StateHeld, "held", true, holdQueue},
		{"what Postfix is still receiving stays held", func(t *testing.T, k *keeping, _ policy.ID) {
			k.file(queueID, "incoming", 0)
			k.later(t, 2*time.Minute)
		}, policy.StateHeld, "held", true, "incoming"},
		{"what somebody has released is Postfix's", func(t *testing.T, k *keeping, _ policy.ID) {
			k.file(queueID, "active", 0)
			k.later(t, time.Second)
		}, policy.StateQueued, "released: released by hand in Postfix", false, "active"},
		{"what was there and is gone has left by hand", func(t *testing.T, k *keeping, _ policy.ID) {
			k.file(queueID, holdQueue, 0)
			k.later(t, time.Second)
			k.shelf.drop(queueID)
			k.later(t, 20*time.Second)
		}, policy.StateUnknown, "unknown: " + byHand, false, ""},
		{"what was there before a restart has left by hand", func(t *testing.T, k *keeping, _ policy.ID) {
			k.file(queueID, holdQueue, 0)
			k.later(t, 20*time.Second)
			k.restart(t)
			k.shelf.drop(queueID)
			k.later(t, 20*time.Second)
		}, policy.StateUnknown, "unknown: " + byHand, false, ""},
		{"what came between the last round and a restart was never queued", func(t *testing.T, k *keeping, _ policy.ID) {
			k.file(queueID, holdQueue, 0)
			k.pass(-time.Minute)
			k.file(shortID, holdQueue, 0)
			k.hold(t, shortID) // another one makes the round worth a note
			k.later(t, 50*time.Second)
			k.shelf.drop(queueID)
			k.restart(t)
			k.later(t, 30*time.Second)
			k.later(t, time.Minute)
		}, policy.StateNeverQueued, "never_queued: " + never, false, ""},
		{"a newer message with its queue id is another one", func(t *testing.T, k *keeping, _ policy.ID) {
			k.pass(time.Hour)
			k.file(queueID, holdQueue, 0)
			k.later(t, time.Second)
		}, policy.StateNeverQueued, "never_queued: " + never, false, holdQueue},
		{"an older message with its queue id is another one", func(t *testing.T, k *keeping, _ policy.ID) {
			k.file(queueID, deferredQueue, 3*time.Hour)
			k.later(t, time.Minute)
		}, policy.StateNeverQueued, "never_queued: " + never, false, deferredQueue},
		{"the message of a slow client is its own", func(t *testing.T, k *keeping, _ policy.ID) {
			k.file(queueID, holdQueue, time.Hour)
			k.later(t, 2*time.Minute)
		}, policy.StateHeld, "held", true, holdQueue},
		{"what waits for its release is left to it", func(t *testing.T, k *keeping, id policy.ID) {
			k.decide(t, id, policy.Event{Kind: policy.Released, Until: k.clock()})
			k.later(t, 10*time.Minute)
		}, policy.StateQueued, "released", true, ""},
		{"what was taken back is deleted a minute later", func(t *testing.T, k *keeping, id policy.ID) {
			k.file(queueID, holdQueue, 0)
			k.decide(t, id, policy.Event{Kind: policy.Canceled, Reason: "wrong"})
			k.later(t, 59*time.Second)
			if k.shelf.where(queueID) == "" {
				t.Error("whoever took it back was not given a minute")
			}
			k.later(t, time.Second)
		}, policy.StateCanceled, "recall_outcome: removed_from_queue", false, ""},
		{"what nobody approved is deleted at once", func(t *testing.T, k *keeping, id policy.ID) {
			k.file(queueID, holdQueue, 0)
			k.decide(t, id, policy.Event{Kind: policy.ApprovalRequested, Until: k.clock().Add(time.Minute)})
			k.later(t, time.Minute)
			k.decide(t, id, policy.Event{Kind: policy.Blocked, Reason: "approval expired"})
			k.later(t, time.Second)
		}, policy.StateBlocked, "recall_outcome: removed_from_queue", false, ""},
		{"what was taken back is deleted after a restart", func(t *testing.T, k *keeping, id policy.ID) {
			k.file(queueID, holdQueue, 0)
			k.decide(t, id, policy.Event{Kind: policy.Canceled, Reason: "wrong"})
			k.restart(t)
			k.later(t, 2*time.Minute)
		}, policy.StateCanceled, "recall_outcome: removed_from_queue", false, ""},
		{"what was taken back from some stays for the others", func(t *testing.T, k *keeping, id policy.ID) {
			k.file(queueID, holdQueue, 0)
			k.decide(t, id, policy.Event{Kind: policy.Canceled, Recipients: []int{0}, Reason: "wrong"})
			k.later(t, 2*time.Minute)
		}, policy.StateHeld, "canceled: wrong", true, holdQueue},
		{"what was taken back from some and sent to the others is deleted", func(t *testing.T, k *keeping, id policy.ID) {
			k.file(queueID, holdQueue, 0)
			k.decide(t, id, policy.Event{Kind: policy.Canceled, Recipients: []int{0}, Reason: "wrong"})
			k.decide(t, id, policy.Event{Kind: policy.Released, Until: k.clock()})
			k.commit(t, store.Change{Message: id, Events: []policy.Event{{Kind: policy.RelayedRemote, Time: k.clock(), Recipients: []int{1}}}})
			k.later(t, 2*time.Minute)
		}, policy.StateMixed, "recall_outcome: removed_from_queue", false, ""},
		{"what was let go and somebody holds again is not ours", func(t *testing.T, k *keeping, id policy.ID) {
			k.decide(t, id, policy.Event{Kind: policy.Released, Until: k.clock()})
			k.commit(t, store.Change{Message: id, Events: []policy.Event{{Kind: policy.Queued, Time: k.clock()}}})
			k.file(queueID, holdQueue, 0)
			k.later(t, 2*time.Minute)
		}, policy.StateQueued, "queued", false, holdQueue},
		{"a newer message in the hold queue is not the one taken back", func(t *testing.T, k *keeping, id policy.ID) {
			k.decide(t, id, policy.Event{Kind: policy.Canceled, Reason: "wrong"})
			k.pass(time.Hour)
			k.file(queueID, holdQueue, 0)
			k.later(t, time.Minute)
		}, policy.StateCanceled, "canceled: wrong", false, holdQueue},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := startKeeping(t)
			id := k.hold(t, queueID)
			tt.run(t, k, id)
			m := k.message(t, id)
			if m.State() != tt.state || m.Due.IsZero() == tt.due {
				t.Errorf("the message is %s and due %v", m.State(), m.Due)
			}
			if events := k.timeline(t, id); events[len(events)-1] != tt.event {
				t.Errorf("the timeline is %q", events)
			}
			if at := k.shelf.where(queueID); at != tt.queue {
				t.Errorf("the queue file is in %q", at)
			}
		})
	}
}

func TestRoundsLeaveOtherMailAlone(t *testing.T) {
	k := startKeeping(t)
	relayed := k.holdFrom(t, "", policy.Relay)
	k.file(queueID, holdQueue, 0) // held by an administrator's rule
	k.file(shortID, deferredQueue, 0)
	for range 5 {
		k.later(t, time.Minute)
	}
	if m := k.message(t, relayed); m.State() != policy.StateHeld {
		t.Errorf("the relay's message is %s", m.State())
	}
	if k.shelf.where(queueID) != holdQueue || k.shelf.where(shortID) != deferredQueue || k.shelf.asked != nil {
		t.Errorf("asked for %q", k.shelf.asked)
	}
	if _, known := k.foreign[queueID]; !known || len(k.foreign) != 1 {
		t.Errorf("known as foreign: %v", k.foreign)
	}
	k.shelf.drop(queueID)
	k.later(t, time.Minute)
	if len(k.foreign) != 0 {
		t.Errorf("known as foreign: %v", k.foreign)
	}
}

func TestRoundsRememberOnlyWhatIsHeld(t *testing.T) {
	k := startKeeping(t)
	id := k.hold(t, queueID)
	k.file(queueID, holdQueue, 0)
	k.later(t, time.Second)
	k.shelf.silent = fmt.Errorf("%w: broken pipe", ErrAway)
	k.decide(t, id, policy.Event{Kind: policy.Released, Until: k.clock()})
	if _, err := k.Release(t.Context(), id, new(k.message(t, id).Envelope), false); !errors.Is(err, ErrAway) {
		t.Errorf("the release: %v", err)
	}
	if len(k.seen) != 1 || len(k.asked) != 1 {
		t.Errorf("seen %v, asked %v", k.seen, k.asked)
	}
	k.commit(t, store.Change{Message: id, Events: []policy.Event{{Kind: policy.Queued, Time: k.clock()}}})
	k.later(t, time.Second)
	if len(k.seen) != 0 || len(k.asked) != 0 {
		t.Errorf("seen %v, asked %v", k.seen, k.asked)
	}
}

func TestListingsAreNotedOnlyWithNews(t *testing.T) {
	k := startKeeping(t)
	notes := func() int {
		ids, err := k.journal.Records(t.Context(), policy.Queued, 10, policy.ID{})
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, id := range ids {
			n += len(k.timeline(t, id))
		}
		return n
	}
	k.later(t, 20*time.Second)
	if n := notes(); n != 0 {
		t.Errorf("%d notes about an empty queue", n)
	}
	k.hold(t, queueID)
	k.file(queueID, holdQueue, 0)
	for range 3 {
		k.later(t, 20*time.Second)
	}
	if n := notes(); n != 1 {
		t.Errorf("%d notes about one message", n)
	}
	k.hold(t, shortID)
	k.file(shortID, holdQueue, 0)
	k.later(t, 20*time.Second)
	if n := notes(); n != 2 {
		t.Errorf("%d notes about two messages", n)
	}
	last, err := lastListing(k.journal)
	if err != nil || !last.Equal(k.clock().Add(-commitSlack)) {
		t.Errorf("listed up to %v (%v), now %v", last, err, k.clock())
	}
}

func TestADecisionMeanwhileWins(t *testing.T) {
	k := startKeeping(t)
	id := k.hold(t, queueID)
	before := k.message(t, id)
	k.decide(t, id, policy.Event{Kind: policy.HoldChanged, Until: k.clock().Add(2 * time.Hour)})
	k.file(queueID, "active", 0)
	if err := k.explain(t.Context(), &before); err != nil {
		t.Fatal(err)
	}
	if m := k.message(t, id); m.State() != policy.StateHeld {
		t.Errorf("the message is %s", m.State())
	}
}
