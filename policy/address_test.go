package policy

import (
	"errors"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestParseAddress(t *testing.T) {
	for _, c := range []struct {
		outcome, in string
		want        Address
		key         string
	}{
		{"plain", "a@corp.example", "a@corp.example", "a@corp.example"},
		{"in brackets", "<a@corp.example>", "a@corp.example", "a@corp.example"},
		{"with space around", "  <a@corp.example>\t\r\n", "a@corp.example", "a@corp.example"},
		{"case is kept and folded in the key", "Ann.Lee@Corp.Example", "Ann.Lee@Corp.Example", "ann.lee@corp.example"},
		{"all of atext", "a!#$%&'*+-/=?^_`{|}~@x.example", "a!#$%&'*+-/=?^_`{|}~@x.example", "a!#$%&'*+-/=?^_`{|}~@x.example"},
		{"dots as docomo writes them", ".a..b.@docomo.example", ".a..b.@docomo.example", ".a..b.@docomo.example"},
		{"needless quotes go", `"a.b"@x.example`, "a.b@x.example", "a.b@x.example"},
		{"needless escapes go", `"\a\.b"@x.example`, "a.b@x.example", "a.b@x.example"},
		{"a space is quoted", `a b@x.example`, `"a b"@x.example`, `"a b"@x.example`},
		{"quotes stay where they are needed", `"a b"@x.example`, `"a b"@x.example`, `"a b"@x.example`},
		{"an @ in the local part", `"a@b"@x.example`, `"a@b"@x.example`, `"a@b"@x.example`},
		{"an unquoted @ is quoted", `a@b@x.example`, `"a@b"@x.example`, `"a@b"@x.example`},
		{"a quote within quotes", `"a\"b"@x.example`, `"a\"b"@x.example`, `"a\"b"@x.example`},
		{"a lone quote", `a"b@x.example`, `"a\"b"@x.example`, `"a\"b"@x.example`},
		{"a backslash within quotes", `"a\\b"@x.example`, `"a\\b"@x.example`, `"a\\b"@x.example`},
		{"an empty quoted local part", `""@x.example`, `""@x.example`, `""@x.example`},
		{"a source route is a strange local part", "@a.example:b@c.example", `"@a.example:b"@c.example`, `"@a.example:b"@c.example`},
		{"the root's dot is no difference", "a@corp.example.", "a@corp.example.", "a@corp.example"},
		{"an address literal", "a@[192.0.2.1]", "a@[192.0.2.1]", "a@[192.0.2.1]"},
		{"an IPv6 literal", "a@[IPv6:2001:DB8::1]", "a@[IPv6:2001:DB8::1]", "a@[ipv6:2001:db8::1]"},
		{"an underscore in the domain", "a@My_Host.example", "a@My_Host.example", "a@my_host.example"},
		{"an IDN is compared as A-label", "a@BÜCHER.example", "a@BÜCHER.example", "a@xn--bcher-kva.example"},
		{"an A-label is itself", "a@xn--bcher-KVA.example", "a@xn--bcher-KVA.example", "a@xn--bcher-kva.example"},
		{"a Chinese domain", "王@例子.中国", "王@例子.中国", "王@xn--fsqu00a.xn--fiqs8s"},
		{"a Chinese full stop at the end", "王@例子.中国。", "王@例子.中国。", "王@xn--fsqu00a.xn--fiqs8s"},
		{"postmaster", "postmaster", "postmaster", "postmaster"},
		{"postmaster in any case", "<PostMaster>", "PostMaster", "postmaster"},
		{"postmaster in quotes", `"postmaster"`, "postmaster", "postmaster"},
		{"a non-ASCII space is quoted", "\"\u00a0a\"@x.example", "\"\u00a0a\"@x.example", "\"\u00a0a\"@x.example"},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			got, err := ParseAddress(c.in)
			if err != nil || got != c.want || got.Key() != c.key {
				t.Errorf("ParseAddress(%q) = %q, %v; key %q", c.in, got, err, got.Key())
			}
		})
	}
}

func TestParseAddressRefuses(t *testing.T) {
	const empty, long = "the address is empty", "the address is longer than 998 octets"
	const domain = "the address has no domain: write it as name@example.com"
	const control = "the address contains a control character or a broken UTF-8 sequence"
	for _, c := range []struct{ outcome, in, want string }{
		{"nothing", "", empty},
		{"space", " \t", empty},
		{"the null sender", "<>", empty},
		{"no local part", "@corp.example", empty},
		{"no domain", "ann", domain},
		{"an empty domain", "ann@", domain},
		{"only the root", "ann@.", domain},
		{"only a full stop that IDNA maps to a dot", "ann@。", domain},
		{"only dots", "ann@..", domain},
		{"a space in the domain", "ann@corp example", domain},
		{"a non-ASCII space in the domain", "ann@corp\u3000example", domain},
		{"a quote in the domain", `ann@"corp.example"`, domain},
		{"an ESMTP parameter after the path", "ann@x> NOTIFY=NEVER", domain},
		{"an ESMTP parameter in brackets", "<ann@x> NOTIFY=NEVER>", domain},
		{"a parameter without a bracket", "ann@x NOTIFY=NEVER", domain},
		{"a bracket opens in the domain", "ann@<x", domain},
		{"CR LF in the domain", "ann@x\r\nRCPT TO:<eve@x>", control},
		{"CR LF in the local part", "ann\r\nDATA\r\n@x.example", control},
		{"CR LF in quotes", "\"a\r\nb\"@x.example", control},
		{"a bare LF", "a\nb@x.example", control},
		{"NUL", "a\x00b@x.example", control},
		{"TAB", "a\tb@x.example", control},
		{"DEL", "a\x7fb@x.example", control},
		{"a C1 control", "a\u009b31m@x.example", control},
		{"a control in the domain", "a@x\x1b.example", control},
		{"broken UTF-8", "a\xff@x.example", control},
		{"broken UTF-8 in quotes", "\"a\xff\"@x.example", control},
		{"a character cut by the @", "\xc4@\xb0.example", control},
		{"broken UTF-8 in the domain", "a@\xc3.example", control},
		{"998 octets without the brackets", strings.Repeat("a", 998-len("@x.example")) + "@x.example", long},
		{"quotes make it too long", strings.Repeat(`"`, 600) + "@x.example", long},
		{"a mebibyte", strings.Repeat("a", 1<<20) + "@x.example", long},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			if got, err := ParseAddress(c.in); err == nil || err.Error() != c.want || got != "" {
				t.Errorf("ParseAddress(%.60q) = %.60q, %v", c.in, got, err)
			}
		})
	}
}

func TestTheLongestAddressPasses(t *testing.T) {
	in := strings.Repeat("a", maxAddress-len("<@x.example>")) + "@x.example"
	if a, err := ParseAddress("<" + in + ">"); err != nil || string(a) != in {
		t.Errorf("%d octets: %v", len(in), err)
	}
}

// Nothing in a local part can end the path or start a parameter.
func TestNewAddressQuotes(t *testing.T) {
	for local, want := range map[string]Address{
		"x> NOTIFY=NEVER":      `"x> NOTIFY=NEVER"@y.example`,
		`x"> NOTIFY=NEVER`:     `"x\"> NOTIFY=NEVER"@y.example`,
		`x\"> NOTIFY=NEVER`:    `"x\\\"> NOTIFY=NEVER"@y.example`,
		`x\`:                   `"x\\"@y.example`,
		`"x"`:                  `"\"x\""@y.example`,
		"<x>":                  `"<x>"@y.example`,
		"x,y;z:(c)":            `"x,y;z:(c)"@y.example`,
		"":                     `""@y.example`,
		"x+tag=corp.example":   "x+tag=corp.example@y.example",
		"SRS0=ab=cd=x.y=ann":   "SRS0=ab=cd=x.y=ann@y.example",
		"postmaster":           "postmaster@y.example",
		"x@y.example> SIZE=1 ": `"x@y.example> SIZE=1 "@y.example`,
	} {
		got, err := NewAddress(local, "y.example")
		if err != nil || got != want {
			t.Errorf("NewAddress(%q) = %q, %v; want %q", local, got, err, want)
			continue
		}
		if again, err := ParseAddress(got.String()); err != nil || again != got {
			t.Errorf("%q is read back as %q, %v", got, again, err)
		}
	}
	for _, local := range []string{"", "ann", `"postmaster"`, "post master"} {
		if got, err := NewAddress(local, ""); !errors.Is(err, errAddressDomain) {
			t.Errorf("NewAddress(%q, \"\") = %q, %v", local, got, err)
		}
	}
}

func TestPartsOfAnAddress(t *testing.T) {
	for _, c := range []struct {
		address             Address
		text, local, domain string
		ascii               bool
	}{
		{"", "<>", "", "", true},
		{"postmaster", "postmaster", "postmaster", "", true},
		{"Ann@Corp.Example.", "Ann@Corp.Example.", "Ann", "corp.example", true},
		{`"a@b c"@x.example`, `"a@b c"@x.example`, `"a@b c"`, "x.example", true},
		{"ann@bücher.example", "ann@bücher.example", "ann", "xn--bcher-kva.example", false},
		{"王@x.example", "王@x.example", "王", "x.example", false},
	} {
		a := c.address
		if a.String() != c.text || a.Local() != c.local || a.Domain() != c.domain || a.IsASCII() != c.ascii {
			t.Errorf("%q: %q, %q, %q, %v", a, a.String(), a.Local(), a.Domain(), a.IsASCII())
		}
	}
	if key := Address("").Key(); key != "" {
		t.Errorf("the null sender has the key %q", key)
	}
}

// A name that IDNA refuses is compared as it stands, in lower case.
func TestFoldDomainKeepsWhatIDNARefuses(t *testing.T) {
	for in, want := range map[string]string{
		"A_Ü.example": "a_ü.example", "-ü-.Example": "-ü-.example", "[IPv6:FE80::1]": "[ipv6:fe80::1]", "": "",
	} {
		if got := foldDomain(in); got != want {
			t.Errorf("foldDomain(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzAddress(f *testing.F) {
	for _, s := range []string{
		"", "<>", "a@b", "<a@b>", `"a b"@c`, `"a\"b\\"@c`, "x> NOTIFY=NEVER@y", "a@x> NOTIFY=NEVER", "a\r\nb@c", "postmaster",
		"\"\xff\"@b", "\"\u00a0a\"@b", "王@例子.中国。", "a@.", "a@。", "a@\u00ad", `"a\"@b`, "@", "a@b@c", "\xc4@\xb0", "a@B\u0130.example", "\"postmaster\"",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAddress(s)
		if err == nil {
			checkAddress(t, a)
		} else if a != "" {
			t.Fatalf("%q with %v", a, err)
		}
		local, domain, _ := strings.Cut(s, "@")
		if a, err = NewAddress(local, domain); err == nil {
			checkAddress(t, a)
		}
	})
}

// checkAddress holds what every user of an Address relies on when it writes "RCPT TO:<" + a + ">".
func checkAddress(t *testing.T, a Address) {
	t.Helper()
	if a == "" || len(a)+2 > maxAddress || !utf8.ValidString(string(a)) {
		t.Fatalf("%q: empty, broken or of %d octets", a, len(a))
	}
	quoted, escaped := false, false
	for _, r := range string(a) {
		switch {
		case unicode.IsControl(r):
			t.Fatalf("%q contains the control %q", a, r)
		case escaped:
			escaped = false
		case quoted && r == '\\':
			escaped = true
		case r == '"':
			quoted = !quoted
		case !quoted && (unicode.IsSpace(r) || strings.ContainsRune("<>", r)):
			t.Fatalf("%q contains %q outside of quotes", a, r)
		}
	}
	if quoted || escaped {
		t.Fatalf("%q: the quotes are not balanced", a)
	}
	if again, err := ParseAddress(a.String()); err != nil || again != a {
		t.Fatalf("%q is read back as %q, %v", a, again, err)
	}
	if again, err := ParseAddress("<" + a.String() + ">"); err != nil || again != a {
		t.Fatalf("%q in brackets is read back as %q, %v", a, again, err)
	}
	key := Address(a.Key())
	if key == "" || key.Key() != string(key) || strings.Contains(string(a), "@") != (a.Domain() != "") {
		t.Fatalf("%q: key %q, its key %q, domain %q", a, key, key.Key(), a.Domain())
	}
}
