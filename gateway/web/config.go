package web

import (
	"encoding/hex"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/sendgate/sendgate/policy"
)

// Config says where the API listens and who may use it.
type Config struct {
	// Listen is the TCP address, "127.0.0.1:8025"; empty listens on the socket only.
	Listen string `yaml:"listen"`
	// Socket is the path of a unix socket with mode 0600; empty has none.
	Socket string `yaml:"socket"`
	// Certificate and Key are PEM files; with them the TCP listener speaks TLS only. They are read at
	// each handshake, so that a renewed certificate is used at once.
	Certificate string `yaml:"certificate"`
	Key         string `yaml:"key"`
	// Tokens are the bearer tokens that are accepted.
	Tokens []Token `yaml:"tokens"`
	// StatusNetworks may read /healthz, /readyz and /metrics without a token.
	StatusNetworks []netip.Prefix `yaml:"status_networks"`
	// TrustedProxies end TLS in front of us: X-Forwarded-For and X-Forwarded-Proto are believed when they say it.
	TrustedProxies []netip.Prefix `yaml:"trusted_proxies"`
	// ReasonRequired refuses to cancel without a reason. It is that of the section of recalls.
	ReasonRequired bool `yaml:"-"`
}

// A Token lets a program or a person in. The token itself is stored nowhere.
type Token struct {
	Name string `yaml:"name"` // appears in events as "api:NAME"
	Role string `yaml:"role"` // one of policy.Roles
	// SHA256 is the hash of the token, 64 hexadecimal digits.
	SHA256 string `yaml:"sha256"`
}

// DefaultConfig listens on loopback and on the socket, and wants a reason.
func DefaultConfig() Config {
	return Config{
		Listen:         "127.0.0.1:8025",
		Socket:         "/run/sendgate/api.sock",
		StatusNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
		ReasonRequired: true,
	}
}

// Validate reports every fault at once, as [policy.Faults].
func (c *Config) Validate() error {
	var faults policy.Faults
	if c.Listen == "" && c.Socket == "" {
		faults.Add("listen", nil, "the API needs listen or socket")
	}
	if c.Listen != "" {
		if _, _, err := net.SplitHostPort(c.Listen); err != nil {
			faults.Add("listen", c.Listen, "write it as address:port, such as 127.0.0.1:8025")
		}
	}
	// sockaddr_un holds 108 octets with the terminating zero (unix(7)).
	if len(c.Socket) > 107 {
		faults.Add("socket", c.Socket, "the path of a socket is at most 107 octets long")
	}
	if (c.Certificate == "") != (c.Key == "") {
		faults.Add("certificate", c.Certificate, "certificate and key go together")
	}
	for i, p := range c.TrustedProxies {
		if p.Bits() == 0 {
			faults.Add("trusted_proxies["+itoa(i)+"]", p, "that is everybody: name the addresses of your own proxies")
		}
	}
	names := map[string]bool{}
	for i := range c.Tokens {
		t := &c.Tokens[i]
		path := "tokens[" + itoa(i) + "]"
		if names[t.Name] {
			faults.Add(path+".name", t.Name, "there is another token of this name")
		}
		names[t.Name] = true
		faults.In(path, t.Validate())
	}
	return faults.Err()
}

// Validate reports every fault of one token at once, as [policy.Faults].
func (t *Token) Validate() error {
	var faults policy.Faults
	if t.Name == "" || strings.ContainsFunc(t.Name, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		faults.Add("name", t.Name, "a token needs a name without spaces: it is what people see in events")
	}
	if !slices.Contains(policy.Roles, t.Role) {
		faults.Add("role", t.Role, "not a role: use %s", strings.Join(policy.Roles, ", "))
	}
	if _, err := hex.DecodeString(t.SHA256); err != nil || len(t.SHA256) != 64 {
		// The value may be the token itself, put here by mistake: it is not repeated.
		faults.Add("sha256", nil, "write the SHA-256 of the token as 64 hexadecimal digits (sendgate token new prints it)")
	}
	return faults.Err()
}

// exposed reports whether the TCP listener is reachable from other machines without TLS.
func (c *Config) exposed() bool {
	if c.Listen == "" || c.Certificate != "" {
		return false
	}
	host, _, _ := net.SplitHostPort(c.Listen)
	if host == "localhost" {
		return false
	}
	addr, err := netip.ParseAddr(host)
	return err != nil || !addr.IsLoopback()
}
