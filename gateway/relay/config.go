package relay

import (
	"crypto/tls"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// Config is the relay part of the configuration.
type Config struct {
	Listen []Listener `yaml:"listen"`
	// Networks are trusted: their clients need not authenticate.
	Networks []netip.Prefix `yaml:"networks"`
	// Shared are trusted networks that other organisations send from, too: Exchange Online does for all its
	// customers. Mail from there has to show whose it is.
	Shared []Shared `yaml:"shared"`
	// Senders says whose addresses may stand in MAIL FROM: any, or own (those of the identity).
	Senders Senders `yaml:"senders"`
	// MaxMessageBytes and MaxRecipients bound one message. The upstream's SIZE counts as well.
	MaxMessageBytes int64 `yaml:"max_message_bytes"`
	MaxRecipients   int   `yaml:"max_recipients"`
	// Connections and ConnectionsPerClient bound what is open at a time, in all and from one address
	// (IPv6: /64).
	Connections          int `yaml:"connections"`
	ConnectionsPerClient int `yaml:"connections_per_client"`
	// IdleTimeout is the longest pause; RFC 5321 4.5.3.2.7 wants 5 minutes.
	IdleTimeout time.Duration `yaml:"idle_timeout"`
	// ReceivedHeader puts a Received line on top of each message (RFC 5321 4.4).
	ReceivedHeader bool `yaml:"received_header"`
	// MaxReceived is how many Received lines a message may have before it is taken for a loop.
	MaxReceived int `yaml:"max_received"`
	// RecipientCache is how long an upstream's good answer for a recipient holds; 0s asks always.
	RecipientCache time.Duration `yaml:"recipient_cache"`
	// AllowInsecureAuth offers AUTH without TLS: passwords then travel in clear.
	AllowInsecureAuth bool `yaml:"allow_insecure_auth"`
	// SuspendedAuth says what AUTH of a suspended identity comes to: accept, so that internal mail still
	// goes, or refuse.
	SuspendedAuth SuspendedAuth `yaml:"suspended_auth"`
}

// Shared is a network that we share with others, and the field by which we know our own mail.
type Shared struct {
	// Networks are some of those in relay.networks.
	Networks []netip.Prefix `yaml:"networks"`
	// Field is one that the service itself writes, and that no sender can: X-MS-Exchange-CrossTenant-Id. It has to
	// stand in the header once, with one of Values (without regard to case).
	Field  string   `yaml:"field"`
	Values []string `yaml:"values"`
}

// SuspendedAuth says what AUTH of a suspended identity comes to.
type SuspendedAuth string

// The values of Config.SuspendedAuth.
const (
	SuspendedAccept SuspendedAuth = "accept"
	SuspendedRefuse SuspendedAuth = "refuse"
)

// Senders says whose addresses may stand in MAIL FROM.
type Senders string

// The values of Config.Senders.
const (
	SendersAny Senders = "any"
	SendersOwn Senders = "own"
)

// A Listener is one address to accept mail on.
type Listener struct {
	// Address is host:port; loopback unless said otherwise.
	Address string `yaml:"address"`
	// TLS is none (also when empty), starttls or implicit.
	TLS TLSMode `yaml:"tls"`
	// Certificate and Key are PEM files. They are read again when they change.
	Certificate string `yaml:"certificate"`
	Key         string `yaml:"key"`
	// ProxyFrom are balancers that speak the PROXY protocol, and must.
	ProxyFrom []netip.Prefix `yaml:"proxy_from"`
}

// SetDefaults fills an entry of a list before the file is read into it.
func (l *Listener) SetDefaults() { *l = Listener{TLS: TLSNone} }

// TLSMode says how TLS begins on a listener.
type TLSMode string

// The values of Listener.TLS.
const (
	TLSNone     TLSMode = "none"
	TLSStartTLS TLSMode = "starttls"
	TLSImplicit TLSMode = "implicit"
)

// DefaultConfig listens on loopback and trusts it.
func DefaultConfig() Config {
	return Config{
		Listen:               []Listener{{Address: "127.0.0.1:2525", TLS: TLSNone}},
		Networks:             []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
		Senders:              SendersAny,
		MaxMessageBytes:      50 << 20,
		MaxRecipients:        10000,
		Connections:          2000,
		ConnectionsPerClient: 200,
		IdleTimeout:          5 * time.Minute,
		ReceivedHeader:       true,
		MaxReceived:          50,
		RecipientCache:       5 * time.Minute,
		SuspendedAuth:        SuspendedAccept,
	}
}

// Validate reports every fault at once, as [policy.Faults].
func (c *Config) Validate() error {
	var faults policy.Faults
	for i := range c.Listen {
		faults.In("listen["+strconv.Itoa(i)+"]", c.Listen[i].validate())
	}
	if c.Senders != SendersAny && c.Senders != SendersOwn {
		faults.Add("senders", string(c.Senders), "must be any or own")
	}
	if c.SuspendedAuth != SuspendedAccept && c.SuspendedAuth != SuspendedRefuse {
		faults.Add("suspended_auth", string(c.SuspendedAuth), "must be accept or refuse")
	}
	for i, p := range c.Networks {
		if p.Bits() == 0 {
			faults.Add("networks["+strconv.Itoa(i)+"]", p, "would make an open relay of this host")
		}
	}
	for i := range c.Shared {
		faults.In("shared["+strconv.Itoa(i)+"]", c.Shared[i].validate(c.Networks))
	}
	c.validateBounds(&faults)
	return faults.Err()
}

func (c *Config) validateBounds(faults *policy.Faults) {
	if c.MaxMessageBytes < 64<<10 {
		faults.Add("max_message_bytes", c.MaxMessageBytes, "must be at least 65536")
	}
	if c.MaxRecipients < 100 || c.MaxRecipients > 20000 {
		faults.Add("max_recipients", c.MaxRecipients, "must be between 100 (RFC 5321 4.5.3.1.8) and 20000")
	}
	if c.Connections < 1 {
		faults.Add("connections", c.Connections, "must be at least 1")
	}
	if c.ConnectionsPerClient < 1 {
		faults.Add("connections_per_client", c.ConnectionsPerClient, "must be at least 1")
	}
	if c.IdleTimeout < 10*time.Second || c.IdleTimeout > time.Hour {
		faults.Add("idle_timeout", c.IdleTimeout, "must be between 10s and 1h")
	}
	if c.MaxReceived < 10 {
		faults.Add("max_received", c.MaxReceived, "must be at least 10: honest mail passes several hosts")
	}
	if c.RecipientCache < 0 || c.RecipientCache > time.Hour {
		faults.Add("recipient_cache", c.RecipientCache, "must be between 0s and 1h")
	}
}

func (l *Listener) validate() error {
	var faults policy.Faults
	if _, port, err := net.SplitHostPort(l.Address); err != nil || port == "" {
		faults.Add("address", l.Address, "write host:port, such as 127.0.0.1:2525 or [::1]:2525")
	}
	switch l.TLS {
	case TLSNone, "":
		if l.Certificate != "" || l.Key != "" {
			faults.Add("certificate", l.Certificate, "is not used with tls: none")
		}
		return faults.Err()
	case TLSStartTLS, TLSImplicit:
	default:
		faults.Add("tls", string(l.TLS), "must be none, starttls or implicit")
		return faults.Err()
	}
	if l.Certificate == "" || l.Key == "" {
		faults.Add("certificate", l.Certificate, "tls: %s needs a certificate and its key", l.TLS)
		return faults.Err()
	}
	if _, err := tls.LoadX509KeyPair(l.Certificate, l.Key); err != nil {
		faults.Add("certificate", l.Certificate, "cannot be used with the key %s: %v", l.Key, err)
	}
	return faults.Err()
}
