package store

import (
	"context"
	"maps"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
)

func TestCountsFollowTheStates(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir)
	hour := time.Now().UTC().Truncate(time.Hour)
	accept := func(front policy.Front, to ...policy.Address) policy.ID {
		t.Helper()
		id := s.NewID()
		e := &policy.Envelope{Received: time.Now(), Front: front, Sender: "a@corp.example", Identity: "a"}
		for _, a := range to {
			e.Recipients = append(e.Recipients, policy.Recipient{Address: a})
		}
		if _, err := s.Commit(context.Background(), Change{Message: id, Envelope: e, Events: []policy.Event{{Kind: policy.Accepted}}}); err != nil {
			t.Fatal(err)
		}
		return id
	}
	see := func(id policy.ID, e policy.Event) {
		t.Helper()
		if _, err := s.Commit(context.Background(), Change{Message: id, Events: []policy.Event{e}}); err != nil {
			t.Fatal(err)
		}
	}
	want := func(states map[policy.State]int64) {
		t.Helper()
		if got := s.Counts(hour, time.Now()); !maps.Equal(got, states) {
			t.Errorf("got %v, want %v", got, states)
		}
	}
	one := accept(policy.Relay, "b@x.example", "team@x.example")
	accept(policy.Internal, "a@corp.example")
	want(map[policy.State]int64{policy.StateAccepted: 2})
	see(one, policy.Event{Kind: policy.DeliveredMailbox, Recipients: []int{0}})
	see(one, policy.Event{Kind: policy.Bounced, Recipients: []int{1}, Member: "c@x.example", Key: "k"})
	see(one, policy.Event{Kind: policy.Bounced, Recipients: []int{1}, Member: "c@x.example", Key: "k"})
	see(one, policy.Event{Kind: policy.DeliveredMailbox, Recipients: []int{1}, Member: "d@x.example"})
	after := map[policy.State]int64{policy.StateDeliveredMailbox: 2, policy.StateBounced: 1}
	want(after)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, dir)
	defer mustClose(t, s)
	want(after)
	if got := s.Counts(hour.Add(-48*time.Hour), hour.Add(-24*time.Hour)); len(got) != 0 {
		t.Errorf("two days ago: %v", got)
	}
	if err := s.dropCounts(hour.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	want(map[policy.State]int64{})
}

func TestLookups(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	defer mustClose(t, s)
	var ids []policy.ID
	for range 3 {
		id := s.NewID()
		e := &policy.Envelope{Received: time.Now(), Front: policy.Relay, Identity: "a", MessageID: "<m@x>", QueueID: "4F2A", Recipients: []policy.Recipient{{Address: "b@x.example"}}}
		if _, err := s.Commit(context.Background(), Change{Message: id, Envelope: e, Events: []policy.Event{{Kind: policy.Accepted}}}); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	for name, find := range map[string]func(string) ([]policy.ID, error){"4F2A": s.ByQueueID, "<m@x>": s.ByMessageID} {
		got, err := find(name)
		if err != nil || len(got) != 3 || got[0] != ids[2] || got[2] != ids[0] {
			t.Errorf("%s: %v, %v", name, got, err)
		}
		if got, err := find(name + "0"); err != nil || len(got) != 0 {
			t.Errorf("%s0: %v, %v", name, got, err)
		}
	}
	var seen []policy.ID
	err := s.InState(context.Background(), policy.StateAccepted, func(id policy.ID) bool {
		seen = append(seen, id)
		return len(seen) < 2
	})
	if err != nil || len(seen) != 2 || seen[0] != ids[0] || seen[1] != ids[1] {
		t.Errorf("%v, %v", seen, err)
	}
}

func TestKeptValuesSurvive(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir)
	if v, err := s.Kept("cursor"); v != nil || err != nil {
		t.Errorf("before: %q, %v", v, err)
	}
	for _, v := range []string{"one", "two"} {
		if err := s.Keep("cursor", []byte(v)); err != nil {
			t.Fatal(err)
		}
	}
	err := s.Keep("cursor", make([]byte, maxKept+1))
	if err == nil || err.Error() != "keep cursor: 65537 octets are more than 65536" {
		t.Errorf("too much: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, dir)
	defer mustClose(t, s)
	if v, err := s.Kept("cursor"); string(v) != "two" || err != nil {
		t.Errorf("after: %q, %v", v, err)
	}
}
