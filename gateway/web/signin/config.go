package signin

import (
	"net/url"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// Config says who may sign in to the dashboard.
type Config struct {
	// MailUsers may sign in with the login and password of their mailbox, which the upstream checks.
	MailUsers bool `yaml:"mail_users"`
	// Idle and Longest end a session: without a request, and in any case.
	Idle    time.Duration `yaml:"session_idle"`
	Longest time.Duration `yaml:"session_longest"`
	OIDC    OIDC          `yaml:"oidc"`
}

// OIDC is single sign-on by OpenID Connect; without an issuer it is off.
type OIDC struct {
	Issuer     string `yaml:"issuer"` // https://login.example/realm
	ClientID   string `yaml:"client_id"`
	SecretFile string `yaml:"client_secret_file"`
	// URL is that of the dashboard, https://mail-gw.corp.example:8025; the provider is told URL/oidc/back.
	URL string `yaml:"url"`
	// Groups is the claim with a user's groups, Roles what they may do: the first role of admin, operator,
	// auditor, user that a group of the user has. Who has none does not get in.
	Groups string            `yaml:"groups_claim"`
	Roles  map[string]string `yaml:"roles"`
	// Login is the claim with the login of the mail server, for the role user.
	Login string `yaml:"login_claim"`
}

// DefaultConfig lets mail users in, for half a day without a request and a week in any case.
func DefaultConfig() Config {
	return Config{MailUsers: true, Idle: 12 * time.Hour, Longest: 7 * 24 * time.Hour, OIDC: OIDC{Groups: "groups", Login: "email"}}
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
	if c.OIDC.Issuer != "" {
		faults.In("oidc", c.OIDC.validate())
	}
	return faults.Err()
}

func (o *OIDC) validate() error {
	var faults policy.Faults
	for _, f := range []struct{ path, value string }{{"issuer", o.Issuer}, {"url", o.URL}} {
		if u, err := url.Parse(f.value); err != nil || u.Host == "" || u.Scheme != "https" && u.Hostname() != "127.0.0.1" && u.Hostname() != "localhost" {
			faults.Add(f.path, f.value, "write it as https://host/path")
		}
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
