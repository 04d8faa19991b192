package mailbox

import (
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// Config describes one way to mailboxes: an entry of the list mailboxes.
type Config struct {
	// Name stands in the journal, in logs and metrics. Copies in staging are found again by it: keep it.
	Name string `yaml:"name"`
	// Domains names whose mailboxes are there: "@corp.example", "@.corp.example" with all below it, or
	// single addresses. The first entry that names an address has its mailbox.
	Domains []string `yaml:"domains"`
	// IMAP or Doveadm says how they are reached: exactly one of the two.
	IMAP    IMAP    `yaml:"imap"`
	Doveadm Doveadm `yaml:"doveadm"`
	// User makes the server's user name out of an address: %u is the address without its extension, %n the
	// part before the @, %d the domain.
	User string `yaml:"user"`
	// RecipientDelimiter holds the characters at which the extension of a local part begins, as in Postfix;
	// empty when there are none.
	RecipientDelimiter string `yaml:"recipient_delimiter"`
	// Staging is the folder for what was taken.
	Staging string `yaml:"staging"`
	// Mode is staging, trash or expunge.
	Mode Mode `yaml:"mode"`
	// Timeout bounds one operation in one mailbox.
	Timeout time.Duration `yaml:"timeout"`
}

// IMAP describes an IMAP server.
type IMAP struct {
	// Address is host:port.
	Address string `yaml:"address"`
	// TLS is none, starttls or implicit. CAFile replaces the system's certificate authorities; ServerName is
	// expected in the certificate instead of the host in Address.
	TLS        string `yaml:"tls"`
	ServerName string `yaml:"server_name"`
	CAFile     string `yaml:"ca_file"`
	// Auth says how we act as the owner: master (the login is user, Separator, Login), authzid (SASL PLAIN
	// with the user as the authorisation identity) or service (Login is a template with %u, %n and %d).
	Auth      string `yaml:"auth"`
	Separator string `yaml:"separator"`
	// Login and the first line of PasswordFile are the account that may act for everybody.
	Login        string `yaml:"login"`
	PasswordFile string `yaml:"password_file"`
	// Connections bounds what is open at a time.
	Connections int `yaml:"connections"`
}

// Values of IMAP.TLS.
const (
	TLSNone     = "none"
	TLSStartTLS = "starttls"
	TLSImplicit = "implicit"
)

// Values of IMAP.Auth.
const (
	AuthMaster  = "master"  // Dovecot: auth_master_user_separator
	AuthAuthzid = "authzid" // RFC 4616; Cyrus: proxyservers, Dovecot: a master user
	AuthService = "service" // Exchange: corp\service\%n
)

// Doveadm describes the HTTP API of Dovecot's doveadm.
type Doveadm struct {
	URL string `yaml:"url"` // such as https://mail.corp.example:8080/doveadm/v1
	// APIKeyFile holds doveadm_api_key; or User and PasswordFile hold doveadm_password with its user,
	// "doveadm".
	APIKeyFile   string `yaml:"api_key_file"`
	User         string `yaml:"user"`
	PasswordFile string `yaml:"password_file"`
	// Connections bounds how many requests are under way.
	Connections int `yaml:"connections"`
}

// SetDefaults fills an entry of the list before the file is read into it.
func (c *Config) SetDefaults() {
	*c = Config{
		IMAP:               IMAP{TLS: TLSStartTLS, Auth: AuthMaster, Separator: "*", Connections: 8},
		Doveadm:            Doveadm{Connections: 8},
		User:               "%u",
		RecipientDelimiter: "+",
		Staging:            "sendgate-recalled",
		Mode:               Staging,
		Timeout:            time.Minute,
	}
}

// Validate reports every fault at once, as [policy.Faults].
func (c *Config) Validate() error {
	var faults policy.Faults
	if c.Name == "" {
		faults.Add("name", nil, "needed: copies that were taken are found again by it")
	}
	c.validateDomains(&faults)
	switch imap, doveadm := c.IMAP.Address != "", c.Doveadm.URL != ""; {
	case imap && doveadm:
		faults.Add("doveadm.url", c.Doveadm.URL, "name either imap or doveadm, not both")
	case imap:
		faults.In("imap", c.IMAP.validate())
	case doveadm:
		faults.In("doveadm", c.Doveadm.validate())
	default:
		faults.Add("imap.address", nil, "name an imap address or a doveadm url")
	}
	if !strings.Contains(c.User, "%u") && !strings.Contains(c.User, "%n") {
		faults.Add("user", c.User, "must contain %%u (the address) or %%n (the part before the @)")
	}
	if strings.ContainsAny(c.RecipientDelimiter, "@. ") {
		faults.Add("recipient_delimiter", c.RecipientDelimiter, "must not contain @, dots or spaces")
	}
	if c.Staging == "" || strings.EqualFold(c.Staging, "INBOX") || strings.ContainsAny(c.Staging, "*%\r\n\x00") {
		faults.Add("staging", c.Staging, "write the name of a folder of its own, such as sendgate-recalled")
	}
	oneOf(&faults, "mode", string(c.Mode), string(Staging), string(Trash), string(Expunge))
	if c.Timeout < time.Second || c.Timeout > time.Hour {
		faults.Add("timeout", c.Timeout, "must be between 1s and 1h")
	}
	return faults.Err()
}

func (c *Config) validateDomains(faults *policy.Faults) {
	if len(c.Domains) == 0 {
		faults.Add("domains", nil, "name the domains whose mailboxes are there, such as @corp.example")
	}
	for i, p := range c.Domains {
		local, domain, at := strings.Cut(p, "@")
		if a, err := policy.ParseAddress("x@" + strings.TrimPrefix(domain, ".")); !at || err != nil || a.Domain() == "" || local != "" && domain[0] == '.' {
			faults.Add("domains["+strconv.Itoa(i)+"]", p,
				"write a domain (@corp.example), a domain with all below it (@.corp.example) or an address")
		}
	}
}

func (c *IMAP) validate() error {
	var faults policy.Faults
	if host, port, err := net.SplitHostPort(c.Address); err != nil || host == "" || port == "" {
		faults.Add("address", c.Address, "write host:port, such as imap.corp.example:143")
	}
	oneOf(&faults, "tls", c.TLS, TLSNone, TLSStartTLS, TLSImplicit)
	if c.TLS == TLSNone {
		if host, _, _ := net.SplitHostPort(c.Address); !loopback(host) {
			faults.Add("tls", c.TLS, "the password of everybody's mailbox is sent over TLS only, except to loopback")
		}
		if c.CAFile != "" {
			faults.Add("ca_file", c.CAFile, "is not used with tls: none")
		}
		if c.ServerName != "" {
			faults.Add("server_name", c.ServerName, "is not used with tls: none")
		}
	}
	oneOf(&faults, "auth", c.Auth, AuthMaster, AuthAuthzid, AuthService)
	switch {
	case c.Login == "":
		faults.Add("login", nil, "needs the account that may act for everybody")
	case c.Auth == AuthService && !strings.Contains(c.Login, "%u") && !strings.Contains(c.Login, "%n"):
		faults.Add("login", c.Login, `auth: service needs a template, such as corp\service\%%n`)
	}
	if c.Auth == AuthMaster && len(c.Separator) != 1 {
		faults.Add("separator", c.Separator, "must be the one character of auth_master_user_separator")
	}
	if c.PasswordFile == "" {
		faults.Add("password_file", nil, "needs the file with the password")
	}
	validateConnections(&faults, c.Connections)
	return faults.Err()
}

func (c *Doveadm) validate() error {
	var faults policy.Faults
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil:
		faults.Add("url", c.URL, "write it as https://mail.corp.example:8080/doveadm/v1, without a password")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		faults.Add("url", c.URL, "the key to everybody's mailbox is sent over https only, except to loopback")
	}
	switch key, password := c.APIKeyFile != "", c.PasswordFile != ""; {
	case key == password:
		faults.Add("api_key_file", c.APIKeyFile, "name either api_key_file or password_file")
	case password != (c.User != ""):
		faults.Add("user", c.User, "belongs to password_file: name both, or api_key_file")
	}
	validateConnections(&faults, c.Connections)
	return faults.Err()
}

func validateConnections(faults *policy.Faults, connections int) {
	if connections < 1 || connections > 1000 {
		faults.Add("connections", connections, "must be between 1 and 1000")
	}
}

func oneOf(faults *policy.Faults, path, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		last := len(allowed) - 1
		faults.Add(path, value, "must be %s or %s", strings.Join(allowed[:last], ", "), allowed[last])
	}
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback() || host == "localhost"
}
