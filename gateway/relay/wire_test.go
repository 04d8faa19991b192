package relay

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"
)

// wired gives a wire with the client's side of its connection.
func wired(t *testing.T) (*wire, net.Conn) {
	ours, theirs := net.Pipe()
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	return newWire(ours, bufio.NewReaderSize(ours, 1024), "gate.test"), theirs
}

func TestWireHandsOnOneCommandAtATime(t *testing.T) {
	w, client := wired(t)
	go client.Write([]byte("EHLO a\r\nRCPT TO:<postmaster> NOTIFY=NEVER\r\nRCPT TO:<PostMaster>\r\nBDAT 0\r\nBDAT 5\r\nRCPT TO:<postmaster>\r\nNOOP\r\n"))
	p := make([]byte, 4096)
	for _, want := range []string{
		"EHLO a\r\n", "RCPT TO:<postmaster@gate.test> NOTIFY=NEVER\r\n", "RCPT TO:<postmaster@gate.test>\r\n",
		"NOOP\r\n", "BDAT 5\r\n", "RCPT ", "TO:<postmaster>\r\n", "NOOP\r\n",
	} {
		n, err := w.Read(p)
		if err != nil || string(p[:n]) != want {
			t.Fatalf("%q, %v; want %q", p[:n], err, want)
		}
		if bare := strings.Contains(want, "gate.test"); w.bare != bare {
			t.Errorf("after %q bare is %v", want, w.bare)
		}
	}
}

func TestWireGivesLongCommandsInPieces(t *testing.T) {
	w, client := wired(t)
	go client.Write([]byte("RCPT TO:<postmaster>\r\nNOOP\r\n"))
	got, p := "", make([]byte, 7)
	for !strings.HasSuffix(got, "NOOP\r\n") {
		n, err := w.Read(p)
		if err != nil {
			t.Fatal(err)
		}
		got += string(p[:n])
	}
	if got != "RCPT TO:<postmaster@gate.test>\r\nNOOP\r\n" {
		t.Errorf("%q", got)
	}
}

func TestWireBoundsCommandsAndChallenges(t *testing.T) {
	w, client := wired(t)
	go client.Write(bytes.Repeat([]byte("a"), 2000))
	if _, err := io.Copy(io.Discard, w); !errors.Is(err, smtp.ErrTooLongLine) {
		t.Error(err)
	}
	w, client = wired(t)
	go io.Copy(io.Discard, client)
	go client.Write(bytes.Repeat([]byte("a"), 2*maxChallengeLine))
	w.Write([]byte("334 \r\n"))
	n, err := io.Copy(io.Discard, w)
	if !errors.Is(err, smtp.ErrTooLongLine) || n < maxChallengeLine {
		t.Error(n, err)
	}
}

func TestWireDoesNotTakeResponsesForCommands(t *testing.T) {
	w, client := wired(t)
	go io.Copy(io.Discard, client)
	go client.Write([]byte("STARTTLS\r\nSTARTTLS\r\n"))
	w.startTLS = true
	w.Write([]byte("334 \r\n"))
	p := make([]byte, 100)
	if n, err := w.Read(p); err != nil || string(p[:n]) != "STARTTLS\r\n" || w.upgrading {
		t.Errorf("%q, %v", p[:n], err)
	}
	if _, err := w.Read(p); err != io.EOF || !w.upgrading {
		t.Error("STARTTLS was missed:", err)
	}
}

func TestWireErrorsStay(t *testing.T) {
	w, client := wired(t)
	go func() {
		client.Write([]byte("BDAT 10\r\nhalf"))
		client.Close()
	}()
	p := make([]byte, 100)
	w.Read(p)
	w.Read(p)
	for range 2 {
		if n, err := w.Read(p); n != 0 || err != io.ErrUnexpectedEOF {
			t.Errorf("%d, %v", n, err)
		}
	}
}

func TestWireSendsAnswersTogether(t *testing.T) {
	w, client := wired(t)
	for _, s := range []string{"250-a\r\n", "250 b\r\n"} {
		if n, err := w.Write([]byte(s)); err != nil || n != len(s) {
			t.Fatal(n, err)
		}
	}
	go w.Read(make([]byte, 10))
	p := make([]byte, 100)
	if n, err := client.Read(p); err != nil || string(p[:n]) != "250-a\r\n250 b\r\n" {
		t.Errorf("%q, %v", p[:n], err)
	}
}

func TestWireHangUp(t *testing.T) {
	w, client := wired(t)
	got := make(chan string)
	go func() {
		b, _ := io.ReadAll(client)
		got <- string(b)
	}()
	w.Write([]byte("250 a\r\n"))
	w.hangUp("421 bye\r\n")
	w.hangUp("421 again\r\n")
	if s := <-got; s != "250 a\r\n421 bye\r\n" {
		t.Errorf("%q", s)
	}
	if _, err := w.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	if _, err := w.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

// The two must never differ: what the one takes for the end of a body and the other does not would
// be read as commands.
func FuzzEndOfDataAgreesWithTheLibrary(f *testing.F) {
	for _, s := range []string{"a\r\n.\r\nNOOP\r\n", "\n.\r\n\r\n.\r\n", "\r\r\n.\r\n\r\n.\r\n", ".\r\r\n.\r\n", "..\r\n.\r\n", ".\r\nx"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var e endOfData
		n, ended := e.scan(in)
		if !ended {
			return
		}
		q := &quirky{}
		rest := libraryRest(t, q, in)
		if want := string(in[n:]); rest != want {
			t.Errorf("%q: the library goes on with %q, we with %q", in, rest, want)
		}
	})
}

// libraryRest gives what go-smtp leaves unread behind a body.
func libraryRest(t *testing.T, q *quirky, body []byte) string {
	q.told = make(chan string, 10)
	var rest []byte
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return q, nil }))
	server.ErrorLog = smtpLog{nopLog}
	server.MaxLineLength = 0
	conn := &scripted{in: []byte("EHLO a\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<a@b.c>\r\nDATA\r\n")}
	conn.in = append(conn.in, body...)
	conn.done = make(chan struct{})
	q.data = func(r io.Reader) error {
		_, err := io.Copy(io.Discard, r)
		return err
	}
	// An octet at a time keeps the library from reading ahead.
	conn.onAnswer = func(p []byte) {
		if bytes.HasPrefix(p, []byte("250 2.0.0 OK: queued")) && rest == nil {
			rest = append([]byte{}, conn.in...)
		}
	}
	l := &once{wire: &wire{closed: conn.done}}
	server.Serve(&oneConn{l, conn})
	server.Shutdown(t.Context())
	return string(rest)
}

// oneConn is a listener with one connection.
type oneConn struct {
	*once
	conn net.Conn
}

func (o *oneConn) Accept() (net.Conn, error) {
	if o.accepted {
		return o.once.Accept()
	}
	o.accepted = true
	return o.conn, nil
}

// scripted is a client that has said everything beforehand.
type scripted struct {
	net.Conn
	in       []byte
	onAnswer func([]byte)
	done     chan struct{}
	closed   bool
}

func (s *scripted) Read(p []byte) (int, error) {
	if len(s.in) == 0 {
		return 0, io.EOF
	}
	p[0] = s.in[0]
	s.in = s.in[1:]
	return 1, nil
}

func (s *scripted) Write(p []byte) (int, error) {
	s.onAnswer(p)
	return len(p), nil
}

func (s *scripted) Close() error {
	if !s.closed {
		s.closed = true
		close(s.done)
	}
	return nil
}

func (s *scripted) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4000} }
func (s *scripted) LocalAddr() net.Addr  { return s.RemoteAddr() }

func TestWireShowsNoControlCharacters(t *testing.T) {
	w, _ := wired(t)
	for _, s := range []string{"500 \r\x00", "x\x7fy\r\n"} {
		w.Write([]byte(s))
	}
	if got := string(w.out); got != "500 ??x?y\r\n" {
		t.Errorf("%q", got)
	}
}

func TestMendOriginal(t *testing.T) {
	for _, c := range []struct{ name, line, want string }{
		{"a UTF-8 address as Postfix writes it", "RCPT TO:<王@x.example> ORCPT=rfc822;+E7+8E+8B@x.example NOTIFY=NEVER\r\n",
			"RCPT TO:<王@x.example> ORCPT=utf-8;\\x{738B}@x.example NOTIFY=NEVER\r\n"},
		{"specials stay encoded", "RCPT TO:<a@b.example> ORCPT=rfc822;+C3+A9+2Bx@b.example\r\n", "RCPT TO:<a@b.example> ORCPT=utf-8;\\x{E9}\\x{2B}x@b.example\r\n"},
		{"ASCII is left alone", "RCPT TO:<a@b.example> ORCPT=rfc822;a+2Bb@b.example\r\n", "RCPT TO:<a@b.example> ORCPT=rfc822;a+2Bb@b.example\r\n"},
		{"broken UTF-8 is left to the library", "RCPT TO:<a@b.example> ORCPT=rfc822;+E7+8E@b.example\r\n", "RCPT TO:<a@b.example> ORCPT=rfc822;+E7+8E@b.example\r\n"},
		{"control characters are left to the library", "RCPT TO:<a@b.example> ORCPT=rfc822;+E7+8E+8B+0D+0A@b.example\r\n", "RCPT TO:<a@b.example> ORCPT=rfc822;+E7+8E+8B+0D+0A@b.example\r\n"},
		{"cut xtext is left to the library", "RCPT TO:<a@b.example> ORCPT=rfc822;+E\r\n", "RCPT TO:<a@b.example> ORCPT=rfc822;+E\r\n"},
		{"no ORCPT", "RCPT TO:<a@b.example>\r\n", "RCPT TO:<a@b.example>\r\n"},
	} {
		if got := mendOriginal(c.line); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
