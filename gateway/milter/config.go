package milter

import (
	"net"
	"net/netip"
	"os/user"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// Config is the milter part of the configuration.
type Config struct {
	// Listen names the sockets that smtpd_milters and non_smtpd_milters name; none switches the front
	// off.
	Listen []Listener `yaml:"listen"`
	// Networks are trusted: mail of their clients is outbound without authentication.
	Networks []netip.Prefix `yaml:"networks"`
	// OnError says what becomes of outbound mail that cannot be decided or held.
	OnError OnError `yaml:"on_error"`
	// IDHeader marks outbound mail, so that it is known again when it comes back.
	IDHeader IDHeader `yaml:"id_header"`
	// AddMessageID gives outbound mail without a Message-ID one.
	AddMessageID bool `yaml:"add_message_id"`
	// MessageSize asks Postfix for the body of each message, so that its size is known. Rules that look
	// at the body ask for it in any case.
	MessageSize bool `yaml:"message_size"`
	// Notifications reads the delivery status notifications (RFC 3464) that pass Postfix, for what no
	// log can tell: a message that was refused after it had been accepted. It asks for bodies, too.
	Notifications bool `yaml:"notifications"`
	// MaxRecipients bounds one message.
	MaxRecipients int `yaml:"max_recipients"`
	// Connections bounds what is open at a time. Postfix has one for each smtpd that talks to a
	// client.
	Connections int `yaml:"connections"`
	// IdleTimeout is the longest pause. Postfix is silent while its client sends a message, so this
	// is rather how long that may take.
	IdleTimeout time.Duration `yaml:"idle_timeout"`
}

// A Listener is one socket.
type Listener struct {
	// Address is host:port, or unix: and the path of a socket.
	Address string `yaml:"address"`
	// Mode and Group of a unix socket: Postfix's group needs to write, "0660".
	Mode  string `yaml:"mode"`
	Group string `yaml:"group"`
}

// An IDHeader is the field with our id and its MAC.
type IDHeader struct {
	// KeyFile holds the secret, at least 16 octets; empty switches the field off.
	KeyFile string `yaml:"key_file"`
	// Name is that of the field.
	Name string `yaml:"name"`
}

// OnError says what becomes of mail when the gateway cannot do its part.
type OnError string

// The values of Config.OnError.
const (
	OnErrorTempfail OnError = "tempfail"
	OnErrorAccept   OnError = "accept"
)

// DefaultConfig listens nowhere, trusts loopback and answers 451 when something fails.
func DefaultConfig() Config {
	return Config{
		Networks:      []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
		OnError:       OnErrorTempfail,
		IDHeader:      IDHeader{Name: "X-Sendgate-ID"},
		Notifications: true,
		MaxRecipients: 10000,
		Connections:   2000,
		IdleTimeout:   2*time.Hour + 10*time.Second, // libmilter's default
	}
}

// fieldName is what RFC 5322 3.6.8 allows, without the rarities.
var fieldName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{1,70}$`)

// Validate reports every fault at once, as [policy.Faults].
func (c *Config) Validate() error {
	var faults policy.Faults
	for i := range c.Listen {
		faults.In("listen["+strconv.Itoa(i)+"]", c.Listen[i].validate())
	}
	for _, p := range c.Networks {
		if p.Bits() == 0 {
			faults.Add("networks", p, "would make all mail outbound")
		}
	}
	if c.OnError != OnErrorTempfail && c.OnError != OnErrorAccept {
		faults.Add("on_error", string(c.OnError), "must be tempfail or accept")
	}
	if !fieldName.MatchString(c.IDHeader.Name) {
		faults.Add("id_header.name", c.IDHeader.Name, "is not the name of a header field, such as X-Sendgate-ID")
	}
	if _, err := c.IDHeader.load(); err != nil {
		faults.Add("id_header.key_file", c.IDHeader.KeyFile, "%v", err)
	}
	if c.MaxRecipients < 100 || c.MaxRecipients > 20000 {
		faults.Add("max_recipients", c.MaxRecipients, "must be between 100 (RFC 5321 4.5.3.1.8) and 20000")
	}
	if c.Connections < 1 {
		faults.Add("connections", c.Connections, "must be at least 1")
	}
	if c.IdleTimeout < time.Minute || c.IdleTimeout > 24*time.Hour {
		faults.Add("idle_timeout", c.IdleTimeout, "must be between 1m and 24h")
	}
	return faults.Err()
}

// path gives the path of a unix socket.
func (l *Listener) path() (path string, ok bool) { return strings.CutPrefix(l.Address, "unix:") }

func (l *Listener) validate() error {
	var faults policy.Faults
	path, unix := l.path()
	if !unix {
		if _, port, err := net.SplitHostPort(l.Address); err != nil || port == "" {
			faults.Add("address", l.Address, "write host:port, such as 127.0.0.1:7357, or unix: and a path")
		}
		if l.Mode != "" {
			faults.Add("mode", l.Mode, "is for unix sockets")
		}
		if l.Group != "" {
			faults.Add("group", l.Group, "is for unix sockets")
		}
		return faults.Err()
	}
	// sockaddr_un holds 108 octets with the terminating zero (unix(7)).
	if !strings.HasPrefix(path, "/") || len(path) > 107 {
		faults.Add("address", l.Address, "the path of a socket is absolute and at most 107 octets long")
	}
	if _, err := l.mode(); err != nil {
		faults.Add("mode", l.Mode, "write it in octal, such as 0660")
	}
	if l.Group != "" {
		if _, err := user.LookupGroup(l.Group); err != nil {
			faults.Add("group", l.Group, "%v", err)
		}
	}
	return faults.Err()
}

// mode gives the mode of a unix socket, 0660 where nothing is said.
func (l *Listener) mode() (uint32, error) {
	if l.Mode == "" {
		return 0o660, nil
	}
	mode, err := strconv.ParseUint(l.Mode, 8, 9)
	return uint32(mode), err
}
