package upstream

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sendgate/sendgate/policy"
	"go.uber.org/zap"
)

func TestValidate(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(c *Config)
		want   string // a part of each fault, in order, separated by newlines
	}{
		{"as it is", func(c *Config) {}, ""},
		{"unix socket", func(c *Config) { c.Servers[0].Address = "unix:/run/lmtp" }, ""},
		{"login over loopback", func(c *Config) {
			c.TrustedPath, c.Login, c.PasswordFile, c.Servers[0].Address = TrustLogin, "gw", "/x", "[::1]:25"
		}, ""},
		{"login over verified TLS", func(c *Config) { c.TrustedPath, c.Login, c.PasswordFile, c.TLS = TrustLogin, "gw", "/x", TLSVerified }, ""},
		{"everything missing", func(c *Config) { *c = Config{} },
			"name: an upstream needs a name\nservers: name at least one server\nprotocol: : must be one of smtp, lmtp\n" +
				"tls: : must be one of none, opportunistic, verified, implicit\naccepts_for: : must be one of mailbox, remote, hop\n" +
				"trusted_path: : must be one of network, xclient, login\nconnections: 0: must be between 1 and 1000\n" +
				"idle_timeout: 0s: must be longer than 0s\ntimeouts.connect: 0s\ntimeouts.greeting: 0s\ntimeouts.command: 0s\n" +
				"timeouts.data: 0s\ntimeouts.block: 0s\ntimeouts.end: 0s"},
		{"addresses", func(c *Config) {
			c.Servers = []Server{{"mx", 0}, {":25", 0}, {"mx:smtp", 0}, {"mx:0", 0}, {"unix:", 0}, {"mx:25", -1}}
		},
			"servers[0].address: mx: write host:port, [IPv6]:port or unix:/path\nservers[1].address\nservers[2].address\nservers[3].address\nservers[4].address\n" +
				"servers[5].priority: -1: must not be negative"},
		{"login without an account", func(c *Config) { c.TrustedPath, c.TLS = TrustLogin, TLSImplicit },
			"login: trusted_path: login needs an account\npassword_file: trusted_path: login needs the file with its password"},
		{"login in clear", func(c *Config) { c.TrustedPath, c.Login, c.PasswordFile = TrustLogin, "gw", "/x" },
			"tls: opportunistic: a password is sent over verified TLS only, except to loopback"},
		{"login without its path", func(c *Config) { c.Login, c.PasswordFile = "gw", "/x" },
			"login: gw: is used with trusted_path: login only\npassword_file: /x: is used with trusted_path: login only"},
		{"certificate settings without use", func(c *Config) { c.CAFile, c.ServerName = "/x", "mx" },
			"ca_file: /x: is used with tls: verified or implicit only\nserver_name: mx: is used with tls: verified or implicit only"},
		{"half a pair", func(c *Config) { c.Certificate = "/x" }, "certificate: /x: a certificate and its key belong together"},
		{"a certificate without TLS", func(c *Config) { c.Certificate, c.Key, c.TLS = "/x", "/y", TLSNone }, "certificate: /x: is not used with tls: none"},
		{"a certificate that is none", func(c *Config) { c.Certificate, c.Key = "/x", "/y" }, "certificate: /x: cannot be used with the key /y: open /x"},
		{"a socket without a name", func(c *Config) { c.TLS, c.Servers[0].Address = TLSVerified, "unix:/x" },
			"servers[0].address: unix:/x: a unix socket has no name to verify"},
		{"patterns", func(c *Config) { c.Match = []string{"@ok", "x@y", "@", "@a b"} },
			"match[1]: x@y: write a domain\nmatch[2]: @: write\nmatch[3]: @a b: write"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := DefaultConfig()
			c.Name, c.Servers = "x", []Server{{Address: "mx.corp.example:25"}}
			test.change(&c)
			text := ""
			if err := c.Validate(); err != nil {
				text = err.Error()
			}
			got, want := strings.Split(text, "\n"), strings.Split(test.want, "\n")
			if len(got) != len(want) {
				t.Fatalf("got\n%s", text)
			}
			for i := range got {
				if !strings.HasPrefix(got[i], want[i]) || want[i] == "" && got[i] != "" {
					t.Errorf("got %s, want %s", got[i], want[i])
				}
			}
		})
	}
}

func TestMatches(t *testing.T) {
	c := Config{Match: []string{"@corp.example", "@.sub.example"}}
	for address, want := range map[policy.Address]bool{
		"a@Corp.Example": true, "a@x.sub.example": true, "a@other.example": false, "a@x.corp.example": false,
	} {
		if c.Matches(address) != want {
			t.Errorf("%s: %v", address, !want)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ hostname, ca, want string }{
		{"gw\r\nRSET", "", "not safe to send"},
		{"", "", "not safe to send"},
		{"gw", "/nonexistent", "read certificate authorities"},
		{"gw", empty, "holds no certificate"},
	} {
		c := testConfig("127.0.0.1:25")
		c.CAFile = test.ca
		if _, err := New(c, test.hostname, zap.NewNop()); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: %v", test, err)
		}
	}
}
