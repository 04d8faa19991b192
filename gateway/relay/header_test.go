package relay

import (
	"bufio"
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sendgate/sendgate/policy"
)

func TestReadHeader(t *testing.T) {
	tests := []struct {
		name, in, raw string
		subjects      []string
	}{
		{"plain", "Subject: hi\r\nTo: x\r\n\r\nbody\r\n", "Subject: hi\r\nTo: x\r\n\r\n", []string{"hi"}},
		{"folded", "Subject: a\r\n b\r\n\tc\r\n\r\n", "Subject: a\r\n b\r\n\tc\r\n\r\n", []string{"a b c"}},
		{"any case, a space before the colon", "SUBJECT : x\r\n\r\n", "SUBJECT : x\r\n\r\n", []string{"x"}},
		{"two", "Subject: a\r\nSubject: b\r\n\r\n", "Subject: a\r\nSubject: b\r\n\r\n", []string{"a", "b"}},
		{"UTF-8 base64", "Subject: =?UTF-8?B?5L2g5aW9?=\r\n\r\n", "Subject: =?UTF-8?B?5L2g5aW9?=\r\n\r\n", []string{"你好"}},
		{"GB18030", "Subject: =?GB18030?B?xOO6ww==?=\r\n\r\n", "Subject: =?GB18030?B?xOO6ww==?=\r\n\r\n", []string{"你好"}},
		{"Big5 in two words", "Subject: =?big5?B?p0E=?=\r\n =?big5?B?pm4=?=\r\n\r\n", "Subject: =?big5?B?p0E=?=\r\n =?big5?B?pm4=?=\r\n\r\n", []string{"你好"}},
		{"a charset that nobody knows", "Subject: =?x-none?Q?a?=\r\n\r\n", "Subject: =?x-none?Q?a?=\r\n\r\n", []string{"a"}},
		{"control characters", "Subject: =?UTF-8?Q?a=0Ab?=\r\n\r\n", "Subject: =?UTF-8?Q?a=0Ab?=\r\n\r\n", []string{"a b"}},
		{"8-bit without a charset", "Subject: \xc4\xe3\xba\xc3\r\n\r\n", "Subject: \xc4\xe3\xba\xc3\r\n\r\n", []string{"你好"}},
		{"no header", "just text: \r\nmore\r\n", "just text: \r\n", nil},
		{"a line that is none ends it", "To: x\r\nno colon\r\nSubject: late\r\n\r\n", "To: x\r\nno colon\r\n", nil},
		{"begins with a fold", " Subject: x\r\n\r\n", " Subject: x\r\n", nil},
		{"no end", "Subject: x\r\n", "Subject: x\r\n", []string{"x"}},
		{"nothing", "", "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := bufio.NewReaderSize(strings.NewReader(tt.in), 16)
			h, err := readHeader(r)
			if err != nil {
				t.Fatal(err)
			}
			if string(h.raw) != tt.raw {
				t.Errorf("raw %q, want %q", h.raw, tt.raw)
			}
			if got := h.Values("Subject"); strings.Join(got, "|") != strings.Join(tt.subjects, "|") {
				t.Errorf("subjects %q, want %q", got, tt.subjects)
			}
		})
	}
}

func TestFieldsAreCut(t *testing.T) {
	h, err := readHeader(bufio.NewReader(strings.NewReader("Subject: " + strings.Repeat("日", 6000) + "\r\n\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	if got := h.First("subject"); len(got) > 2048 || !utf8.ValidString(got) || len(got) < 2048-4 {
		t.Errorf("%d octets", len(got))
	}
	if h.First("From") != "" {
		t.Error("a field from nowhere")
	}
}

func FuzzHeader(f *testing.F) {
	f.Add([]byte("Subject: =?UTF-8?B?5L2g?=\r\n =?big5?Q?=a7A?=\r\nReceived: x\r\n\r\nbody"))
	f.Add([]byte("a:\r\n\tb\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bufio.NewReaderSize(bytes.NewReader(in), 16)
		h, err := readHeader(r)
		if err != nil {
			return
		}
		rest := new(bytes.Buffer)
		r.WriteTo(rest)
		if got := append(bytes.Clone(h.raw), rest.Bytes()...); !bytes.Equal(got, in) {
			t.Errorf("%q became %q", in, got)
		}
		for _, field := range h.Fields {
			for _, v := range h.Values(field.Name) {
				if !utf8.ValidString(v) || strings.ContainsAny(v, "\r\n\x00") {
					t.Errorf("value %q", v)
				}
			}
		}
	})
}

func TestReceived(t *testing.T) {
	id, err := policy.ParseID("01ARZ3NDEKTSV4RRFFQ69G5FAV")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 21, 10, 31, 5, 0, time.FixedZone("CST", 8*3600))
	one := []policy.Recipient{{Address: "bob@remote.example"}}
	tests := map[string]struct {
		envelope policy.Envelope
		want     string
	}{
		"one recipient": {
			policy.Envelope{Helo: "client.test", Client: netip.MustParseAddr("192.0.2.7"), Protocol: "ESMTPSA", Recipients: one, Received: at},
			"Received: from client.test ([192.0.2.7])\r\n\tby gate.test (sendgate) with ESMTPSA id 01ARZ3NDEKTSV4RRFFQ69G5FAV\r\n\tfor <bob@remote.example>; Sat, 21 Nov 2026 10:31:05 +0800\r\n",
		},
		"two recipients, IPv6, a hostile greeting": {
			policy.Envelope{Helo: "a) b\r\nX: (\x00é", Client: netip.MustParseAddr("2001:db8::7"), Protocol: "SMTP", Recipients: append(one, one...), Received: at},
			"Received: from a??b??X:????" + " ([IPv6:2001:db8::7])\r\n\tby gate.test (sendgate) with SMTP id 01ARZ3NDEKTSV4RRFFQ69G5FAV; Sat, 21 Nov 2026 10:31:05 +0800\r\n",
		},
		"nobody knows who": {
			policy.Envelope{Protocol: "ESMTP", Received: at},
			"Received: from unknown (unknown)\r\n\tby gate.test (sendgate) with ESMTP id 01ARZ3NDEKTSV4RRFFQ69G5FAV; Sat, 21 Nov 2026 10:31:05 +0800\r\n",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := received(&tt.envelope, "gate.test", id); got != tt.want {
				t.Errorf("\n got %q\nwant %q", got, tt.want)
			}
		})
	}
	if got := cleanHelo(strings.Repeat("a", 300)); len(got) != maxHelo {
		t.Errorf("%d octets of greeting", len(got))
	}
}

func TestProtocolName(t *testing.T) {
	tests := map[string][4]bool{
		"SMTP":       {},
		"ESMTP":      {true},
		"ESMTPS":     {true, true},
		"ESMTPA":     {true, false, true},
		"ESMTPSA":    {true, true, true},
		"UTF8SMTP":   {true, false, false, true},
		"UTF8SMTPSA": {true, true, true, true},
	}
	for want, is := range tests {
		if got := protocolName(is[0], is[1], is[2], is[3]); got != want {
			t.Errorf("%v is %s, want %s", is, got, want)
		}
	}
}

func TestRecallTimeNamesTheDayWhenItIsAnother(t *testing.T) {
	now := time.Date(2026, 11, 21, 23, 59, 30, 0, time.Local)
	if got := recallTime(now.Add(20*time.Second), now); got != "23:59:50" {
		t.Error(got)
	}
	if got := recallTime(now.Add(time.Minute).UTC(), now); got != "2026-11-22 00:00:30" {
		t.Error(got)
	}
}

func TestMailbox(t *testing.T) {
	tests := map[string]struct {
		want policy.Address
		ok   bool
	}{
		"a@b.example":         {"a@b.example", true},
		"postmaster":          {"postmaster", true},
		"x> NOTIFY=NEVER@c":   {`"x> NOTIFY=NEVER"@c`, true},
		"a@b@c.example":       {`"a@b"@c.example`, true},
		`q"uote@c.example`:    {`"q\"uote"@c.example`, true},
		"a@[192.0.2.1]":       {"a@[192.0.2.1]", true},
		"a\r\nDATA@c.example": {"", false},
		"a@c.example\"":       {"", false},
		"a@\x00":              {"", false},
		"\xff@c.example":      {"", false},
		"nobody":              {"", false},
	}
	for in, tt := range tests {
		if got, err := mailbox(in); got != tt.want || (err == nil) != tt.ok {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
}
