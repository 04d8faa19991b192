package upstream

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/textproto"
	"os"
	"strings"
	"testing"
	"time"
)

// opened gives a connection on which DATA was answered 354.
func opened(t *testing.T, end string, change func(*Config)) (*Conn, *Data) {
	t.Helper()
	p := play(t, piped+begin+toB+"S: 250 ok\nS: 250 ok\nC: DATA\nS: 354 go\n"+end)
	config := testConfig(p.address())
	change(&config)
	c := probe(t, newUpstream(t, config))
	r, rcpt, err := c.MailRcpt(t.Context(), "a@example", MailOptions{}, recipients("b@example"))
	if err != nil || r.Code != 250 || rcpt[0].Code != 250 {
		t.Fatal(r, rcpt, err)
	}
	d, r, err := c.Data(t.Context())
	if err != nil || r.Code != 354 {
		t.Fatal(r, err)
	}
	return c, d
}

func same(*Config) {}

func TestBodyOnTheWire(t *testing.T) {
	for _, test := range []struct {
		name   string
		pieces []string
		want   string
	}{
		{"as it is", []string{"a\r\nb\r\n"}, `a\nb\n`},
		{"empty", nil, ``},
		{"empty pieces", []string{"", "a\r\n", ""}, `a\n`},
		{"dots at the beginnings of lines", []string{".\r\n..\r\na.\r\n.b\r\n"}, `..\n...\na.\n..b\n`},
		{"a line cut before its dot", []string{"a\r\n", ".b\r\n"}, `a\n..b\n`},
		{"a line end cut in two", []string{"a\r", "\n", ".", "\r\n"}, `a\n..\n`},
		{"last CRLF missing", []string{"a"}, `a\n`},
		{"last LF missing", []string{"a\r"}, `a\n`},
		{"a dot alone", []string{"."}, `..\n`},
		{"8-bit and NUL", []string{"\x00\xff\xfe\r\n"}, "\x00\xff\xfe" + `\n`},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, d := opened(t, "B: "+test.want+"\nS: 250 done\nEND", same)
			for _, p := range test.pieces {
				if n, err := io.WriteString(d, p); n != len(p) || err != nil {
					t.Fatal(n, err)
				}
			}
			replies, err := d.Commit()
			if err != nil || len(replies) != 1 || replies[0].Code != 250 {
				t.Errorf("got %v, %v", replies, err)
			}
			c.Close()
		})
	}
}

// onto gives a body that is written to a buffer.
func onto(b *bytes.Buffer) *Data {
	u := &Upstream{config: DefaultConfig()}
	c := &Conn{wire: newWire(sink{b}, &u.buffers), up: u}
	return c.body(context.Background())
}

// sink is a connection to a buffer.
type sink struct{ *bytes.Buffer }

func (sink) Close() error                     { return nil }
func (sink) LocalAddr() net.Addr              { return nil }
func (sink) RemoteAddr() net.Addr             { return nil }
func (sink) SetDeadline(time.Time) error      { return nil }
func (sink) SetReadDeadline(time.Time) error  { return nil }
func (sink) SetWriteDeadline(time.Time) error { return nil }

// Whatever the body is and however it is cut, there is one end, at the end, and in between stands
// the body.
func FuzzBody(f *testing.F) {
	f.Add([]byte("a\r\n.b\r\n"), 3)
	f.Add([]byte(""), 1)
	f.Add([]byte(".\r\n.\r\n"), 1)
	f.Add([]byte("a\n.\r\nMAIL FROM:<x>\r\n"), 2)
	f.Fuzz(func(t *testing.T, in []byte, piece int) {
		var wire bytes.Buffer
		d := onto(&wire)
		for rest := in; len(rest) > 0; {
			n := min(len(rest), max(1, piece%100))
			if _, err := d.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := d.finish(); err != nil {
			t.Fatal(err)
		}
		out := wire.Bytes()
		if i := bytes.Index(append([]byte("\r\n"), out...), []byte("\r\n.\r\n")); i+3 != len(out) {
			t.Fatalf("%q ends at %d", out, i)
		}
		if bytes.Contains(out[:max(0, len(out)-5)], []byte("\n.\r\n")) || bytes.Contains(out, []byte("\n.\n")) {
			t.Fatalf("%q ends early for servers that take a bare LF", out)
		}
		if bytes.Contains(bytes.ReplaceAll(in, []byte("\r\n"), nil), []byte("\n")) || bytes.ContainsRune(bytes.ReplaceAll(in, []byte("\r\n"), nil), '\r') {
			return
		}
		got, err := io.ReadAll(textproto.NewReader(bufio.NewReader(bytes.NewReader(out))).DotReader())
		want := strings.ReplaceAll(string(in), "\r\n", "\n")
		if want != "" && !strings.HasSuffix(want, "\n") {
			want += "\n"
		}
		if err != nil || string(got) != want {
			t.Fatalf("%q arrived as %q, %v", in, got, err)
		}
	})
}

func TestBareLF(t *testing.T) {
	for in, want := range map[string]string{
		"a\n.\r\nb\r\n": "a\n..\r\nb\r\n.\r\n", // stuffed, so that no server sees an end
		"a\n":           "a\n\r\n.\r\n",        // the dot stands behind CRLF
	} {
		var wire bytes.Buffer
		d := onto(&wire)
		d.Write([]byte(in))
		if err := d.finish(); err != nil || wire.String() != want {
			t.Errorf("%q went as %q, %v", in, wire.String(), err)
		}
	}
}

func TestAbortNeverCommits(t *testing.T) {
	c, d := opened(t, "END", same)
	io.WriteString(d, "first half")
	d.Abort()
	if _, err := d.Commit(); !errors.Is(err, ErrAborted) {
		t.Errorf("commit after abort: %v", err)
	}
	if _, err := d.Write([]byte("x")); !errors.Is(err, ErrAborted) {
		t.Errorf("write after abort: %v", err)
	}
	if err := c.Quit(); err != nil {
		t.Errorf("quit after abort: %v", err)
	}
	if err := c.Reset(t.Context()); !errors.Is(err, errGone) {
		t.Errorf("reset after abort: %v", err)
	}
}

func TestCommitHappensOnce(t *testing.T) {
	c, d := opened(t, "B: \nS: 250 done\nEND", same)
	if _, err := d.Commit(); err != nil {
		t.Error(err)
	}
	if _, err := d.Commit(); !errors.Is(err, ErrAborted) {
		t.Errorf("second commit: %v", err)
	}
	d.Abort() // must not touch the connection
	if c.broken {
		t.Error("the connection was closed after a good message")
	}
	c.Close()
}

// stalled is a server that reads nothing after DATA.
func stalled(t *testing.T, change func(*Config)) (*Conn, *Data) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		conn.(*net.TCPConn).SetReadBuffer(4096)
		r := bufio.NewReaderSize(conn, 16)
		io.WriteString(conn, "220 x\r\n")
		for _, answer := range []string{"250 x", "250 ok", "250 ok", "354 go"} {
			if _, err := r.ReadString('\n'); err != nil {
				return
			}
			io.WriteString(conn, answer+"\r\n")
		}
		<-over
	}()
	t.Cleanup(func() { close(over); l.Close(); <-done })
	config := testConfig(l.Addr().String())
	change(&config)
	c := probe(t, newUpstream(t, config))
	if _, _, err := c.MailRcpt(t.Context(), "a@example", MailOptions{}, recipients("b@example")); err != nil {
		t.Fatal(err)
	}
	d, _, err := c.Data(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c, d
}

// endless is a body without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// A server that stops reading must not hold us for ever.
func TestStallInBodyTimesOut(t *testing.T) {
	_, d := stalled(t, func(c *Config) { c.Timeouts.Block = 50 * time.Millisecond })
	if _, err := d.ReadFrom(endless{}); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if _, err := d.Commit(); !errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, ErrInDoubt) {
		t.Errorf("commit after a failed write: %v", err)
	}
}

func TestCancelEndsBody(t *testing.T) {
	c, d := stalled(t, same)
	d.Abort()
	if !c.broken {
		t.Fatal("not closed")
	}
	_, d = stalled(t, same)
	why := errors.New("shutdown")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer context.AfterFunc(ctx, func() { d.c.raw.Close() })()
	d.ctx = ctx
	time.AfterFunc(50*time.Millisecond, func() { cancel(why) })
	if _, err := d.ReadFrom(endless{}); !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
}

func TestEarlyRefusalIsFound(t *testing.T) {
	c, d := opened(t, "S: 552 5.3.4 Message too big\nCLOSE", same)
	if _, err := d.ReadFrom(endless{}); err == nil {
		t.Fatal("an endless body was sent")
	}
	r, early := d.Early()
	if !early || r.String() != "552 5.3.4 Message too big" || !c.broken {
		t.Errorf("got %v, %v", r, early)
	}
}

func TestLostAfterTheDotIsInDoubt(t *testing.T) {
	for name, end := range map[string]string{"closed": "CLOSE", "reset": "RESET", "silent": "END"} {
		t.Run(name, func(t *testing.T) {
			_, d := opened(t, `B: a\n`+"\n"+end, func(c *Config) { c.Timeouts.End = 50 * time.Millisecond })
			io.WriteString(d, "a\r\n")
			if replies, err := d.Commit(); !errors.Is(err, ErrInDoubt) || len(replies) != 0 {
				t.Errorf("got %v, %v", replies, err)
			}
		})
	}
}

func TestDataRefused(t *testing.T) {
	for answer, lives := range map[string]bool{"451 4.3.0 Busy": true, "421 4.3.0 Bye": false} {
		p := play(t, piped+"C: DATA\nS: "+answer+"\nEND")
		c := probe(t, newUpstream(t, testConfig(p.address())))
		d, r, err := c.Data(t.Context())
		if d != nil || r.String() != answer || err != nil || c.broken == lives {
			t.Errorf("got %v, %v, %v", d, r, err)
		}
		c.Close()
	}
	p := play(t, piped+"C: DATA\nS: 250 ok\nEND")
	c := probe(t, newUpstream(t, testConfig(p.address())))
	if _, _, err := c.Data(t.Context()); !errors.Is(err, errReplyForm) {
		t.Errorf("got %v", err)
	}
}
