package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/sendgate/sendgate/gateway/config"
	"github.com/sendgate/sendgate/gateway/mailbox"
	"github.com/sendgate/sendgate/gateway/mailbox/imap"
	"github.com/sendgate/sendgate/gateway/relay/upstream"
	"github.com/sendgate/sendgate/gateway/web/signin"
	"github.com/sendgate/sendgate/policy"
)

// loginWait bounds what it takes to ask the mail servers about a password.
const loginWait = 20 * time.Second

var (
	errNoAuth  = errors.New("it offers neither AUTH PLAIN nor AUTH LOGIN")
	errInClear = errors.New("passwords are not sent in clear text: the connection has no TLS")
)

// mailLogins knows the logins of the mail servers behind us: they check passwords by SMTP AUTH or by IMAP, and
// the identities of the configuration say whose mail it is.
type mailLogins struct {
	routes    *routes
	directory atomic.Pointer[policy.Directory]
	asked     atomic.Pointer[signin.MailSignIn]
	wait      time.Duration // loginWait
}

// openDesk builds what lets people into the dashboard.
func (g *Gateway) openDesk(cfg *Config, directory *policy.Directory) (err error) {
	g.people = &mailLogins{routes: g.routes, wait: loginWait}
	g.people.reload(cfg, directory)
	g.desk, err = signin.New(cfg.Dashboard, g.store, g.people, time.Now, g.log.Named("signin"))
	return err
}

func (m *mailLogins) reload(cfg *Config, directory *policy.Directory) {
	m.directory.Store(directory)
	m.asked.Store(&cfg.Dashboard.MailSignIn)
}

// Check asks who the configuration says: an IMAP server, or the upstreams.
func (m *mailLogins) Check(ctx context.Context, login, password string) error {
	ctx, cancel := context.WithTimeout(ctx, m.wait)
	defer cancel()
	if c := m.asked.Load(); c.By == signin.ByIMAP {
		return askIMAP(ctx, c.IMAP, login, password)
	}
	return m.askUpstreams(ctx, login, password)
}

func askIMAP(ctx context.Context, c signin.IMAP, login, password string) error {
	err := imap.CheckPassword(ctx, mailbox.IMAP{Address: c.Address, TLS: c.TLS, CAFile: c.CAFile, ServerName: c.ServerName}, login, password)
	switch {
	case errors.Is(err, imap.ErrPassword):
		return errors.Join(signin.ErrWrong, err)
	case err != nil:
		return fmt.Errorf("IMAP server %s: %w", c.Address, err)
	}
	return nil
}

// askUpstreams asks the upstream of the login's domain, then the one for everything else, until one can say.
func (m *mailLogins) askUpstreams(ctx context.Context, login, password string) error {
	var errs []error
	for _, u := range m.order(login) {
		err := tryLogin(ctx, u, login, password)
		if err == nil || errors.Is(err, signin.ErrWrong) {
			return err
		}
		errs = append(errs, fmt.Errorf("upstream %s: %w", u.Name(), err))
	}
	return errors.Join(errs...)
}

// order lists whom to ask. Others are not: an "alice" of theirs may be somebody else.
func (m *mailLogins) order(login string) []*upstream.Upstream {
	address, err := policy.ParseAddress(login)
	if err != nil {
		address = ""
	}
	first := m.routes.Route(address)
	if first == m.routes.fallback {
		return []*upstream.Upstream{first}
	}
	return []*upstream.Upstream{first, m.routes.fallback}
}

// tryLogin tries a login at an upstream. RFC 4954 6: 535 is a wrong password; 4xx and the rest say that it was not
// looked at.
func tryLogin(ctx context.Context, u *upstream.Upstream, login, password string) error {
	c, err := u.Probe(ctx, upstream.Client{})
	if err != nil {
		return err
	}
	defer c.Close()
	if !c.Secure() && !onLoopback(c.Server()) {
		return errInClear
	}
	var reply upstream.Reply
	switch offered := c.Capabilities().Auth; {
	case slices.Contains(offered, sasl.Plain):
		reply, err = c.Auth(ctx, sasl.Plain, sasl.NewPlainClient("", login, password))
	case slices.Contains(offered, sasl.Login):
		reply, err = c.Auth(ctx, sasl.Login, sasl.NewLoginClient(login, password))
	default:
		return errNoAuth
	}
	switch {
	case err != nil:
		return err
	case reply.Code == 535:
		return signin.ErrWrong
	case !reply.Positive():
		return fmt.Errorf("AUTH was answered %s", reply)
	}
	return nil
}

// onLoopback reports whether a server, as configured, is this machine.
func onLoopback(address string) bool {
	if strings.HasPrefix(address, "unix:") {
		return true
	}
	host, _, _ := net.SplitHostPort(address) // as configured, which was checked
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// Who gives the identity that mail of a login counts for, and the strongest of its roles. An address with a
// detail ("ann+x@") is its own login here: to be Ann takes Ann's.
func (m *mailLogins) Who(login string) (identity, role string) {
	d := m.directory.Load()
	known := d.Find(login)
	if known == nil {
		if local, _, _ := strings.Cut(login, "@"); strings.Contains(local, "+") {
			return strings.ToLower(login), "user"
		}
		return d.Canonical(login, "", ""), "user"
	}
	for _, role := range policy.Roles { // the strongest first
		if slices.Contains(known.Roles, role) {
			return strings.ToLower(known.Login), role
		}
	}
	return strings.ToLower(known.Login), "user"
}

// SetUpLink makes the link by which the first administrator is made; it is empty when there is one, or when
// nothing listens for browsers.
func (g *Gateway) SetUpLink() (string, error) {
	if g.started.API.Listen == "" {
		return "", nil
	}
	return g.web.SetUpLink(false)
}

// dashboardURL is where people find the dashboard: as configured, or where the API listens.
func dashboardURL(cfg *Config) string {
	if u := cfg.Dashboard.URL; u != "" {
		return strings.TrimRight(u, "/")
	}
	host, port, _ := net.SplitHostPort(cfg.API.Listen)
	if addr, err := netip.ParseAddr(host); host == "" || err == nil && addr.IsUnspecified() {
		host = cfg.Hostname
	}
	scheme := "http"
	if cfg.API.Certificate != "" {
		scheme = "https"
	}
	if port == "" { // a proxy asks the socket
		return scheme + "://" + host
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// effective prints the configuration as last loaded, for people who look at it from afar: the hashes of tokens
// are none of their business, other secrets hide themselves.
func (g *Gateway) effective() (string, error) {
	cfg := g.loaded()
	cfg.API.Tokens = slices.Clone(cfg.API.Tokens)
	for i := range cfg.API.Tokens {
		cfg.API.Tokens[i].SHA256 = "<secret>"
	}
	var b strings.Builder
	err := config.Print(&b, cfg)
	return b.String(), err
}
