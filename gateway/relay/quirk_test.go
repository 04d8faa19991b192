package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"go.uber.org/zap"
)

// These tests assert that go-smtp behaves as badly as we think. When one fails after an upgrade,
// what it is about can perhaps be simplified.

// quirky is a session that records what it is told.
type quirky struct {
	told chan string
	data func(r io.Reader) error
}

func (q *quirky) Reset()        {}
func (q *quirky) Logout() error { return nil }
func (q *quirky) Mail(from string, _ *smtp.MailOptions) error {
	q.told <- "MAIL " + from
	return nil
}
func (q *quirky) Rcpt(to string, _ *smtp.RcptOptions) error {
	q.told <- "RCPT " + to
	return nil
}
func (q *quirky) Data(r io.Reader) error {
	if q.data != nil {
		return q.data(r)
	}
	b, err := io.ReadAll(r)
	q.told <- fmt.Sprintf("DATA %q %v", b, err)
	return err
}

// bare runs go-smtp's server without a wire.
func bare(t *testing.T, q *quirky, change func(*smtp.Server)) *client {
	t.Helper()
	q.told = make(chan string, 100)
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return q, nil }))
	server.ErrorLog = smtpLog{zap.NewNop()}
	if change != nil {
		change(server)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(ln)
	t.Cleanup(func() { server.Close() })
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, conn)
	c.expect("220")
	c.say("EHLO client.test", "250")
	return c
}

func (q *quirky) next(t *testing.T) string {
	t.Helper()
	select {
	case s := <-q.told:
		return s
	case <-time.After(patience):
		t.Fatal("the session was told nothing")
		return ""
	}
}

func TestQuirkTimeoutInData(t *testing.T) {
	t.Parallel()
	q := &quirky{}
	c := bare(t, q, func(s *smtp.Server) { s.ReadTimeout = 4 * time.Second })
	c.mail("a@corp.example", "b@remote.example")
	q.next(t)
	q.next(t)
	if got := q.next(t); !strings.Contains(got, "timeout") {
		t.Fatal(got)
	}
	c.send("MAIL FROM:<smuggled@corp.example>\r\n")
	if got := q.next(t); got != "MAIL smuggled@corp.example" {
		t.Errorf("the rest of the body is no longer read as commands: %q", got)
	}
}

func TestQuirkTruncatedChunk(t *testing.T) {
	q := &quirky{}
	c := bare(t, q, nil)
	c.say("MAIL FROM:<a@corp.example>", "250")
	c.say("RCPT TO:<b@remote.example>", "250")
	c.send("BDAT 1000 LAST\r\nhalf")
	c.Conn.(*net.TCPConn).CloseWrite()
	q.next(t)
	q.next(t)
	if got := q.next(t); got != `DATA "half" <nil>` {
		t.Errorf("half a chunk is no longer taken for a message: %q", got)
	}
}

func TestQuirkWrappedError(t *testing.T) {
	for name, tt := range map[string]struct {
		err  error
		want string
	}{
		"a wrapped answer becomes permanent": {
			fmt.Errorf("policy: %w", refusal(451, "4.7.1", "later")), "554 5.0.0 Error: transaction failed: policy: SMTP error 451: later",
		},
		"any other error is shown": {errors.New("pq: password x"), "554 5.0.0 Error: transaction failed: pq: password x"},
	} {
		t.Run(name, func(t *testing.T) {
			c := bare(t, &quirky{data: func(r io.Reader) error { return tt.err }}, nil)
			c.mail("a@corp.example", "b@remote.example")
			c.say(".", tt.want)
		})
	}
}

func TestQuirkQuotesAreStripped(t *testing.T) {
	q := &quirky{}
	c := bare(t, q, nil)
	c.say(`MAIL FROM:<"x> NOTIFY=NEVER"@corp.example>`, "250")
	if got := q.next(t); got != "MAIL x> NOTIFY=NEVER@corp.example" {
		t.Error(got)
	}
}

func TestQuirkPostmasterIsRefused(t *testing.T) {
	c := bare(t, &quirky{}, nil)
	c.say("MAIL FROM:<a@corp.example>", "250")
	c.say("RCPT TO:<postmaster>", "501")
}

func TestQuirkSizeLimit(t *testing.T) {
	c := bare(t, &quirky{}, func(s *smtp.Server) { s.MaxMessageBytes = 100 })
	c.mail("a@corp.example", "b@remote.example")
	c.send(strings.Repeat("a", 98) + "\r\n")
	c.say(".", "552")
}

func TestQuirkSecondMail(t *testing.T) {
	q := &quirky{}
	c := bare(t, q, nil)
	c.say("MAIL FROM:<a@corp.example>", "250")
	c.say("MAIL FROM:<b@corp.example>", "250")
}

// The reader leaves out the dot, which is right, and the CR, which changes the message.
func TestQuirkDotCR(t *testing.T) {
	q := &quirky{}
	c := bare(t, q, nil)
	c.mail("a@corp.example", "b@remote.example")
	q.next(t)
	q.next(t)
	c.send("a\r\n.\rb\r\n.\r\n")
	if got := q.next(t); got != `DATA "a\r\nb\r\n" <nil>` {
		t.Errorf("a CR behind a leading dot is no longer left out: %s", got)
	}
}

func TestQuirkLongBodyLine(t *testing.T) {
	c := bare(t, &quirky{}, nil)
	c.mail("a@corp.example", "b@remote.example")
	c.send(strings.Repeat("a", 3000) + "\r\n.\r\n")
	c.expect("554")
	c.expect("500 5.4.0 Too long line, closing connection")
}

func TestQuirkShutdownLeavesConnections(t *testing.T) {
	q := &quirky{}
	var server *smtp.Server
	c := bare(t, q, func(s *smtp.Server) { server = s })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	server.Shutdown(ctx)
	server.Close()
	c.say("NOOP", "250")
}

func TestQuirkOriginalRecipient(t *testing.T) {
	c := bare(t, &quirky{}, func(s *smtp.Server) { s.EnableDSN, s.EnableSMTPUTF8 = true, true })
	c.say("EHLO client.example", "250")
	c.say("MAIL FROM:<a@x.example> SMTPUTF8", "250")
	c.say("RCPT TO:<b@x.example> ORCPT=rfc822;+E7+8E+8B@x.example", "501")
	c.say(`RCPT TO:<b@x.example> ORCPT=utf-8;\x{738B}@x.example`, "250")
}
