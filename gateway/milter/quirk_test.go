package milter

import (
	"bytes"
	"errors"
	"io"
	"log"
	"net"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gomilter "github.com/emersion/go-milter"
)

// These tests hold what go-milter v0.5.0 does that the front relies on or works around. One that
// fails after an upgrade says that a workaround may go.

// A puppet is a Milter whose callbacks a test chooses.
type puppet struct {
	gomilter.NoOpMilter
	mu     sync.Mutex
	calls  []string
	macros map[string]string // as the last callback saw them
	fields []string          // as the end of a header saw them
	ip     net.IP
	rcpt   func() (gomilter.Response, error)
	header func() (gomilter.Response, error)
	body   func(*gomilter.Modifier) (gomilter.Response, error)
}

func (p *puppet) saw(call string, m *gomilter.Modifier) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = append(p.calls, call)
	p.macros = map[string]string{}
	for k, v := range m.Macros {
		p.macros[k] = v
	}
}

func (p *puppet) seen() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.calls)
}

func (p *puppet) Connect(_, _ string, _ uint16, ip net.IP, m *gomilter.Modifier) (gomilter.Response, error) {
	p.saw("connect", m)
	p.ip = ip
	return gomilter.RespContinue, nil
}

func (p *puppet) MailFrom(from string, m *gomilter.Modifier) (gomilter.Response, error) {
	p.saw("mail "+from, m)
	return gomilter.RespContinue, nil
}

func (p *puppet) RcptTo(to string, m *gomilter.Modifier) (gomilter.Response, error) {
	p.saw("rcpt "+to, m)
	if p.rcpt != nil {
		return p.rcpt()
	}
	return gomilter.RespContinue, nil
}

func (p *puppet) Header(name, value string, m *gomilter.Modifier) (gomilter.Response, error) {
	p.saw("header "+name+"="+value, m)
	if p.header != nil {
		return p.header()
	}
	return gomilter.RespContinue, nil
}

func (p *puppet) Headers(h textproto.MIMEHeader, m *gomilter.Modifier) (gomilter.Response, error) {
	p.saw("headers", m)
	p.fields = h["Subject"]
	return gomilter.RespContinue, nil
}

func (p *puppet) Body(m *gomilter.Modifier) (gomilter.Response, error) {
	p.saw("body", m)
	if p.body != nil {
		return p.body(m)
	}
	return gomilter.RespContinue, nil
}

func (p *puppet) Abort(m *gomilter.Modifier) error {
	p.saw("abort", m)
	return nil
}

// library serves one connection with the library alone, and gives the peer's end of it.
func library(t *testing.T, server gomilter.Server) *peer {
	t.Helper()
	ours, theirs := net.Pipe()
	go server.Serve(&pipeListener{conns: sent(theirs)})
	return newPeer(t, ours)
}

func sent(conns ...net.Conn) chan net.Conn {
	c := make(chan net.Conn, len(conns))
	for _, conn := range conns {
		c <- conn
	}
	return c
}

// A pipeListener accepts what is put into its channel.
type pipeListener struct {
	conns chan net.Conn
	once  sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	if c, ok := <-l.conns; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.conns) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

func with(m gomilter.Milter) gomilter.Server {
	return gomilter.Server{NewMilter: func() gomilter.Milter { return m }}
}

// Rows 1 and 2.
func TestQuirkRefusalReplacesTheMilter(t *testing.T) {
	for _, c := range []struct {
		name    string
		answer  gomilter.Response
		milters int
	}{
		{"RespReject", gomilter.RespReject, 2},
		{"RespAccept", gomilter.RespAccept, 2},
		{"a reply code", gomilter.NewResponseStr('y', "550 5.7.1 no"), 1},
		{"our reply", replyPolicy, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			var made []*puppet
			p := library(t, gomilter.Server{NewMilter: func() gomilter.Milter {
				made = append(made, &puppet{rcpt: func() (gomilter.Response, error) { return c.answer, nil }})
				return made[len(made)-1]
			}})
			p.mail("a@b")
			p.rcpt("c@d")
			p.header("Subject", "x")
			if len(made) != c.milters {
				t.Fatalf("%d milters were made, want %d", len(made), c.milters)
			}
			if calls := made[len(made)-1].seen(); c.milters == 2 && slices.Contains(calls, "mail a@b") {
				t.Errorf("the new one knows of MAIL: %q", calls)
			}
		})
	}
}

// Row 3: macros are replaced as a whole, and stay when none come.
func TestQuirkMacrosStay(t *testing.T) {
	m := &puppet{}
	p := library(t, with(m))
	p.macros('C', "j", "mx", "{client_addr}", "192.0.2.7")
	p.event(0, 'C', cstrings("h"), []byte("4\x00\x19"), cstrings("192.0.2.7"))
	p.mail("a@b", "{auth_authen}", "alice")
	if _, ok := m.macros["j"]; ok || m.macros["{auth_authen}"] != "alice" {
		t.Errorf("at MAIL: %v", m.macros)
	}
	p.rcpt("c@d")
	p.end("")
	p.mail("e@f")
	if m.macros["{auth_authen}"] != "alice" {
		t.Errorf("at the next MAIL: %v", m.macros)
	}
	p.abort()
	p.mail("e@f")
	if len(m.macros) != 0 {
		t.Errorf("after ABORT: %v", m.macros)
	}
}

// Row 4: fields stay until ABORT comes, not until the message ends; and the map is the library's own,
// so that emptying it helps.
func TestQuirkHeadersGrow(t *testing.T) {
	m := &puppet{}
	p := library(t, with(m))
	for _, subject := range []string{"s0", "s1"} {
		p.mail("a@b")
		p.header("Subject", subject)
		p.event(0, 'N')
		p.end("")
	}
	if want := []string{"s0", "s1"}; !slices.Equal(m.fields, want) {
		t.Errorf("fields %q, want %q", m.fields, want)
	}
	m.body = func(m *gomilter.Modifier) (gomilter.Response, error) {
		clear(m.Headers)
		clear(m.Macros)
		return gomilter.RespContinue, nil
	}
	p.end("4ZX")
	p.mail("a@b")
	p.header("Subject", "s2")
	p.event(0, 'N')
	if want := []string{"s2"}; !slices.Equal(m.fields, want) || len(m.macros) != 0 {
		t.Errorf("fields %q, want %q; macros %v", m.fields, want, m.macros)
	}
}

// Row 6.
func TestQuirkOfferIsIgnored(t *testing.T) {
	server := with(&puppet{})
	server.Actions, server.Protocol = gomilter.OptQuarantine|gomilter.OptSetSymList, gomilter.OptNoMailReply
	p := library(t, server)
	p.send('O') // not even there
	code, data := p.receive()
	if want := "\x00\x00\x00\x02\x00\x00\x01\x20\x00\x00\x40\x00"; code != 'O' || data != want {
		t.Errorf("got %c %q, want version 2 and our own masks %q", code, data, want)
	}
}

// Row 7: UNKNOWN and QUIT_NC end the session; OptNoUnknown is therefore asked for.
func TestQuirkUnknownEndsTheSession(t *testing.T) {
	for _, code := range []byte{'U', 'K', 0} {
		p := library(t, with(&puppet{}))
		p.send(code, cstrings("VRFY"))
		p.closed()
	}
}

// Row 8: parameters are invisible, DATA has no callback.
func TestQuirkParametersAreHidden(t *testing.T) {
	m := &puppet{}
	p := library(t, with(m))
	p.event(0, 'M', cstrings("<a@b>", "SIZE=5", "SMTPUTF8"))
	p.want("c", p.event(0, 'T'))
	if got := m.seen(); !slices.Equal(got, []string{"mail a@b"}) {
		t.Errorf("calls %q", got)
	}
}

// Row 10: only a nil interface is not answered.
func TestQuirkTypedNilIsAnswered(t *testing.T) {
	m := &puppet{header: func() (gomilter.Response, error) { return nil, nil }}
	p := library(t, with(m))
	p.send('L', cstrings("Subject", "x"))
	p.want("c", p.mail("a@b")) // the first answer is MAIL's
	m.header = func() (gomilter.Response, error) {
		var none *typedNil
		return none, nil
	}
	p.send('L', cstrings("Subject", "x"))
	if code, _ := p.receive(); code != 'n' {
		t.Errorf("got %c", code)
	}
}

type typedNil struct{}

func (*typedNil) Response() *gomilter.Message { return &gomilter.Message{Code: 'n'} }
func (*typedNil) Continue() bool              { return true }

// Row 12: a value with NUL is dropped, and answered in spite of a flag.
func TestQuirkHeaderWithNULIsDropped(t *testing.T) {
	m := &puppet{header: func() (gomilter.Response, error) { return nil, nil }}
	p := library(t, with(m))
	p.send('L', cstrings("Subject", "a\x00b"))
	if code, _ := p.receive(); code != 'c' || len(m.seen()) != 0 {
		t.Errorf("got %c, calls %q", code, m.seen())
	}
}

// Row 13.
func TestQuirkErrorClosesWithoutAnAnswer(t *testing.T) {
	quiet(t)
	p := library(t, with(&puppet{rcpt: func() (gomilter.Response, error) { return replyLocal, errors.New("boom") }}))
	p.mail("a@b")
	p.send('R', cstrings("<c@d>"))
	if rest := p.closed(); rest != "" {
		t.Errorf("got %q", rest)
	}
}

// Row 14: nothing is called when the peer goes.
func TestQuirkNobodyIsToldOfTheEnd(t *testing.T) {
	m := &puppet{}
	ours, theirs := net.Pipe()
	p, w := newPeer(t, ours), &closing{Conn: theirs, closed: make(chan struct{})}
	server := with(m)
	go server.Serve(&pipeListener{conns: sent(w)})
	p.mail("a@b")
	p.Close()
	<-w.closed
	if got := m.seen(); !slices.Equal(got, []string{"mail a@b"}) {
		t.Errorf("calls %q", got)
	}
}

// closing tells of Close.
type closing struct {
	net.Conn
	closed chan struct{}
	once   sync.Once
}

func (c *closing) Close() error { c.once.Do(func() { close(c.closed) }); return c.Conn.Close() }

// Row 16: no deadline, and two reads for each packet.
func TestQuirkReadsAreUnbuffered(t *testing.T) {
	ours, theirs := net.Pipe()
	p, w := newPeer(t, ours), &counting{Conn: theirs}
	server := with(&puppet{})
	go server.Serve(&pipeListener{conns: sent(w)})
	p.mail("a@b")
	p.rcpt("c@d")
	if w.deadlines.Load() != 0 || w.reads.Load() < 4 {
		t.Errorf("%d deadlines, %d reads", w.deadlines.Load(), w.reads.Load())
	}
}

// counting counts what the library does with its connection.
type counting struct {
	net.Conn
	reads, deadlines atomic.Int32
}

func (c *counting) Read(p []byte) (int, error) { c.reads.Add(1); return c.Conn.Read(p) }

func (c *counting) SetReadDeadline(t time.Time) error {
	c.deadlines.Add(1)
	return c.Conn.SetReadDeadline(t)
}

// Row 17: complaints go to the standard logger; the end of a connection is none.
func TestQuirkLogsWithTheStandardLogger(t *testing.T) {
	for _, c := range []struct {
		name string
		last []byte
		want string
	}{
		{"garbage", packet('C', []byte("x")), "Error performing milter command: milter: malformed connect command"},
		{"no length", []byte{0, 0, 0, 0}, "Error reading milter command: milter: invalid zero-length packet"},
		{"too long", []byte{0, 16, 0, 1}, "Error reading milter command: milter: packet length 1048577 exceeds 1048576 bytes"},
		{"the end", nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := quiet(t)
			ours, theirs := net.Pipe()
			w := &closing{Conn: theirs, closed: make(chan struct{})}
			server := with(&puppet{})
			go server.Serve(&pipeListener{conns: sent(w)})
			if c.last != nil {
				ours.Write(c.last)
			} else {
				ours.Close()
			}
			<-w.closed
			if got := out.String(); c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("logged %q, want %q", got, c.want)
			}
		})
	}
}

// quiet takes the standard logger's output.
func quiet(t testing.TB) *lockedBuffer {
	t.Helper()
	out := &lockedBuffer{}
	log.SetOutput(out)
	t.Cleanup(func() { log.SetOutput(io.Discard) })
	return out
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Row 19: what a reply needs is left to us.
func TestQuirkReplyTextIsNotEscaped(t *testing.T) {
	raw := gomilter.NewResponseStr('y', "550 4.7.1 100%\r\n").Response()
	if string(raw.Data) != "550 4.7.1 100%\r\n\x00" {
		t.Errorf("got %q", raw.Data)
	}
}

// Row 20: the library's client refuses the library's server, unless it offers nothing of version 6.
func TestQuirkClientRefusesItsOwnServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := with(&puppet{})
	done := make(chan error)
	go func() { done <- server.Serve(l) }()
	_, err = gomilter.NewDefaultClient("tcp", l.Addr().String()).Session()
	if !errors.Is(err, gomilter.ErrUnsupportedMilterVersion) {
		t.Errorf("got %v", err)
	}
	l.Close()
	<-done
}

// Row 21.
func TestQuirkIPv6PrefixIsUnknown(t *testing.T) {
	m := &puppet{}
	p := library(t, with(m))
	p.event(0, 'C', cstrings("h"), []byte("6\x00\x19"), cstrings("IPv6:2001:db8::1"))
	if m.ip != nil {
		t.Errorf("got %v", m.ip)
	}
	p.event(0, 'C', cstrings("h"), []byte("6\x00\x19"), cstrings("2001:db8::1"))
	if m.ip == nil {
		t.Error("without the prefix it is unknown, too")
	}
}

// A panic is printed and ends the session without an answer; guard is therefore ours.
func TestQuirkPanicEndsTheSession(t *testing.T) {
	out := quiet(t)
	p := library(t, with(&puppet{rcpt: func() (gomilter.Response, error) { panic("boom") }}))
	p.mail("a@b")
	p.send('R', cstrings("<c@d>"))
	if rest := p.closed(); rest != "" || !strings.Contains(out.String(), "panic handling command: boom") {
		t.Errorf("got %q, logged %q", rest, out.String())
	}
}
