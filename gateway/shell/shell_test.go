package shell

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
)

// bubble runs a test with a Conn over a pipe, on a clock that only moves when everybody waits.
func bubble(t *testing.T, limits Limits, fn func(t *testing.T, c *Conn, peer net.Conn)) {
	synctest.Test(t, func(t *testing.T) {
		ours, peer := net.Pipe()
		c := newConn(ours, New(limits, zap.NewNop()))
		defer c.release()
		defer peer.Close()
		defer c.Close()
		fn(t, c, peer)
	})
}

// within checks that something took between 7/8 of a time and all of it.
func within(t *testing.T, what string, took, most time.Duration) {
	t.Helper()
	if took > most || took < most*7/8 {
		t.Errorf("%s took %v, want about %v", what, took, most)
	}
}

func TestSilenceIsCutAtTheIdleLimit(t *testing.T) {
	bubble(t, Limits{Idle: 5 * time.Minute}, func(t *testing.T, c *Conn, peer net.Conn) {
		start := time.Now()
		_, err := c.Read(make([]byte, 10))
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
		within(t, "silence", time.Since(start), 5*time.Minute)
	})
}

func TestPausesBelowTheIdleLimitAreAllowed(t *testing.T) {
	bubble(t, Limits{Idle: 5 * time.Minute}, func(t *testing.T, c *Conn, peer net.Conn) {
		go func() {
			for range 20 {
				time.Sleep(4 * time.Minute)
				peer.Write([]byte("NOOP\r\n"))
			}
			peer.Close()
		}()
		if got, err := io.ReadAll(c); err != nil || len(got) != 120 {
			t.Errorf("%d octets, %v", len(got), err)
		}
	})
}

func TestDripIsCut(t *testing.T) {
	bubble(t, Limits{Idle: 5 * time.Minute, MinRate: 100}, func(t *testing.T, c *Conn, peer net.Conn) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			for err := error(nil); err == nil; _, err = peer.Write([]byte("x")) {
				time.Sleep(time.Second)
			}
		}()
		start := time.Now()
		n, err := io.Copy(io.Discard, c)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
		if took := time.Since(start); took > 6*time.Minute {
			t.Errorf("%d octets in %v", n, took)
		}
		c.Close()
		<-done
	})
}

func TestSlowButHonestPeersAreNotCut(t *testing.T) {
	tests := map[string]func(c *Conn, peer net.Conn){
		"a body at 200 octets a second": func(c *Conn, peer net.Conn) {
			for range 3600 {
				time.Sleep(time.Second)
				peer.Write(make([]byte, 200))
			}
		},
		"a word now and then, each answered": func(c *Conn, peer net.Conn) {
			go io.Copy(io.Discard, peer)
			for range 60 {
				time.Sleep(time.Minute)
				peer.Write([]byte("NOOP\r\n"))
				c.Write([]byte("250 Ok\r\n"))
			}
		},
	}
	for name, speak := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, Limits{Idle: 5 * time.Minute, MinRate: 100}, func(t *testing.T, c *Conn, peer net.Conn) {
				go func() {
					speak(c, peer)
					peer.Close()
				}()
				if _, err := io.Copy(io.Discard, c); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestOurOwnSlownessIsNotThePeers(t *testing.T) {
	bubble(t, Limits{Idle: time.Minute, MinRate: 100}, func(t *testing.T, c *Conn, peer net.Conn) {
		go peer.Write([]byte("ab"))
		p := make([]byte, 1)
		for range 2 {
			time.Sleep(time.Hour)
			if _, err := c.Read(p); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestWriteToADeafPeerIsCut(t *testing.T) {
	bubble(t, Limits{Idle: time.Minute}, func(t *testing.T, c *Conn, peer net.Conn) {
		start := time.Now()
		if _, err := c.Write([]byte("hello")); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
		within(t, "a write", time.Since(start), time.Minute)
	})
}

func TestFixedDeadlineHoldsUntilItIsTakenBack(t *testing.T) {
	bubble(t, Limits{Idle: time.Minute}, func(t *testing.T, c *Conn, peer net.Conn) {
		start := time.Now()
		c.SetDeadline(start.Add(time.Second))
		_, err := c.Read(make([]byte, 1))
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		c.SetDeadline(time.Time{})
		_, err = c.Read(make([]byte, 1))
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
		within(t, "the second read", time.Since(start), time.Minute+time.Second)
	})
}

func TestDeadlinesMoveInSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, peer := net.Pipe()
		defer peer.Close()
		counted := &deadlines{Conn: ours}
		c := newConn(counted, New(Limits{Idle: time.Minute}, zap.NewNop()))
		defer c.release()
		defer c.Close()
		go func() {
			for range 1000 {
				peer.Write(make([]byte, readBuffer))
			}
			peer.Close()
		}()
		io.Copy(io.Discard, c)
		if n := counted.set.Load(); n != 1 {
			t.Errorf("%d deadlines for 1000 reads", n)
		}
	})
}

type deadlines struct {
	net.Conn
	set atomic.Int32
}

func (d *deadlines) SetReadDeadline(t time.Time) error {
	d.set.Add(1)
	return d.Conn.SetReadDeadline(t)
}

// served runs a shell on loopback until the test ends.
func served(t *testing.T, limits Limits, from []netip.Prefix, handle func(*Conn)) (*Shell, string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := New(limits, zap.NewNop())
	done := make(chan error)
	go func() { done <- s.Serve(Port{Listener: ln, ProxyFrom: from, Refusal: "421 too many\r\n"}, handle) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		s.Drain(ctx)
		if err := <-done; err != nil {
			t.Error(err)
		}
		if n := s.Open(); n != 0 {
			t.Errorf("%d connections left", n)
		}
	})
	return s, ln.Addr().String()
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(time.Minute))
	return c
}

// echo greets with the client's address and then repeats lines.
func echo(c *Conn) {
	fmt.Fprintf(c, "hello %v\n", c.Client())
	for {
		line, err := c.Buffer().ReadString('\n')
		if err != nil {
			return
		}
		io.WriteString(c, line)
	}
}

func line(t *testing.T, c net.Conn) string {
	t.Helper()
	s, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return s
}

func TestConnectionsAreCapped(t *testing.T) {
	tests := map[string]Limits{
		"in all":     {Connections: 2},
		"per client": {PerClient: 2, Connections: 10},
	}
	for name, limits := range tests {
		t.Run(name, func(t *testing.T) {
			_, addr := served(t, limits, nil, echo)
			first := dial(t, addr)
			line(t, first)
			line(t, dial(t, addr))
			third := dial(t, addr)
			if got, err := io.ReadAll(third); err != nil || string(got) != "421 too many\r\n" {
				t.Errorf("%q, %v", got, err)
			}
			first.Close()
			for start := time.Now(); time.Since(start) < time.Minute; {
				again := dial(t, addr)
				if strings.HasPrefix(line(t, again), "hello") {
					return
				}
			}
			t.Error("the place is not free again")
		})
	}
}

func TestClientKey(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.7":          "192.0.2.7/32",
		"2001:db8:1:2:3::99": "2001:db8:1:2::/64",
	} {
		if got := clientKey(netip.MustParseAddr(address)).String(); got != want {
			t.Errorf("%s counts as %s, want %s", address, got, want)
		}
	}
}

func TestProxyProtocol(t *testing.T) {
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	tests := map[string]struct {
		from []netip.Prefix
		send string
		want string // the beginning of the answer; empty is a closed connection
	}{
		"a balancer names an IPv4 client": {loopback, "PROXY TCP4 192.0.2.7 192.0.2.1 4000 25\r\n", "hello 192.0.2.7\n"},
		"a balancer names an IPv6 client": {loopback, "PROXY TCP6 2001:db8::7 2001:db8::1 4000 25\r\n", "hello 2001:db8::7\n"},
		"version 2":                       {loopback, "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x07\xc0\x00\x02\x01\x0f\xa0\x00\x19", "hello 192.0.2.7\n"},
		"a balancer that does not say":    {loopback, "PROXY UNKNOWN\r\n", "hello invalid IP\n"},
		"a balancer without a header":     {loopback, "EHLO client.test\r\n", ""},
		"somebody else with a header":     {nil, "PROXY TCP4 192.0.2.7 192.0.2.1 4000 25\r\n", "hello 127.0.0.1\nPROXY TCP4"},
		"somebody else without a header":  {nil, "EHLO client.test\r\n", "hello 127.0.0.1\nEHLO"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, addr := served(t, Limits{}, tt.from, echo)
			c := dial(t, addr)
			io.WriteString(c, tt.send)
			if tt.want == "" {
				if got, _ := io.ReadAll(c); len(got) > 0 {
					t.Errorf("answered %q", got)
				}
				return
			}
			got := make([]byte, len(tt.want))
			if _, err := io.ReadFull(c, got); err != nil || string(got) != tt.want {
				t.Errorf("%q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

func TestDrainWaitsForTheBusyAndCutsThemAtTheEnd(t *testing.T) {
	var started sync.WaitGroup
	started.Add(3)
	contexts := make(chan context.Context, 3)
	s, addr := served(t, Limits{}, nil, func(c *Conn) {
		c.Idle(func() { io.WriteString(c, "bye\n") })
		what, _ := c.Buffer().ReadString('\n')
		if what == "work\n" {
			c.Busy()
		}
		contexts <- c.Context()
		started.Done()
		if what, _ = c.Buffer().ReadString('\n'); what == "done\n" {
			c.Idle(func() { io.WriteString(c, "finished\n") })
		}
		<-c.Context().Done()
	})
	idle, finishing, stuck := dial(t, addr), dial(t, addr), dial(t, addr)
	io.WriteString(idle, "nothing\n")
	io.WriteString(finishing, "work\n")
	io.WriteString(stuck, "work\n")
	started.Wait()

	ctx, cancel := context.WithCancel(t.Context())
	drained := make(chan error)
	go func() { drained <- s.Drain(ctx) }()
	if got, _ := io.ReadAll(idle); string(got) != "bye\n" {
		t.Errorf("idle got %q", got)
	}
	io.WriteString(finishing, "done\n")
	if got, _ := io.ReadAll(finishing); string(got) != "finished\n" {
		t.Errorf("finishing got %q", got)
	}
	select {
	case err := <-drained:
		t.Fatalf("drained with one at work: %v", err)
	default:
	}
	cancel()
	if err := <-drained; !errors.Is(err, context.Canceled) {
		t.Errorf("drain: %v", err)
	}
	if got, _ := io.ReadAll(stuck); len(got) != 0 {
		t.Errorf("stuck got %q", got)
	}
	for range 3 {
		if (<-contexts).Err() == nil {
			t.Error("a context is still alive")
		}
	}
	if c, err := net.Dial("tcp", addr); err == nil {
		c.Close()
		t.Error("still listening")
	}
}

func TestServeAfterDrainClosesThePort(t *testing.T) {
	s := New(Limits{}, zap.NewNop())
	s.Drain(t.Context())
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(Port{Listener: ln}, echo); err != nil {
		t.Error(err)
	}
	if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the port is open: %v", err)
	}
}

func TestAcceptErrors(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	flaky := &flakyListener{Listener: ln, failures: 3}
	s := New(Limits{}, zap.NewNop())
	done := make(chan error)
	go func() { done <- s.Serve(Port{Listener: flaky}, echo) }()
	line(t, dial(t, ln.Addr().String())) // it accepts after three failures
	ln.Close()                           // not by Drain
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Errorf("serve: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.Drain(ctx)
}

type flakyListener struct {
	net.Listener
	failures int
}

func (f *flakyListener) Accept() (net.Conn, error) {
	if f.failures--; f.failures >= 0 {
		return nil, errors.New("too many open files")
	}
	return f.Listener.Accept()
}

func BenchmarkRead(b *testing.B) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	go func() {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			return
		}
		defer c.Close()
		for buf := make([]byte, 64<<10); err == nil; {
			_, err = c.Write(buf)
		}
	}()
	socket, err := ln.Accept()
	if err != nil {
		b.Fatal(err)
	}
	c := newConn(socket, New(Limits{Idle: 5 * time.Minute, MinRate: 100}, zap.NewNop()))
	defer c.Close()
	p := make([]byte, 4096)
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		if _, err := io.ReadFull(c, p); err != nil {
			b.Fatal(err)
		}
	}
}
