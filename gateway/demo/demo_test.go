package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/sendgate/sendgate/policy"
	"go.uber.org/zap/zaptest"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// start runs an upstream until the test ends.
func start(t *testing.T) *Upstream {
	t.Helper()
	u, err := New(Config{SMTP: "127.0.0.1:0", IMAP: "127.0.0.1:0"}, zaptest.NewLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- u.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return u
}

// inbox reads all messages of a mailbox, oldest first.
func inbox(t *testing.T, u *Upstream, login string) [][]byte {
	t.Helper()
	c, err := imapclient.DialInsecure(u.IMAPAddr(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Login(login, Password).Wait(); err != nil {
		t.Fatal(err)
	}
	box, err := c.Select("INBOX", nil).Wait()
	if err != nil {
		t.Fatal(err)
	}
	if box.NumMessages == 0 {
		return nil
	}
	var all imap.SeqSet
	all.AddRange(1, box.NumMessages)
	section := &imap.FetchItemBodySection{Peek: true}
	messages, err := c.Fetch(all, &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{section}}).Collect()
	if err != nil {
		t.Fatal(err)
	}
	var raw [][]byte
	for _, m := range messages {
		raw = append(raw, m.FindBodySection(section))
	}
	return raw
}

func TestTrafficShowsEveryOutcome(t *testing.T) {
	u := start(t)
	sent, err := Traffic(t.Context(), u.SMTPAddr(), noon)
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, s := range sent {
		fmt.Fprintf(&got, "%s > %s: %s\n", s.From, strings.Join(s.To, " "), s.Reply)
	}
	want := `alice@corp.example > bob@corp.example: 250 2.0.0 Ok: queued as DEMO000001
wang.fang@corp.example > li.lei@corp.example alice@corp.example: 250 2.0.0 Ok: queued as DEMO000002
bob@corp.example > carol@corp.example purchasing@customer.example: 250 2.0.0 Ok: queued as DEMO000003
carol@corp.example > zhang.wei@partner.example: 250 2.0.0 Ok: queued as DEMO000004
li.lei@corp.example > 王芳@corp.example: 250 2.0.0 Ok: queued as DEMO000005
alice@corp.example > dave@corp.example: 550 5.1.1 <dave@corp.example>: nobody of this name works at corp.example
monitor@corp.example > bob@corp.example: 250 2.0.0 Ok: queued as DEMO000006
bob@corp.example > orders@greylist.example: 451 4.7.1 <orders@greylist.example>: greylist.example does not know you yet, try again
alice@corp.example > info@bounce.example: 550 5.7.1 <info@bounce.example>: bounce.example takes no mail, whatever it says
`
	if got.String() != want {
		t.Errorf("got\n%swant\n%s", got.String(), want)
	}
	for login, messages := range map[string]int{"alice": 1, "bob": 2, "carol": 1, "li.lei": 1, "wang.fang": 1, "postmaster": 0} {
		if got := len(inbox(t, u, login)); got != messages {
			t.Errorf("%s has %d messages, want %d", login, got, messages)
		}
	}
	if n, last := u.Sunk(); n != 2 || len(last) != 2 || last[1].Recipients[0] != "zhang.wei@partner.example" || last[1].Sender != "carol@corp.example" {
		t.Errorf("sunk %d: %+v", n, last)
	}
}

func TestMessageLiesInTheMailboxAsItWasSent(t *testing.T) {
	u := start(t)
	message := "Subject: =?utf-8?q?x?=\r\nX-Odd:   two  spaces \r\n\r\n.\r\n..dots\r\n\r\nend 王芳\r\n"
	if err := send(u, "bob@corp.example", "Alice@CORP.example", message); err != nil {
		t.Fatal(err)
	}
	for _, login := range []string{"alice", "alice@corp.example", "ALICE@corp.example"} {
		if got := inbox(t, u, login); len(got) != 1 || string(got[0]) != message {
			t.Errorf("%s finds %q", login, got)
		}
	}
}

func TestAliasSharesTheMailbox(t *testing.T) {
	u := start(t)
	if err := send(u, "", "王芳@corp.example", "Subject: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if got := inbox(t, u, "wang.fang"); len(got) != 1 {
		t.Errorf("wang.fang has %d messages", len(got))
	}
}

func TestGreylistTakesTheSecondAttempt(t *testing.T) {
	u := start(t)
	for i, want := range []int{451, 0, 0} {
		if code := codeOf(send(u, "", "a@greylist.example", "\r\n")); code != want {
			t.Errorf("attempt %d: %d", i+1, code)
		}
	}
	if code := codeOf(send(u, "", "b@greylist.example", "\r\n")); code != 451 {
		t.Errorf("first attempt of another recipient: %d", code)
	}
	if n, _ := u.Sunk(); n != 2 {
		t.Errorf("%d messages left", n)
	}
}

func TestGreylistForgetsRatherThanGrows(t *testing.T) {
	w := newWorld()
	for i := range keepGrey + 1 {
		w.grey[fmt.Sprint(i)] = true
	}
	if err := w.refuse(addresses("a@greylist.example")); codeOf(err) != 451 || len(w.grey) != 1 {
		t.Errorf("%v, %d remembered", err, len(w.grey))
	}
}

func TestSinkKeepsTheLastAndTheirBeginning(t *testing.T) {
	w := newWorld()
	for i := range keepMessages + 3 {
		w.take(Message{Sender: fmt.Sprint(i), Recipients: addresses("a@b.example"), Data: make([]byte, keepOctets+1)})
	}
	n, last := w.sunk()
	if n != keepMessages+3 || len(last) != keepMessages || last[0].Sender != "3" || len(last[0].Data) != keepOctets {
		t.Errorf("%d sunk, %d kept from %q", n, len(last), last[0].Sender)
	}
}

func TestAuthentication(t *testing.T) {
	u := start(t)
	for name, c := range map[string]struct {
		mechanism sasl.Client
		code      int
	}{
		"plain":          {sasl.NewPlainClient("", "alice", Password), 0},
		"plain, address": {sasl.NewPlainClient("", "alice@corp.example", Password), 0},
		"plain, wrong":   {sasl.NewPlainClient("", "alice", "guess"), 535},
		"login":          {sasl.NewLoginClient("bob", Password), 0},
		"login, wrong":   {sasl.NewLoginClient("bob", "guess"), 535},
		"unknown person": {sasl.NewPlainClient("", "dave", Password), 535},
		"other":          {sasl.NewOAuthBearerClient(&sasl.OAuthBearerOptions{Token: "x"}), 504},
	} {
		t.Run(name, func(t *testing.T) {
			client, err := smtp.Dial(u.SMTPAddr())
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			if code := codeOf(client.Auth(c.mechanism)); code != c.code {
				t.Errorf("answered %d, want %d", code, c.code)
			}
		})
	}
	c, err := imapclient.DialInsecure(u.IMAPAddr(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Login("alice", "guess").Wait(); err == nil {
		t.Error("IMAP takes any password")
	}
}

// TestLoginAsksForTheName plays LOGIN without an initial response, as Outlook does.
func TestLoginAsksForTheName(t *testing.T) {
	var got string
	l := &loginServer{check: func(login, password string) error { got = login + ":" + password; return nil }}
	for _, step := range []struct {
		response  []byte
		challenge string
		done      bool
	}{{nil, "Username:", false}, {[]byte("bob"), "Password:", false}, {[]byte("pw"), "", true}} {
		challenge, done, err := l.Next(step.response)
		if string(challenge) != step.challenge || done != step.done || err != nil {
			t.Errorf("Next(%q) = %q, %v, %v", step.response, challenge, done, err)
		}
	}
	if got != "bob:pw" {
		t.Errorf("checked %q", got)
	}
}

func TestOffersTheExtensionsOfTheGateway(t *testing.T) {
	u := start(t)
	client, err := smtp.Dial(u.SMTPAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, name := range []string{"8BITMIME", "SMTPUTF8", "DSN", "SIZE", "AUTH", "PIPELINING", "ENHANCEDSTATUSCODES"} {
		if ok, _ := client.Extension(name); !ok {
			t.Errorf("%s is not offered", name)
		}
	}
}

func TestMessageOfTheLimitIsTaken(t *testing.T) {
	u := start(t)
	line := strings.Repeat("x", 1022) + "\r\n"
	message := strings.Repeat(line, maxMessage/len(line))
	if err := send(u, "", "bob@corp.example", message); err != nil {
		t.Errorf("message of %d octets: %v", len(message), err)
	}
	if code := codeOf(send(u, "", "bob@corp.example", message+"y\r\n")); code != 552 {
		t.Errorf("message above the limit: %d", code)
	}
}

func TestBadRecipientIsRefused(t *testing.T) {
	s := &session{offices: newOffices(), world: newWorld()}
	err := s.Rcpt("a\x01@corp.example", nil)
	if err == nil || err.Error() != "SMTP error 501: Bad recipient address: the address contains a control character or a broken UTF-8 sequence" {
		t.Errorf("got %v", err)
	}
}

func TestListensOnLoopbackOnly(t *testing.T) {
	for name, cfg := range map[string]Config{
		"SMTP": {SMTP: "0.0.0.0:0", IMAP: "127.0.0.1:0"},
		"IMAP": {SMTP: "127.0.0.1:0", IMAP: "0.0.0.0:0"},
	} {
		_, err := New(cfg, zaptest.NewLogger(t))
		if want := "demo " + name + ": 0.0.0.0:0 is not a loopback address: the demo takes mail from everybody"; err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestRunEndsWhenAListenerDoes(t *testing.T) {
	u, err := New(Config{SMTP: "127.0.0.1:0", IMAP: "127.0.0.1:0"}, zaptest.NewLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	u.smtpListener.Close()
	if err := u.Run(t.Context()); !errors.Is(err, net.ErrClosed) || !strings.HasPrefix(err.Error(), "demo upstream: ") {
		t.Errorf("Run: %v", err)
	}
}

func TestTrafficReportsADeadGateway(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	if sent, err := Traffic(t.Context(), addr, noon); err == nil || len(sent) != 0 || !strings.Contains(err.Error(), `send "Lunch on Thursday?" to `) {
		t.Errorf("%v, %v", sent, err)
	}
}

func TestTrafficEndsWithItsContext(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		cancel() // the server never greets
		_, _ = io.Copy(io.Discard, conn)
	}()
	if _, err := Traffic(ctx, l.Addr().String(), noon); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func send(u *Upstream, from, to, message string) error {
	client, err := smtp.Dial(u.SMTPAddr())
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.Mail(from, &smtp.MailOptions{UTF8: true}); err != nil {
		return err
	}
	if err := client.Rcpt(to, nil); err != nil {
		return err
	}
	w, err := client.Data()
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, bytes.NewReader([]byte(message))); err != nil {
		return err
	}
	return w.Close()
}

func addresses(all ...policy.Address) []policy.Address { return all }

func codeOf(err error) int {
	var refusal *smtp.SMTPError
	if errors.As(err, &refusal) {
		return refusal.Code
	}
	return 0
}
