package mailbox

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
)

func valid() Config {
	var c Config
	c.SetDefaults()
	c.Name, c.Domains = "dovecot", []string{"@corp.example"}
	c.IMAP.Address, c.IMAP.Login, c.IMAP.PasswordFile = "imap.corp.example:143", "master", "/etc/sendgate/imap"
	return c
}

func httpAPI() Config {
	c := valid()
	c.IMAP.Address, c.Doveadm.URL, c.Doveadm.APIKeyFile = "", "https://mail.corp.example:8080/doveadm/v1", "/key"
	return c
}

func TestValidate(t *testing.T) {
	for _, c := range []Config{valid(), httpAPI()} {
		if err := c.Validate(); err != nil {
			t.Error(err)
		}
	}
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"name":             {func(c *Config) { c.Name = "" }, "name: needed: copies that were taken are found again by it"},
		"no domains":       {func(c *Config) { c.Domains = nil }, "name the domains whose mailboxes are there, such as @corp.example"},
		"not a domain":     {func(c *Config) { c.Domains = []string{"corp.example"} }, "domains[0]: corp.example: write a domain (@corp.example)"},
		"an empty domain":  {func(c *Config) { c.Domains = []string{"@."} }, "domains[0]"},
		"a name below":     {func(c *Config) { c.Domains = []string{"a@.x"} }, "domains[0]"},
		"neither":          {func(c *Config) { c.IMAP.Address = "" }, "imap.address: name an imap address or a doveadm url"},
		"both":             {func(c *Config) { c.Doveadm.URL = "https://x/" }, "name either imap or doveadm, not both"},
		"user":             {func(c *Config) { c.User = "all" }, "must contain %u (the address) or %n (the part before the @)"},
		"delimiter":        {func(c *Config) { c.RecipientDelimiter = "." }, "must not contain @, dots or spaces"},
		"staging":          {func(c *Config) { c.Staging = "inbox" }, "write the name of a folder of its own, such as sendgate-recalled"},
		"staging pattern":  {func(c *Config) { c.Staging = "a*" }, "folder of its own"},
		"mode":             {func(c *Config) { c.Mode = "burn" }, "mode: burn: must be staging, trash or expunge"},
		"timeout":          {func(c *Config) { c.Timeout = time.Millisecond }, "must be between 1s and 1h"},
		"address":          {func(c *Config) { c.IMAP.Address = "imap" }, "imap.address: imap: write host:port, such as imap.corp.example:143"},
		"tls":              {func(c *Config) { c.IMAP.TLS = "yes" }, "must be none, starttls or implicit"},
		"clear text":       {func(c *Config) { c.IMAP.TLS = TLSNone }, "the password of everybody's mailbox is sent over TLS only, except to loopback"},
		"ca without tls":   {func(c *Config) { c.IMAP.TLS, c.IMAP.CAFile = TLSNone, "/ca" }, "imap.ca_file: /ca: is not used with tls: none"},
		"name without tls": {func(c *Config) { c.IMAP.TLS, c.IMAP.ServerName = TLSNone, "x" }, "imap.server_name: x: is not used with tls: none"},
		"auth":             {func(c *Config) { c.IMAP.Auth = "magic" }, "must be master, authzid or service"},
		"login":            {func(c *Config) { c.IMAP.Login = "" }, "needs the account that may act for everybody"},
		"template":         {func(c *Config) { c.IMAP.Auth = AuthService }, `auth: service needs a template, such as corp\service\%n`},
		"separator":        {func(c *Config) { c.IMAP.Separator = "" }, "must be the one character of auth_master_user_separator"},
		"password":         {func(c *Config) { c.IMAP.PasswordFile = "" }, "needs the file with the password"},
		"connections":      {func(c *Config) { c.IMAP.Connections = 0 }, "must be between 1 and 1000"},
		"doveadm url":      {func(c *Config) { *c = httpAPI(); c.Doveadm.URL = "mail:8080" }, "write it as https://mail.corp.example:8080/doveadm/v1, without a password"},
		"doveadm clear":    {func(c *Config) { *c = httpAPI(); c.Doveadm.URL = "http://mail.corp.example/" }, "the key to everybody's mailbox is sent over https only, except to loopback"},
		"doveadm no key":   {func(c *Config) { *c = httpAPI(); c.Doveadm.APIKeyFile = "" }, "name either api_key_file or password_file"},
		"doveadm two keys": {func(c *Config) { *c = httpAPI(); c.Doveadm.User, c.Doveadm.PasswordFile = "doveadm", "/p" }, "name either api_key_file or password_file"},
		"doveadm user":     {func(c *Config) { *c = httpAPI(); c.Doveadm.User = "doveadm" }, "belongs to password_file: name both, or api_key_file"},
		"doveadm many":     {func(c *Config) { *c = httpAPI(); c.Doveadm.Connections = 1001 }, "doveadm.connections: 1001: must be between 1 and 1000"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := valid()
			c.change(&cfg)
			if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want %q", err, c.want)
			}
		})
	}
}

// A silent backend does nothing.
type silent struct {
	Backend
	closed error
}

func (s *silent) Close() error { return s.closed }

func TestRouter(t *testing.T) {
	first, second := valid(), httpAPI()
	first.Domains = []string{"@corp.example", "@.cn.corp.example", "chef@other.example"}
	first.RecipientDelimiter = "+-"
	second.Name, second.Domains, second.User = "other", []string{"@other.example", "@bücher.example"}, "%n"
	broken := errors.New("broken")
	a, b := &silent{}, &silent{closed: broken}
	r := NewRouter([]Config{first, second}, []Backend{a, b})
	for address, want := range map[policy.Address]struct{ name, user string }{
		"Bob@CORP.example":      {"dovecot", "bob@corp.example"},
		"bob+news@corp.example": {"dovecot", "bob@corp.example"},
		"bob-x+y@corp.example":  {"dovecot", "bob@corp.example"},
		"+bob@corp.example":     {"dovecot", "+bob@corp.example"},
		`"b+ob"@corp.example`:   {"dovecot", `"b+ob"@corp.example`},
		"x@sub.cn.corp.example": {"dovecot", "x@sub.cn.corp.example"},
		"chef@other.example":    {"dovecot", "chef@other.example"},
		"koch+1@other.example":  {"other", "koch"},
		"x@BÜCHER.example":      {"other", "x"},
		"x@sub.other.example":   {},
		"x@elsewhere.example":   {},
		"postmaster":            {},
		"":                      {},
	} {
		backend, user, name, ok := r.For(address)
		if user != want.user || name != want.name || ok != (want.name != "") {
			t.Errorf("%s: %q at %q, want %q at %q", address, user, name, want.user, want.name)
		}
		if named, found := r.Named(name); ok && (!found || named != backend) {
			t.Errorf("%s is not %v", name, backend)
		}
	}
	if _, ok := r.Named("nobody"); ok {
		t.Error("found a backend that is not there")
	}
	for _, name := range []string{"dovecot", "other"} {
		if _, ok := r.Named(name); !ok {
			t.Errorf("%s is not there", name)
		}
	}
	if err := r.Close(); !errors.Is(err, broken) {
		t.Errorf("close: %v", err)
	}
}

func TestExpand(t *testing.T) {
	for _, c := range [][3]string{
		{`corp\service\%n`, "bob@corp.example", `corp\service\bob`}, {"%d/%u", "%n@x", "x/%n@x"}, {"%n", "bob", "bob"},
	} {
		if got := Expand(c[0], c[1]); got != c[2] {
			t.Errorf("%s of %s is %s, want %s", c[0], c[1], got, c[2])
		}
	}
}
