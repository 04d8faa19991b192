package source

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"go.uber.org/zap"
)

func TestValidate(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Config)
		want   []string
	}{
		{"a file", func(*Config) {}, nil},
		{"the journal", func(c *Config) { c.File, c.Journald = "", true }, nil},
		{"syslog", func(c *Config) {
			c.File, c.Syslog = "", []string{"udp://127.0.0.1:514", "tcp://[::1]:514", "unix:///run/a", "unixgram:///run/b"}
		}, nil},
		{"a zone", func(c *Config) { c.Zone = "Asia/Shanghai" }, nil},
		{"nothing", func(c *Config) { c.File = "" }, []string{"file: is missing: name a file, or set journald or syslog instead"}},
		{"two", func(c *Config) { c.Journald = true }, []string{"journald: stands beside file: write a source of its own for each"}},
		{"a bad name", func(c *Config) { c.Name = "A b" },
			[]string{"name: A b: write lower-case letters, digits, - and _, at most 63; the cursor is kept under it"}},
		{"a relative path", func(c *Config) { c.File = "mail.log" },
			[]string{"file: mail.log: write an absolute path without . and .., such as /var/log/mail.log"}},
		{"a compressed file", func(c *Config) { c.File = "/var/log/mail.log.1.gz" },
			[]string{"file: /var/log/mail.log.1.gz: is a compressed file, which nothing is added to: name the live log, and import this one"}},
		{"a hasty poll", func(c *Config) { c.Poll = time.Millisecond }, []string{"poll: 1ms: must be between 10ms and 10s"}},
		{"a start", func(c *Config) { c.Start = "middle" }, []string{"start: middle: must be beginning or end"}},
		{"a zone that is none", func(c *Config) { c.Zone = "Nowhere" },
			[]string{"zone: Nowhere: is not a known time zone: write a name such as Asia/Shanghai, or leave it out"}},
		{"matches without journal", func(c *Config) { c.Matches = []string{"A=b"} },
			[]string{"matches: [A=b]: is for journald: take it away, or set journald: true"}},
		{"no matches", func(c *Config) { c.File, c.Journald, c.Matches = "", true, nil },
			[]string{"matches: is empty, which selects the whole journal: write at least SYSLOG_FACILITY=2"}},
		{"an option as a match", func(c *Config) { c.File, c.Journald, c.Matches = "", true, []string{"--system"} },
			[]string{"matches[0]: --system: write FIELD=value, such as SYSLOG_FACILITY=2 or _SYSTEMD_UNIT=postfix@-.service"}},
		{"addresses", func(c *Config) {
			c.File, c.Syslog = "", []string{"127.0.0.1:514", "udp://127.0.0.1", "udp://:514", "tcp://a:0", "unix://run/a", "unix:///a\x7f", "unix:///a", "unix:///a"}
		}, []string{
			"syslog[0]: 127.0.0.1:514: write udp://host:port, tcp://host:port, unix:///path or unixgram:///path",
			"syslog[1]: udp://127.0.0.1: write udp://host:port, tcp://host:port, unix:///path or unixgram:///path",
			"syslog[2]: udp://:514: write udp://host:port, tcp://host:port, unix:///path or unixgram:///path",
			"syslog[3]: tcp://a:0: write udp://host:port, tcp://host:port, unix:///path or unixgram:///path",
			"syslog[4]: unix://run/a: write udp://host:port, tcp://host:port, unix:///path or unixgram:///path",
			"syslog[5]: unix:///a\x7f: write udp://host:port, tcp://host:port, unix:///path or unixgram:///path",
			"syslog[7]: unix:///a: stands there twice: take one away",
		}},
		{"no networks", func(c *Config) { c.File, c.Syslog, c.Networks = "", []string{"udp://127.0.0.1:514"}, nil },
			[]string{"networks: is empty: name the networks of your mail servers"}},
		{"all networks", func(c *Config) { c.Networks = []netip.Prefix{netip.MustParsePrefix("::/0")} },
			[]string{"networks[0]: ::/0: would believe log lines from everywhere: name the networks of your mail servers"}},
		{"no connections", func(c *Config) { c.Connections = 0 }, []string{"connections: 0: must be between 1 and 10000"}},
		{"a mode", func(c *Config) { c.SocketMode = "rw" }, []string{"socket_mode: rw: write it in octal, such as 0660"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var c Config
			c.SetDefaults()
			c.Name, c.File = "mail", "/var/log/mail.log"
			tt.change(&c)
			var got []string
			if err := c.Validate(); err != nil {
				got = strings.Split(err.Error(), "\n")
				var f *policy.Fault
				if !errors.As(err, &f) {
					t.Errorf("%v is no fault", err)
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
			if s, err := New(c, time.Now, zap.NewNop()); tt.want == nil && (err != nil || s.Name() != "mail") {
				t.Errorf("New: %v, %v", s, err)
			}
		})
	}
}

func TestNewWithAnUnknownZone(t *testing.T) {
	c := DefaultConfig()
	c.Name, c.Zone = "mail", "Nowhere"
	if _, err := New(c, time.Now, zap.NewNop()); err == nil || !strings.Contains(err.Error(), "source mail: unknown time zone Nowhere") {
		t.Errorf("New: %v", err)
	}
}
