package policy

import (
	"net/netip"
	"slices"
	"strings"
)

// Patterns are patterns of addresses, as in [Match], read once.
type Patterns struct {
	null      bool
	addresses map[string]bool // keys
	domains   map[string]bool
	below     []string // with a dot before them: all below is meant, and the domain itself
}

// NewPatterns reads patterns. Those that are not valid match nothing.
func NewPatterns(list []string) *Patterns {
	p := &Patterns{addresses: map[string]bool{}, domains: map[string]bool{}}
	for _, s := range list {
		p.add(s)
	}
	return p
}

func (p *Patterns) add(pattern string) {
	if pattern == "<>" {
		p.null = true
		return
	}
	domain, ok := strings.CutPrefix(pattern, "@")
	if !ok {
		if a, err := ParseAddress(pattern); err == nil {
			p.addresses[a.Key()] = true
		}
		return
	}
	domain, below := strings.CutPrefix(domain, ".")
	if domain = foldDomain(domain); domain == "" {
		return
	}
	p.domains[domain] = true
	if below {
		p.below = append(p.below, "."+domain)
	}
}

// Match reports whether one of the patterns names the address.
func (p *Patterns) Match(a Address) bool {
	if a == "" {
		return p.null
	}
	d := a.Domain()
	return p.domains[d] || slices.ContainsFunc(p.below, func(b string) bool { return strings.HasSuffix(d, b) }) ||
		len(p.addresses) > 0 && p.addresses[a.Key()]
}

// A Matcher is a [Match] with everything read once.
type Matcher struct {
	match               *Match
	senders, recipients *Patterns
	times               []times
}

// NewMatcher reads a valid Match, which must not change any more.
func NewMatcher(m *Match) *Matcher {
	c := &Matcher{match: m, senders: NewPatterns(m.Senders), recipients: NewPatterns(m.Recipients)}
	for _, s := range m.Times {
		if t, err := parseTimes(s); err == nil {
			c.times = append(c.times, t)
		}
	}
	return c
}

// Matches reports whether the sender's side of a submission matches: everything but the recipients.
func (c *Matcher) Matches(s *Submission, groups []string) bool {
	m, e := c.match, s.Envelope
	if len(m.Senders) > 0 && !c.senders.Match(e.Sender) {
		return false
	}
	if len(m.Groups) > 0 && !slices.ContainsFunc(m.Groups, func(g string) bool { return slices.Contains(groups, g) }) {
		return false
	}
	if len(m.Networks) > 0 && !slices.ContainsFunc(m.Networks, func(n netip.Prefix) bool { return n.Contains(e.Client.Unmap().WithZone("")) }) {
		return false
	}
	if len(m.Times) > 0 && !slices.ContainsFunc(c.times, func(t times) bool { return t.has(s.Time) }) {
		return false
	}
	for name, want := range m.Headers {
		if !s.Trusted || s.Header == nil || !matchHeader(s.Header(name), want) {
			return false
		}
	}
	return true
}

// MatchesRecipient reports whether a recipient is one of those that the rule names.
func (c *Matcher) MatchesRecipient(a Address) bool {
	return len(c.match.Recipients) == 0 || c.recipients.Match(a)
}

func matchHeader(values []string, want string) bool {
	return slices.ContainsFunc(values, func(v string) bool {
		return want == "*" || strings.EqualFold(strings.TrimSpace(v), want)
	})
}
