package gateway

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/gateway/demo"
	"github.com/sendgate/sendgate/gateway/relay/upstream"
	"github.com/sendgate/sendgate/gateway/web/signin"
	"github.com/sendgate/sendgate/policy"
	"go.uber.org/zap"
)

// startDemo runs the demo's mail server until the test ends.
func startDemo(t *testing.T) *demo.Upstream {
	t.Helper()
	u, err := demo.New(demo.Config{SMTP: "127.0.0.1:0", IMAP: "127.0.0.1:0"}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- u.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return u
}

func loginsAt(t *testing.T, identities []policy.Identity, configs ...upstream.Config) *mailLogins {
	t.Helper()
	r, err := newRoutes(configs, "gw.corp.example", zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.close(); err != nil {
			t.Error(err)
		}
	})
	d, err := policy.NewDirectory(identities)
	if err != nil {
		t.Fatal(err)
	}
	cfg := DefaultConfig()
	m := &mailLogins{routes: r, wait: loginWait}
	m.reload(&cfg, d)
	return m
}

func upstreamAt(name, address string, match ...string) upstream.Config {
	c := upstream.DefaultConfig()
	c.Name, c.Servers, c.TLS, c.Match = name, []upstream.Server{{Address: address}}, upstream.TLSNone, match
	return c
}

func TestPasswordsAreCheckedByTheMailServer(t *testing.T) {
	server := startDemo(t)
	hop := upstreamAt("hop", "127.0.0.1:1", "@away.example")
	m := loginsAt(t, nil, hop, upstreamAt("mail", server.SMTPAddr()))
	for _, c := range []struct {
		outcome, login, password string
		want                     error
	}{
		{"a good one", "alice", demo.Password, nil},
		{"by address", "alice@corp.example", demo.Password, nil},
		{"a wrong one", "alice", "guess", signin.ErrWrong},
		{"nobody", "eve", demo.Password, signin.ErrWrong},
		{"the server of the domain is away, the other knows", "eve@away.example", demo.Password, signin.ErrWrong},
	} {
		if err := m.Check(t.Context(), c.login, c.password); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v", c.outcome, err)
		}
	}
	away := loginsAt(t, nil, upstreamAt("hop", "127.0.0.1:1"))
	if err := away.Check(t.Context(), "alice", demo.Password); err == nil || errors.Is(err, signin.ErrWrong) || !strings.Contains(err.Error(), "upstream hop: ") {
		t.Errorf("away: %v", err)
	}
	deaf := startHop(t)
	if err := loginsAt(t, nil, upstreamAt("deaf", deaf.listener.Addr().String())).Check(t.Context(), "alice", demo.Password); !errors.Is(err, errNoAuth) {
		t.Errorf("without AUTH: %v", err)
	}
}

func TestPasswordsAreCheckedByIMAP(t *testing.T) {
	server := startDemo(t)
	m := loginsAt(t, nil, upstreamAt("nobody", "127.0.0.1:1"))
	byIMAP := func(address string) {
		cfg := DefaultConfig()
		cfg.Dashboard.MailSignIn = signin.MailSignIn{By: signin.ByIMAP, IMAP: signin.IMAP{Address: address, TLS: "none"}}
		m.reload(&cfg, m.directory.Load())
	}
	byIMAP(server.IMAPAddr())
	if err := m.Check(t.Context(), "alice@corp.example", demo.Password); err != nil {
		t.Errorf("a good one: %v", err)
	}
	if err := m.Check(t.Context(), "alice@corp.example", "guess"); !errors.Is(err, signin.ErrWrong) {
		t.Errorf("a wrong one: %v", err)
	}
	byIMAP("127.0.0.1:1")
	if err := m.Check(t.Context(), "alice@corp.example", demo.Password); err == nil || errors.Is(err, signin.ErrWrong) || !strings.Contains(err.Error(), "IMAP server 127.0.0.1:1: ") {
		t.Errorf("away: %v", err)
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, and never says a word
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	byIMAP(silent.Addr().String())
	m.wait = 100 * time.Millisecond
	if err := m.Check(t.Context(), "alice@corp.example", demo.Password); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, signin.ErrWrong) {
		t.Errorf("silent: %v", err)
	}
}

func TestWhoALoginIs(t *testing.T) {
	m := loginsAt(t, []policy.Identity{
		{Login: "Alice", Addresses: []string{"alice@corp.example"}, Roles: []string{"user", "operator"}},
		{Login: "bob"},
	}, upstreamAt("mail", "127.0.0.1:1"))
	for login, want := range map[string][2]string{
		"ALICE":                {"alice", "operator"},
		"alice@corp.example":   {"alice", "operator"},
		"bob":                  {"bob", "user"},
		"Eve@corp.example":     {"eve@corp.example", "user"},
		"alice+x@corp.example": {"alice+x@corp.example", "user"}, // may be another's mailbox
	} {
		if identity, role := m.Who(login); identity != want[0] || role != want[1] {
			t.Errorf("%s: %s, %s", login, identity, role)
		}
	}
}

func TestPasswordsStayOnThisMachineWithoutTLS(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1:25": true, "[::1]:25": true, "localhost:25": true, "unix:/run/mail": true,
		"192.0.2.1:25": false, "mail.corp.example:25": false, "localhost.evil.example:25": false,
	} {
		if got := onLoopback(address); got != want {
			t.Errorf("%s: %v", address, got)
		}
	}
}

func TestDashboardURL(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"http://127.0.0.1:8025":         func(*Config) {},
		"https://127.0.0.1:8025":        func(c *Config) { c.API.Certificate = "cert.pem" },
		"http://gw.corp.example:80":     func(c *Config) { c.API.Listen = ":80" },
		"http://gw.corp.example:81":     func(c *Config) { c.API.Listen = "[::]:81" },
		"http://gw.corp.example":        func(c *Config) { c.API.Listen = "" },
		"https://sendgate.corp.example": func(c *Config) { c.Dashboard.URL = "https://sendgate.corp.example/" },
	} {
		cfg := DefaultConfig()
		cfg.Hostname = "gw.corp.example"
		if change(&cfg); dashboardURL(&cfg) != want {
			t.Errorf("%s, want %s", dashboardURL(&cfg), want)
		}
	}
}

// TestFirstStartUntilSignedIn opens the link, makes the administrator, and lets a mail user in.
func TestFirstStartUntilSignedIn(t *testing.T) {
	server := startDemo(t)
	cfg := DemoConfig(t.TempDir(), server.SMTPAddr())
	cfg.Milter.Listen, cfg.API.Socket, cfg.API.Listen = nil, "", "127.0.0.1:0"
	cfg.Relay.Listen[0].Address = "127.0.0.1:0"
	g, err := New(cfg, "test", zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Listen(); err != nil {
		t.Fatal(errors.Join(err, g.Close()))
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	link, err := g.SetUpLink()
	if err != nil || !strings.HasPrefix(link, "http://127.0.0.1:") {
		t.Fatal(link, err)
	}
	base := "http://" + g.APIAddr().String()
	_, token, _ := strings.Cut(link, "token=")
	admin := &visitor{t: t, base: base}
	if page := admin.post("/set-up", "token", token, "name", "root", "password", "battery staple", "again", "battery staple"); !strings.Contains(page, "root") {
		t.Fatalf("not signed in:\n%s", page)
	}
	if again, err := g.SetUpLink(); again != "" || err != nil {
		t.Errorf("a link although there is an administrator: %q, %v", again, err)
	}
	effective := admin.get("/api/v1/config")
	if !strings.Contains(effective, "dashboard:") || !strings.Contains(effective, "sha256: \\u003csecret\\u003e") && !strings.Contains(effective, "sha256: <secret>") || strings.Contains(effective, cfg.API.Tokens[0].SHA256) {
		t.Errorf("configuration:\n%s", effective)
	}
	alice := &visitor{t: t, base: base}
	alice.post("/sign-in", "name", "alice@corp.example", "password", demo.Password)
	if me := alice.get("/api/v1/me"); !strings.Contains(me, `"identity":"alice"`) {
		t.Errorf("alice is %s", me)
	}
	changed := cfg
	changed.Dashboard.MailUsers = false
	if err := g.Reload(changed); err != nil {
		t.Fatal(err)
	}
	if me := alice.get("/api/v1/me"); !strings.Contains(me, "unauthorized") {
		t.Errorf("without mail users alice is %s", me)
	}
}

// A visitor has a browser with cookies.
type visitor struct {
	t      *testing.T
	base   string
	client *http.Client
}

func (p *visitor) do(r *http.Request, err error) string {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
	if p.client == nil {
		jar, err := cookiejar.New(nil)
		if err != nil {
			p.t.Fatal(err)
		}
		p.client = &http.Client{Jar: jar, Timeout: 30 * time.Second}
		p.t.Cleanup(p.client.CloseIdleConnections)
	}
	resp, err := p.client.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(resp.Body); err != nil {
		p.t.Fatal(err)
	}
	return b.String()
}

func (p *visitor) get(path string) string {
	return p.do(http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.base+path, nil))
}

func (p *visitor) post(path string, fields ...string) string {
	v := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		v.Set(fields[i], fields[i+1])
	}
	r, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, p.base+path, strings.NewReader(v.Encode()))
	if err == nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return p.do(r, err)
}
