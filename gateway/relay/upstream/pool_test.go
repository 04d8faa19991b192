package upstream

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// An echo is a server in memory that takes everything. It counts its connections.
type echo struct {
	dialed, open, most, quits atomic.Int64
	extensions                string        // after the first line of EHLO
	gate                      chan struct{} // when not nil, an answer to the final dot needs one of it
	away                      atomic.Bool
}

func (e *echo) dial(context.Context, string, string) (net.Conn, error) {
	e.dialed.Add(1)
	if e.away.Load() {
		return nil, errors.New("nobody there")
	}
	client, server := net.Pipe()
	if n := e.open.Add(1); n > e.most.Load() {
		e.most.Store(n)
	}
	go func() {
		defer e.open.Add(-1)
		e.serve(server)
	}()
	return client, nil
}

func (e *echo) serve(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	io.WriteString(conn, "220 echo\r\n")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		answer := "250 ok\r\n"
		switch verb, _, _ := strings.Cut(strings.TrimSpace(line), " "); verb {
		case "EHLO":
			answer = "250-echo\r\n" + e.extensions + "250 8BITMIME\r\n"
		case "XCLIENT":
			answer = "220 echo\r\n"
		case "DATA":
			io.WriteString(conn, "354 go\r\n")
			readBody(r)
			if e.gate != nil {
				<-e.gate
			}
			answer = "250 2.0.0 Ok: queued as 4X\r\n"
		case "QUIT":
			e.quits.Add(1)
			return
		}
		if _, err := io.WriteString(conn, answer); err != nil {
			return
		}
	}
}

// upstream gives an upstream whose only server is the echo.
func (e *echo) upstream(t *testing.T, change func(*Config)) *Upstream {
	t.Helper()
	config := testConfig("127.0.0.1:25")
	config.Timeouts.End = time.Hour
	change(&config)
	u := newUpstream(t, config)
	u.network = e.dial
	return u
}

func TestPoolReusesAndBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &echo{gate: make(chan struct{})}
		u := e.upstream(t, func(c *Config) { c.Connections = 2 })
		var deliveries sync.WaitGroup
		for range 10 {
			deliveries.Go(func() {
				if got := summary(u.Deliver(t.Context(), message("b@example"))); got != "250 2.0.0 Ok: queued as 4X" {
					t.Errorf("got %s", got)
				}
			})
		}
		synctest.Wait()
		if e.open.Load() != 2 {
			t.Errorf("%d connections at once", e.open.Load())
		}
		for range 10 {
			e.gate <- struct{}{}
		}
		deliveries.Wait()
		if e.dialed.Load() != 2 || e.most.Load() != 2 {
			t.Errorf("%d connections dialed, %d at once", e.dialed.Load(), e.most.Load())
		}
		u.Close()
		synctest.Wait()
		if e.quits.Load() != 2 || e.open.Load() != 0 {
			t.Errorf("%d QUITs, %d connections left", e.quits.Load(), e.open.Load())
		}
	})
}

func TestIdleConnectionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &echo{}
		u := e.upstream(t, func(c *Config) { c.IdleTimeout = time.Minute })
		u.Deliver(t.Context(), message("b@example"))
		time.Sleep(59 * time.Second)
		synctest.Wait()
		if e.open.Load() != 1 {
			t.Error("closed before its time")
		}
		u.Deliver(t.Context(), message("b@example"))
		time.Sleep(59 * time.Second)
		synctest.Wait()
		if e.open.Load() != 1 || e.dialed.Load() != 1 {
			t.Error("use did not prolong the connection's life")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if e.open.Load() != 0 || e.quits.Load() != 1 || u.pool.timer != nil {
			t.Errorf("%d connections left, %d QUITs", e.open.Load(), e.quits.Load())
		}
	})
}

func TestOldConnectionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &echo{}
		u := e.upstream(t, func(c *Config) { c.IdleTimeout = time.Hour })
		u.Deliver(t.Context(), message("b@example"))
		time.Sleep(maxAge + time.Second)
		u.Deliver(t.Context(), message("b@example"))
		synctest.Wait()
		if e.open.Load() != 0 || e.dialed.Load() != 1 {
			t.Errorf("%d connections of %d left", e.open.Load(), e.dialed.Load())
		}
	})
}

func TestPoolKeepsClientsApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &echo{extensions: "250-XCLIENT ADDR LOGIN\r\n"}
		u := e.upstream(t, func(c *Config) { c.TrustedPath, c.Connections = TrustXClient, 2 })
		send := func(login string, dialed int64) {
			t.Helper()
			d := message("b@example")
			d.Envelope.Login, d.Envelope.Client = login, netip.MustParseAddr("192.0.2.7")
			if got := summary(u.Deliver(t.Context(), d)); got != "250 2.0.0 Ok: queued as 4X" || e.dialed.Load() != dialed {
				t.Errorf("%q: got %s, %d connections dialed", login, got, e.dialed.Load())
			}
		}
		send("u", 1)
		send("u", 1)
		send("v", 2)
		send("u", 2)
		send("", 3) // makes room: v was idle for longest
		synctest.Wait()
		if e.open.Load() != 2 {
			t.Errorf("%d connections open", e.open.Load())
		}
		send("u", 3)
		send("v", 4)
		u.Close()
	})
}

func TestWaitingForAConnectionEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &echo{gate: make(chan struct{})}
		u := e.upstream(t, func(c *Config) { c.Connections = 1 })
		var first sync.WaitGroup
		first.Go(func() {
			if r := u.Deliver(t.Context(), message("b@example")); r[0].Reply.Code != 250 {
				t.Errorf("got %+v", r[0])
			}
		})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if r := u.Deliver(ctx, message("b@example")); !errors.Is(r[0].Err, context.DeadlineExceeded) {
			t.Errorf("got %+v", r[0])
		}
		var second sync.WaitGroup
		second.Go(func() {
			if r := u.Deliver(t.Context(), message("b@example")); !errors.Is(r[0].Err, ErrClosed) {
				t.Errorf("got %+v", r[0])
			}
		})
		synctest.Wait()
		u.Close()
		second.Wait()
		e.gate <- struct{}{} // what was under way comes to its end
		first.Wait()
		synctest.Wait()
		if e.open.Load() != 0 {
			t.Error("a connection came back and was kept")
		}
		if r := u.Deliver(t.Context(), message("b@example")); !errors.Is(r[0].Err, ErrClosed) {
			t.Errorf("got %+v", r[0])
		}
		if _, err := u.Probe(t.Context(), Client{}); !errors.Is(err, ErrClosed) {
			t.Errorf("got %v", err)
		}
		u.Close()
	})
}

func TestCanceledDeliveryMayHaveArrived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &echo{gate: make(chan struct{}, 1)}
		u := e.upstream(t, func(*Config) {})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r := u.Deliver(ctx, message("b@example"))
		if !r[0].MayBeDuplicate || !errors.Is(r[0].Err, context.DeadlineExceeded) || len(u.pool.idle) != 0 {
			t.Errorf("got %+v", r[0])
		}
		e.gate <- struct{}{}
	})
}

func TestCapabilitiesAreSharedAndRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &echo{extensions: "250-SIZE 7\r\n"}
		u := e.upstream(t, func(*Config) {})
		ask := func(dialed int64) {
			t.Helper()
			caps, err := u.Capabilities(t.Context())
			if err != nil || caps.Size != 7 || e.dialed.Load() != dialed {
				t.Errorf("got %+v, %v after %d connections", caps, err, e.dialed.Load())
			}
		}
		var callers sync.WaitGroup
		for range 5 {
			callers.Go(func() { ask(1) })
		}
		callers.Wait()
		time.Sleep(59 * time.Second)
		ask(1)
		time.Sleep(2 * time.Second)
		ask(2)
		time.Sleep(59 * time.Second)
		u.Deliver(t.Context(), message("b@example")) // learns them too
		time.Sleep(2 * time.Second)
		ask(3)
		u.Close()
		synctest.Wait()
		if e.open.Load() != 0 {
			t.Errorf("%d connections left", e.open.Load())
		}
	})
}

func TestAbsenceIsRememberedForASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &echo{}
		u := e.upstream(t, func(*Config) {})
		e.away.Store(true)
		for range 3 {
			if _, err := u.Capabilities(t.Context()); err == nil || e.dialed.Load() != 1 {
				t.Errorf("got %v after %d connections", err, e.dialed.Load())
			}
		}
		e.away.Store(false)
		time.Sleep(1001 * time.Millisecond)
		if _, err := u.Capabilities(t.Context()); err != nil {
			t.Error(err)
		}
		u.Close()
		time.Sleep(capabilitiesFor)
		if _, err := u.Capabilities(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("got %v", err)
		}
	})
}

func TestOneCallerLeavesTheOthersWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &echo{}
		u := e.upstream(t, func(*Config) {})
		gate := make(chan struct{})
		u.network = func(ctx context.Context, network, address string) (net.Conn, error) {
			<-gate
			return e.dial(ctx, network, address)
		}
		var other sync.WaitGroup
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		other.Go(func() {
			time.Sleep(time.Millisecond)
			if _, err := u.Capabilities(t.Context()); err != nil {
				t.Error(err)
			}
		})
		if _, err := u.Capabilities(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		close(gate)
		other.Wait()
		u.Close()
	})
}

func TestServerThatWasAwayComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &echo{}
		u := e.upstream(t, func(c *Config) { c.Servers = append(c.Servers, Server{"127.0.0.1:26", 1}) })
		asked := 0 // how often the first server was
		u.network = func(ctx context.Context, network, address string) (net.Conn, error) {
			if address == "127.0.0.1:25" {
				if asked++; asked == 1 {
					return nil, errors.New("nobody there")
				}
			}
			return e.dial(ctx, network, address)
		}
		send := func(server string, want int) {
			t.Helper()
			if r := u.Deliver(t.Context(), message("b@example")); r[0].Server != server || asked != want {
				t.Errorf("%s took it, not %s; the first was asked %d times", r[0].Server, server, asked)
			}
		}
		send("127.0.0.1:26", 1)
		u.pool.close()
		u.pool = newPool(1, time.Hour)
		send("127.0.0.1:26", 1) // not asked while it counts as away
		time.Sleep(maxAge + time.Second)
		send("127.0.0.1:26", 1) // the connection's last message
		send("127.0.0.1:25", 2)
		u.Close()
	})
}
