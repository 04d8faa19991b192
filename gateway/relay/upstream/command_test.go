package upstream

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/sendgate/sendgate/policy"
)

func everything() Capabilities {
	return Capabilities{sizes: true, EightBitMIME: true, SMTPUTF8: true, DSN: true, RequireTLS: true}
}

func TestMailCommand(t *testing.T) {
	for _, test := range []struct {
		name string
		from policy.Address
		o    MailOptions
		utf8 bool
		full string // to a server that knows everything
		bare string // to one that knows nothing
	}{
		{"null sender", "", MailOptions{}, false, "MAIL FROM:<>", "MAIL FROM:<>"},
		{"quoted", `"a> b\""@example`, MailOptions{}, false, `MAIL FROM:<"a> b\""@example>`, `MAIL FROM:<"a> b\""@example>`},
		{"all parameters", "a@example", MailOptions{Size: 5, Body: "7BIT", UTF8: true, Ret: "FULL", EnvID: "x y"}, false,
			"MAIL FROM:<a@example> SIZE=5 BODY=7BIT SMTPUTF8 RET=FULL ENVID=x+20y", "MAIL FROM:<a@example>"},
		{"our id for want of another", "a@example", MailOptions{ID: "01J+"}, false, "MAIL FROM:<a@example> ENVID=01J+2B", "MAIL FROM:<a@example>"},
		{"the client's own", "a@example", MailOptions{EnvID: "x", ID: "01J"}, false, "MAIL FROM:<a@example> ENVID=x", "MAIL FROM:<a@example>"},
		{"no notification of a notification", "", MailOptions{ID: "01J"}, false, "MAIL FROM:<>", "MAIL FROM:<>"},
		{"recipients need SMTPUTF8", "a@example", MailOptions{}, true, "MAIL FROM:<a@example> SMTPUTF8", "MAIL FROM:<a@example>"},
		{"REQUIRETLS", "a@example", MailOptions{RequireTLS: true}, false, "MAIL FROM:<a@example> REQUIRETLS", ""},
		{"CRLF", "a\r\nDATA@example", MailOptions{}, false, "", ""},
		{"NUL", "a\x00@example", MailOptions{}, false, "", ""},
		{"end of path", "a>@example", MailOptions{}, false, "", ""},
		{"space", "a b@example", MailOptions{}, false, "", ""},
		{"open quote", `"a@example`, MailOptions{}, false, "", ""},
		{"open escape", `"a\"@example`, MailOptions{}, false, "", ""},
		{"too long", policy.Address(strings.Repeat("a", 999)), MailOptions{}, false, "", ""},
		{"BODY", "a@example", MailOptions{Body: "8BITMIME\r\nRSET"}, false, "", "MAIL FROM:<a@example>"},
		{"RET", "a@example", MailOptions{Ret: "FULL X=1"}, false, "", "MAIL FROM:<a@example>"},
		{"ENVID", "a@example", MailOptions{EnvID: "a\nb"}, false, "", "MAIL FROM:<a@example>"},
	} {
		t.Run(test.name, func(t *testing.T) {
			full := everything()
			line, err := full.appendMail(nil, test.from, &test.o, test.utf8)
			checkLine(t, line, err, test.full)
			if test.o.RequireTLS {
				return // never sent to a server without it
			}
			line, err = new(Capabilities).appendMail(nil, test.from, &test.o, test.utf8)
			checkLine(t, line, err, test.bare)
		})
	}
}

func TestRcptCommand(t *testing.T) {
	for _, test := range []struct {
		name string
		r    policy.Recipient
		want string
	}{
		{"plain", policy.Recipient{Address: "b@example"}, "RCPT TO:<b@example>"},
		{"postmaster", policy.Recipient{Address: "postmaster"}, "RCPT TO:<postmaster>"},
		{"all parameters", policy.Recipient{Address: "b@example", Original: "c+d=e f@example", Notify: []string{"FAILURE", "DELAY"}},
			"RCPT TO:<b@example> NOTIFY=FAILURE,DELAY ORCPT=rfc822;c+2Bd+3De+20f@example"},
		{"utf-8", policy.Recipient{Address: "b@example", Original: "jö+\\=用\U0001F600@example", OriginalType: "UTF-8"},
			`RCPT TO:<b@example> ORCPT=utf-8;j\x{F6}\x{2B}\x{5C}\x{3D}\x{7528}\x{1F600}@example`},
		{"none", policy.Recipient{}, ""},
		{"smuggled parameter", policy.Recipient{Address: `x> NOTIFY=NEVER@example`}, ""},
		{"NOTIFY", policy.Recipient{Address: "b@example", Notify: []string{"NEVER\r\nDATA"}}, ""},
		{"ORCPT", policy.Recipient{Address: "b@example", Original: "a\x00b"}, ""},
		{"broken UTF-8", policy.Recipient{Address: "b@example", Original: "a\xffb", OriginalType: "utf-8"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			full := everything()
			line, err := full.appendRcpt(nil, &test.r)
			checkLine(t, line, err, test.want)
		})
	}
}

func checkLine(t *testing.T, line []byte, err error, want string) {
	t.Helper()
	if want == "" {
		if !errors.Is(err, ErrUnsafe) {
			t.Errorf("got %q, %v", line, err)
		}
		return
	}
	if err != nil || string(line) != want+"\r\n" {
		t.Errorf("got %q, %v", line, err)
	}
}

// Whatever an address or a parameter holds, a command is one line, and what stands behind the path
// is made of our own keywords.
func FuzzCommands(f *testing.F) {
	f.Add("a@example", "b=c", "rfc822")
	f.Add(`"x> NOTIFY=NEVER"@c`, "a\r\nb", "utf-8")
	f.Add("x\\>@c", "\x00", "")
	f.Fuzz(func(t *testing.T, address, original, kind string) {
		full := everything()
		a := policy.Address(address)
		if line, err := full.appendRcpt(nil, &policy.Recipient{Address: a, Original: original, OriginalType: kind}); err == nil {
			oneCommand(t, line, "RCPT TO:<"+address+">")
		}
		if line, err := full.appendMail(nil, a, &MailOptions{EnvID: original}, false); err == nil {
			oneCommand(t, line, "MAIL FROM:<"+address+">")
		}
		c := Client{Helo: original, Login: address, Protocol: kind, ID: original}
		line := c.appendXForward(nil, []string{"NAME", "ADDR", "PORT", "PROTO", "HELO", "IDENT", "SOURCE"}, "")
		oneCommand(t, line, "XFORWARD")
		line = c.appendXClient(nil, []string{"NAME", "ADDR", "PORT", "PROTO", "HELO", "LOGIN"})
		oneCommand(t, line, "XCLIENT")
	})
}

func oneCommand(t *testing.T, line []byte, prefix string) {
	t.Helper()
	rest, ok := strings.CutPrefix(string(line), prefix)
	rest, ended := strings.CutSuffix(rest, "\r\n")
	if !ok || !ended || strings.ContainsAny(string(line[:len(line)-2]), "\r\n\x00") {
		t.Fatalf("%q", line)
	}
	for _, word := range strings.Fields(rest) {
		name, value, _ := strings.Cut(word, "=")
		if strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ8") != "" || strings.Contains(value, "=") {
			t.Fatalf("%q holds the parameter %q", line, word)
		}
	}
}

func TestClientAttributes(t *testing.T) {
	all := []string{"NAME", "ADDR", "PORT", "PROTO", "HELO", "IDENT", "SOURCE", "LOGIN", "DESTADDR"}
	long := strings.Repeat("=", 86)
	for _, test := range []struct {
		name              string
		client            Client
		xclient, xforward string
	}{
		{"known", Client{netip.MustParseAddr("192.0.2.7"), 1234, "pc.example", "ESMTPSA", "u@example", "01J"},
			"NAME=[UNAVAILABLE] ADDR=192.0.2.7 PORT=1234 PROTO=ESMTP HELO=pc.example LOGIN=u@example",
			"NAME=[UNAVAILABLE] ADDR=192.0.2.7 PORT=1234 PROTO=ESMTPSA HELO=pc.example IDENT=01J SOURCE=REMOTE"},
		{"IPv6", Client{Addr: netip.MustParseAddr("fe80::1%eth0"), Protocol: "SMTP"},
			"NAME=[UNAVAILABLE] ADDR=IPV6:fe80::1 PORT=[UNAVAILABLE] PROTO=SMTP HELO=[UNAVAILABLE] LOGIN=[UNAVAILABLE]",
			"NAME=[UNAVAILABLE] ADDR=IPV6:fe80::1 PORT=[UNAVAILABLE] PROTO=SMTP HELO=[UNAVAILABLE] IDENT=[UNAVAILABLE] SOURCE=REMOTE"},
		{"mapped IPv4, hostile HELO", Client{Addr: netip.MustParseAddr("::ffff:192.0.2.7"), Helo: "x\r\nRSET ="},
			"NAME=[UNAVAILABLE] ADDR=192.0.2.7 PORT=[UNAVAILABLE] PROTO=ESMTP HELO=x+0D+0ARSET+20+3D LOGIN=[UNAVAILABLE]",
			"NAME=[UNAVAILABLE] ADDR=192.0.2.7 PORT=[UNAVAILABLE] PROTO=[UNAVAILABLE] HELO=x+0D+0ARSET+20+3D IDENT=[UNAVAILABLE] SOURCE=REMOTE"},
		{"our own mail, long HELO", Client{Helo: long},
			"NAME=[UNAVAILABLE] ADDR=[UNAVAILABLE] PORT=[UNAVAILABLE] PROTO=ESMTP HELO=[UNAVAILABLE] LOGIN=[UNAVAILABLE]",
			"NAME=[UNAVAILABLE] ADDR=[UNAVAILABLE] PORT=[UNAVAILABLE] PROTO=[UNAVAILABLE] HELO=[UNAVAILABLE] IDENT=[UNAVAILABLE] SOURCE=LOCAL"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := string(test.client.appendXClient(nil, all)); got != "XCLIENT "+test.xclient+"\r\n" {
				t.Errorf("got %q", got)
			}
			if got := string(test.client.appendXForward(nil, all, "")); got != "XFORWARD "+test.xforward+"\r\n" {
				t.Errorf("got %q", got)
			}
		})
	}
}
