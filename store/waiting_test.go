package store

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
)

func TestIDSetAgainstAMap(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var s idSet
	model := map[policy.ID]bool{}
	random := func() (id policy.ID) {
		id[0], id[15] = byte(rnd.IntN(8)), byte(rnd.IntN(256)) // few, so that they meet
		id[7] = byte(rnd.IntN(4))
		return id
	}
	inOrder := func() []policy.ID { return slices.SortedFunc(maps.Keys(model), policy.ID.Compare) }
	for step := range 30_000 {
		id := random()
		switch grow := step/10_000%2 == 0; {
		case rnd.IntN(3) > 0 == grow:
			s.add(id)
			model[id] = true
		default:
			s.remove(id)
			delete(model, id)
		}
		if step%500 > 0 {
			continue
		}
		want := inOrder()
		before := s.snapshot()
		if got := slices.Concat(before.chunks...); !slices.Equal(got, want) || s.count != len(want) {
			t.Fatalf("step %d: %d ids (count %d), want %d", step, len(got), s.count, len(want))
		}
		for range 50 {
			at := random()
			i, found := slices.BinarySearchFunc(want, at, policy.ID.Compare)
			got, ok := s.seek(at)
			switch {
			case found && (!ok || got != at), !found && i == 0 && ok, !found && i > 0 && (!ok || got != want[i-1]):
				t.Fatalf("step %d: seek %v: %v, %v", step, at, got, ok)
			}
		}
		for range 100 {
			s.add(random())
			s.remove(random())
		}
		if got := slices.Concat(before.chunks...); !slices.Equal(got, want) {
			t.Fatalf("step %d: a snapshot has changed", step)
		}
		s = before
	}
	if len(s.chunks) < 2 {
		t.Errorf("%d ids are in %d chunks: splitting was not tried", s.count, len(s.chunks))
	}
	for _, id := range inOrder() {
		s.remove(id)
	}
	if s.count != 0 || len(s.chunks) != 0 {
		t.Errorf("emptied: %d, %d", s.count, len(s.chunks))
	}
}

func (s *Store) inState(t *testing.T, state policy.State) (ids []policy.ID) {
	t.Helper()
	if err := s.InState(t.Context(), state, func(id policy.ID) bool { ids = append(ids, id); return true }); err != nil {
		t.Fatal(err)
	}
	return ids
}

func TestWhatWaitsIsKnownAfterARestartAndForgottenWithTheMessage(t *testing.T) {
	clock := &manualClock{t: epoch}
	dir := t.TempDir()
	s := openAt(t, dir, clock)
	var ids []policy.ID
	for range 3 {
		ids = append(ids, receive(t, s, "a@corp.example", clock.now()))
		clock.add(time.Hour)
	}
	check := func(when string, want ...policy.ID) {
		t.Helper()
		messages, oldest := s.Waiting(policy.StateAccepted)
		if got := s.inState(t, policy.StateAccepted); !slices.Equal(got, want) || messages != len(want) || messages > 0 && oldest != want[0] {
			t.Errorf("%s: %v, %d from %v on; want %v", when, got, messages, oldest, want)
		}
		want = slices.Clone(want)
		slices.Reverse(want)
		if got := searchAll(t, s, "state:accepted"); !slices.Equal(got, want) {
			t.Errorf("%s: the search finds %v, want %v", when, got, want)
		}
	}
	check("at first", ids...)
	if _, err := s.Commit(t.Context(), Change{Message: ids[1], Events: []policy.Event{{Kind: policy.RelayedRemote}}}); err != nil {
		t.Fatal(err)
	}
	check("after one has left", ids[0], ids[2])
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openAt(t, dir, clock)
	defer s.Close()
	check("after a restart", ids[0], ids[2])
	if err := s.prune(t.Context(), ids[2].Timestamp().Add(s.cfg.EventsFor-time.Minute)); err != nil {
		t.Fatal(err)
	}
	check("after the first was pruned", ids[2])
	if n, _ := s.Waiting(policy.StateRelayedRemote); n != 0 {
		t.Errorf("%d wait where nothing waits", n)
	}
}

// A message that moves between states under one label is found at every moment, also between the memory and the index.
func TestAMovingMessageIsAlwaysFound(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	defer s.Close()
	id := receive(t, s, "a@corp.example", now)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	q, err := ParseQuery("state:delivering", now)
	if err != nil {
		t.Fatal(err)
	}
	moving := make(chan error, 1)
	go func() {
		for ctx.Err() == nil { // held and deferred are in memory, handed_over is in the index only
			for _, k := range []policy.Kind{policy.Deferred, policy.HandedOver} {
				if _, err := s.Commit(context.Background(), Change{Message: id, Events: []policy.Event{{Kind: k}}}); err != nil {
					moving <- err
					return
				}
			}
		}
		moving <- nil
	}()
	searches := 0
	for ; ctx.Err() == nil; searches++ {
		page, err := s.Search(context.Background(), q, 10, "")
		if err != nil || len(page.Messages) != 1 {
			t.Errorf("search %d: %d found, %v", searches, len(page.Messages), err)
			break
		}
	}
	cancel()
	if err := <-moving; err != nil {
		t.Error(err)
	}
	if searches < 10 {
		t.Errorf("only %d searches", searches)
	}
}

// What was received long after its id was made, or before, is found by its time; the others need not be read.
func TestSearchByTimeReadsOnlyWhatItMust(t *testing.T) {
	clock := &manualClock{t: epoch}
	s := openAt(t, t.TempDir(), clock)
	defer s.Close()
	var ids []policy.ID
	skews := []time.Duration{0, time.Second, -time.Second, time.Minute, -time.Minute, 119 * time.Minute, -119 * time.Minute, farReceiving, -farReceiving}
	received := map[policy.ID]time.Time{}
	for i := range 200 {
		at := clock.now().Add(skews[i%len(skews)])
		id := receive(t, s, "a@corp.example", at)
		ids = append([]policy.ID{id}, ids...)
		received[id] = at
		clock.add(3 * time.Minute)
	}
	for at := epoch.Add(-3 * time.Hour); at.Before(clock.now().Add(3 * time.Hour)); at = at.Add(7*time.Minute + time.Second) {
		until := at.Add(90 * time.Minute)
		for query, selects := range map[string]func(time.Time) bool{
			"before:" + at.Format(time.RFC3339):                                                 func(r time.Time) bool { return r.Before(at) },
			"after:" + at.Format(time.RFC3339):                                                  func(r time.Time) bool { return !r.Before(at) },
			"from:a after:" + at.Format(time.RFC3339) + " before:" + until.Format(time.RFC3339): func(r time.Time) bool { return !r.Before(at) && r.Before(until) },
		} {
			want := slices.DeleteFunc(slices.Clone(ids), func(id policy.ID) bool { return !selects(received[id]) })
			if got := searchAll(t, s, query); !slices.Equal(got, want) {
				t.Fatalf("%s: %d found, want %d", query, len(got), len(want))
			}
		}
	}
	if far, err := s.keys(termPrefix(indexFar, "")); err != nil || len(far) >= len(ids)/2 {
		t.Errorf("%d of %d are in the index of what was received far from its id (%v)", len(far), len(ids), err)
	}
}
