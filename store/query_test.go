package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sendgate/sendgate/policy"
)

func TestWords(t *testing.T) {
	for _, c := range []struct {
		subject string
		want    []string
	}{
		{"", nil},
		{" ,.!?-… ", nil},
		{"Re: Invoice INV-2026/11", []string{"re", "invoice", "inv", "2026", "11"}},
		{"invoice Invoice INVOICE", []string{"invoice"}},
		{"会议通知", []string{"会议", "议通", "通知", "知"}},
		{"会", []string{"会"}},
		{"季度Q3会议", []string{"季度", "度", "q3", "会议", "议"}},
		{"ＡＢＣ１２３", []string{"abc123"}},
		{"日本語テスト", []string{"日本", "本語", "語テ", "テス", "スト", "ト"}},
		{"ﾃｽﾄ", []string{"テス", "スト", "ト"}},
		{"한국어", []string{"한국", "국어", "어"}},
		{"𠮷野家", []string{"𠮷野", "野家", "家"}},
		{"straße naïve e\u0301te\u0301", []string{"straße", "naïve", "été"}},
		{"a\x00b\xffc", []string{"a", "b", "c"}},
		{"don't", []string{"don", "t"}},
		{strings.Repeat("x", 300), []string{strings.Repeat("x", maxTerm)}},
	} {
		if got := words(c.subject); !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.subject, got, c.want)
		}
	}
	many := words(strings.Repeat("会议通知", 1) + strings.Join(numbers(200), " "))
	if len(many) != maxWords {
		t.Errorf("%d terms of a long subject, want %d", len(many), maxWords)
	}
}

func numbers(n int) (words []string) {
	for i := range n {
		words = append(words, fmt.Sprint("w", i))
	}
	return words
}

func FuzzWords(f *testing.F) {
	for _, s := range []string{"Re: hello", "会议通知 abc", "\xff\x00\u3000", "ﾃｽﾄ", strings.Repeat("长", 500)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		terms := words(s)
		if len(terms) > maxWords {
			t.Errorf("%d terms", len(terms))
		}
		for i, w := range terms {
			if w == "" || len(w) > maxTerm || strings.ContainsAny(w, "\x00 ") || slices.Contains(terms[:i], w) {
				t.Errorf("term %q of %q", w, s)
			}
		}
		for _, c := range subjectClauses(s) {
			for _, w := range c {
				if !slices.Contains(terms, w.term) {
					t.Errorf("a search for %q asks for %q, which its own index lacks: %q", s, w.term, terms)
				}
			}
		}
	})
}

var now = time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)

func TestParseQueryFaults(t *testing.T) {
	for query, want := range map[string]string{
		"from:":                  "from: has no value; use from: to: subject: identity: campaign: id: queue: state: before: after: or plain words of the subject",
		`to:""`:                  "to: has no value; ",
		"sender:x":               "sender: is not a field of a query; use from: to: ",
		"http://x":               "http: is not a field of a query; ",
		`subject:"open`:          `a quote is not closed: "open`,
		`"`:                      `a quote is not closed: "`,
		"state:gone":             "state:gone: is not a state; use held, deferred, delivered_mailbox, relayed_remote, bounced, canceled, ... or delivering, mailbox, remote, failed, blocked, unknown, recalled",
		"id:123":                 "id:123: is neither one of our ids (26 letters and digits) nor a Message-ID (with an @)",
		"before:yesterday":       "before:yesterday: is not a time; write 2026-11-21, 2026-11-21T10:00:00Z, 2h or 7d (so long ago)",
		"after:-2h":              "after:-2h: is not a time; ",
		"after:0d":               "after:0d: is not a time; ",
		"after:2026-02-30":       "after:2026-02-30: is not a time; ",
		"after:900000d":          "after:900000d: is not a time; ",
		"after:99999999999h":     "after:99999999999h: is not a time; ",
		strings.Repeat("a ", 33): "the query has more than 32 parts",
	} {
		_, err := ParseQuery(query, now)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", query, err, want)
		}
	}
}

func TestParseWhen(t *testing.T) {
	for text, want := range map[string]time.Time{
		"2026-11-21":                time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC),
		"2026-11-21T10:30":          time.Date(2026, 11, 21, 10, 30, 0, 0, time.UTC),
		"2026-11-21T10:30:05":       time.Date(2026, 11, 21, 10, 30, 5, 0, time.UTC),
		"2026-11-21T10:30:05Z":      time.Date(2026, 11, 21, 10, 30, 5, 0, time.UTC),
		"2026-11-21T10:30:05+08:00": time.Date(2026, 11, 21, 2, 30, 5, 0, time.UTC),
		"2h":                        now.Add(-2 * time.Hour),
		"90m":                       now.Add(-90 * time.Minute),
		"7d":                        now.Add(-7 * day),
		"1.5d":                      now.Add(-36 * time.Hour),
		"99999d":                    now.Add(-99999 * day),
	} {
		if got, err := parseWhen(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%s: %v, %v; want %v", text, got, err, want)
		}
	}
}

func TestParseQuery(t *testing.T) {
	for query, want := range map[string]string{
		"":                              "",
		"  \t　":                         "",
		"from:Alice@Corp.Example":       "f=alice@corp.example",
		"FROM:alice":                    "f=alice@*",
		"from:<>":                       "f=",
		"from:<a@b.example>":            "f=a@b.example",
		"to:@Corp.Example.":             "T=corp.example",
		"to:@例子.example":                "T=xn--fsqu00a.example",
		"from:@":                        "F=",
		"invoice*":                      "w=invoice*",
		"subject:\"big invoice\"":       "w=big w=invoice",
		"\"big invoice*\"":              "w=big w=invoice*",
		"会议　通知":                         "w=会议 w=通知",
		"会":                             "w=会*",
		"...":                           "none",
		"\"from:alice\"":                "w=from w=alice",
		"queue:4bX":                     "q=4bX",
		"id:<A@b>":                      "i=<A@b>|i=A@b",
		"id:A@b":                        "i=<A@b>|i=A@b",
		"state:held":                    "s=held",
		"state:Failed":                  "s=never_queued|s=expired|s=bounced|s=async_bounced",
		"state:已投递到对方邮箱":                "s=delivered_mailbox",
		"state:remote":                  "s=relayed_remote",
		"state:recalled to:b@x.org":     "s=canceled|s=recalled t=b@x.org",
		"id:01arz3ndektsv4rrffq69g5fav": "01ARZ3NDEKTSV4RRFFQ69G5FAV",
		"after:2h before:1h":            "from 08:00 to 09:00",
		"to:" + strings.Repeat("x", 300) + "@y.example": "t=" + strings.Repeat("x", maxTerm),
	} {
		q, err := ParseQuery(query, now)
		if got := q.describe(); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", query, got, err, want)
		}
	}
}

// describe writes a query for the table above.
func (q *Query) describe() string {
	var parts []string
	for _, c := range q.clauses {
		var terms []string
		for _, t := range c {
			terms = append(terms, string(t.kind)+"="+t.term+map[bool]string{true: "*"}[t.prefix])
		}
		if terms == nil {
			terms = []string{"none"}
		}
		parts = append(parts, strings.Join(terms, "|"))
	}
	for _, id := range q.ids {
		parts = append(parts, id.String())
	}
	if !q.after.IsZero() {
		parts = append(parts, "from "+q.after.Format("15:04"))
	}
	if !q.before.IsZero() {
		parts = append(parts, "to "+q.before.Format("15:04"))
	}
	return strings.Join(parts, " ")
}

func FuzzParseQuery(f *testing.F) {
	for _, s := range []string{"from:a to:@b subject:\"x y\" id:<a@b> queue:Q state:held before:2h after:2026-01-01 w*", "会议 \x00\xff:", `":`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		q, err := ParseQuery(s, now)
		if err != nil {
			if utf8.ValidString(s) && !utf8.ValidString(err.Error()) {
				t.Errorf("%q: the text is not UTF-8: %q", s, err)
			}
			return
		}
		for _, c := range q.clauses {
			for _, term := range c {
				if len(term.term) > maxTerm || strings.Contains(term.term, "\x00") {
					t.Errorf("%q: term %q", s, term.term)
				}
			}
		}
	})
}

func TestPrevious(t *testing.T) {
	id := func(last ...byte) (id policy.ID) {
		copy(id[idSize-len(last):], last)
		return id
	}
	for _, c := range []struct{ id, want policy.ID }{
		{id(1), id(0)}, {id(0xff), id(0xfe)}, {id(1, 0), id(0xff)}, {id(1, 0, 0), id(0xff, 0xff)}, {id(), lastPossible},
	} {
		if got := previous(c.id); got != c.want {
			t.Errorf("%x: %x, want %x", c.id, got, c.want)
		}
	}
}

func TestKeysKeepTheirOrder(t *testing.T) {
	a, b := policy.ID{1}, policy.ID{2}
	ordered := [][]byte{
		timeKey(keyDue, now, a), timeKey(keyDue, now, b), timeKey(keyDue, now.Add(time.Microsecond), a),
		timeKey(keyDue, now.AddDate(7000, 0, 0), a),
		eventsKey(a, 1, 0), eventsKey(a, 1, 249), eventsKey(a, 256, 0), eventsKey(b, 1, 0),
		batchKey(255), batchKey(256),
		indexKey(indexWord, "a", b), indexKey(indexWord, "ab", a), indexKey(indexWord, "b", a),
	}
	if !slices.IsSortedFunc(ordered, slices.Compare) {
		t.Error("keys do not sort by what they are made of")
	}
	for _, at := range []time.Time{now, time.Unix(0, 0).UTC(), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)} {
		if got, id := parseTimeKey(timeKey(keyDue, at, b)); !got.Equal(at) || id != b {
			t.Errorf("%v came back as %v, %v", at, got, id)
		}
	}
}

// What peers send need not be UTF-8, and must come back as it was.
func TestRowsKeepForeignOctets(t *testing.T) {
	text := "caf\xe9 \x00 \xff"
	want := Message{Envelope: policy.Envelope{Received: now, Subject: text, Helo: text, Sender: policy.Address(text), Identity: text}}
	var got Message
	if err := decoding.Unmarshal(encode(&want), &got); err != nil || got.Envelope.Subject != text || got.Envelope.Helo != text || !got.Envelope.Received.Equal(now) {
		t.Errorf("%+v, %v", got.Envelope, err)
	}
}

func FuzzDecodeRows(f *testing.F) {
	f.Add(encode(&Message{States: map[policy.State]int{policy.StateHeld: 1}, Due: now}))
	f.Add(encode(&Recipient{Recipient: policy.Recipient{Address: "a@b"}, Fate: policy.Fate{State: policy.StateHeld, Since: now}}))
	f.Add(encode([]policy.Event{{Kind: policy.Held, Recipients: []int{1, 2}}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var m Message
		if decoding.Unmarshal(b, &m) == nil {
			_ = m.State()
			_ = encode(&m)
		}
		var r Recipient
		_ = decoding.Unmarshal(b, &r)
		var e []policy.Event
		if decoding.Unmarshal(b, &e) == nil {
			policy.Rows{r, {}}.Apply(policy.Event{})
			_ = encode(e)
		}
	})
}
