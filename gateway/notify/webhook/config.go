package webhook

import (
	"errors"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// Values of Config.Kind.
const (
	JSON     = "json"
	WeCom    = "wecom"
	DingTalk = "dingtalk"
	Feishu   = "feishu"
	Slack    = "slack"
	Teams    = "teams"
)

// Values of Config.Language.
const (
	Chinese = "zh"
	English = "en"
	Both    = "both"
)

// A Secret is never printed.
type Secret string

// String hides it.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "<secret>"
}

// GoString hides it from %#v.
func (s Secret) GoString() string { return strconv.Quote(s.String()) }

// MarshalText hides it from everything that writes configurations.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Config describes one hook.
type Config struct {
	// Name stands in logs and metrics.
	Name string `yaml:"name"`
	// Kind is json, wecom, dingtalk, feishu, slack or teams.
	Kind string `yaml:"kind"`
	// URL is where to post, or URLFile the file with it: the URL of a chat room is its password.
	URL     Secret `yaml:"url"`
	URLFile string `yaml:"url_file"`
	// SecretFile holds the secret for signatures of json, dingtalk and feishu.
	SecretFile string `yaml:"secret_file"`
	// Language of the text is zh, en or both; json always has both.
	Language string `yaml:"language"`
	// MinSeverity leaves out what is less severe: info, warning, critical.
	MinSeverity Severity `yaml:"min_severity"`
	// Kinds of notices that are sent; empty sends all.
	Kinds []string `yaml:"kinds"`
	// Private permits an address on this machine or in a private network, and http to this machine.
	Private bool          `yaml:"private"`
	Timeout time.Duration `yaml:"timeout"` // of one request
}

// DefaultConfig sends everything in both languages.
func DefaultConfig() Config {
	return Config{Kind: JSON, Language: Both, MinSeverity: Info, Timeout: 10 * time.Second}
}

// SetDefaults fills an entry of a list before the file is read into it.
func (c *Config) SetDefaults() { *c = DefaultConfig() }

// Validate reports every fault of all hooks at once, as [policy.Faults] with paths relative to the list.
func Validate(hooks []Config) error {
	return validateList(len(hooks), "hook", func(i int) (string, error) { return hooks[i].Name, hooks[i].Validate() })
}

// validateList puts the faults of n entries together, whose names have to differ; what they are is for people.
func validateList(n int, what string, entry func(i int) (name string, faults error)) error {
	var faults policy.Faults
	names := map[string]bool{}
	for i := range n {
		at := "[" + strconv.Itoa(i) + "]"
		name, err := entry(i)
		faults.In(at, err)
		if names[name] && name != "" {
			faults.Add(at+".name", name, "there is another %s of this name", what)
		}
		names[name] = true
	}
	return faults.Err()
}

// Validate reports every fault of one hook at once, as [policy.Faults]. It never repeats the URL.
func (c *Config) Validate() error {
	var faults policy.Faults
	if c.Name == "" {
		faults.Add("name", nil, "a hook needs a name: it is what people see in logs")
	}
	oneOf(&faults, "kind", c.Kind, JSON, WeCom, DingTalk, Feishu, Slack, Teams)
	oneOf(&faults, "language", c.Language, Chinese, English, Both)
	oneOf(&faults, "min_severity", string(c.MinSeverity), string(Info), string(Warning), string(Critical))
	validateTarget(&faults, c.URL, c.URLFile, c.Private)
	if c.SecretFile != "" && !slices.Contains([]string{JSON, DingTalk, Feishu}, c.Kind) {
		faults.Add("secret_file", c.SecretFile, "is used with kind: json, dingtalk or feishu only")
	}
	if slices.Contains(c.Kinds, "") {
		faults.Add("kinds", nil, "a kind of notice is not empty")
	}
	validateTimeout(&faults, c.Timeout)
	return faults.Err()
}

// validateTarget reports what is wrong with where is posted to.
func validateTarget(faults *policy.Faults, to Secret, file string, private bool) {
	switch {
	case to == "" && file == "":
		faults.Add("url", nil, "say where to post: url, or url_file with a file that holds it")
	case to != "" && file != "":
		faults.Add("url_file", file, "url and url_file exclude each other")
	case to != "":
		if err := checkURL(string(to), private); err != nil {
			faults.Add("url", nil, "%v", err)
		}
	}
}

func validateTimeout(faults *policy.Faults, timeout time.Duration) {
	if timeout < time.Second || timeout > time.Minute {
		faults.Add("timeout", timeout, "must be between 1s and 60s")
	}
}

// Errors of checkURL. They do not repeat what is a password.
var (
	errURL      = errors.New("is no URL: write https://host/path")
	errNoTLS    = errors.New("use https: without TLS everybody on the way can read the URL and post to it")
	errUserInfo = errors.New("must hold no name and password before the host: they would not be sent")
	errPrivate  = errors.New("leads to this machine or to a private network: set private: true if it is meant")
)

// checkURL reports what is wrong with a URL; private ones may be allowed.
func checkURL(text string, allowed bool) error {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
		return errURL
	}
	if u.User != nil {
		return errUserInfo
	}
	loopback, private := where(u.Hostname())
	if u.Scheme == "http" && !loopback {
		return errNoTLS
	}
	if private && !allowed {
		return errPrivate
	}
	return nil
}

// where judges a host by its name; it is not looked up.
func where(host string) (loopback, private bool) {
	if strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return true, true
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return false, net.ParseIP(host) != nil
	}
	addr = addr.Unmap().WithZone("")
	return addr.IsLoopback(), addr.IsLoopback() || addr.IsPrivate() || addr.IsLinkLocalUnicast() || addr.IsUnspecified()
}

func oneOf(faults *policy.Faults, path, value string, values ...string) {
	if !slices.Contains(values, value) {
		faults.Add(path, value, "must be one of %s", strings.Join(values, ", "))
	}
}
