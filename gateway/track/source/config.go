package source

import (
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// Config names one source: exactly one of File, Journald and Syslog is set.
type Config struct {
	// Name is the key under which the cursor is kept.
	Name string `yaml:"name"`
	// File is the path of the live log file, such as /var/log/mail.log.
	File string `yaml:"file"`
	// Poll is how often it is looked at.
	Poll time.Duration `yaml:"poll"`
	// Journald follows the journal of this machine through journalctl.
	Journald bool `yaml:"journald"`
	// Matches selects its entries, as in journalctl(1): those of one field are alternatives, those of
	// several must all hold.
	Matches []string `yaml:"matches"`
	// Syslog listens: udp://host:port, tcp://host:port, unix:///path (stream), unixgram:///path.
	Syslog []string `yaml:"syslog"`
	// Networks may send to the udp and tcp addresses.
	Networks []netip.Prefix `yaml:"networks"`
	// Connections bounds what is open at a time over all addresses.
	Connections int `yaml:"connections"`
	// SocketMode is that of the unix sockets, in octal.
	SocketMode string `yaml:"socket_mode"`
	// Start says where a file or the journal is read from when there is no cursor yet.
	Start Start `yaml:"start"`
	// Zone is the time zone of times that do not name theirs, such as Asia/Shanghai; empty is this
	// machine's.
	Zone string `yaml:"zone"`
}

// Start is a place in a log.
type Start string

// The values of Config.Start. The beginning of a file is that of the live one, without those that it
// was rotated to.
const (
	StartBeginning Start = "beginning"
	StartEnd       Start = "end"
)

// The kinds of sources.
const (
	kindFile     = "file"
	kindJournald = "journald"
	kindSyslog   = "syslog"
)

// mailFacility is facility mail (RFC 5424 6.2.1), under which Postfix logs. Its identifiers, such as
// postfix/smtp, cannot be matched by a prefix.
const mailFacility = "SYSLOG_FACILITY=2"

// DefaultConfig has everything but the source: new lines only, syslog from this machine only.
func DefaultConfig() Config {
	return Config{
		Poll: 200 * time.Millisecond, Matches: []string{mailFacility}, Networks: loopback(),
		Connections: 100, SocketMode: "0660", Start: StartEnd,
	}
}

// SetDefaults fills an entry of a list before the file is read into it.
func (c *Config) SetDefaults() { *c = DefaultConfig() }

func loopback() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
}

// Location is the time zone.
func (c *Config) Location() (*time.Location, error) {
	if c.Zone == "" {
		return time.Local, nil
	}
	return time.LoadLocation(c.Zone)
}

func (c *Config) kind() string {
	switch {
	case c.File != "":
		return kindFile
	case c.Journald:
		return kindJournald
	}
	return kindSyslog
}

var (
	sourceName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)
	// match is systemd.journal-fields(7): upper case, no digit at the beginning.
	match = regexp.MustCompile(`^[A-Z_][A-Z0-9_]{0,63}=.`)
)

// Validate reports every fault at once, as [policy.Faults].
func (c *Config) Validate() error {
	var faults policy.Faults
	if !sourceName.MatchString(c.Name) {
		faults.Add("name", c.Name, "write lower-case letters, digits, - and _, at most 63; the cursor is kept under it")
	}
	switch set := c.kinds(); len(set) {
	case 0:
		faults.Add("file", nil, "is missing: name a file, or set journald or syslog instead")
	case 1:
	default:
		faults.Add(set[1], nil, "stands beside %s: write a source of its own for each", set[0])
	}
	c.validateFile(&faults)
	c.validateJournald(&faults)
	c.validateSyslog(&faults)
	if c.Start != StartBeginning && c.Start != StartEnd {
		faults.Add("start", string(c.Start), "must be beginning or end")
	}
	if _, err := c.Location(); err != nil {
		faults.Add("zone", c.Zone, "is not a known time zone: write a name such as Asia/Shanghai, or leave it out")
	}
	return faults.Err()
}

func (c *Config) kinds() (set []string) {
	if c.File != "" {
		set = append(set, kindFile)
	}
	if c.Journald {
		set = append(set, kindJournald)
	}
	if len(c.Syslog) > 0 {
		set = append(set, kindSyslog)
	}
	return set
}

func (c *Config) validateFile(faults *policy.Faults) {
	if c.File != "" && (!filepath.IsAbs(c.File) || filepath.Clean(c.File) != c.File) {
		faults.Add("file", c.File, "write an absolute path without . and .., such as /var/log/mail.log")
	}
	if gz, _ := strings.CutSuffix(c.File, ".gz"); gz != c.File {
		faults.Add("file", c.File, "is a compressed file, which nothing is added to: name the live log, and import this one")
	}
	if c.Poll < 10*time.Millisecond || c.Poll > 10*time.Second {
		faults.Add("poll", c.Poll, "must be between 10ms and 10s")
	}
}

func (c *Config) validateJournald(faults *policy.Faults) {
	if !c.Journald && !slices.Equal(c.Matches, []string{mailFacility}) {
		faults.Add("matches", c.Matches, "is for journald: take it away, or set journald: true")
	}
	if c.Journald && len(c.Matches) == 0 {
		faults.Add("matches", nil, "is empty, which selects the whole journal: write at least %s", mailFacility)
	}
	for i, m := range c.Matches {
		if !match.MatchString(m) || strings.ContainsAny(m, "\n\x00") {
			faults.Add(at("matches", i), m, "write FIELD=value, such as %s or _SYSTEMD_UNIT=postfix@-.service", mailFacility)
		}
	}
}

func (c *Config) validateSyslog(faults *policy.Faults) {
	for i, a := range c.Syslog {
		if _, err := parseAddress(a); err != nil {
			faults.Add(at("syslog", i), a, "%v", err)
		}
		if slices.Index(c.Syslog, a) < i {
			faults.Add(at("syslog", i), a, "stands there twice: take one away")
		}
	}
	for i, n := range c.Networks {
		if !n.IsValid() || n.Bits() == 0 {
			faults.Add(at("networks", i), n, "would believe log lines from everywhere: name the networks of your mail servers")
		}
	}
	if len(c.Syslog) > 0 && len(c.Networks) == 0 {
		faults.Add("networks", nil, "is empty: name the networks of your mail servers")
	}
	if c.Connections < 1 || c.Connections > 10000 {
		faults.Add("connections", c.Connections, "must be between 1 and 10000")
	}
	if mode, err := strconv.ParseUint(c.SocketMode, 8, 9); err != nil || mode == 0 {
		faults.Add("socket_mode", c.SocketMode, "write it in octal, such as 0660")
	}
}

func at(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// parseAddress reads an entry of Config.Syslog.
func parseAddress(text string) (address, error) {
	u, err := url.Parse(text)
	if err != nil {
		return address{}, errAddress
	}
	switch u.Scheme {
	case "udp", "tcp":
		if port, err := strconv.ParseUint(u.Port(), 10, 16); err != nil || port == 0 || u.Hostname() == "" || u.Path != "" {
			return address{}, errAddress
		}
		return address{network: u.Scheme, addr: u.Host}, nil
	case "unix", "unixgram":
		// sockaddr_un holds 108 octets with the terminating zero (unix(7)).
		if u.Host != "" || !filepath.IsAbs(u.Path) || len(u.Path) > 107 {
			return address{}, errAddress
		}
		return address{network: u.Scheme, addr: u.Path}, nil
	}
	return address{}, errAddress
}
