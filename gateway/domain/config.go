package domain

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// Config says who is asked about recipient domains, and which are not asked for.
type Config struct {
	// Enabled asks the DNS whether a recipient domain exists and takes mail.
	Enabled bool `yaml:"enabled"`
	// Resolvers are asked in this order: "192.0.2.53", "[2001:db8::53]:5353". Empty takes those of
	// /etc/resolv.conf.
	Resolvers []string `yaml:"resolvers"`
	// Timeout bounds the wait for one resolver, Limit that for all of them.
	Timeout time.Duration `yaml:"timeout"`
	Limit   time.Duration `yaml:"limit"`
	// Agree is how many resolvers have to say that a domain does not exist, or takes no mail, before
	// it is refused.
	Agree int `yaml:"agree"`
	// CacheEntries bounds the domains that are remembered.
	CacheEntries int `yaml:"cache_entries"`
	// Skip lists domains that are not checked: "@corp.example", "@.corp.example" with all below it.
	Skip []string `yaml:"skip"`
}

// DefaultConfig asks the machine's own resolvers.
func DefaultConfig() Config {
	return Config{Enabled: true, Timeout: 2 * time.Second, Limit: 4 * time.Second, Agree: 1, CacheEntries: 20000}
}

// Validate reports every fault at once, as [policy.Faults].
func (c *Config) Validate() error {
	var faults policy.Faults
	for i, s := range c.Resolvers {
		if _, err := parseResolver(s); err != nil {
			faults.Add("resolvers["+strconv.Itoa(i)+"]", s, "write an IP address, with a port where it is not 53: 192.0.2.53, [2001:db8::53]:5353")
		}
	}
	if c.Timeout < 100*time.Millisecond || c.Timeout > 30*time.Second {
		faults.Add("timeout", c.Timeout, "must be between 100ms and 30s")
	}
	if c.Limit < c.Timeout || c.Limit > time.Minute {
		faults.Add("limit", c.Limit, "must be between timeout (%v) and 60s", c.Timeout)
	}
	if c.Agree < 1 || len(c.Resolvers) > 0 && c.Agree > len(c.Resolvers) {
		faults.Add("agree", c.Agree, "must be at least 1, and not more than there are resolvers")
	}
	if c.CacheEntries < 1 || c.CacheEntries > 1_000_000 {
		faults.Add("cache_entries", c.CacheEntries, "must be between 1 and 1000000")
	}
	for i, p := range c.Skip {
		if _, ok := parsePattern(p); !ok {
			faults.Add("skip["+strconv.Itoa(i)+"]", p, "write a domain (@corp.example) or a domain with all below it (@.corp.example)")
		}
	}
	return faults.Err()
}

// parseResolver gives the address of a resolver as net.Dial wants it.
func parseResolver(s string) (string, error) {
	if a, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return net.JoinHostPort(a.String(), "53"), nil
	}
	a, err := netip.ParseAddrPort(s)
	return a.String(), err
}

// parsePattern folds a pattern of the skip list: "corp.example", or ".corp.example" with all below.
func parsePattern(p string) (string, bool) {
	name, ok := strings.CutPrefix(p, "@")
	if !ok {
		return "", false
	}
	name, below := strings.CutPrefix(name, ".")
	a, err := policy.NewAddress("anybody", name)
	if err != nil {
		return "", false
	}
	if below {
		return "." + a.Domain(), true
	}
	return a.Domain(), true
}
