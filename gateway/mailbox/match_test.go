package mailbox

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
)

var (
	ours    = ulid.MustParse("01JD8Z2Y9V3M4N5P6Q7R8S9T0V")
	another = "01JD8Z2Y9V3M4N5P6Q7R8S9T0W"
	noon    = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
)

func wanted() *Match {
	return &Match{
		ID: ours, Gateway: "gate.corp.example", IDHeader: "X-Sendgate-ID", MessageID: "<1@x>",
		From: "Ann <ann@corp.example>", Subject: "数字", Received: noon, Size: 5000,
	}
}

const (
	from = "From: Ann <Ann@corp.example>\r\n"
	id   = "Message-ID: <1@x>\r\n"
	date = "Date: Sat, 21 Nov 2026 11:59:00 +0000\r\n"
	gbk  = "Subject: =?gb2312?B?yv3X1g==?=\r\n"
)

func TestVerify(t *testing.T) {
	for name, c := range map[string]struct {
		header string
		change func(*Match, *Copy)
		want   By
	}{
		"by our id":                        {"X-Sendgate-ID: " + ours.String() + ".00ff\r\n", nil, ByID},
		"by our id without a MAC":          {"x-sendgate-id:" + strings.ToLower(ours.String()) + "\r\n", nil, ByID},
		"by our id among others":           {"X-Sendgate-ID: " + another + "\r\nX-Sendgate-ID: " + ours.String() + "\r\n", nil, ByID},
		"by our Received line":             {"Received: from a (b)\r\n\tby GATE.corp.example (sendgate) with ESMTP id " + ours.String() + "; now\r\n", nil, ByID},
		"not by another host's":            {"Received: from a by mx.corp.example with ESMTP id " + ours.String() + "\r\n", nil, ""},
		"not by another id of ours":        {from + id + "X-Sendgate-ID: " + another + "\r\n", nil, ""},
		"not by a field that is not asked": {from + "X-Other: " + ours.String() + "\r\n", nil, ""},
		"id header switched off":           {"X-Sendgate-ID: " + ours.String() + "\r\n", func(m *Match, _ *Copy) { m.IDHeader = "" }, ""},
		"Received lines switched off":      {"Received: by id " + ours.String() + "\r\n", func(m *Match, _ *Copy) { m.Gateway = "" }, ""},

		"by Message-ID":                {from + id, nil, ByMessageID},
		"folded Message-ID":            {from + "Message-ID:\r\n\t<1@\r\n x>\r\n", nil, ByMessageID},
		"Message-ID in other case":     {from + "Message-ID: <1@X>\r\n", nil, ""},
		"Message-ID with more":         {from + "Message-ID: <11@x>\r\n", nil, ""},
		"quoted white space counts":    {from + "Message-ID: <\"a b\"@x>\r\n", func(m *Match, _ *Copy) { m.MessageID = `<"ab"@x>` }, ""},
		"quoted":                       {from + "Message-ID: <\"a \\\" b\"@x>\r\n", func(m *Match, _ *Copy) { m.MessageID = `<"a \" b"@x>` }, ByMessageID},
		"another author":               {"From: Eve <eve@corp.example>\r\n" + id, nil, ""},
		"author without a name":        {"From: ann@corp.example\r\n" + id, nil, ByMessageID},
		"came before we had it":        {from + id, func(_ *Match, c *Copy) { c.Internal = noon.Add(-time.Hour) }, ""},
		"a clock a few minutes behind": {from + id, func(_ *Match, c *Copy) { c.Internal = noon.Add(-9 * time.Minute) }, ByMessageID},

		"by header":               {from + date + gbk, func(m *Match, _ *Copy) { m.MessageID = "" }, ByHeader},
		"other subject":           {from + date + "Subject: other\r\n", func(m *Match, _ *Copy) { m.MessageID = "" }, ""},
		"other day":               {from + "Date: Thu, 19 Nov 2026 11:59:00 +0000\r\n" + gbk, func(m *Match, _ *Copy) { m.MessageID = "" }, ""},
		"no date":                 {from + gbk, func(m *Match, _ *Copy) { m.MessageID = "" }, ""},
		"other size":              {from + date + gbk, func(m *Match, c *Copy) { m.MessageID = ""; c.Size = 50_000 }, ""},
		"size unknown":            {from + date + gbk, func(m *Match, c *Copy) { m.MessageID = ""; m.Size = 0 }, ""},
		"header, with Message-ID": {from + date + gbk, nil, ""},
		"nothing":                 {"", nil, ""},
		"in the body":             {"\r\n" + from + id, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			m, got := wanted(), Copy{Internal: noon, Size: 5100}
			if c.change != nil {
				c.change(m, &got)
			}
			if ok := m.Verify([]byte(c.header), &got); ok != (c.want != "") || got.By != c.want {
				t.Errorf("%v by %q, want by %q", ok, got.By, c.want)
			}
		})
	}
}

func TestTerm(t *testing.T) {
	for messageID, want := range map[string]string{
		"<1.a@corp.example>":      "1.a@corp.example",
		"<\"a b\"@corp.example>":  "@corp.example",
		"<grüße.17@corp.example>": "e.17@corp.example",
		"<abc\r\n defgh@x>":       "defgh@x",
		"":                        "",
		"<报告>":                    "",
		`<"\"\\"@x>`:              "@x",
	} {
		if got := (&Match{MessageID: messageID}).Term(); got != want {
			t.Errorf("%q: %q, want %q", messageID, got, want)
		}
	}
}

func TestFields(t *testing.T) {
	if got := wanted().Fields(); !slices.Contains(got, "X-Sendgate-ID") || !slices.Contains(got, "Received") {
		t.Errorf("fields are %q", got)
	}
	if got := (&Match{}).Fields(); slices.Contains(got, "") {
		t.Errorf("fields are %q", got)
	}
	if got := wanted().Since(); !got.Equal(noon.Add(-48 * time.Hour)) {
		t.Errorf("since %v", got)
	}
}

func TestReadFlag(t *testing.T) {
	for flags, want := range map[string]string{
		"": "", `\Recent \Flagged $NotJunk`: "", `\seen`: `\Seen`, `\Flagged \Answered`: `\Answered`, "$forwarded": "$Forwarded", "$MDNSent": "$MDNSent",
	} {
		if got := (&Copy{Flags: strings.Fields(flags)}).Read(); got != want {
			t.Errorf("%q reads %q, want %q", flags, got, want)
		}
	}
}

func TestChoose(t *testing.T) {
	a, b := Copy{UID: 1, By: ByMessageID, Digest: [32]byte{1}}, Copy{UID: 2, By: ByMessageID, Digest: [32]byte{2}}
	twin, mine := Copy{UID: 3, By: ByHeader, Digest: [32]byte{1}}, Copy{UID: 4, By: ByID, Digest: [32]byte{3}}
	for name, c := range map[string]struct {
		copies []Copy
		want   []uint32
		err    error
	}{
		"none":               {nil, nil, nil},
		"one":                {[]Copy{a}, []uint32{1}, nil},
		"copies of one":      {[]Copy{a, twin}, []uint32{1, 3}, nil},
		"two that differ":    {[]Copy{a, b}, nil, ErrAmbiguous},
		"ours among others":  {[]Copy{a, b, mine}, []uint32{4}, nil},
		"ours in two places": {[]Copy{mine, mine}, []uint32{4, 4}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Choose(c.copies)
			var uids []uint32
			for _, g := range got {
				uids = append(uids, g.UID)
			}
			if !slices.Equal(uids, c.want) || !errors.Is(err, c.err) {
				t.Errorf("chose %v, %v; want %v, %v", uids, err, c.want, c.err)
			}
		})
	}
}

// TestDigest holds that copies of one message agree, whatever hops have added, and others do not.
func TestDigest(t *testing.T) {
	digest := func(header string) [32]byte { return readHeader([]byte(header)).digest() }
	base := digest(from + id + date + "Subject: a b\r\nTo: x\r\n")
	if digest("Return-Path: <>\r\nReceived: by y\r\nTo: x\r\nSubject: a\r\n\t b\r\n"+date+id+from) != base {
		t.Error("trace fields, order or folding count")
	}
	for _, other := range []string{
		from + id + date + "Subject: a c\r\nTo: x\r\n", from + id + date + "Subject: a b\r\nTo: x\r\nTo: x\r\n",
		from + id + date + "Subject: \r\nTo: a b\r\nTo: x\r\n", from + id + date + "Subject: a b\r\n",
	} {
		if digest(other) == base {
			t.Errorf("%q is taken for the same", other)
		}
	}
}

// FuzzVerify holds that no header can pass for the message without an id or a Message-ID of ours in it.
func FuzzVerify(f *testing.F) {
	f.Add([]byte(from + id + date + gbk))
	f.Add([]byte("X-Sendgate-ID: " + ours.String() + "\r\n folded\r\n\r\nbody"))
	f.Add([]byte("Received: by gate.corp.example id\r\n " + ours.String()))
	f.Add([]byte("Subject: =?x?q?=\r\n :\n\n"))
	f.Fuzz(func(t *testing.T, header []byte) {
		m, c := wanted(), Copy{Internal: noon, Size: 5100}
		if !m.Verify(header, &c) {
			return
		}
		text := strings.ToLower(string(header))
		if !strings.Contains(text, strings.ToLower(ours.String())) && !strings.Contains(text, "ann@corp.example") {
			t.Errorf("found by %s: %q", c.By, header)
		}
	})
}
