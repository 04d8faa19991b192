package relay

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"
	"github.com/emersion/go-smtp"
	"github.com/sendgate/sendgate/gateway/relay/upstream"
	"github.com/sendgate/sendgate/policy"
)

func TestDKIMSignatureSurvives(t *testing.T) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	text := "From: a@corp.example\r\nSubject:  odd   spaces \r\nTo: b@remote.example\r\n\r\n. dot\r\n.\r\n  trailing \t \r\n\r\n\r\n"
	var signed bytes.Buffer
	if err := dkim.Sign(&signed, strings.NewReader(text), &dkim.SignOptions{
		Domain: "corp.example", Selector: "s", Signer: crypto.Signer(private),
		HeaderCanonicalization: dkim.CanonicalizationSimple, BodyCanonicalization: dkim.CanonicalizationSimple,
	}); err != nil {
		t.Fatal(err)
	}
	verify := func(mail string) {
		t.Helper()
		found, err := dkim.VerifyWithOptions(strings.NewReader(mail), &dkim.VerifyOptions{LookupTXT: func(string) ([]string, error) {
			return []string{"v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(public)}, nil
		}})
		if err != nil || len(found) != 1 || found[0].Err != nil {
			t.Errorf("%+v, %v", found, err)
		}
	}
	stuffed := strings.ReplaceAll(signed.String(), "\r\n.", "\r\n..")

	c := newLab(t, newBackend(t, nil)).start().hello()
	c.mail("a@corp.example", "b@remote.example")
	c.send(stuffed)
	_, body := stored(t, idIn(t, c.say(".", "250 2.0.0 Held")))
	verify(body)

	l := newLab(t, newBackend(t, nil))
	l.settings.Engine = passAll
	c = l.start().hello()
	c.mail("a@corp.example", "b@remote.example")
	c.send(stuffed)
	c.say(".", "250 2.0.0 Ok")
	verify(l.backend.received()[0].body)
}

func TestReloadIsSeenByNewSessions(t *testing.T) {
	l := newLab(t, newBackend(t, nil)).start()
	before := l.hello()
	l.settings.Config.Networks = nobody
	l.relay.Reload(l.settings)
	before.say("MAIL FROM:<a@corp.example>", "250")
	l.hello().say("MAIL FROM:<a@corp.example>", "550 5.7.1 Relay access denied: authenticate first")
}

func TestServeEndsWithItsContext(t *testing.T) {
	l := newLab(t, newBackend(t, nil))
	r := New("gate.test", journal, l.settings, time.Now, nopLog)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := errors.Join(r.Listen(), r.Serve(ctx)); err != nil {
		t.Error(err)
	}
}

func TestListenIsAllOrNothing(t *testing.T) {
	l := newLab(t, newBackend(t, nil))
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	for name, second := range map[string]Listener{
		"an address in use": {Address: address, TLS: TLSNone},
		"no certificate":    {Address: "127.0.0.1:0", TLS: TLSImplicit, Certificate: "/nowhere", Key: "/nowhere"},
	} {
		l.settings.Config.Listen = []Listener{{Address: address, TLS: TLSNone}, second}
		if err := New("gate.test", journal, l.settings, time.Now, nopLog).Listen(); err == nil {
			t.Errorf("%s: no error", name)
		}
		again, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatalf("%s: the first stays open: %v", name, err)
		}
		again.Close()
	}
}

func TestProxiedClientIsTheOneThatCounts(t *testing.T) {
	l := newLab(t, newBackend(t, nil))
	l.settings.Config.Listen[0].ProxyFrom = DefaultConfig().Networks
	l.settings.Config.Networks = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	l.start()
	c := l.dial()
	c.send("PROXY TCP4 192.0.2.7 192.0.2.1 4000 25\r\n")
	c.expect("220")
	c.say("EHLO client.test", "250")
	c.mail("a@corp.example", "b@remote.example")
	if m, body := stored(t, idIn(t, c.sendLetter("250"))); m.Envelope.Client.String() != "192.0.2.7" || !strings.Contains(body, "([192.0.2.7])") {
		t.Errorf("client %v, body %q", m.Envelope.Client, body)
	}
	for _, header := range []string{"PROXY TCP4 198.51.100.7 192.0.2.1 4000 25\r\n", "PROXY UNKNOWN\r\n"} {
		c = l.dial()
		c.send(header)
		c.expect("220")
		c.say("HELO client.test", "250")
		c.say("MAIL FROM:<a@corp.example>", "550 5.7.1")
	}
}

func TestTooManyConnectionsAreToldSo(t *testing.T) {
	l := newLab(t, newBackend(t, nil))
	l.settings.Config.ConnectionsPerClient = 1
	l.start().hello()
	if got := l.dial().closed(); got != refusalTooMany {
		t.Errorf("got %q", got)
	}
}

func TestManySessionsAtOnce(t *testing.T) {
	l := newLab(t, newBackend(t, nil)).start()
	var all sync.WaitGroup
	for range 50 {
		c := l.dial()
		all.Go(func() {
			c.expect("220")
			c.say("EHLO client.test", "250")
			for range 5 {
				c.mail("a@corp.example", "b@remote.example")
				c.sendLetter("250 2.0.0 Held")
			}
		})
	}
	all.Wait()
	if n := l.log.FilterMessage("held").Len(); n != 250 {
		t.Errorf("%d messages", n)
	}
}

// Postfix slows down who resets too often: after some transactions without a message the
// connection is replaced.
func TestProbesAreReplaced(t *testing.T) {
	l := newLab(t, newBackend(t, nil)).start()
	c := l.hello()
	for range 2*maxProbed + 1 {
		c.say("MAIL FROM:<a@corp.example>", "250")
		c.say("RCPT TO:<b@remote.example>", "250")
		c.say("RSET", "250")
	}
	if l.backend.conns != 4 { // one for the offer
		t.Errorf("%d connections", l.backend.conns)
	}
}

// A connection that the upstream has closed while the client was silent is replaced.
func TestLostProbeIsReplaced(t *testing.T) {
	var conns []*smtp.Conn
	var mu sync.Mutex
	b := newBackend(t, nil)
	b.rcpt = nil
	b.mailed = func(string) error { return nil }
	l := newLab(t, b)
	l.settings.Engine = passAll
	real := b.server.Backend
	b.server.Backend = smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		mu.Lock()
		defer mu.Unlock()
		conns = append(conns, c)
		return real.NewSession(c)
	})
	c := l.start().hello()
	c.mail("a@corp.example", "b@remote.example")
	c.sendLetter("250 2.0.0 Ok")
	mu.Lock()
	for _, upstreamConn := range conns {
		upstreamConn.Close()
	}
	mu.Unlock()
	c.mail("a@corp.example", "b@remote.example")
	c.sendLetter("250 2.0.0 Ok")
}

func TestAnswers(t *testing.T) {
	a := newAnswers(2)
	now := time.Now()
	key := func(recipient policy.Address) answerKey { return answerKey{"up", "login", "a@b.c", recipient} }
	good := upstream.Reply{Code: 250}
	a.put(key("1@x"), good, now.Add(time.Minute))
	a.put(key("2@x"), good, now.Add(time.Minute))
	if _, ok := a.get(key("1@x"), now); !ok {
		t.Error("forgotten")
	}
	a.put(key("3@x"), good, now.Add(time.Minute))
	if _, ok := a.get(key("2@x"), now); ok {
		t.Error("the least recently used stays")
	}
	if _, ok := a.get(key("1@x"), now.Add(time.Minute)); ok {
		t.Error("good beyond its time")
	}
	a.drop(key("3@x"))
	if _, ok := a.get(key("3@x"), now); ok || len(a.byKey) != 0 || a.recent.Len() != 0 {
		t.Error("something stays", len(a.byKey), a.recent.Len())
	}
	a.put(key("4@x"), good, now.Add(time.Minute))
	a.put(key("4@x"), good, now.Add(time.Hour))
	if _, ok := a.get(key("4@x"), now.Add(30*time.Minute)); !ok || a.recent.Len() != 1 {
		t.Error("not renewed")
	}
}

func TestConfigFaults(t *testing.T) {
	dir := t.TempDir()
	cert, key := keyPair(t, dir, 1)
	broken := filepath.Join(dir, "broken.pem")
	if err := os.WriteFile(broken, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		change func(*Config)
		want   string
	}{
		"the default":    {func(*Config) {}, ""},
		"no word of TLS": {func(c *Config) { c.Listen[0].TLS = "" }, ""},
		"TLS": {func(c *Config) {
			c.Listen[0] = Listener{Address: "[::1]:25", TLS: TLSStartTLS, Certificate: cert, Key: key}
		}, ""},
		"no port":            {func(c *Config) { c.Listen[0].Address = "localhost" }, "listen[0].address: localhost: write host:port, such as 127.0.0.1:2525 or [::1]:2525"},
		"no such TLS":        {func(c *Config) { c.Listen[0].TLS = "yes" }, "listen[0].tls: yes: must be none, starttls or implicit"},
		"unused certificate": {func(c *Config) { c.Listen[0].Certificate = cert }, "listen[0].certificate: " + cert + ": is not used with tls: none"},
		"no certificate": {func(c *Config) {
			c.Listen[0] = Listener{Address: ":25", TLS: TLSStartTLS, Key: key}
		}, "listen[0].certificate: : tls: starttls needs a certificate and its key"},
		"broken certificate": {func(c *Config) {
			c.Listen[0] = Listener{Address: ":25", TLS: TLSImplicit, Certificate: broken, Key: key}
		}, "listen[0].certificate: " + broken + ": cannot be used with the key " + key + ":"},
		"the whole world": {func(c *Config) { c.Networks = append(c.Networks, netip.MustParsePrefix("0.0.0.0/0")) }, "networks[2]: 0.0.0.0/0: would make an open relay of this host"},
		"strangers everywhere": {func(c *Config) {
			c.Shared = []Shared{{Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, Field: "X-Tenant", Values: []string{"a"}}}
		}, "shared[0].networks: 192.0.2.0/24: is not in relay.networks: its clients authenticate, and nothing is shared"},
		"shared with nobody": {func(c *Config) { c.Shared = []Shared{{Field: "X-Tenant", Values: []string{"a"}}} }, "shared[0].networks: name the networks that are shared with others"},
		"no field":           {func(c *Config) { c.Shared = []Shared{{Networks: c.Networks[:1], Field: "X Y", Values: []string{"a"}}} }, "shared[0].field: X Y: name the field that tells whose mail it is"},
		"no values":          {func(c *Config) { c.Shared = []Shared{{Networks: c.Networks[:1], Field: "X-Tenant"}} }, "shared[0].values: write what the field says in your own mail"},
		"shared": {func(c *Config) {
			c.Shared = []Shared{{Networks: c.Networks[:1], Field: "X-Tenant", Values: []string{"a"}}}
		}, ""},
		"suspended auth":  {func(c *Config) { c.SuspendedAuth = "" }, "suspended_auth: : must be accept or refuse"},
		"senders":         {func(c *Config) { c.Senders = "some" }, "senders: some: must be any or own"},
		"small messages":  {func(c *Config) { c.MaxMessageBytes = 1 }, "max_message_bytes: 1: must be at least 65536"},
		"few recipients":  {func(c *Config) { c.MaxRecipients = 1 }, "max_recipients: 1: must be between 100"},
		"no connections":  {func(c *Config) { c.Connections = 0 }, "connections: 0: must be at least 1"},
		"none per client": {func(c *Config) { c.ConnectionsPerClient = 0 }, "connections_per_client: 0: must be at least 1"},
		"impatience":      {func(c *Config) { c.IdleTimeout = time.Second }, "idle_timeout: 1s: must be between 10s and 1h"},
		"few hops":        {func(c *Config) { c.MaxReceived = 1 }, "max_received: 1: must be at least 10"},
		"a long memory":   {func(c *Config) { c.RecipientCache = 24 * time.Hour }, "recipient_cache: 24h0m0s: must be between 0s and 1h"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := DefaultConfig()
			tt.change(&c)
			switch err := c.Validate(); {
			case tt.want == "" && err != nil:
				t.Error(err)
			case tt.want != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.want) || strings.Contains(err.Error(), "\n")):
				t.Errorf("%v, want %s", err, tt.want)
			}
		})
	}
}

func TestSmtpErrorIsTheOneExit(t *testing.T) {
	tests := []struct {
		err  error
		want smtp.SMTPError
	}{
		{fmt.Errorf("wrapped: %w", refusal(451, "4.7.1", "later")), smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: "later"}},
		{refusal(550, "none", "a\r\nb\x00c\n"), smtp.SMTPError{Code: 550, EnhancedCode: smtp.NoEnhancedCode, Message: "a\nbc"}},
		{refusal(550, "5.x.1", "a"), smtp.SMTPError{Code: 550, EnhancedCode: smtp.NoEnhancedCode, Message: "a"}},
		{io.ErrUnexpectedEOF, *errInternal},
	}
	for _, tt := range tests {
		got, ok := smtpError(tt.err).(*smtp.SMTPError)
		if !ok || *got != tt.want {
			t.Errorf("%v became %+v, want %+v", tt.err, got, tt.want)
		}
	}
	if smtpError(nil) != nil {
		t.Error("nil is an answer")
	}
	if got := passOn(upstream.Reply{Code: 421, Status: "4.3.2", Text: "going down"}); got.Code != 451 {
		t.Errorf("421 became %d", got.Code)
	}
	if got := wholeAnswer(upstream.Reply{Code: 250, Status: "2.1.5", Text: "a\nb"}); got != "250-2.1.5 a\r\n250 2.1.5 b\r\n" {
		t.Errorf("%q", got)
	}
}
