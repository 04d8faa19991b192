package track

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sendgate/sendgate/gateway/track/source"
	"github.com/sendgate/sendgate/policy"
	"go.uber.org/zap"
)

// TestFollowsAFile is the whole way: a file that grows, a stop, and another process.
func TestFollowsAFile(t *testing.T) {
	s := newSite(t)
	first := s.accept(letter{queueID: "A0B1C2D3E4", to: []string{"x@far.example"}})
	second := s.accept(letter{queueID: "B0B1C2D3E4", to: []string{"x@far.example"}})
	name := filepath.Join(t.TempDir(), "mail.log")
	write := func(line string) {
		t.Helper()
		f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(rfc3339(line)); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	cfg := DefaultConfig()
	c := source.DefaultConfig()
	c.Name, c.File, c.Start, c.Poll = "mail", name, source.StartBeginning, 10*time.Millisecond
	cfg.Sources = []source.Config{c}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	clock := func() time.Time { return at("10:00:30") }
	until := func(id policy.ID, kind policy.Kind) {
		t.Helper()
		tracker, err := New(cfg, s.journal, nil, clock, zap.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		feed := s.journal.Subscribe(0)
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		running, stop := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- tracker.Run(running) }()
		for found := false; !found; {
			r, err := feed.Next(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for i := range r.Events {
				found = found || r.Message == id && r.Events[i].Kind == kind
			}
		}
		stop()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	write(sent("10:00:02", "A0B1C2D3E4", "x@far.example"))
	until(first, policy.RelayedRemote)
	write(bounced("10:00:03", "B0B1C2D3E4", "x@far.example"))
	until(second, policy.Bounced)
	s.want(first, "x@far.example=relayed_remote")
	if n := s.events(first, policy.RelayedRemote); n != 1 {
		t.Errorf("%d events, want 1", n)
	}
	if s.kept() == "" {
		t.Error("no cursor was kept")
	}
}
