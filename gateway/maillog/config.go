package maillog

import (
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sendgate/sendgate/policy"
)

// Values of Config.To.
const (
	ToLog      = "log" // among the other lines of the process
	ToFile     = "file"
	ToJournald = "journald"
	ToSyslog   = "syslog"
)

// Config says where the mail log is written.
type Config struct {
	// To is log, file, journald or syslog.
	To string `yaml:"to"`
	// File is the path for file.
	File string `yaml:"file"`
	// Syslog is unix:///dev/log, udp://host:port or tcp://host:port, for syslog.
	Syslog string `yaml:"syslog"`
}

// DefaultConfig writes the mail log where all else is written.
func DefaultConfig() Config {
	return Config{To: ToLog, File: "/var/log/sendgate/mail.log", Syslog: "unix:///dev/log"}
}

// Validate reports every fault at once, as [policy.Faults].
func (c *Config) Validate() error {
	var faults policy.Faults
	if !slices.Contains([]string{ToLog, ToFile, ToJournald, ToSyslog}, c.To) {
		faults.Add("to", c.To, "must be log, file, journald or syslog")
	}
	if c.To == ToFile && !filepath.IsAbs(c.File) {
		faults.Add("file", c.File, "write a whole path, such as /var/log/sendgate/mail.log")
	}
	if _, _, ok := c.server(); c.To == ToSyslog && !ok {
		faults.Add("syslog", c.Syslog, "write unix:///dev/log, udp://host:port or tcp://host:port")
	}
	return faults.Err()
}

// server gives network and address of the syslog server.
func (c *Config) server() (network, address string, ok bool) {
	u, err := url.Parse(c.Syslog)
	if err != nil || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", "", false
	}
	switch u.Scheme {
	case "unix":
		return "unixgram", u.Path, u.Host == "" && filepath.IsAbs(u.Path)
	case "udp", "tcp":
		host, port, err := net.SplitHostPort(u.Host)
		return u.Scheme, u.Host, err == nil && host != "" && port != "" && strings.Trim(u.Path, "/") == ""
	}
	return "", "", false
}
