package track

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sendgate/sendgate/gateway/track/source"
	"github.com/sendgate/sendgate/policy"
)

// Config says which logs are followed and what they mean.
type Config struct {
	Sources []source.Config `yaml:"sources"`
	// Upstreams names the upstreams whose logs are among Sources: what was handed over to them is
	// expected to end, as is what Postfix with our milter has.
	Upstreams []string `yaml:"upstreams"`
	// OurRelays are the servers whose 250 is only a hop: names, addresses or networks, each with a port
	// or without.
	OurRelays []string `yaml:"our_relays"`
	// MailboxTransports are the pipe(8) services and the programs of local(8) that put mail into
	// mailboxes.
	MailboxTransports []string `yaml:"mailbox_transports"`
	// UnknownAfter is how long after a queue file was removed a recipient without a final line
	// becomes unknown.
	UnknownAfter time.Duration `yaml:"unknown_after"`
	// QueueLifetime is Postfix's maximal_queue_lifetime.
	QueueLifetime time.Duration `yaml:"queue_lifetime"`
}

// DefaultConfig follows nothing; content filters on this machine are hops.
func DefaultConfig() Config {
	return Config{
		OurRelays:         []string{"127.0.0.0/8", "::1", "localhost"},
		MailboxTransports: []string{"dovecot", "dovecot-lda", "deliver", "maildrop", "procmail", "cyrus"},
		UnknownAfter:      10 * time.Minute,
		QueueLifetime:     120 * time.Hour,
	}
}

// Validate reports every fault at once, as [policy.Faults].
func (c *Config) Validate() error {
	var faults policy.Faults
	names := map[string]bool{}
	for i := range c.Sources {
		at := fmt.Sprintf("sources[%d]", i)
		faults.In(at, c.Sources[i].Validate())
		if name := c.Sources[i].Name; names[name] {
			faults.Add(at+".name", name, "is the name of another source too: each has a cursor of its own")
		} else {
			names[name] = true
		}
	}
	for i, r := range c.OurRelays {
		if _, err := parseRelay(r); err != nil {
			faults.Add(fmt.Sprintf("our_relays[%d]", i), r, "%v", err)
		}
	}
	for i, name := range c.MailboxTransports {
		if name == "" || strings.ContainsAny(name, " /") {
			faults.Add(fmt.Sprintf("mailbox_transports[%d]", i), name, "must be the name of a transport or program, without its directory")
		}
	}
	if c.UnknownAfter < time.Minute {
		faults.Add("unknown_after", c.UnknownAfter, "must be at least 1m: logs come late")
	}
	if c.QueueLifetime < time.Hour {
		faults.Add("queue_lifetime", c.QueueLifetime, "must be at least 1h")
	}
	return faults.Err()
}

// A relay is an entry of Config.OurRelays.
type relay struct {
	name    string       // in lower case, empty for a network
	network netip.Prefix // of an address it is the whole length
	port    int          // 0 for any
}

// parseRelay reads name, address or network, each with a port or without: mx1, mx1:10025, 127.0.0.1,
// [::1]:10025, 10.0.0.0/8.
func parseRelay(s string) (r relay, err error) {
	host := s
	if a, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return relay{network: netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen())}, nil
	}
	if p, err := netip.ParsePrefix(s); err == nil {
		return relay{network: p.Masked()}, nil
	}
	if i := strings.LastIndexByte(s, ':'); i >= 0 {
		host = s[:i]
		if r.port, err = strconv.Atoi(s[i+1:]); err != nil || r.port < 1 || r.port > 65535 {
			return r, fmt.Errorf("must be a name, an address or a network, with a port after a colon or without")
		}
	}
	if a, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		r.network = netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen())
		return r, nil
	}
	if host == "" || strings.ContainsAny(host, " /:[]") {
		return r, fmt.Errorf("must be a name, an address or a network, with a port after a colon or without")
	}
	r.name = strings.ToLower(host)
	return r, nil
}

// relays are the parsed OurRelays.
type relays []relay

func newRelays(list []string) (all relays) {
	for _, s := range list {
		if r, err := parseRelay(s); err == nil {
			all = append(all, r)
		}
	}
	return all
}

// exactly reports whether a server as logged is one that is listed with its port.
func (all relays) exactly(name, address string, port int) bool {
	for i := range all {
		if all[i].port != 0 && all[i:i+1].has(name, address, port) {
			return true
		}
	}
	return false
}

// has reports whether a server as logged is one of ours.
func (all relays) has(name, address string, port int) bool {
	a, err := netip.ParseAddr(address)
	known := err == nil
	a = a.Unmap()
	return slices.ContainsFunc(all, func(r relay) bool {
		if r.port != 0 && r.port != port {
			return false
		}
		if r.name != "" {
			return strings.EqualFold(strings.TrimSuffix(name, "."), r.name)
		}
		return known && r.network.Contains(a)
	})
}
