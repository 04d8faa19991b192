package upstream

import (
	"crypto/tls"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// Values of Config.Protocol.
const (
	SMTP = "smtp"
	LMTP = "lmtp"
)

// Values of Config.TLS.
const (
	TLSNone          = "none"
	TLSOpportunistic = "opportunistic" // STARTTLS where offered, any certificate, else clear text
	TLSVerified      = "verified"      // STARTTLS, chain and name must be right
	TLSImplicit      = "implicit"      // TLS from the first byte, chain and name must be right
)

// Values of Config.AcceptsFor.
const (
	ForMailbox = "mailbox"
	ForRemote  = "remote"
	ForHop     = "hop"
)

// Values of Config.TrustedPath.
const (
	TrustNetwork = "network" // the server permits our address
	TrustXClient = "xclient" // the server grants us XCLIENT with ADDR and LOGIN
	TrustLogin   = "login"   // we have an account there
)

// Config describes one upstream: some servers that stand for the same thing.
type Config struct {
	// Name stands in rules (upstream), logs and metrics.
	Name    string   `yaml:"name"`
	Servers []Server `yaml:"servers"`
	// Protocol is smtp or lmtp.
	Protocol string `yaml:"protocol"`
	// TLS is none, opportunistic, verified or implicit. CAFile replaces the system's certificate
	// authorities; ServerName is expected in the certificate instead of the host in Address.
	TLS        string `yaml:"tls"`
	CAFile     string `yaml:"ca_file"`
	ServerName string `yaml:"server_name"`
	// Certificate and Key are PEM files by which we prove who we are, to servers that know us by it (the
	// connector of Exchange Online). They are read again for each connection.
	Certificate string `yaml:"certificate"`
	Key         string `yaml:"key"`
	// Login and the first line of PasswordFile are our own account there.
	Login        string `yaml:"login"`
	PasswordFile string `yaml:"password_file"`
	// AcceptsFor says what a 250 of this upstream means: mailbox (it lies in the mailbox), remote (the
	// recipient's server has it) or hop (somebody will carry it on).
	AcceptsFor string `yaml:"accepts_for"`
	// TrustedPath says why the upstream takes held mail of authenticated senders from us: network,
	// xclient or login.
	TrustedPath string `yaml:"trusted_path"`
	// Match lists the recipient domains that go here: "@corp.example", "@.corp.example" with all
	// below it. Empty is for everything that no other upstream names.
	Match []string `yaml:"match"`
	// Connections bounds the pool; connections of Probe are not counted. IdleTimeout is how long one is
	// kept unused.
	Connections int           `yaml:"connections"`
	IdleTimeout time.Duration `yaml:"idle_timeout"`
	Timeouts    Timeouts      `yaml:"timeouts"`
}

// A Server is an address of an upstream.
type Server struct {
	// Address is "host:port" or "unix:/path".
	Address string `yaml:"address"`
	// Priority orders servers, lower first; those of equal priority take turns.
	Priority int `yaml:"priority"`
}

// Timeouts bound each single wait, not the whole of a dialogue.
type Timeouts struct {
	Connect  time.Duration `yaml:"connect"`  // connecting, and the TLS handshake
	Greeting time.Duration `yaml:"greeting"` // until the server greets
	Command  time.Duration `yaml:"command"`  // the reply to MAIL, RCPT and all that is not named here
	Data     time.Duration `yaml:"data"`     // the reply to DATA
	Block    time.Duration `yaml:"block"`    // sending a piece of the body
	End      time.Duration `yaml:"end"`      // the reply to the final dot
}

// DefaultConfig has the timeouts of RFC 5321 4.5.3.2 and no servers.
func DefaultConfig() Config {
	return Config{
		Protocol: SMTP, TLS: TLSOpportunistic, AcceptsFor: ForHop, TrustedPath: TrustNetwork,
		Connections: 20, IdleTimeout: 30 * time.Second,
		Timeouts: Timeouts{
			Connect: 30 * time.Second, Greeting: 5 * time.Minute, Command: 5 * time.Minute,
			Data: 2 * time.Minute, Block: 3 * time.Minute, End: 10 * time.Minute,
		},
	}
}

// SetDefaults fills an entry of a list before the file is read into it.
func (c *Config) SetDefaults() { *c = DefaultConfig() }

// Matches reports whether one of the patterns in Match names the address.
func (c *Config) Matches(a policy.Address) bool {
	return slices.ContainsFunc(c.Match, func(p string) bool { return policy.MatchAddress(p, a) })
}

// Validate reports every fault at once, as [policy.Faults].
func (c *Config) Validate() error {
	var faults policy.Faults
	if c.Name == "" {
		faults.Add("name", nil, "an upstream needs a name: it is what people see as the next hop")
	}
	c.validateServers(&faults)
	oneOf(&faults, "protocol", c.Protocol, SMTP, LMTP)
	oneOf(&faults, "tls", c.TLS, TLSNone, TLSOpportunistic, TLSVerified, TLSImplicit)
	oneOf(&faults, "accepts_for", c.AcceptsFor, ForMailbox, ForRemote, ForHop)
	oneOf(&faults, "trusted_path", c.TrustedPath, TrustNetwork, TrustXClient, TrustLogin)
	c.validateTLS(&faults)
	c.validateCertificate(&faults)
	c.validateLogin(&faults)
	for i, p := range c.Match {
		if len(p) < 2 || p[0] != '@' || strings.ContainsAny(p[1:], "@ <>") {
			faults.Add("match["+strconv.Itoa(i)+"]", p, "write a domain (@corp.example) or a domain with all below it (@.corp.example)")
		}
	}
	if c.Connections < 1 || c.Connections > 1000 {
		faults.Add("connections", c.Connections, "must be between 1 and 1000")
	}
	positive(&faults, "idle_timeout", c.IdleTimeout)
	faults.In("timeouts", c.Timeouts.validate())
	return faults.Err()
}

func (c *Config) validateServers(faults *policy.Faults) {
	if len(c.Servers) == 0 {
		faults.Add("servers", nil, "name at least one server: address: host:port or unix:/path")
	}
	for i, s := range c.Servers {
		at := "servers[" + strconv.Itoa(i) + "]."
		if !s.valid() {
			faults.Add(at+"address", s.Address, "write host:port, [IPv6]:port or unix:/path")
		}
		if s.Priority < 0 {
			faults.Add(at+"priority", s.Priority, "must not be negative")
		}
	}
}

func (c *Config) validateTLS(faults *policy.Faults) {
	if c.checksCertificate() {
		for i, s := range c.Servers {
			if network, _ := s.target(); network == "unix" && c.ServerName == "" {
				faults.Add("servers["+strconv.Itoa(i)+"].address", s.Address, "a unix socket has no name to verify: set server_name or tls: none")
			}
		}
		return
	}
	if c.CAFile != "" {
		faults.Add("ca_file", c.CAFile, "is used with tls: verified or implicit only")
	}
	if c.ServerName != "" {
		faults.Add("server_name", c.ServerName, "is used with tls: verified or implicit only")
	}
}

// validateCertificate wants a pair that can be used, and TLS to use it in.
func (c *Config) validateCertificate(faults *policy.Faults) {
	switch {
	case c.Certificate == "" && c.Key == "":
		return
	case c.Certificate == "" || c.Key == "":
		faults.Add("certificate", c.Certificate, "a certificate and its key belong together")
		return
	case c.TLS == TLSNone:
		faults.Add("certificate", c.Certificate, "is not used with tls: none")
		return
	}
	if _, err := tls.LoadX509KeyPair(c.Certificate, c.Key); err != nil {
		faults.Add("certificate", c.Certificate, "cannot be used with the key %s: %v", c.Key, err)
	}
}

func (c *Config) validateLogin(faults *policy.Faults) {
	if c.TrustedPath != TrustLogin {
		if c.Login != "" {
			faults.Add("login", c.Login, "is used with trusted_path: login only")
		}
		if c.PasswordFile != "" {
			faults.Add("password_file", c.PasswordFile, "is used with trusted_path: login only")
		}
		return
	}
	if c.Login == "" {
		faults.Add("login", nil, "trusted_path: login needs an account")
	}
	if c.PasswordFile == "" {
		faults.Add("password_file", nil, "trusted_path: login needs the file with its password")
	}
	if !c.checksCertificate() && slices.ContainsFunc(c.Servers, func(s Server) bool { return !s.loopback() }) {
		faults.Add("tls", c.TLS, "a password is sent over verified TLS only, except to loopback: use verified or implicit")
	}
}

func (t *Timeouts) validate() error {
	var faults policy.Faults
	positive(&faults, "connect", t.Connect)
	positive(&faults, "greeting", t.Greeting)
	positive(&faults, "command", t.Command)
	positive(&faults, "data", t.Data)
	positive(&faults, "block", t.Block)
	positive(&faults, "end", t.End)
	return faults.Err()
}

func (c *Config) checksCertificate() bool { return c.TLS == TLSVerified || c.TLS == TLSImplicit }

// target splits the address as net.Dial wants it.
func (s Server) target() (network, address string) {
	if path, ok := strings.CutPrefix(s.Address, "unix:"); ok {
		return "unix", path
	}
	return "tcp", s.Address
}

// host is the name or address that a certificate has to show; empty for a unix socket.
func (s Server) host() string {
	if network, address := s.target(); network == "tcp" {
		host, _, _ := net.SplitHostPort(address)
		return host
	}
	return ""
}

// loopback reports whether the address cannot lead off this machine.
func (s Server) loopback() bool {
	if network, _ := s.target(); network == "unix" {
		return true
	}
	addr, err := netip.ParseAddr(s.host())
	return err == nil && addr.IsLoopback()
}

func (s Server) valid() bool {
	network, address := s.target()
	if network == "unix" {
		return address != ""
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" {
		return false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}

func oneOf(faults *policy.Faults, path, value string, values ...string) {
	if !slices.Contains(values, value) {
		faults.Add(path, value, "must be one of %s", strings.Join(values, ", "))
	}
}

func positive(faults *policy.Faults, path string, d time.Duration) {
	if d <= 0 {
		faults.Add(path, d, "must be longer than 0s")
	}
}
