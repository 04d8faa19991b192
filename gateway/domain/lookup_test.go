package domain

import (
	"slices"
	"strings"
	"testing"

	"github.com/sendgate/sendgate/policy"
)

func TestLookup(t *testing.T) {
	dead := "dead.nxdomain.org"
	dns := newAuthority(t,
		"mail.org. 300 IN MX 20 b.mail.org.", "mail.org. 300 IN MX 10 A.mail.org.", "mail.org. 300 IN MX 10 a2.mail.org.",
		"implicit.org. 300 IN A 192.0.2.1",
		"six.org. 300 IN AAAA 2001:db8::1",
		"null.org. 300 IN MX 0 .",
		"both.org. 300 IN MX 0 .", "both.org. 300 IN MX 10 mx.both.org.",
		"text.org. 300 IN TXT \"no mail\"",
		"nowhere.org. 300 IN MX 10 gone.nxdomain.org.",
		"alias.org. 300 IN CNAME alias2.org.", "alias2.org. 60 IN CNAME mail.org.",
		"aliasnull.org. 300 IN CNAME null.org.",
		"aliasdead.org. 300 IN CNAME "+dead+".",
		"aliastext.org. 300 IN CNAME text.org.",
		"aliasimplicit.org. 300 IN CNAME implicit.org.",
		"xn--fsqu00a.xn--fiqs8s. 300 IN MX 10 mx.idn.org.",
	)
	b := newBench(t, nil, nil, dns)
	for _, c := range []struct {
		outcome, domain string
		state           State
		mx              []string
		implicit        bool
		status, text    string
	}{
		{"MX in the order of preference", "mail.org", Exists, []string{"a.mail.org", "a2.mail.org", "b.mail.org"}, false, "", ""},
		{"no MX but an A is the mail server", "implicit.org", Exists, []string{"implicit.org"}, true, "", ""},
		{"no MX but an AAAA is the mail server", "six.org", Exists, []string{"six.org"}, true, "", ""},
		{"null MX", "null.org", NullMX, nil, false, "5.1.10", "The domain null.org does not accept mail."},
		{"a null MX beside others does not count", "both.org", Exists, []string{"mx.both.org"}, false, "", ""},
		{"nothing for mail", "text.org", NoMail, nil, false, "5.1.2", "The domain text.org has no mail server."},
		{"no such domain", dead, NoDomain, nil, false, "5.1.2", "The domain " + dead + " does not exist."},
		{"mail servers that do not exist pass", "nowhere.org", Exists, []string{"gone.nxdomain.org"}, false, "", ""},
		{"aliases are followed", "alias.org", Exists, []string{"a.mail.org", "a2.mail.org", "b.mail.org"}, false, "", ""},
		{"an alias of a null MX", "aliasnull.org", NullMX, nil, false, "5.1.10", "The domain aliasnull.org does not accept mail."},
		{"an alias of nothing", "aliasdead.org", NoDomain, nil, false, "5.1.2", "The domain aliasdead.org does not exist."},
		{"an alias of a name without mail", "aliastext.org", NoMail, nil, false, "5.1.2", "The domain aliastext.org has no mail server."},
		{"an alias of a name with an address", "aliasimplicit.org", Exists, []string{"aliasimplicit.org"}, true, "", ""},
		{"an internationalised domain", "xn--fsqu00a.xn--fiqs8s", Exists, []string{"mx.idn.org"}, false, "", ""},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			a := b.look(t, c.domain)
			if a.State != c.state || !slices.Equal(a.MX, c.mx) || a.Implicit != c.implicit {
				t.Errorf("%+v", a)
			}
			v := a.Verdict()
			if c.status == "" {
				if v.Action != policy.Pass {
					t.Errorf("does not pass: %+v", v)
				}
				return
			}
			if v.Action != policy.Reject || v.Code != 550 || v.Status != c.status || v.Text.EN != c.text || v.Rule != RuleName {
				t.Errorf("%+v", v)
			}
			if !strings.Contains(v.Reason, dns.address) {
				t.Errorf("the reason does not say who said so: %q", v.Reason)
			}
		})
	}
}

func TestNotChecked(t *testing.T) {
	dns := newAuthority(t)
	b := newBench(t, func(c *Config) { c.Skip = []string{"@Partner.org", "@.corp.org", "@.例え.org"} }, nil, dns)
	for domain, reason := range map[string]string{
		"":                   "no domain",
		"[192.0.2.1]":        "an address literal",
		"[ipv6:2001:db8::1]": "an address literal",
		"mailhost":           "a name of one label",
		"localhost":          "a name of one label",
		"a.localhost":        "a reserved name",
		"printer.local":      "a reserved name",
		"mail.internal":      "a reserved name",
		"a.test":             "a reserved name",
		"shop.example":       "a reserved name",
		"x.onion":            "a reserved name",
		"nas.home.arpa":      "a reserved name",
		"home.arpa":          "a reserved name",
		"partner.org":        "in the skip list",
		"corp.org":           "in the skip list",
		"a.b.corp.org":       "in the skip list",
		"a.xn--r8jz45g.org":  "in the skip list",
		"a..org":             "no name that could be asked for",
		"münchen.org":        "no name that could be asked for",
		strings.Repeat("a.", 127) + "toolong.org": "no name that could be asked for",
	} {
		a := b.look(t, domain)
		if a.State != NotChecked || a.Reason != reason || a.Verdict().Action != policy.Pass || a.Domain != domain {
			t.Errorf("%q: %+v", domain, a)
		}
	}
	if n := dns.total(); n != 0 {
		t.Errorf("%d questions were asked", n)
	}
	for _, domain := range []string{"sub.partner.org", "notcorp.org", "a.invalid"} {
		if a := b.look(t, domain); a.State != NoDomain {
			t.Errorf("%s is not checked: %+v", domain, a)
		}
	}
}

func TestSwitchedOff(t *testing.T) {
	dns := newAuthority(t)
	b := newBench(t, func(c *Config) { c.Enabled = false }, nil, dns)
	if a := b.look(t, "dead.org"); a.State != NotChecked || a.Group != "dead.org" || dns.total() != 0 {
		t.Errorf("%+v after %d questions", a, dns.total())
	}
}

func TestVerdictTexts(t *testing.T) {
	for _, c := range []struct {
		state      State
		suggestion string
		want       policy.Label
	}{
		{NoDomain, "gmail.com", policy.Label{
			EN: "The domain gmial.com does not exist. Did you mean gmail.com?", ZH: "域名 gmial.com 不存在。您是否想写 gmail.com？"}},
		{NoDomain, "", policy.Label{EN: "The domain gmial.com does not exist.", ZH: "域名 gmial.com 不存在。"}},
		{NoMail, "gmail.com", policy.Label{
			EN: "The domain gmial.com has no mail server. Did you mean gmail.com?", ZH: "域名 gmial.com 没有邮件服务器。您是否想写 gmail.com？"}},
		{NullMX, "", policy.Label{EN: "The domain gmial.com does not accept mail.", ZH: "域名 gmial.com 不接收邮件。"}},
		{Exists, "", policy.Label{}},
		{Unknown, "", policy.Label{}},
		{NotChecked, "", policy.Label{}},
		{"", "", policy.Label{}},
	} {
		if v := (Answer{Domain: "gmial.com", State: c.state, Suggestion: c.suggestion}).Verdict(); v.Text != c.want {
			t.Errorf("%q: %+v", c.state, v.Text)
		}
	}
}

func TestGroup(t *testing.T) {
	for _, c := range []struct{ outcome, domain, mx, want string }{
		{"Exchange Online", "corp.org", "corp-org.mail.protection.outlook.com", "outlook.com"},
		{"Exchange Online in a sovereign cloud", "corp.org", "corp-org.mail.protection.office365.us", "outlook.com"},
		{"Exchange Online with DNSSEC", "corp.org", "corp-org.b-v1.mx.microsoft", "outlook.com"},
		{"outlook.com itself", "hotmail.com", "hotmail-com.olc.protection.outlook.com", "outlook.com"},
		{"Google Workspace", "corp.org", "aspmx.l.google.com", "google.com"},
		{"Google's second name", "corp.org", "aspmx2.googlemail.com", "google.com"},
		{"Tencent", "corp.org", "mxbiz1.qq.com", "qq.com"},
		{"NetEase", "163.com", "163mx01.mxmail.netease.com", "netease.com"},
		{"Aliyun", "corp.cn", "mxn.mxhichina.com", "aliyun.com"},
		{"Yahoo", "yahoo.com", "mta5.am0.yahoodns.net", "yahoo.com"},
		{"own server", "corp.com.cn", "mail.gz.corp.com.cn", "corp.com.cn"},
		{"the regions of a cloud are one", "corp.org", "inbound-smtp.eu-west-1.amazonaws.com", "amazonaws.com"},
		{"no MX known", "mail.corp.co.uk", "", "corp.co.uk"},
		{"a suffix itself", "com.cn", "", "com.cn"},
		{"a single label", "corp.org", "mailhost", "mailhost"},
		{"an address literal", "[192.0.2.1]", "", "[192.0.2.1]"},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			var mx []string
			if c.mx != "" {
				mx = []string{c.mx, "other.backup.org"}
			}
			if got := group(c.domain, mx); got != c.want {
				t.Errorf("%s by %s is in %q, want %q", c.domain, c.mx, got, c.want)
			}
		})
	}
}

// The group comes with every answer.
func TestAnswersAreGrouped(t *testing.T) {
	dns := newAuthority(t, "corp.org. 300 IN MX 10 corp-org.mail.protection.outlook.com.")
	b := newBench(t, nil, nil, dns)
	for domain, want := range map[string]string{"corp.org": "outlook.com", "a.dead.org": "dead.org", "printer.local": "printer.local"} {
		if a := b.look(t, domain); a.Group != want {
			t.Errorf("%s: %+v", domain, a)
		}
	}
}
