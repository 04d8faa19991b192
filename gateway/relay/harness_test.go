package relay

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/sendgate/sendgate/gateway/relay/upstream"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// patience bounds every wait in these tests.
const patience = 60 * time.Second

var journal *store.Store // of all tests; messages are told apart by their ids

var nopLog = zap.NewNop()

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "relay")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	cfg := store.DefaultConfig()
	cfg.Dir, cfg.MinFree, cfg.Node = dir, 64, "test"
	if journal, err = store.Open(cfg); err != nil {
		panic(err)
	}
	defer journal.Close()
	return m.Run()
}

// A lab is a relay with an upstream behind it.
type lab struct {
	t        *testing.T
	relay    *Relay
	settings Settings
	backend  *backend
	log      *observer.ObservedLogs
	journal  Journal
	now      func() time.Time
	hostname string
}

// routes sends everything to one upstream but what names another.
type routes struct {
	first *upstream.Upstream
	other map[string]*upstream.Upstream // by domain
}

func (r routes) Route(a policy.Address) *upstream.Upstream {
	if up := r.other[a.Domain()]; up != nil {
		return up
	}
	return r.first
}

// fixed decides the same for everything.
type fixed func(policy.Submission) policy.Verdict

func (f fixed) Decide(_ context.Context, s policy.Submission) policy.Verdict { return f(s) }
func (f fixed) Forget(time.Time, policy.ID)                                  {}

var passAll = fixed(func(policy.Submission) policy.Verdict { return policy.Verdict{} })

// newLab makes a relay, not yet running, that trusts loopback and holds by the default rules.
func newLab(t *testing.T, b *backend) *lab {
	t.Helper()
	l := &lab{t: t, backend: b, journal: journal, now: time.Now, hostname: "gate.test"}
	directory, err := policy.NewDirectory([]policy.Identity{
		{Login: "alice", Addresses: []string{"alice@corp.example", "sales@corp.example"}},
		{Login: "bob", Addresses: []string{"bob@corp.example"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	l.settings = Settings{
		Config:    DefaultConfig(),
		Engine:    policy.NewRules(policy.DefaultConfig(), directory),
		Directory: directory,
		Router:    routes{first: newUpstream(t, b.address(), nil)},
	}
	l.settings.Config.Listen = []Listener{{Address: "127.0.0.1:0", TLS: TLSNone}}
	l.settings.Config.RecipientCache = 0
	return l
}

func newUpstream(t *testing.T, address string, change func(*upstream.Config)) *upstream.Upstream {
	t.Helper()
	c := upstream.DefaultConfig()
	c.Name, c.TLS, c.Servers = "inside", upstream.TLSNone, []upstream.Server{{Address: address}}
	if change != nil {
		change(&c)
	}
	up, err := upstream.New(c, "gate.test", zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { up.Close() })
	return up
}

// start runs the relay until the test ends.
func (l *lab) start() *lab {
	l.t.Helper()
	core, logs := observer.New(zap.DebugLevel)
	l.log = logs
	l.relay = New(l.hostname, l.journal, l.settings, l.now, zap.New(core))
	l.relay.pause = func(context.Context, time.Duration) {}
	if err := l.relay.Listen(); err != nil {
		l.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- l.relay.Serve(ctx) }()
	l.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			l.t.Error(err)
		}
	})
	return l
}

// A client speaks SMTP line by line.
type client struct {
	t testing.TB
	net.Conn
	in *bufio.Reader
}

func (l *lab) dial() *client {
	l.t.Helper()
	conn, err := net.Dial("tcp", l.relay.Addrs()[0].String())
	if err != nil {
		l.t.Fatal(err)
	}
	return newClient(l.t, conn)
}

func newClient(t testing.TB, conn net.Conn) *client {
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return &client{t: t, Conn: conn, in: bufio.NewReader(conn)}
}

// hello dials, and greets with EHLO.
func (l *lab) hello() *client {
	l.t.Helper()
	c := l.dial()
	c.expect("220")
	c.say("EHLO client.test", "250")
	return c
}

// send writes raw octets.
func (c *client) send(s string) {
	c.t.Helper()
	c.SetDeadline(time.Now().Add(patience)) // for each step: a large message takes long on a busy machine
	if _, err := io.WriteString(c, s); err != nil {
		c.t.Fatalf("send %.60q: %v", s, err)
	}
}

// say sends a line and expects an answer that begins with want.
func (c *client) say(line, want string) string {
	c.t.Helper()
	c.send(line + "\r\n")
	got := c.reply()
	if !strings.HasPrefix(got, want) {
		c.t.Fatalf("%.80s\n got %q\nwant %q", line, got, want)
	}
	return got
}

func (c *client) expect(want string) string {
	c.t.Helper()
	got := c.reply()
	if !strings.HasPrefix(got, want) {
		c.t.Fatalf("got %q, want %q", got, want)
	}
	return got
}

// reply reads one reply, its lines joined by LF.
func (c *client) reply() string {
	c.t.Helper()
	var lines []string
	for {
		line, err := c.in.ReadString('\n')
		if err != nil {
			c.t.Fatalf("read reply: %v (so far %q)", err, lines)
		}
		lines = append(lines, strings.TrimRight(line, "\r\n"))
		if len(line) < 4 || line[3] != '-' {
			return strings.Join(lines, "\n")
		}
	}
}

// closed expects the end of the connection, and gives what came before it.
func (c *client) closed() string {
	c.t.Helper()
	rest, err := io.ReadAll(c.in)
	if ne, ok := err.(net.Error); ok && ne.Timeout() {
		c.t.Fatal("the connection stays open")
	}
	return string(rest)
}

// mail says MAIL, RCPT and DATA.
func (c *client) mail(from string, to ...string) {
	c.t.Helper()
	c.say("MAIL FROM:<"+from+">", "250")
	for _, a := range to {
		c.say("RCPT TO:<"+a+">", "250")
	}
	c.say("DATA", "354")
}

// idIn finds our id in an answer.
func idIn(t testing.TB, answer string) policy.ID {
	t.Helper()
	for _, word := range strings.FieldsFunc(answer, func(r rune) bool { return strings.ContainsRune(" ,;", r) }) {
		if id, err := policy.ParseID(word); err == nil {
			return id
		}
	}
	t.Fatalf("no id in %q", answer)
	return policy.ID{}
}

// stored gives a message's row and its body.
func stored(t testing.TB, id policy.ID) (store.Message, string) {
	t.Helper()
	m, err := journal.Message(id)
	if err != nil {
		t.Fatal(err)
	}
	r, err := journal.Body(id)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	body, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return m, string(body)
}

// kinds lists the events of a message.
func kinds(t testing.TB, id policy.ID) (all []policy.Kind) {
	t.Helper()
	records, err := journal.Timeline(id)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		for _, e := range r.Events {
			all = append(all, e.Kind)
		}
	}
	return all
}

// A backend is an upstream made of go-smtp's server.
type backend struct {
	t      *testing.T
	server *smtp.Server
	ln     net.Listener

	rcpt    func(to string) error         // answers RCPT
	mailed  func(from string) error       // answers MAIL
	done    func(c *smtp.Conn) error      // answers the end of a message
	auth    map[string]func() sasl.Server // by mechanism
	mu      sync.Mutex
	letters []letter
	asked   []string // recipients
	conns   int
}

// A letter is a message that the backend took.
type letter struct {
	from  string
	to    []string
	body  string
	mail  smtp.MailOptions
	rcpts []smtp.RcptOptions
}

func newBackend(t *testing.T, change func(*backend)) *backend {
	t.Helper()
	b := &backend{t: t}
	b.server = smtp.NewServer(b)
	b.server.Domain = "inside.test"
	b.server.EnableDSN, b.server.EnableSMTPUTF8 = true, true
	b.server.AllowInsecureAuth = true
	b.server.MaxLineLength = 0
	b.server.ErrorLog = smtpLog{zap.NewNop()}
	if change != nil {
		change(b)
	}
	var err error
	if b.ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	go b.server.Serve(b.ln)
	t.Cleanup(func() { b.server.Close() })
	return b
}

func (b *backend) address() string { return b.ln.Addr().String() }

// NewSession counts connections.
func (b *backend) NewSession(c *smtp.Conn) (smtp.Session, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.conns++
	return &backendSession{backend: b, conn: c}, nil
}

func (b *backend) received() []letter {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.letters
}

func (b *backend) questions() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.asked
}

type backendSession struct {
	*backend
	conn *smtp.Conn
	letter
}

func (s *backendSession) Reset()        { s.letter = letter{} }
func (s *backendSession) Logout() error { return nil }

func (s *backendSession) Mail(from string, o *smtp.MailOptions) error {
	s.letter = letter{from: from, mail: *o}
	if s.mailed != nil {
		return s.mailed(from)
	}
	return nil
}

func (s *backendSession) Rcpt(to string, o *smtp.RcptOptions) error {
	s.mu.Lock()
	s.asked = append(s.asked, to)
	s.mu.Unlock()
	if s.backend.rcpt != nil {
		if err := s.backend.rcpt(to); err != nil {
			return err
		}
	}
	s.to = append(s.to, to)
	s.rcpts = append(s.rcpts, *o)
	return nil
}

func (s *backendSession) Data(r io.Reader) error {
	body, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.body = string(body)
	s.mu.Lock()
	s.letters = append(s.letters, s.letter)
	s.mu.Unlock()
	if s.done != nil {
		return s.done(s.conn)
	}
	return &smtp.SMTPError{Code: 250, EnhancedCode: smtp.EnhancedCode{2, 0, 0}, Message: "Ok: queued as 4XYZ12"}
}

func (s *backendSession) AuthMechanisms() (all []string) {
	for m := range s.auth {
		all = append(all, m)
	}
	return all
}

func (s *backendSession) Auth(mechanism string) (sasl.Server, error) {
	make, ok := s.auth[mechanism]
	if !ok {
		return nil, smtp.ErrAuthUnknownMechanism
	}
	return make(), nil
}

// nobody is a network that no test comes from.
var nobody = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}

// secure does the client's side of TLS.
func (c *client) secure() *client {
	c.t.Helper()
	conn := tls.Client(c.Conn, &tls.Config{InsecureSkipVerify: true})
	if err := conn.Handshake(); err != nil {
		c.t.Fatal(err)
	}
	return &client{t: c.t, Conn: conn, in: bufio.NewReader(conn)}
}

const letterText = "From: Alice <alice@corp.example>\r\nSubject: test\r\nMessage-ID: <1@corp.example>\r\n\r\nHello\r\n"

func (c *client) sendLetter(want string) string {
	c.t.Helper()
	c.send(letterText)
	return c.say(".", want)
}
