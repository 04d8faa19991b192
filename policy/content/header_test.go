package content

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// add appends a field as it stands in no line: its value with or without folds.
func (h *Header) add(name, value string) {
	start := len(h.raw)
	if !h.room(len(name) + len(value)) {
		return
	}
	h.raw = append(append(h.raw, name...), value...)
	colon := start + len(name)
	h.fields = append(h.fields, span{start, colon, colon, len(h.raw)})
}

func TestDecode(t *testing.T) {
	for _, c := range []struct{ outcome, in, want string }{
		{"plain", " hello\r\n", "hello"},
		{"folds go", "a\r\n b\r\n\tc", "a b c"},
		{"UTF-8 base64", "=?UTF-8?B?5L2g5aW9?=", "你好"},
		{"Q with underscores", "=?iso-8859-1?Q?caf=E9_au_lait?=", "café au lait"},
		{"a language is ignored", "=?utf-8*en?Q?caf=C3=A9?=", "café"},
		{"GB18030", "=?GB18030?B?xOO6ww==?=", "你好"},
		{"GB2312 holds what only GBK knows", "=?gb2312?B?6ck=?=", "樯"},
		{"a character in two words", "=?utf-8?B?5L0=?= =?utf-8?B?oA==?=", "你"},
		{"a character in two Q words", "=?utf-8?Q?=E4=BD?=\r\n =?UTF-8?Q?=A0?=", "你"},
		{"Big5 in two words", "=?big5?B?p0E=?=\r\n =?big5?B?pm4=?=", "你好"},
		{"words of different charsets", "=?utf-8?B?5L2g?= =?gb2312?B?usM=?=", "你好"},
		{"space between words goes, between text stays", "a =?utf-8?Q?b?= =?utf-8?Q?c?= d", "a bc d"},
		{"words without a space", "=?utf-8?Q?b?==?utf-8?Q?c?=d", "bcd"},
		{"a word in quotes", `"=?utf-8?Q?b?="`, `"b"`},
		{"spaces within a word", "=?utf-8?Q?a b?=", "a b"},
		{"base64 without padding", "=?utf-8?B?5L2g5aW?=", "你\uFFFD"},
		{"an unknown charset that is UTF-8", "=?x-none?B?5L2g?=", "你"},
		{"an unknown charset that is not", "=?x-none?Q?caf=E9?=", "café"},
		{"an unknown encoding stays", "=?utf-8?X?abc?=", "=?utf-8?X?abc?="},
		{"no end", "=?utf-8?Q?abc", "=?utf-8?Q?abc"},
		{"no charset", "=??Q?abc?=", "=??Q?abc?="},
		{"broken, then good", "=?utf-8?Q?a =?utf-8?Q?b?=", "=?utf-8?Q?a b"},
		{"not quite hexadecimal", "=?utf-8?Q?=4x=?=", "=4x="},
		{"control characters", "=?utf-8?Q?a=0D=0Ab=00=C2=85?=", "a  b  "},
		{"raw UTF-8", "你好", "你好"},
		{"raw GBK", "\xc4\xe3\xba\xc3", "你好"},
		{"raw Big5", "\xa7\x41\xa6\x6e\xb3\xf8\xa7\x69", "你好報告"},
		{"raw Latin", "caf\xe9 au lait, d\xe9j\xe0", "café au lait, déjà"},
		{"raw ISO-2022-JP", "\x1b$B;3ED\x1b(B", "山田"},
		{"UTF-8 that was cut", "你好\xe4\xbd", "你好\uFFFD"},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			if got := Decode(c.in); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestAddLineTellsHeaderFromBody(t *testing.T) {
	for _, c := range []struct {
		outcome, line string
		before, want  bool
	}{
		{"a field", "Subject: x\r\n", false, true},
		{"a space before the colon", "Subject : x\r\n", false, true},
		{"a fold", "\tx\r\n", true, true},
		{"a fold of nothing", " x\r\n", false, false},
		{"the empty line", "\r\n", true, false},
		{"nothing", "", true, false},
		{"no colon", "Hello\r\n", true, false},
		{"no name", ": x\r\n", true, false},
		{"a space in the name", "Dear Ann: hello\r\n", true, false},
		{"no ASCII in the name", "é: x\r\n", true, false},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			var h Header
			if c.before {
				h.AddLine([]byte("To: x\r\n"))
			}
			if got := h.AddLine([]byte(c.line)); got != c.want {
				t.Errorf("%v", got)
			}
		})
	}
}

func TestFieldsAreFoundByNameInTheirOrder(t *testing.T) {
	var h Header
	h.add("subject", " one")
	h.AddLine([]byte("SUBJECT : two\r\n"))
	h.AddLine([]byte("  more\r\n"))
	h.add("X", strings.Repeat("你", maxValue))
	h.add("Subjects", "other")
	if got := h.Values("Subject"); !slices.Equal(got, []string{"one", "two  more"}) {
		t.Errorf("values %q", got)
	}
	if h.Get("Subject") != "one" || h.Count("subject") != 2 || h.Get("Y") != "" || h.Count("Y") != 0 {
		t.Errorf("first %q of %d", h.Get("Subject"), h.Count("subject"))
	}
	if got := h.Get("X"); len(got) > maxValue || len(got) < maxValue-3 || !utf8.ValidString(got) {
		t.Errorf("cut to %d octets", len(got))
	}
}

func TestHeaderIsBounded(t *testing.T) {
	var h Header
	h.add("To", "x")
	h.add("Long", strings.Repeat("x", maxHeader))
	h.add("Late", "x")
	if !h.AddLine([]byte("Later: x\n")) || !h.AddLine([]byte(" its fold\n")) {
		t.Error("what is not kept is header all the same")
	}
	if got := h.Get("To"); got != "x" || h.Count("Long")+h.Count("Late")+h.Count("Later") != 0 {
		t.Errorf("To is %q; %d fields are kept", got, len(h.fields))
	}
}

func TestAddresses(t *testing.T) {
	for _, c := range []struct {
		outcome, in string
		want        []Address
	}{
		{"nothing", "", nil},
		{"bare", "a@x.example", []Address{{"", "a@x.example"}}},
		{"with a name", "Ann Lee <a@x.example>", []Address{{"Ann Lee", "a@x.example"}}},
		{"with a quoted name", `"Lee, \"Ann\"" <a@x.example>`, []Address{{`Lee, "Ann"`, "a@x.example"}}},
		{"with a comment", "a@x.example (Ann (the first))", []Address{{"Ann (the first)", "a@x.example"}}},
		{"with an encoded name", "=?utf-8?B?546L?= <a@x.example>", []Address{{"王", "a@x.example"}}},
		{"an encoded name in quotes", `"=?utf-8?B?546L?=" <a@x.example>`, []Address{{"王", "a@x.example"}}},
		{"a bare comma in an encoded name", "=?utf-8?Q?Lee,_Ann?= <a@x.example>, b@x.example", []Address{{"Lee, Ann", "a@x.example"}, {"", "b@x.example"}}},
		{"several, with empty ones", "a@x.example,, b@x.example,", []Address{{"", "a@x.example"}, {"", "b@x.example"}}},
		{"semicolons as Outlook writes", "a@x.example; Bob <b@x.example>", []Address{{"", "a@x.example"}, {"Bob", "b@x.example"}}},
		{"a group", "Team: a@x.example, Bob <b@x.example>;", []Address{{"", "a@x.example"}, {"Bob", "b@x.example"}}},
		{"an empty group", "undisclosed-recipients:;", nil},
		{"a route", "<@r.example,@s.example:a@x.example>", []Address{{"", "a@x.example"}}},
		{"a quoted local part", `"a b,c"@x.example`, []Address{{"", `"a b,c"@x.example`}}},
		{"a bracket that is not closed", "Ann <a@x.example, b@x.example", []Address{{"Ann", "a@x.example"}, {"", "b@x.example"}}},
		{"a quote that is not closed", `"Ann <a@x.example>, b@x.example`, []Address{{"Ann", "a@x.example"}, {"", "b@x.example"}}},
		{"a comment that is not closed", "Ann (x <a@x.example>", []Address{{"Ann (x", "a@x.example"}}},
		{"raw GBK in the name", "\xcd\xf5\xd0\xa1\xc3\xf7 <a@x.example>", []Address{{"王小明", "a@x.example"}}},
		{"a fold", "Ann\r\n Lee\r\n\t<a@x.example>", []Address{{"Ann Lee", "a@x.example"}}},
		{"no address at all", "the whole office", nil},
		{"an address as its own name", "a@x.example <a@x.example>", []Address{{"a@x.example", "a@x.example"}}},
		{"control characters", "a\x00b@x.example", []Address{{"", "a b@x.example"}}},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			var h Header
			h.add("To", c.in)
			if got := h.Addresses("to"); !slices.Equal(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestThread(t *testing.T) {
	for _, c := range []struct {
		outcome, inReplyTo, references string
		want                           []string
	}{
		{"nothing", "", "", nil},
		{"the nearest first", "<c@x>", "<a@x> <b@x>\r\n <c@x>", []string{"c@x", "b@x", "a@x"}},
		{"text around", "Your message of Friday <a@x> (fine)", "", []string{"a@x"}},
		{"no space between", "", "<a@x><b@x>,<c@x>", []string{"c@x", "b@x", "a@x"}},
		{"no brackets", "a@x said", "", []string{"a@x"}},
		{"empty brackets", "<> <", "", nil},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			var h Header
			h.add("In-Reply-To", c.inReplyTo)
			h.add("References", c.references)
			if got := h.Thread(); !slices.Equal(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
	var h Header
	h.add("References", strings.Repeat("<a@x> ", 1000)+"<b@x>")
	if got := h.IDs("References"); !slices.Equal(got, []string{"a@x", "b@x"}) {
		t.Errorf("repeated: %q", got)
	}
}

func FuzzHeader(f *testing.F) {
	f.Add("Subject: =?UTF-8?B?5L2g?=\r\n =?big5?Q?=a7A?=\r\nTo: \"a\" <b@c>, (d) e@f;\r\n")
	f.Add("To: =?utf-8?Q?a,b?= <a@b>, g: c@d, \xcd\xf5 <e@f\nReferences: <a@b> c@d")
	f.Fuzz(func(t *testing.T, in string) {
		var h Header
		for line := range strings.Lines(in) {
			h.AddLine([]byte(line))
		}
		h.add("To", in)
		all := append(h.Values("To"), h.Get("Subject"))
		for _, a := range h.Addresses("To") {
			all = append(all, a.Name, a.Addr)
		}
		for _, s := range append(all, h.Thread()...) {
			if !utf8.ValidString(s) || strings.ContainsAny(s, "\r\n\x00") {
				t.Errorf("%q", s)
			}
		}
		m := parseMedia(in)
		if s := m.text("name") + m.word("charset"); !utf8.ValidString(s) {
			t.Errorf("parameter %q", s)
		}
	})
}
