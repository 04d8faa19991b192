package store

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// Who wants to know how long changes take hears of each that is durable, and of no other.
func TestDurableChangesAreTimed(t *testing.T) {
	var told atomic.Int64
	cfg := DefaultConfig()
	cfg.Dir, cfg.MinFree = t.TempDir(), 64
	cfg.Took = func(d time.Duration) {
		if d <= 0 {
			t.Errorf("a change took %v", d)
		}
		told.Add(1)
	}
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	id := s.NewID()
	login := policy.Event{Kind: policy.Login, Actor: "smtp", Subject: "alice"}
	if _, err := s.Commit(t.Context(), Change{Message: id, Events: []policy.Event{login}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Commit(t.Context(), Change{Message: id, Events: []policy.Event{{Kind: policy.Released}}}); err == nil {
		t.Error("a decision on what is not stored was taken")
	}
	if n := told.Load(); n != 1 {
		t.Errorf("told of %d changes, want 1", n)
	}
}
