package gateway

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"time"

	"github.com/sendgate/sendgate/gateway/demo"
	"github.com/sendgate/sendgate/gateway/mailbox"
	"github.com/sendgate/sendgate/gateway/milter"
	"github.com/sendgate/sendgate/gateway/relay/upstream"
	"github.com/sendgate/sendgate/gateway/web"
	"github.com/sendgate/sendgate/policy"
)

// DemoToken is the API token of "sendgate demo", and the password of its administrator.
const DemoToken = "demo"

// AddDemoUser lets the demo's administrator in: "admin", with DemoToken as password.
func (g *Gateway) AddDemoUser() error { return g.desk.Provide("admin", DemoToken, "admin") }

// DemoMailboxes lets the demo take mail out of the mailboxes of its mail server, in the name of their owners. It
// writes their password into the data directory.
func (c *Config) DemoMailboxes(imapAddr string) error {
	var m mailbox.Config
	m.SetDefaults()
	m.Name, m.Domains = "demo", []string{"@" + demo.Domain}
	m.IMAP.Address, m.IMAP.TLS, m.IMAP.Auth, m.IMAP.Login = imapAddr, mailbox.TLSNone, mailbox.AuthService, "%u"
	m.IMAP.PasswordFile = filepath.Join(c.Store.Dir, "imap-password")
	c.Mailboxes = []mailbox.Config{m}
	if err := os.MkdirAll(c.Store.Dir, 0o700); err != nil {
		return err
	}
	return os.WriteFile(m.IMAP.PasswordFile, []byte(demo.Password+"\n"), 0o600)
}

// DemoConfig is the configuration of "sendgate demo": everything on loopback, its data in dir, and
// the demo's own mail server as upstream. Holds and retries are short, so that there is something to
// see within a minute.
func DemoConfig(dir, upstreamAddr string) Config {
	cfg := DefaultConfig()
	cfg.Hostname = "gateway." + demo.Domain
	cfg.Store.Dir = dir
	cfg.Relay.AllowInsecureAuth = true
	cfg.Milter.Listen = []milter.Listener{{Address: "127.0.0.1:7357"}}
	cfg.Postfix.Helper = filepath.Join(dir, "postfix.sock")
	u := upstream.DefaultConfig()
	u.Name, u.Servers, u.TLS = "demo", []upstream.Server{{Address: upstreamAddr}}, upstream.TLSNone
	u.AcceptsFor = upstream.ForRemote
	inside := u
	inside.Name, inside.Match, inside.AcceptsFor = "mailboxes", []string{"@" + demo.Domain}, upstream.ForMailbox
	cfg.Upstreams = []upstream.Config{inside, u}
	cfg.Delivery.Retry.First = 20 * time.Second
	cfg.Policy.Rules = []policy.Rule{{
		Name: "one-time codes are not held", Match: policy.Match{Senders: []string{"otp@" + demo.Domain}}, Action: policy.Hold,
	}}
	cfg.Policy.Internal, cfg.Policy.Trial = []string{"@" + demo.Domain}, 0
	for _, p := range demo.People() {
		identity := policy.Identity{Login: p.Login, Addresses: []string{p.Address()}}
		if p.Alias != "" {
			identity.Addresses = append(identity.Addresses, p.Alias+"@"+demo.Domain)
		}
		cfg.Identities = append(cfg.Identities, identity)
	}
	hash := sha256.Sum256([]byte(DemoToken))
	cfg.API.Tokens = []web.Token{{Name: "demo", Role: "admin", SHA256: hex.EncodeToString(hash[:])}}
	cfg.API.Socket = filepath.Join(dir, "api.sock")
	if len(cfg.API.Socket) > 107 { // sockaddr_un
		cfg.API.Socket = ""
	}
	cfg.Log.Level, cfg.Log.Format = "warn", "console"
	return cfg
}
