package gateway

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sendgate/sendgate/gateway/machinetest"
	"github.com/sendgate/sendgate/gateway/milter"
	"github.com/sendgate/sendgate/gateway/relay"
	"github.com/sendgate/sendgate/gateway/web"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// wholeGateway is one with both fronts on free ports, which does not listen yet.
func wholeGateway(t *testing.T) *Gateway {
	t.Helper()
	cfg := DemoConfig(t.TempDir(), startHop(t).listener.Addr().String())
	cfg.API.Socket, cfg.API.Listen = "", "127.0.0.1:0"
	cfg.Relay.Listen = []relay.Listener{{Address: "127.0.0.1:0"}}
	cfg.Milter.Listen = []milter.Listener{{Address: "127.0.0.1:0"}}
	g, err := New(cfg, "test", zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// wantAlive holds what a watchdog is told; "" is that all is well.
func wantAlive(t *testing.T, when string, g *Gateway, want string) {
	t.Helper()
	got := ""
	if err := g.Alive(t.Context()); err != nil {
		got = err.Error()
	}
	if got != want {
		t.Errorf("%s: %q, not %q", when, got, want)
	}
}

// TestAlive follows a gateway from its start to its end.
func TestAlive(t *testing.T) {
	g := wholeGateway(t)
	wantAlive(t, "before it serves", g, "milter: nothing is listened on")
	if err := g.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	machinetest.Eventually(t, "it is alive", func() bool { return g.Alive(t.Context()) == nil })
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if err := g.Alive(t.Context()); err == nil || !strings.Contains(err.Error(), store.ErrClosed.Error()) {
		t.Errorf("when the journal is closed: %v", err)
	}
}

// TestFrontsThatAreClosedOnPurpose are no reason for a restart.
func TestFrontsThatAreClosedOnPurpose(t *testing.T) {
	g := wholeGateway(t)
	defer g.Close()
	wantAlive(t, "fronts that are closed", g, "milter: nothing is listened on")
	if err := g.drain.StartDrain(time.Now().Add(time.Hour), false, "api:ops"); err != nil {
		t.Fatal(err)
	}
	wantAlive(t, "while it is drained", g, "")
	g.drain.mu.Lock()
	g.drain.job.State = web.DrainEnded
	g.drain.mu.Unlock()
	wantAlive(t, "when it is empty", g, "")
}

// TestAPartThatHangs is what a watchdog is for: it is told within a time, and again that all is well when that has
// passed.
func TestAPartThatHangs(t *testing.T) {
	t.Run("the fronts", func(t *testing.T) {
		g := wholeGateway(t)
		defer g.Close()
		if err := g.drain.StartDrain(time.Now().Add(time.Hour), false, "api:ops"); err != nil {
			t.Fatal(err)
		}
		g.drain.mu.Lock()
		machinetest.Eventually(t, "the fronts do not answer", func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second) // who asks may be less patient
			defer cancel()
			err := g.Alive(ctx)
			if err == nil {
				t.Fatal("all is well")
			}
			return err.Error() == "the fronts do not answer"
		})
		g.drain.mu.Unlock()
		wantAlive(t, "when the lock is given back", g, "")
	})
	t.Run("the journal", func(t *testing.T) {
		var stuck atomic.Bool
		free := make(chan struct{})
		cfg := store.DefaultConfig()
		cfg.Dir, cfg.Node, cfg.Log, cfg.MinFree = t.TempDir(), "test", zap.NewNop(), 64
		cfg.Now = func() time.Time { // the goroutine that commits asks for the time of each batch
			if stuck.Load() {
				<-free
			}
			return time.Now()
		}
		journal, err := store.Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer journal.Close()
		g := &Gateway{store: journal, drain: newDrain(journal, nil, nil, time.Now, zap.NewNop())}
		wantAlive(t, "before", g, "")
		e, id := envelope("bob@x.test"), journal.NewID()
		stuck.Store(true)
		committed := make(chan error, 1)
		go func() {
			_, err := journal.Commit(context.Background(), store.Change{Message: id, Envelope: &e, Events: []policy.Event{{Kind: policy.Accepted, Time: e.Received}}})
			committed <- err
		}()
		machinetest.Eventually(t, "the journal hangs", func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			return g.Alive(ctx) != nil
		})
		begun := time.Now()
		wantAlive(t, "while nothing is committed", g, "the journal does not commit: context deadline exceeded") // that is not the test's
		if took := time.Since(begun); took < PulseTimeout {
			t.Errorf("a watchdog is told after %v, not %v", took, PulseTimeout)
		}
		stuck.Store(false)
		close(free)
		if err := <-committed; err != nil {
			t.Error(err)
		}
		wantAlive(t, "when it commits again", g, "")
	})
}
