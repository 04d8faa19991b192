package policy

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestMatchAddress(t *testing.T) {
	for _, c := range []struct {
		outcome, pattern string
		address          Address
		want             bool
	}{
		{"an address matches itself", "a@corp.example", "a@corp.example", true},
		{"in any case", "A@Corp.example", "a@cORP.EXAMPLE", true},
		{"with the root's dot", "a@corp.example", "a@corp.example.", true},
		{"with needless quotes in the pattern", `"a"@corp.example`, "a@corp.example", true},
		{"with brackets around the pattern", "<a@corp.example>", "a@corp.example", true},
		{"with space around the pattern", " a@corp.example ", "a@corp.example", true},
		{"an IDN matches its A-label", "a@bücher.example", "a@xn--bcher-kva.example", true},
		{"not another local part", "a@corp.example", "b@corp.example", false},
		{"not another domain", "a@corp.example", "a@corp.test", false},
		{"not a longer local part", "a@corp.example", "aa@corp.example", false},
		{"not the null sender", "a@corp.example", "", false},
		{"a pattern that is no address names nobody", "corp.example", "corp.example", false},
		{"an empty pattern does not name the null sender", "", "", false},

		{"a domain", "@corp.example", "x@corp.example", true},
		{"a domain in any case", "@CORP.example", "x@Corp.Example", true},
		{"a domain as IDN", "@BÜCHER.example", "x@xn--bcher-kva.example", true},
		{"a domain does not name what is below it", "@corp.example", "x@a.corp.example", false},
		{"a domain does not name what ends alike", "@corp.example", "x@notcorp.example", false},
		{"a domain does not name the null sender", "@corp.example", "", false},
		{"a domain does not name postmaster", "@corp.example", "postmaster", false},
		{"a domain in a quoted local part is none", "@corp.example", `"x@corp.example"@evil.test`, false},

		{"a tree names its top", "@.corp.example", "x@corp.example", true},
		{"a tree names what is below", "@.corp.example", "x@a.b.corp.example", true},
		{"a tree in any case", "@.Corp.example", "x@A.CORP.example", true},
		{"a tree does not name what ends alike", "@.corp.example", "x@notcorp.example", false},
		{"a tree does not name what is above", "@.corp.example", "x@example", false},
		{"a tree does not name the null sender", "@.corp.example", "", false},
		{"a tree of nothing does not name the null sender", "@.", "", false},
		{"a tree of nothing does not name postmaster", "@.", "postmaster", false},
		{"a domain of nothing names nobody", "@", "postmaster", false},

		{"<> is the null sender", "<>", "", true},
		{"<> is nobody else", "<>", "a@corp.example", false},
		{"<> is not postmaster", "<>", "postmaster", false},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			if got := MatchAddress(c.pattern, c.address); got != c.want {
				t.Errorf("MatchAddress(%q, %q) = %v", c.pattern, c.address, got)
			}
			if got := NewPatterns([]string{"else@else.example", c.pattern}).Match(c.address); got != c.want {
				t.Errorf("NewPatterns(%q).Match(%q) = %v", c.pattern, c.address, got)
			}
		})
	}
}

// envelope is an outgoing message of ann to bob from a client in 10.0.0.0/8.
func envelope() *Envelope {
	return &Envelope{
		Front: Relay, Direction: Outbound, Sender: "ann@corp.example", Identity: "ann",
		Client: netip.MustParseAddr("10.1.2.3"), Recipients: []Recipient{{Address: "bob@far.example"}},
	}
}

func header(fields map[string][]string) func(string) []string {
	return func(name string) []string { return fields[name] }
}

func TestMatchOfAMessage(t *testing.T) {
	prefixes := func(s ...string) (nets []netip.Prefix) {
		for _, p := range s {
			nets = append(nets, netip.MustParsePrefix(p))
		}
		return nets
	}
	otp := header(map[string][]string{"X-Kind": {"news", " OTP "}})
	for _, c := range []struct {
		outcome string
		match   Match
		change  func(*Submission)
		want    bool
	}{
		{"an empty match takes everything", Match{}, nil, true},
		{"the sender is listed", Match{Senders: []string{"x@y.example", "ann@corp.example"}}, nil, true},
		{"the sender is not listed", Match{Senders: []string{"x@y.example"}}, nil, false},
		{"the identity is in a group", Match{Groups: []string{"x", "sales"}}, nil, true},
		{"the identity is in no such group", Match{Groups: []string{"x"}}, nil, false},
		{"the client is in a network", Match{Networks: prefixes("192.0.2.0/24", "10.0.0.0/8")}, nil, true},
		{"the client is elsewhere", Match{Networks: prefixes("192.0.2.0/24")}, nil, false},
		{"a client mapped to IPv6 is in its IPv4 network", Match{Networks: prefixes("10.0.0.0/8")}, func(s *Submission) {
			s.Envelope.Client = netip.MustParseAddr("::ffff:10.1.2.3")
		}, true},
		{"an IPv6 client", Match{Networks: prefixes("2001:db8::/32")}, func(s *Submission) {
			s.Envelope.Client = netip.MustParseAddr("2001:db8::1")
		}, true},
		{"an unknown client is in no network", Match{Networks: prefixes("0.0.0.0/0", "::/0")}, func(s *Submission) {
			s.Envelope.Client = netip.Addr{}
		}, false},
		{"a field has the value, in any case", Match{Headers: map[string]string{"X-Kind": "otp"}}, nil, true},
		{"a field has another value", Match{Headers: map[string]string{"X-Kind": "ot"}}, nil, false},
		{"a field has any value", Match{Headers: map[string]string{"X-Kind": "*"}}, nil, true},
		{"a field is missing", Match{Headers: map[string]string{"X-Other": "*"}}, nil, false},
		{"all fields are asked for", Match{Headers: map[string]string{"X-Kind": "otp", "X-Other": "*"}}, nil, false},
		{"a stranger's field is not believed", Match{Headers: map[string]string{"X-Kind": "*"}}, func(s *Submission) { s.Trusted = false }, false},
		{"no field is known before the header", Match{Headers: map[string]string{"X-Kind": "*"}}, func(s *Submission) { s.Header = nil }, false},
		{"all conditions hold", Match{
			Senders: []string{"@corp.example"}, Groups: []string{"sales"}, Networks: prefixes("10.0.0.0/8"),
			Headers: map[string]string{"X-Kind": "*"},
		}, nil, true},
		{"one condition fails", Match{
			Senders: []string{"@corp.example"}, Groups: []string{"sales"}, Networks: prefixes("192.0.2.0/24"),
		}, nil, false},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			s := &Submission{Time: noon, Envelope: envelope(), Trusted: true, Header: otp}
			if c.change != nil {
				c.change(s)
			}
			if got := NewMatcher(&c.match).Matches(s, []string{"staff", "sales"}); got != c.want {
				t.Errorf("%+v: %v", c.match, got)
			}
		})
	}
}

func TestTheDefaultConfigIsValid(t *testing.T) {
	c := DefaultConfig()
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	if c.Hold.Default != time.Minute {
		t.Errorf("mail is held for %v", c.Hold.Default)
	}
}

func TestValidateAccepts(t *testing.T) {
	c := DefaultConfig()
	c.Hold.Max, c.Hold.Default, c.Hold.Margin = MaxHold, MaxHold, time.Minute
	c.Rules = []Rule{
		{Name: "none", Action: Hold, For: 0},
		{Name: "longest", Action: Hold, For: MaxHold, Shadow: true, Match: Match{
			Senders:    []string{"<>", "a@corp.example", "@corp.example", "@.corp.example", `"a b"@corp.example`, "@bücher.example"},
			Recipients: []string{"<b@x.example>", "@x"},
		}},
	}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	c.Hold = HoldConfig{}
	c.Rules = nil
	if err := c.Validate(); err != nil {
		t.Errorf("no hold at all: %v", err)
	}
}

func TestValidateRefuses(t *testing.T) {
	const pattern = `write an address (a@corp.example), a domain (@corp.example), a domain with all below it (@.corp.example) or "<>"`
	rule := func(change func(*Rule)) func(*Config) {
		return func(c *Config) {
			r := Rule{Name: "r", Action: Hold, For: time.Second}
			change(&r)
			c.Rules = []Rule{r}
		}
	}
	for _, c := range []struct {
		outcome string
		change  func(*Config)
		want    string
	}{
		{"a negative maximum", func(c *Config) { c.Hold.Max, c.Hold.Default = -1, -1 },
			"hold.max: -1ns: a hold is between 0s and 900s\nhold.default: -1ns: must be between 0s and hold.max (-1ns)"},
		{"a maximum beyond the limit", func(c *Config) { c.Hold.Max = 901 * time.Second }, "hold.max: 15m1s: a hold is between 0s and 900s"},
		{"a negative default", func(c *Config) { c.Hold.Default = -time.Second }, "hold.default: -1s: must be between 0s and hold.max (15m0s)"},
		{"a default beyond the maximum", func(c *Config) { c.Hold.Max = 30 * time.Second }, "hold.default: 1m0s: must be between 0s and hold.max (30s)"},
		{"a negative margin", func(c *Config) { c.Hold.Margin = -time.Second }, "hold.margin: -1s: must be between 0s and 60s"},
		{"a margin of more than a minute", func(c *Config) { c.Hold.Margin = 61 * time.Second }, "hold.margin: 1m1s: must be between 0s and 60s"},
		{"a rule without a name", rule(func(r *Rule) { r.Name = "" }), "rules[0].name: a rule needs a name: it is what people see as the reason"},
		{"two rules of one name", func(c *Config) {
			c.Rules = []Rule{{Name: "r", Action: Hold}, {Name: "s", Action: Hold}, {Name: "r", Action: Hold}}
		}, "rules[2].name: r: there is another rule of this name"},
		{"no action", rule(func(r *Rule) { r.Action = Pass }), "rules[0].action: : not an action of this version: use hold"},
		{"an action of a later version", rule(func(r *Rule) { r.Action = Reject }), "rules[0].action: reject: not an action of this version: use hold"},
		{"a negative hold", rule(func(r *Rule) { r.For = -time.Second }), "rules[0].for: -1s: must be between 0s and hold.max (15m0s)"},
		{"a hold beyond the maximum", rule(func(r *Rule) { r.For = time.Hour }), "rules[0].for: 1h0m0s: must be between 0s and hold.max (15m0s)"},
		{"a sender that is no pattern", rule(func(r *Rule) { r.Match.Senders = []string{"<>", "corp.example"} }),
			"rules[0].match.senders[1]: corp.example: " + pattern},
		{"a recipient that is no pattern", rule(func(r *Rule) { r.Match.Recipients = []string{"a@"} }),
			"rules[0].match.recipients[0]: a@: " + pattern},
		{"everything at once and in order", func(c *Config) {
			c.Hold.Margin = -1
			c.Rules = []Rule{{Match: Match{Senders: []string{"x"}, Recipients: []string{"y"}}}}
		}, "hold.margin: -1ns: must be between 0s and 60s\n" +
			"rules[0].name: a rule needs a name: it is what people see as the reason\n" +
			"rules[0].action: : not an action of this version: use hold\n" +
			"rules[0].match.senders[0]: x: " + pattern + "\nrules[0].match.recipients[0]: y: " + pattern},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			cfg := DefaultConfig()
			c.change(&cfg)
			for range 10 { // the order of the faults does not change
				if err := cfg.Validate(); err == nil || err.Error() != c.want {
					t.Fatalf("got  %v\nwant %s", err, c.want)
				}
			}
		})
	}
}

func TestPatternsThatNameNobodyAreFaults(t *testing.T) {
	for _, p := range []string{
		"", "@", "@.", "@..", "@。", "postmaster", "corp.example", "@corp example", "@corp\texample", "@a@b", "@<x>",
		"a@x> NOTIFY=NEVER", "@x\nb", "a\x00@b", "@\"x\"", "@\xff",
	} {
		c := DefaultConfig()
		c.Rules = []Rule{{Name: "r", Action: Hold, Match: Match{Recipients: []string{p}}}}
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "rules[0].match.recipients[0]") {
			t.Errorf("%q: %v", p, err)
		}
	}
}
