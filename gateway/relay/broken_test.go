package relay

import (
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// impatient is a lab whose clients may pause but shortly: longer than a busy machine does between two commands.
func impatient(t *testing.T) *lab {
	l := newLab(t, newBackend(t, nil))
	l.settings.Config.IdleTimeout = 4 * time.Second
	return l
}

func TestTimeoutInDataEndsTheConnection(t *testing.T) {
	for name, engine := range map[string]policy.Engine{"held": nil, "handed through": passAll} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := impatient(t)
			if engine != nil {
				l.settings.Engine = engine
			}
			c := l.start().hello()
			c.mail("alice@corp.example", "bob@remote.example")
			c.send(letterText)
			if got := c.closed(); got != answerTimeout {
				t.Errorf("last word %q", got)
			}
			nothingTaken(t, l)
		})
	}
}

func TestTimeoutInChunkEndsTheConnection(t *testing.T) {
	t.Parallel()
	l := impatient(t).start()
	c := l.hello()
	c.say("MAIL FROM:<alice@corp.example>", "250")
	c.say("RCPT TO:<bob@remote.example>", "250")
	c.send("BDAT 1000 LAST\r\n" + letterText)
	if got := c.closed(); got != answerInterrupted+"421 4.4.2 Idle timeout, bye bye\r\n" {
		t.Errorf("last words %q", got)
	}
	nothingTaken(t, l)
}

func TestClientGoesAway(t *testing.T) {
	for name, start := range map[string]string{
		"in DATA":       "DATA\r\n" + letterText,
		"in a chunk":    "BDAT 1000 LAST\r\n" + letterText,
		"between two":   fmt.Sprintf("BDAT %d\r\n%s", len(letterText), letterText),
		"in the header": "DATA\r\nSubject: x\r\n",
		"in a command":  "DATA",
	} {
		for kind, engine := range map[string]policy.Engine{"held": nil, "handed through": passAll} {
			t.Run(name+", "+kind, func(t *testing.T) {
				l := newLab(t, newBackend(t, nil))
				if engine != nil {
					l.settings.Engine = engine
				}
				c := l.start().hello()
				c.say("MAIL FROM:<alice@corp.example>", "250")
				c.say("RCPT TO:<bob@remote.example>", "250")
				c.send(start)
				c.Conn.(*net.TCPConn).CloseWrite()
				c.closed()
				waitFor(t, func() bool { return l.relay.shell.Open() == 0 })
				nothingTaken(t, l)
			})
		}
	}
}

// A large message that is broken off leaves nothing in the journal.
func TestBrokenOffSpoolIsForgotten(t *testing.T) {
	dir := t.TempDir()
	cfg := store.DefaultConfig()
	cfg.Dir, cfg.MinFree = dir, 64
	own, err := store.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	l := newLab(t, newBackend(t, nil))
	l.journal = own
	c := l.start().hello()
	c.mail("alice@corp.example", "bob@remote.example")
	c.send(letterText)
	for range 200 {
		c.send(strings.Repeat(strings.Repeat("x", 78)+"\r\n", 128))
	}
	c.Close()
	waitFor(t, func() bool { return l.relay.shell.Open() == 0 })
	page, err := own.Search(t.Context(), store.Query{}, 10, "")
	if err != nil || len(page.Messages) != 0 {
		t.Errorf("%+v, %v", page, err)
	}
}

// nothingTaken checks that no message was accepted, by nobody.
func nothingTaken(t *testing.T, l *lab) {
	t.Helper()
	if got := l.backend.received(); len(got) != 0 {
		t.Errorf("the upstream took %+v", got)
	}
	for _, verb := range []string{"held", "accepted", "passed"} {
		if n := l.log.FilterMessage(verb).Len(); n != 0 {
			t.Errorf("%d times %q", n, verb)
		}
	}
}

// waitFor waits until something holds.
func waitFor(t testing.TB, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("it did not come about")
		}
	}
}

func TestLongLines(t *testing.T) {
	l := newLab(t, newBackend(t, nil)).start()
	c := l.hello()
	c.mail("alice@corp.example", "bob@remote.example")
	long := strings.Repeat("a", 300<<10) + "\r\n"
	c.send(letterText + long)
	if _, body := stored(t, idIn(t, c.say(".", "250 2.0.0 Held"))); !strings.HasSuffix(body, letterText+long) {
		t.Error("a long line was changed")
	}
	c.send("NOOP " + long)
	c.expect("500 5.4.0 Too long line, closing connection")
	c.closed()
}

// A large message needs about as much memory as a small one, the memory tables of the journal
// apart.
func TestLargeMessageNeedsLittleMemory(t *testing.T) {
	megabytes := largeMegabytes
	if testing.Short() {
		megabytes = 80
	}
	for name, engine := range map[string]policy.Engine{"held": nil, "handed through": passAll} {
		t.Run(name, func(t *testing.T) {
			sink := newSink(t)
			l := newLab(t, newBackend(t, nil))
			l.settings.Config.MaxMessageBytes = 1 << 30
			l.settings.Router = routes{first: newUpstream(t, sink, nil)}
			if engine != nil {
				l.settings.Engine = engine
			}
			c := l.start().hello()
			c.mail("alice@corp.example", "bob@remote.example")
			c.send(letterText)
			before := live()
			block := strings.Repeat(strings.Repeat("x", 78)+"\r\n", 1<<20/80)
			most := before
			for i := range megabytes {
				if c.send(block); i%8 == 7 {
					most = max(most, live())
				}
			}
			c.say(".", "250")
			grown := most - before
			t.Logf("%d MB: heap grew by %d MB", megabytes, grown>>20)
			if grown > 70<<20 {
				t.Errorf("heap grew by %d MB", grown>>20)
			}
		})
	}
}

// live is how much of the heap is in use, without what is yet to be collected: how much that is depends on the machine.
func live() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// newSink is an upstream that takes everything and keeps nothing.
func newSink(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go sink(conn)
		}
	}()
	return ln.Addr().String()
}
