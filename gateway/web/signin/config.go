package signin

import (
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// Config says who may sign in to the dashboard.
type Config struct {
	// URL is where people find the dashboard, https://mail-gw.corp.example:8025, if that is not where it listens.
	// With https its cookies are Secure, whoever ends TLS; single sign-on comes back to URL/oidc/back.
	URL string `yaml:"url"`
	// MailUsers may sign in with the login and password of their mailbox, which MailSignIn checks.
	MailUsers bool `yaml:"mail_users"`
	// DefaultDomain completes the login of mail users who write none: "alice" is alice@DefaultDomain.
	DefaultDomain string     `yaml:"default_domain"`
	MailSignIn    MailSignIn `yaml:"mail_sign_in"`
	// Idle and Longest end a session: without a request of somebody who is there, and in any case.
	Idle    time.Duration `yaml:"session_idle"`
	Longest time.Duration `yaml:"session_longest"`
	OIDC    OIDC          `yaml:"oidc"`
}

// MailSignIn says who knows the passwords of mail users.
type MailSignIn struct {
	By   string `yaml:"by"` // BySMTP asks the upstream (AUTH), ByIMAP the server of IMAP
	IMAP IMAP   `yaml:"imap"`
}

// Values of MailSignIn.By.
const (
	BySMTP = "smtp"
	ByIMAP = "imap"
)

// IMAP is the server that is asked about passwords.
type IMAP struct {
	Address string `yaml:"address"` // imap.corp.example:143
	// TLS is starttls, implicit, or none, which is for loopback only. CAFile replaces the system's certificate
	// authorities; ServerName is expected in the certificate instead of the host in Address.
	TLS        string `yaml:"tls"`
	CAFile     string `yaml:"ca_file"`
	ServerName string `yaml:"server_name"`
}

// OIDC is single sign-on by OpenID Connect; without an issuer it is off.
type OIDC struct {
	Issuer string `yaml:"issuer"` // https://login.example/realm
	// ClientID and SecretFile are what the provider has given to this application.
	ClientID   string `yaml:"client_id"`
	SecretFile string `yaml:"client_secret_file"`
	// Groups is the claim with a user's groups, Roles what they may do: the first role of admin, operator,
	// auditor, user that a group of the user has. Who has none does not get in.
	Groups string            `yaml:"groups_claim"`
	Roles  map[string]string `yaml:"roles"`
	// Login is the claim with the login of the mail server, for the role user.
	Login string `yaml:"login_claim"`
}

// DefaultConfig lets mail users in, for half a day without a request and a week in any case.
func DefaultConfig() Config {
	return Config{
		MailUsers: true, MailSignIn: MailSignIn{By: BySMTP, IMAP: IMAP{TLS: "starttls"}},
		Idle: 12 * time.Hour, Longest: 7 * 24 * time.Hour, OIDC: OIDC{Groups: "groups", Login: "email"},
	}
}

// Validate reports every fault at once, as [policy.Faults].
func (c *Config) Validate() error {
	var faults policy.Faults
	if c.Idle < time.Minute || c.Idle > c.Longest {
		faults.Add("session_idle", c.Idle, "from 1m up to session_longest")
	}
	if c.Longest > 90*24*time.Hour {
		faults.Add("session_longest", c.Longest, "at most 2160h (90 days)")
	}
	if c.URL != "" && !isSite(c.URL) {
		faults.Add("url", c.URL, "write it as https://host, the address that people open; http:// is for 127.0.0.1 and localhost")
	}
	if c.DefaultDomain != "" && policy.Address("x@"+c.DefaultDomain).Domain() != strings.ToLower(c.DefaultDomain) {
		faults.Add("default_domain", c.DefaultDomain, "write a domain, such as corp.example")
	}
	faults.In("mail_sign_in", c.MailSignIn.validate())
	if c.OIDC.Issuer != "" {
		faults.In("oidc", c.OIDC.validate())
		if c.URL == "" {
			faults.Add("url", nil, "single sign-on needs the address of the dashboard, to which the provider sends people back")
		}
	}
	return faults.Err()
}

func (m *MailSignIn) validate() error {
	var faults policy.Faults
	switch m.By {
	case BySMTP:
	case ByIMAP:
		faults.In("imap", m.IMAP.validate())
	default:
		faults.Add("by", m.By, "use smtp (the upstream is asked) or imap")
	}
	return faults.Err()
}

func (i *IMAP) validate() error {
	var faults policy.Faults
	host, port, err := net.SplitHostPort(i.Address)
	if err != nil || host == "" || port == "" {
		faults.Add("address", i.Address, "write it as host:port, such as imap.corp.example:143")
	}
	switch addr, err := netip.ParseAddr(host); {
	case i.TLS == "starttls" || i.TLS == "implicit":
	case i.TLS != "none":
		faults.Add("tls", i.TLS, "use starttls, implicit or none")
	case host != "localhost" && (err != nil || !addr.IsLoopback()):
		faults.Add("tls", i.TLS, "passwords are not sent in clear text to another machine: use starttls or implicit")
	}
	return faults.Err()
}

// isSite reports whether a URL is one that passwords may be sent to.
func isSite(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return false
	}
	return u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "127.0.0.1" || u.Hostname() == "localhost")
}

func (o *OIDC) validate() error {
	var faults policy.Faults
	if !isSite(o.Issuer) {
		faults.Add("issuer", o.Issuer, "write it as https://host/path")
	}
	if o.ClientID == "" {
		faults.Add("client_id", nil, "the provider knows sendgate under a client id")
	}
	for group, role := range o.Roles {
		if checkRole(role) != nil {
			faults.Add("roles."+group, role, "not a role: use admin, operator, auditor or user")
		}
	}
	return faults.Err()
}
