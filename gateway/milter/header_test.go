package milter

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestFieldsAreDecoded(t *testing.T) {
	for name, c := range map[string][2]string{
		"plain":                 {" hello ", "hello"},
		"folded as Postfix has": {"one\n two\n\tthree", "one two three"},
		"encoded":               {"=?gb2312?B?xOO6ww==?= =?utf-8?q?_x?=", "你好 x"},
		"unknown charset":       {"=?klingon?q?x?=", "x"},
		"raw UTF-8":             {"你好", "你好"},
		"broken UTF-8":          {"你好\xe4\xbd", "你好\uFFFD"},
		"raw GBK":               {"\xc4\xe3\xba\xc3", "你好"},
		"control characters":    {"a\x01\x7fb", "a  b"},
		"empty":                 {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var h header
			h.add("X", c[0])
			if got := h.First("X"); got != c[1] {
				t.Errorf("got %q, want %q", got, c[1])
			}
		})
	}
}

func TestHeader(t *testing.T) {
	var h header
	h.add("subject", "one")
	h.add("Subject", "two")
	h.add("X", strings.Repeat("你", 2048))
	if got := h.Values("SUBJECT"); !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("values %q", got)
	}
	if got := h.First("Subject"); got != "one" {
		t.Errorf("first %q", got)
	}
	if got := h.First("X"); len(got) > 2048 || len(got) < 2048-3 || !utf8.ValidString(got) {
		t.Errorf("cut to %d octets", len(got))
	}
	if got := h.First("Y"); got != "" {
		t.Errorf("got %q", got)
	}
	h.add("Long", strings.Repeat("x", maxHeader))
	h.add("Late", "x")
	if len(h.Fields) != 3 {
		t.Errorf("%d fields are kept", len(h.Fields))
	}
}

func FuzzField(f *testing.F) {
	f.Add("=?utf-8?B?5L2g5aW9?= \n x")
	f.Fuzz(func(t *testing.T, value string) {
		var h header
		h.add("X", value)
		got := h.First("X")
		if !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Errorf("%q became %q", value, got)
		}
	})
}
