package source

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/gateway/machinetest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"
)

// newTestListener listens on addresses of which the ports of the network are free ones.
func newTestListener(t *testing.T, log *zap.Logger, addresses ...string) *listener {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Name, cfg.Syslog = "net", addresses
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	s, err := New(cfg, time.Now, log)
	if err != nil {
		t.Fatal(err)
	}
	l := s.(*listener)
	l.idle, l.first, l.machine = 20*time.Millisecond, time.Millisecond, "here"
	return l
}

// freePort is a port that nobody has, for both protocols most likely.
func freePort(t *testing.T) string {
	t.Helper()
	return machinetest.Addresses(t, 1)[0]
}

func dial(t *testing.T, network, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func say(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

func (r *receiver) listening(t *testing.T) {
	t.Helper()
	r.until(t, "first batch", func() bool { return len(r.batches) > 0 })
}

func TestSyslogOnEverySocket(t *testing.T) {
	port, path := freePort(t), filepath.Join(t.TempDir(), "log")
	l := newTestListener(t, zaptest.NewLogger(t), "udp://"+port, "tcp://"+port, "unix://"+path, "unixgram://"+path+".dgram")
	r := follow(t, l, "")
	r.listening(t)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("socket: %v, %v", info, err)
	}
	for i, c := range []net.Conn{dial(t, "udp", port), dial(t, "tcp", port), dial(t, "unix", path), dial(t, "unixgram", path+".dgram")} {
		say(t, c, fmt.Sprintf("<22>Nov 21 10:00:00 mx1 postfix/smtp[%d]: a\n", i))
		say(t, c, fmt.Sprintf("<22>Nov 21 10:00:00 postfix/smtp[%d]: b\n", i))
		r.caught(t, 2*i+2)
	}
	r.stop(t)
	r.gapless(t)
	for i, raw := range r.raws {
		network := i/2 < 2
		text, host := fmt.Sprintf("Nov 21 10:00:00 mx1 postfix/smtp[%d]: a", i/2), ""
		if i%2 == 1 {
			text, host = fmt.Sprintf("postfix/smtp[%d]: b", i/2), "here"
			if network {
				host = "127.0.0.1"
			}
		}
		if string(raw.Data) != text || raw.Host != host || raw.Time.IsZero() != (host == "") {
			t.Errorf("line %d: %q from %q at %v", i, raw.Data, raw.Host, raw.Time)
		}
	}
}

func TestSyslogStreamFramings(t *testing.T) {
	port := freePort(t)
	r := follow(t, newTestListener(t, zaptest.NewLogger(t), "tcp://"+port), "")
	r.listening(t)
	c := dial(t, "tcp", port)
	for _, piece := range []string{"1", "2 <22>1 - h a", " ", "- - - b", "<22>postf", "ix: c\n<2", "2>postfix: d"} {
		say(t, c, piece)
	}
	c.Close()
	r.until(t, "messages", func() bool { return len(r.lines) >= 3 })
	r.stop(t)
	if !slices.Contains(r.lines, "postfix: d") {
		t.Errorf("lines %q", r.lines)
	}
}

func TestSyslogCutInACountedMessageIsAGap(t *testing.T) {
	port := freePort(t)
	r := follow(t, newTestListener(t, zaptest.NewLogger(t), "tcp://"+port), "")
	r.listening(t)
	c := dial(t, "tcp", port)
	say(t, c, "50 <22>postfix: a")
	c.Close()
	r.until(t, "gap", func() bool { return len(r.gaps) == 1 })
	if g := r.gap(t); g.Reason != "the connection from 127.0.0.1 ended within a message: unexpected EOF" || g.To.Before(g.From) || g.From.IsZero() {
		t.Errorf("gap %+v", g)
	}
}

func TestSyslogDowntimeIsAGap(t *testing.T) {
	port := freePort(t)
	r := follow(t, newTestListener(t, zaptest.NewLogger(t), "udp://"+port), "")
	r.listening(t)
	cursor := r.stop(t)
	r.gapless(t)
	stopped := r.batches[len(r.batches)-1].At
	again := follow(t, newTestListener(t, zaptest.NewLogger(t), "udp://"+port), cursor)
	again.listening(t)
	if g := again.gap(t); !g.From.Equal(stopped) || !g.To.After(stopped) || g.Reason != "nobody listened" {
		t.Errorf("gap %+v, stopped at %v", g, stopped)
	}
	again.stop(t)
	broken := follow(t, newTestListener(t, zaptest.NewLogger(t), "udp://"+port), "broken")
	broken.listening(t)
	if g := broken.gap(t); !g.From.IsZero() || !strings.HasPrefix(g.Reason, "the cursor cannot be used: it is damaged") {
		t.Errorf("gap %+v", g)
	}
}

func TestSyslogStrangersAreRefused(t *testing.T) {
	port := freePort(t)
	log, logged := listening()
	l := newTestListener(t, log, "udp://"+port, "tcp://"+port)
	l.networks = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	r := follow(t, l, "")
	r.listening(t)
	say(t, dial(t, "udp", port), "<22>postfix: a")
	if e := logged.next(t); e.Message != "datagram refused" || e.ContextMap()["error"] != "the peer is not in networks" {
		t.Errorf("logged %+v", e)
	}
	c := dial(t, "tcp", port)
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the connection is open")
	}
	if e := logged.next(t); e.Message != "connection refused" || e.ContextMap()["error"] != "the peer is not in networks" {
		t.Errorf("logged %+v", e)
	}
	say(t, dial(t, "udp", port), "<22>postfix: a")
	c = dial(t, "tcp", port)
	c.Read(make([]byte, 1))
	r.stop(t)
	if len(logged) > 0 || len(r.lines) > 0 {
		t.Errorf("%d more log lines within a minute, lines %q", len(logged), r.lines)
	}
}

func TestSyslogConnectionsAreBounded(t *testing.T) {
	port := freePort(t)
	log, logged := listening()
	l := newTestListener(t, log, "tcp://"+port)
	l.connections = make(chan struct{}, 1)
	r := follow(t, l, "")
	r.listening(t)
	first := dial(t, "tcp", port)
	say(t, first, "<22>postfix: a\n")
	r.caught(t, 1)
	if _, err := dial(t, "tcp", port).Read(make([]byte, 1)); err == nil {
		t.Error("a second connection is open")
	}
	if e := logged.next(t); e.ContextMap()["error"] != "too many connections are open" {
		t.Errorf("logged %+v", e)
	}
	first.Close()
	r.until(t, "room", func() bool { return len(l.connections) == 0 })
	say(t, dial(t, "tcp", port), "<22>postfix: b\n")
	r.caught(t, 2)
}

func TestSyslogSocketThatIsTakenIsAwaited(t *testing.T) {
	port, path := freePort(t), filepath.Join(t.TempDir(), "log")
	taken, err := net.Listen("tcp", port)
	if err != nil {
		t.Fatal(err)
	}
	log, logged := listening()
	l := newTestListener(t, log, "unix://"+path, "tcp://"+port)
	r := follow(t, l, "")
	if e := logged.next(t); !strings.Contains(fmt.Sprint(e.ContextMap()["error"]), "listen on tcp://"+port) {
		t.Errorf("logged %+v", e)
	}
	taken.Close()
	r.listening(t)
	if e := logged.next(t); e.Message != "log can be read again" {
		t.Errorf("logged %+v", e)
	}
}

func TestSyslogUnixSocketInTheWay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	at := address{"unix", path}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := at.open(0o660); err == nil || err.Error() != path+" is in the way: it is not a socket" {
		t.Errorf("file: %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	alive, err := at.open(0o660)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := at.open(0o660); err == nil || err.Error() != path+" is in use by another process" {
		t.Errorf("alive: %v", err)
	}
	alive.(*net.UnixListener).SetUnlinkOnClose(false) // as if killed
	alive.Close()
	again, err := at.open(0o660)
	if err != nil {
		t.Fatalf("left behind: %v", err)
	}
	again.Close()
}

// TestQueueMakesItsUsersWait fills the queue.
func TestQueueMakesItsUsersWait(t *testing.T) {
	q := newQueue()
	ctx, cancel := context.WithCancel(t.Context())
	full := Raw{Data: make([]byte, queueOctets-overhead)}
	if err := q.put(ctx, full); err != nil {
		t.Fatal(err)
	}
	waiting := make(chan error)
	go func() { waiting <- q.put(ctx, Raw{Data: []byte("a")}) }()
	cancel()
	if err := <-waiting; !errors.Is(err, context.Canceled) {
		t.Errorf("put: %v", err)
	}
	go func() { waiting <- q.put(context.Background(), Raw{Data: []byte("b")}) }()
	if b, _ := q.drain(time.Now()); len(b.Lines) != 1 {
		t.Errorf("batch of %d lines", len(b.Lines))
	}
	if err := <-waiting; err != nil {
		t.Errorf("put after drain: %v", err)
	}
	if b, _ := q.drain(time.Now()); len(b.Lines) != 1 || !b.Caught || string(b.Lines[0].Data) != "b" {
		t.Errorf("batch %+v", b)
	}
}

func TestQueueBatches(t *testing.T) {
	q := newQueue()
	for n := range MaxLines + 1 {
		if err := q.put(t.Context(), Raw{Data: fmt.Appendf(nil, "%04d", n)}); err != nil {
			t.Fatal(err)
		}
	}
	q.lost(Gap{From: start, To: start, Reason: "a"})
	q.lost(Gap{From: start, To: start.Add(time.Second), Reason: "a"})
	q.lost(Gap{From: start, To: start, Reason: "b"})
	b, gaps := q.drain(start)
	if len(b.Lines) != MaxLines || b.Caught || b.Behind != 4 || len(gaps) != 2 || !gaps[0].To.Equal(start.Add(time.Second)) {
		t.Errorf("%d lines, caught %v, behind %d, gaps %v", len(b.Lines), b.Caught, b.Behind, gaps)
	}
	if b, gaps := q.drain(start); len(b.Lines) != 1 || !b.Caught || b.Behind != 0 || len(gaps) != 0 {
		t.Errorf("rest %+v, %v", b, gaps)
	}
}
