package store

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestPulse(t *testing.T) {
	open := func(t *testing.T) *Store {
		t.Helper()
		cfg := DefaultConfig()
		cfg.Dir, cfg.MinFree = t.TempDir(), 0
		s, err := Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	t.Run("all is well, and nothing shows of it", func(t *testing.T) {
		s := open(t)
		for range 2 {
			if err := s.Pulse(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if s.LastBatch() != 0 {
			t.Errorf("%d batches", s.LastBatch())
		}
	})
	t.Run("a full disk is no reason to restart", func(t *testing.T) {
		s := open(t)
		s.inFlight.Add(1 << 60) // as if so much were being written
		if err := s.Ready(); !errors.Is(err, ErrFull) {
			t.Fatal(err)
		}
		if err := s.Pulse(t.Context()); err != nil {
			t.Error(err)
		}
	})
	t.Run("the engine has failed", func(t *testing.T) {
		s := open(t)
		s.fail(errors.New("input/output error"))
		if err := s.Pulse(t.Context()); !errors.Is(err, ErrFailed) {
			t.Error(err)
		}
	})
	t.Run("the committer stands still", func(t *testing.T) {
		s := open(t)
		s.rows.Lock() // as if a write did not come back
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		err := s.Pulse(ctx)
		s.rows.Unlock()
		if err == nil || !strings.HasPrefix(err.Error(), "the journal does not commit: ") {
			t.Error(err)
		}
	})
	t.Run("it is closed", func(t *testing.T) {
		s := open(t)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := s.Pulse(t.Context()); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
}
