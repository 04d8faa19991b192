package upstream

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/sendgate/sendgate/policy"
)

// A mailbox is a server made with go-smtp, and what it was given.
type mailbox struct {
	mu  sync.Mutex
	got []string // one line for each MAIL, RCPT and body
}

func (m *mailbox) note(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.got = append(m.got, fmt.Sprintf(format, args...))
}

// take gives what was noted since the last time.
func (m *mailbox) take() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := strings.Join(m.got, "\n")
	m.got = nil
	return s
}

type mailboxSession struct {
	*mailbox
	to []string
}

func (s *mailboxSession) Reset()                 { s.to = nil }
func (s *mailboxSession) Logout() error          { return nil }
func (*mailboxSession) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *mailboxSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if password != "secret" {
			return &smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCode{5, 7, 8}, Message: "wrong"}
		}
		s.note("AUTH %s", user)
		return nil
	}), nil
}

func (s *mailboxSession) Mail(from string, o *smtp.MailOptions) error {
	s.note("MAIL %s size=%d body=%s utf8=%v ret=%s envid=%s", from, o.Size, o.Body, o.UTF8, o.Return, o.EnvelopeID)
	return nil
}

func (s *mailboxSession) Rcpt(to string, o *smtp.RcptOptions) error {
	if strings.HasPrefix(to, "unknown@") {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "Unknown"}
	}
	s.to = append(s.to, to)
	s.note("RCPT %s notify=%v orcpt=%s;%s", to, o.Notify, o.OriginalRecipientType, o.OriginalRecipient)
	return nil
}

func (s *mailboxSession) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.note("DATA %q", b)
	return &smtp.SMTPError{Code: 250, EnhancedCode: smtp.EnhancedCode{2, 0, 0}, Message: "Ok: queued as 4X"}
}

func (s *mailboxSession) LMTPData(r io.Reader, status smtp.StatusCollector) error {
	if err := s.Data(r); err == nil {
		return errors.New("no answer")
	}
	for _, to := range s.to {
		var err error
		if strings.HasPrefix(to, "full@") {
			err = &smtp.SMTPError{Code: 452, EnhancedCode: smtp.EnhancedCode{4, 2, 2}, Message: "Full"}
		}
		status.SetStatus(to, err)
	}
	return nil
}

// serve starts the mailbox and gives its address.
func (m *mailbox) serve(t *testing.T, settings *tls.Config, change func(*smtp.Server)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &mailboxSession{mailbox: m}, nil }))
	s.Domain, s.TLSConfig, s.ErrorLog = "sink.example", settings, log.New(io.Discard, "", 0)
	s.EnableSMTPUTF8, s.EnableDSN = true, true
	change(s)
	done := make(chan error)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() { s.Close(); <-done })
	return l.Addr().String()
}

func TestAgainstGoSMTP(t *testing.T) {
	settings, authority := certificate(t, "sink.example")
	m := &mailbox{}
	address := m.serve(t, settings, func(s *smtp.Server) { s.MaxMessageBytes = 1 << 20 })
	config := loginConfig(t, address, "secret\n")
	config.TLS, config.CAFile, config.ServerName = TLSVerified, authority, "sink.example"
	u := newUpstream(t, config)
	if err := u.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.take()
	caps, err := u.Capabilities(t.Context())
	if err != nil || !caps.Pipelining || !caps.DSN || caps.Size != 1<<20 || len(caps.Auth) != 1 {
		t.Errorf("got %+v, %v", caps, err)
	}
	large := strings.Repeat(".x\r\n", 50_000)
	d := withBody(large, "b@example", "unknown@example", "ü@example")
	d.Envelope = &policy.Envelope{Sender: "a@example", Size: int64(len(large)), Body: "8BITMIME", Ret: "HDRS", EnvID: "e 1"}
	d.Recipients[0].Notify, d.Recipients[0].Original = []string{"SUCCESS"}, "o+1@example"
	d.Recipients[2].Original, d.Recipients[2].OriginalType = "ö@example", "utf-8"
	want := "250 2.0.0 Ok: queued as 4X\n550 5.1.1 Unknown\n250 2.0.0 Ok: queued as 4X"
	for range 2 {
		if got := summary(deliver(t, u, d)); got != want {
			t.Errorf("got\n%s", got)
		}
	}
	transaction := fmt.Sprintf("MAIL a@example size=200000 body=8BITMIME utf8=true ret=HDRS envid=e 1\n"+
		"RCPT b@example notify=[SUCCESS] orcpt=RFC822;o+1@example\nRCPT ü@example notify=[] orcpt=UTF-8;ö@example\nDATA %q", large)
	if got := m.take(); got != "AUTH gw\n"+transaction+"\n"+transaction {
		t.Errorf("the server got\n%.2000s", got)
	}
}

func TestAuthAgainstGoSMTP(t *testing.T) {
	settings, _ := certificate(t, "sink.example")
	m := &mailbox{}
	config := testConfig(m.serve(t, settings, func(*smtp.Server) {}))
	config.TLS = TLSOpportunistic
	u := newUpstream(t, config)
	c := probe(t, u)
	r, err := c.Auth(t.Context(), sasl.Plain, sasl.NewPlainClient("", "u", "guess"))
	if err != nil || r.String() != "535 5.7.8 wrong" {
		t.Errorf("got %v, %v", r, err)
	}
	r, err = c.Auth(t.Context(), sasl.Plain, sasl.NewPlainClient("", "u", "secret"))
	if err != nil || r.Code != 235 || m.take() != "AUTH u" || !c.Secure() {
		t.Errorf("got %v, %v", r, err)
	}
}

func TestLMTPAgainstGoSMTP(t *testing.T) {
	m := &mailbox{}
	config := testConfig(m.serve(t, nil, func(s *smtp.Server) { s.LMTP = true }))
	config.Protocol = LMTP
	u := newUpstream(t, config)
	results := deliver(t, u, withBody("x\r\n", "b@example", "unknown@example", "full@example"))
	if results[0].Reply.Code != 250 || results[1].Reply.Code != 550 || results[2].Reply.String() != "452 4.2.2 <full@example> Full" {
		t.Errorf("got\n%s", summary(results))
	}
}
