package policy

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Action is what a rule does.
type Action string

// The actions. Pass is the zero value and decides nothing.
const (
	Pass   Action = ""
	Hold   Action = "hold"
	Reject Action = "reject" // 5xx
	Defer  Action = "defer"  // 4xx
	// Discard takes a message and sends it nowhere: it was an instruction for sendgate itself.
	Discard Action = "discard"
)

// Config is the policy part of the configuration.
type Config struct {
	Hold  HoldConfig `yaml:"hold"`
	Rules []Rule     `yaml:"rules"`
	// Internal names the organisation's own addresses and domains, as in Match. Everybody else is
	// external. Domains of identities are internal without being named.
	Internal []string    `yaml:"internal"`
	Limits   []LimitRule `yaml:"limits"`
	// Trial is how long after the first start limits only say what they would do.
	Trial time.Duration `yaml:"trial"`
}

// HoldConfig says how long mail is held when no rule says otherwise.
type HoldConfig struct {
	// Default is the hold of a recipient that no rule names.
	Default time.Duration `yaml:"default"`
	// Max bounds what a rule or a header may ask for.
	Max time.Duration `yaml:"max"`
	// Margin is how much later than shown mail is let go, so that a recall in the last shown second
	// still succeeds.
	Margin time.Duration `yaml:"margin"`
	// Header is a field by which trusted clients set the hold in seconds; empty switches it off.
	Header string `yaml:"header"`
}

// IsInternal reports whether an address is the organisation's own.
func (c *Config) IsInternal(a Address) bool {
	return a.Domain() == "" || slices.ContainsFunc(c.Internal, func(p string) bool { return MatchAddress(p, a) })
}

// DefaultConfig holds every message for 60 s.
func DefaultConfig() Config {
	return Config{
		Hold: HoldConfig{
			Default: 60 * time.Second, Max: 900 * time.Second, Margin: 3 * time.Second, Header: "X-Sendgate-Hold",
		},
		Limits: DefaultLimits(),
		Trial:  7 * 24 * time.Hour,
	}
}

// A Rule names some mail and says what happens to it. For each recipient the first rule that
// matches and has the action decides; a message is held as long as its longest recipient asks.
type Rule struct {
	// Name stands in explanations, logs and metrics.
	Name  string `yaml:"name"`
	Match Match  `yaml:"match"`
	// Action is what becomes of a message that matches: hold.
	Action Action        `yaml:"action"`
	For    time.Duration `yaml:"for"`    // with hold
	Shadow bool          `yaml:"shadow"` // only say in the log what it would have done
}

// Match is a conjunction; an empty list matches everything.
type Match struct {
	// Senders and Recipients hold addresses ("a@corp.example"), domains ("@corp.example"), domains
	// with everything below ("@.corp.example") or the null sender ("<>").
	Senders []string `yaml:"senders"`
	Groups  []string `yaml:"groups"` // of the sending identity
	// Networks are those of the client; IPv6 and IPv4.
	Networks []netip.Prefix `yaml:"networks"`
	// Recipients are forms as in Senders; one recipient of the message is enough.
	Recipients []string `yaml:"recipients"`
	// Headers asks for fields with these values, without regard to case; "*" is any value. Fields
	// are believed from trusted clients only.
	Headers map[string]string `yaml:"headers"`
	// Times are times of the week in the zone of this machine: "mon-fri 08:00-18:00", "sat,sun".
	Times []string `yaml:"times"`
}

// MaxHold is the longest hold that can be configured.
const MaxHold = 900 * time.Second

// Validate reports every fault at once, as [Faults].
func (c *Config) Validate() error {
	var faults Faults
	h := c.Hold
	if h.Max < 0 || h.Max > MaxHold {
		faults.Add("hold.max", h.Max, "a hold is between 0s and 900s")
	}
	if h.Default < 0 || h.Default > h.Max {
		faults.Add("hold.default", h.Default, "must be between 0s and hold.max (%v)", h.Max)
	}
	if h.Margin < 0 || h.Margin > time.Minute {
		faults.Add("hold.margin", h.Margin, "must be between 0s and 60s")
	}
	names := map[string]bool{}
	for i, r := range c.Rules {
		at := "rules[" + itoa(i) + "]"
		if r.Name == "" {
			faults.Add(at+".name", nil, "a rule needs a name: it is what people see as the reason")
		} else if names[r.Name] {
			faults.Add(at+".name", r.Name, "there is another rule of this name")
		}
		names[r.Name] = true
		if r.Action != Hold {
			faults.Add(at+".action", string(r.Action), "not an action of this version: use hold")
		}
		if r.For < 0 || r.For > h.Max {
			faults.Add(at+".for", r.For, "must be between 0s and hold.max (%v)", h.Max)
		}
		r.Match.validate(&faults, at+".match")
	}
	validatePatterns(&faults, "internal", c.Internal)
	for i := range c.Limits {
		l, at := &c.Limits[i], "limits["+itoa(i)+"]"
		l.validate(&faults, at)
		if l.Name != "" && names[l.Name] {
			faults.Add(at+".name", l.Name, "there is another rule of this name")
		}
		names[l.Name] = true
	}
	if c.Trial < 0 {
		faults.Add("trial", c.Trial, "cannot be negative; 0s is none")
	}
	return faults.Err()
}

func (m *Match) validate(faults *Faults, at string) {
	validatePatterns(faults, at+".senders", m.Senders)
	validatePatterns(faults, at+".recipients", m.Recipients)
	for i, t := range m.Times {
		if _, err := parseTimes(t); err != nil {
			faults.Add(at+".times["+itoa(i)+"]", t, "%v", err)
		}
	}
}

func validatePatterns(faults *Faults, at string, patterns []string) {
	for i, p := range patterns {
		if !validPattern(p) {
			faults.Add(at+"["+itoa(i)+"]", p,
				`write an address (a@corp.example), a domain (@corp.example), a domain with all below it (@.corp.example) or "<>"`)
		}
	}
}

func validPattern(p string) bool {
	if p == "<>" {
		return true
	}
	if domain, ok := strings.CutPrefix(p, "@"); ok {
		_, err := NewAddress("anybody", strings.TrimPrefix(domain, "."))
		return err == nil
	}
	a, err := ParseAddress(p)
	return err == nil && a.Domain() != ""
}

// MatchAddress reports whether a pattern of a rule names the address.
func MatchAddress(pattern string, a Address) bool {
	if pattern == "<>" {
		return a == ""
	}
	if domain, ok := strings.CutPrefix(pattern, "@."); ok {
		domain, d := foldDomain(domain), a.Domain()
		return domain != "" && (d == domain || strings.HasSuffix(d, "."+domain))
	}
	if domain, ok := strings.CutPrefix(pattern, "@"); ok {
		domain = foldDomain(domain)
		return domain != "" && a.Domain() == domain
	}
	p, err := ParseAddress(pattern)
	return err == nil && p.Key() == a.Key()
}

func itoa(i int) string { return strconv.Itoa(i) }
