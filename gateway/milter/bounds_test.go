package milter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// TestGarbage: whatever comes, the connection ends or goes on, and the next one is served.
func TestGarbage(t *testing.T) {
	quiet(t)
	offer := string(optneg(6, postfixActions, postfixProtocol))
	for name, bytes := range map[string]string{
		"no negotiation":              "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"protocol version 1":          string(optneg(1, 0, 0)),
		"a short negotiation":         string(packet('O', []byte("12345678"))) + strings.Repeat("\x00", 9),
		"another packet first":        string(packet('H', cstrings("a longer name than this"))),
		"zero length":                 offer + "\x00\x00\x00\x00",
		"huge length":                 offer + "\xff\xff\xff\xff",
		"a packet cut short":          offer + "\x00\x00\x00\x09Hab",
		"unknown code":                offer + string(packet('?')),
		"connect without an address":  offer + string(packet('C', []byte("x"))),
		"connect without a port":      offer + string(packet('C', []byte("x\x004"))),
		"macros without an event":     offer + string(packet('D')),
		"an odd number of macros":     offer + string(packet('D', []byte("M"), cstrings("i"))) + string(packet('M', cstrings("<a@b>"))),
		"everything in a wrong order": offer + string(packet('B', []byte("x"))) + string(packet('N')) + string(packet('R', cstrings("<a@b>"))) + string(packet('A')) + string(packet('L', cstrings("", ""))),
		"header without a value":      offer + string(packet('L')),
		"nothing":                     "",
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t).start()
			p := l.connect()
			if _, err := io.WriteString(p, bytes); err != nil {
				t.Fatal(err)
			}
			if err := p.Conn.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			p.closed()
			after := l.dial().client("192.0.2.7")
			if got := after.message("4ZAfter"+fmt.Sprintf("%dx%d", len(name), len(bytes)), "alice@corp.example", "b@remote.example"); len(got) != 2 {
				t.Errorf("afterwards: %q", got)
			}
			if lines := l.verbs("panic"); len(lines) > 0 {
				t.Errorf("panic: %v", lines)
			}
		})
	}
}

// A bubble is a milter on pipes under a false clock.
type bubble struct {
	*lab
	listener *pipeListener
	stop     context.CancelFunc
	done     chan error
}

// newBubble makes one whose journal is not asked.
func newBubble(t *testing.T, prepare func(*lab)) *bubble {
	b := &bubble{lab: newLab(t).passing(), listener: &pipeListener{conns: make(chan net.Conn)}, done: make(chan error, 1)}
	b.journal = &recording{Journal: forgetful{}}
	prepare(b.lab)
	b.make()
	b.milter.sockets = []net.Listener{b.listener}
	ctx, cancel := context.WithCancel(context.Background())
	b.stop = cancel
	go func() { b.done <- b.milter.Serve(ctx) }()
	return b
}

func (b *bubble) connect() *peer {
	ours, theirs := net.Pipe()
	b.listener.conns <- theirs
	b.t.Cleanup(func() { ours.Close() })
	return &peer{t: b.t, Conn: ours}
}

func (b *bubble) dial() *peer {
	p := b.connect()
	p.negotiate(postfixActions, postfixProtocol)
	return p
}

// forgetful is a journal that takes everything and keeps nothing.
type forgetful struct{}

func (forgetful) NewID() policy.ID                                     { return policy.ID{1} }
func (forgetful) Commit(context.Context, store.Change) (uint64, error) { return 1, nil }
func (forgetful) Recipients(policy.ID) (policy.Rows, error)            { return nil, store.ErrNotFound }

// lasts gives how long a connection stays open.
func lasts(t *testing.T, p *peer) time.Duration {
	start := time.Now()
	if _, err := io.ReadAll(p); err != nil && !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
	return time.Since(start)
}

func TestSilentPeers(t *testing.T) {
	for _, c := range []struct {
		name     string
		begin    func(*peer)
		from, to time.Duration
	}{
		{"before the negotiation", func(*peer) {}, offerTime, offerTime},
		{"inside it", func(p *peer) { p.Write([]byte("\x00\x00\x00\x0dO")) }, offerTime, offerTime},
		{"after it", func(p *peer) { p.negotiate(postfixActions, postfixProtocol) }, 52 * time.Minute, time.Hour},
		{"inside a message", func(p *peer) {
			p.negotiate(postfixActions, postfixProtocol)
			p.client("192.0.2.7").mail("a@b.example")
		}, 52 * time.Minute, time.Hour},
		{"inside a packet", func(p *peer) {
			p.negotiate(postfixActions, postfixProtocol)
			p.Write([]byte("\x00\x00\x00\x09Hab"))
		}, 52 * time.Minute, time.Hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			quiet(t)
			synctest.Test(t, func(t *testing.T) {
				b := newBubble(t, func(l *lab) { l.settings.Config.IdleTimeout = time.Hour })
				p := b.connect()
				c.begin(p)
				if d := lasts(t, p); d < c.from || d > c.to {
					t.Errorf("cut after %v, want %v to %v", d, c.from, c.to)
				}
				b.stop()
				if err := <-b.done; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestDrain: between messages a connection ends at once, inside one it may finish.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, func(*lab) {})
		idle, finished, busy, stuck := b.dial(), b.dial(), b.dial(), b.dial()
		finished.client("192.0.2.7").message("4ZD1", "a@corp.example", "b@remote.example")
		for _, p := range []*peer{busy, stuck} {
			p.client("192.0.2.7").mail("a@corp.example")
			p.rcpt("b@remote.example")
		}
		synctest.Wait()
		start := time.Now()
		b.stop()
		for _, p := range []*peer{idle, finished} {
			if d := lasts(t, p); d != 0 {
				t.Errorf("an idle one stayed for %v", d)
			}
		}
		if got := busy.end("4ZD2"); len(got) != 1 || got[0] != "c" {
			t.Errorf("answers %q", got)
		}
		if d := lasts(t, busy); d != 0 {
			t.Errorf("after its message it stayed for %v", d)
		}
		if err := <-b.done; err != nil {
			t.Error(err)
		}
		if d := time.Since(start); d != drainTime {
			t.Errorf("the stuck one was cut after %v, want %v", d, drainTime)
		}
		if len(b.verbs("sessions were cut off")) != 1 {
			t.Error("nothing in the log")
		}
	})
}

// TestAbortLetsDrainGoOn: a message that is given up holds nobody up.
func TestAbortLetsDrainGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, func(*lab) {})
		p := b.dial().client("192.0.2.7")
		p.mail("a@corp.example")
		synctest.Wait()
		b.stop()
		synctest.Wait()
		p.abort()
		if d := lasts(t, p); d != 0 {
			t.Errorf("it stayed for %v", d)
		}
		if err := <-b.done; err != nil {
			t.Error(err)
		}
	})
}

// TestServeWaitsForNotes: what passed is in the journal when Serve returns.
func TestServeWaitsForNotes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, func(l *lab) {
			l.journal.fail = func(store.Change) error { time.Sleep(time.Minute); return nil }
		})
		b.dial().client("192.0.2.7").message("4ZD3", "a@corp.example", "b@remote.example")
		b.stop()
		if err := <-b.done; err != nil {
			t.Error(err)
		}
		if n := len(b.journal.all()); n != 1 {
			t.Errorf("%d changes", n)
		}
	})
}

// TestThousandsOfConnections: those beyond the cap are closed, the others take little memory each.
func TestThousandsOfConnections(t *testing.T) {
	const connections, limit = 3000, 2000
	l := newLab(t).passing()
	l.settings.Config.Listen = []Listener{{Address: "unix:" + t.TempDir() + "/s"}}
	l.settings.Config.Connections = limit
	l.start()
	before := memory()
	var open []*peer
	for range connections {
		conn, err := net.Dial("unix", l.address())
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, newPeer(t, conn))
	}
	eventually(t, "all were taken or refused", func() bool { return l.milter.shell.Open() == limit })
	for _, p := range open[:limit] {
		p.negotiate(postfixActions, postfixProtocol)
		p.client("192.0.2.7").mail("alice@corp.example")
	}
	for _, p := range open[limit:] {
		if rest := p.closed(); rest != "" {
			t.Errorf("one too many got %q", rest)
		}
	}
	each := (memory() - before) / limit
	t.Logf("%d octets for each connection", each)
	if each > 64<<10 {
		t.Errorf("%d octets for each connection, want at most 64 KiB", each)
	}
	if got := open[0].end("4ZThousands"); len(got) != 1 {
		t.Errorf("answers %q", got)
	}
}

// memory is what the heap and the stacks take.
func memory() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// TestMemoryOfOneConnection: neither a header without end nor messages without ABORT pile up.
func TestMemoryOfOneConnection(t *testing.T) {
	l := newLab(t).passing()
	l.journal = &recording{Journal: forgetful{}, fail: func(store.Change) error { return errors.New("not kept") }}
	l.start()
	p := l.dial().client("192.0.2.7")
	value := strings.Repeat("x", 32<<10)
	before := memory()
	p.mail("alice@corp.example")
	for i := range 1000 {
		p.header(fmt.Sprintf("X-%d", i), value)
	}
	p.rcpt("b@remote.example")
	for range 200 {
		if got := p.end("4ZMem"); len(got) != 1 {
			t.Fatalf("answers %q", got)
		}
		p.mail("alice@corp.example")
		p.header("X", value)
	}
	if got := p.end("4ZMem"); len(got) != 1 {
		t.Fatalf("answers %q", got)
	}
	if grown := memory() - before; grown > 4<<20 {
		t.Errorf("memory grew by %d octets", grown)
	}
}

// TestListenAllOrNone: when one listener cannot be opened, the others are closed.
func TestListenAllOrNone(t *testing.T) {
	l := newLab(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	socket := t.TempDir() + "/s"
	l.settings.Config.Listen = []Listener{{Address: "unix:" + socket}, {Address: taken.Addr().String()}}
	l.make()
	if err := l.milter.Listen(); err == nil || !strings.Contains(err.Error(), "listen for Postfix on "+taken.Addr().String()) {
		t.Errorf("got %v", err)
	}
	if _, err := net.Dial("unix", socket); err == nil || len(l.milter.sockets) != 0 {
		t.Error("the socket is still open")
	}
}

// TestServeEndsWithItsListener: its error is Serve's.
func TestServeEndsWithItsListener(t *testing.T) {
	l := newLab(t)
	l.make()
	if err := l.milter.Listen(); err != nil {
		t.Fatal(err)
	}
	l.milter.sockets[0].Close()
	if err := l.milter.Serve(t.Context()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

// TestNothingIsSaidBeforeTheCommit: neither the quarantine nor the answer leaves before the journal
// has the message.
func TestNothingIsSaidBeforeTheCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		committed := make(chan struct{})
		b := newBubble(t, func(l *lab) {
			l.settings.Engine = policy.NewRules(policy.DefaultConfig(), l.settings.Directory)
			l.journal.fail = func(store.Change) error { <-committed; return nil }
		})
		p := b.dial().client("192.0.2.7")
		p.mail("a@corp.example")
		p.rcpt("b@remote.example")
		answers := make(chan []string, 1)
		go func() { answers <- p.end("4ZD4") }()
		synctest.Wait()
		if n := p.got.Load(); n != 0 {
			t.Errorf("%d octets came before the commit", n)
		}
		close(committed)
		if got := <-answers; len(got) != 2 || !strings.HasPrefix(got[0], "q sendgate ") || got[1] != "c" {
			t.Errorf("answers %q", got)
		}
		b.stop()
		if err := <-b.done; err != nil {
			t.Error(err)
		}
	})
}
