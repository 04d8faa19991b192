package shell

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
)

// A gate is a listener on which nobody connects; accepting fails while it is told so.
type gate struct {
	net.Listener
	results chan error
	end     chan struct{}
}

func (g *gate) Accept() (net.Conn, error) {
	select {
	case err := <-g.results:
		return nil, err
	case <-g.end:
		return nil, net.ErrClosed
	}
}

func (g *gate) Addr() net.Addr { return &net.TCPAddr{} }

func (g *gate) Close() error { close(g.end); return nil }

func wantLive(t *testing.T, when string, s *Shell, want string) {
	t.Helper()
	got := ""
	if err := s.Live(); err != nil {
		got = err.Error()
	}
	if got != want {
		t.Errorf("%s: %q, not %q", when, got, want)
	}
}

func TestLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Limits{}, zap.NewNop())
		wantLive(t, "before it listens", s, "nothing is listened on")
		g := &gate{results: make(chan error), end: make(chan struct{})}
		done := make(chan error)
		go func() { done <- s.Serve(Port{Listener: g}, echo) }()
		synctest.Wait()
		wantLive(t, "while nobody comes", s, "")
		for range 20 {
			g.results <- errors.New("too many open files")
		}
		synctest.Wait()
		wantLive(t, "while accepting fails", s, "connections cannot be taken: too many open files")
		time.Sleep(maxPause) // it is tried again, and waits for a connection
		synctest.Wait()
		wantLive(t, "right after", s, "connections cannot be taken: too many open files")
		time.Sleep(2 * maxPause)
		wantLive(t, "when it works again and nobody has come yet", s, "")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_ = s.Drain(ctx)
		wantLive(t, "while it drains", s, "no more connections are taken")
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
