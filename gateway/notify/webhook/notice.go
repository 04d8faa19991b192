package webhook

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// Severity says how much a notice matters.
type Severity string

// The severities.
const (
	Info     Severity = "info"
	Warning  Severity = "warning"
	Critical Severity = "critical"
)

// rank orders severities; what is none counts as Info.
func (s Severity) rank() int { return max(0, slices.Index([]Severity{Info, Warning, Critical}, s)) }

func (s Severity) label() policy.Label {
	return []policy.Label{{EN: "Info", ZH: "提示"}, {EN: "Warning", ZH: "警告"}, {EN: "Critical", ZH: "严重"}}[s.rank()]
}

// A Notice is something that people should know. Its texts are plain, and may hold foreign text.
type Notice struct {
	Kind     string // what it is about, for programs: "limit", "suspended"
	Severity Severity
	Title    policy.Label
	Lines    []policy.Label
	Facts    []Fact
	Link     string // where to look and act: a URL of the dashboard, or empty
	// IncidentID is the same in all notices of one incident; empty when it stands alone.
	IncidentID string
	Update     bool // the incident was reported before
	Time       time.Time
}

// A Fact is a number or name with its meaning.
type Fact struct {
	Name  policy.Label `json:"name"`
	Value string       `json:"value"`
}

// wanted reports whether a hook asks for the notice.
func (c *Config) wanted(n Notice) bool {
	return n.Severity.rank() >= c.MinSeverity.rank() && (len(c.Kinds) == 0 || slices.Contains(c.Kinds, n.Kind))
}

// digest makes one notice of several.
func digest(notices []Notice) Notice {
	if len(notices) == 1 {
		return notices[0]
	}
	worst := slices.MaxFunc(notices, func(a, b Notice) int { return cmp.Compare(a.Severity.rank(), b.Severity.rank()) })
	d := Notice{
		Kind: "digest", Severity: worst.Severity, Link: worst.Link, Time: notices[len(notices)-1].Time,
		Title: policy.Label{EN: fmt.Sprintf("%d notices", len(notices)), ZH: fmt.Sprintf("%d 条通知", len(notices))},
	}
	for _, n := range notices {
		d.Lines = append(d.Lines, policy.Label{EN: n.summary("en", ": "), ZH: n.summary("zh", "：")})
	}
	return d
}

// summary is a notice in one line.
func (n Notice) summary(lang, colon string) string {
	s := n.heading(lang)
	if len(n.Lines) > 0 {
		s += colon + n.Lines[0].In(lang)
	}
	return s
}

// heading is the title with its severity before it: "[Warning, update] ...".
func (n Notice) heading(lang string) string {
	mark := n.Severity.label().In(lang)
	if n.Update {
		mark += policy.Label{EN: ", update", ZH: "，更新"}.In(lang)
	}
	return "[" + mark + "] " + n.Title.In(lang)
}

// A text is a notice in the language of a hook, ready to be laid out. What was cut off is counted.
type text struct {
	severity Severity
	title    string
	lines    []string
	facts    [][2]string
	link     string
	open     string // the name of the link
	cut      int    // lines and facts left out
}

// Bounds of what is laid out at all, in runes and entries.
const (
	maxTitle   = 140
	maxLine    = 500
	maxEntries = 60
	maxLink    = 1000 // octets
)

// in gives the text in zh, en or both.
func (n Notice) in(language string) text {
	t := text{severity: n.Severity, link: webLink(n.Link)}
	pick := func(zh, en string) string { // for short texts, side by side
		switch {
		case language == Chinese:
			return clean(zh)
		case language == English, clean(zh) == clean(en):
			return clean(en)
		}
		return clean(zh) + " / " + clean(en)
	}
	t.title = shorten(pick(n.heading("zh"), n.heading("en")), maxTitle)
	t.open = pick("查看详情", "Open")
	for _, l := range n.Lines {
		if language != English {
			t.lines = append(t.lines, shorten(clean(l.ZH), maxLine))
		}
		if language != Chinese && (language == English || clean(l.EN) != clean(l.ZH)) {
			t.lines = append(t.lines, shorten(clean(l.EN), maxLine))
		}
	}
	for _, f := range n.Facts {
		t.facts = append(t.facts, [2]string{shorten(pick(f.Name.ZH, f.Name.EN), maxTitle), shorten(clean(f.Value), maxLine)})
	}
	for len(t.lines)+len(t.facts) > maxEntries {
		t = t.less()
	}
	return t
}

// webLink gives a link that chat services take, or none.
func webLink(link string) string {
	u, err := url.Parse(link)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || len(link) > maxLink {
		return ""
	}
	return u.String()
}

// less leaves out the last line, or the last fact when there are no lines but one.
func (t text) less() text {
	switch {
	case len(t.lines) > 1 || len(t.facts) == 0 && len(t.lines) == 1:
		t.lines = t.lines[:len(t.lines)-1]
	case len(t.facts) > 0:
		t.facts = t.facts[:len(t.facts)-1]
	}
	t.cut++
	return t
}

// fit lays out as much of the text as a service takes.
func (t text) fit(limit int, size func(text) int) text {
	for size(t) > limit && len(t.lines)+len(t.facts) > 0 {
		t = t.less()
	}
	return t
}

// rest says how much is left out; empty when nothing is.
func (t text) rest() string {
	if t.cut == 0 {
		return ""
	}
	return fmt.Sprintf("… +%d", t.cut)
}

// clean makes foreign text one line of valid UTF-8 without controls. Format characters that turn the
// direction of writing go too: they make names look like others.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r < 0x20, r >= 0x7f && r < 0xa0, r == '\u2028', r == '\u2029':
			return ' '
		case r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069', r == '\u200e', r == '\u200f', r == '\ufeff':
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	return strings.Join(strings.Fields(s), " ")
}

// shorten cuts a text to a number of runes.
func shorten(s string, runes int) string {
	if len(s) <= runes {
		return s
	}
	r := []rune(s)
	if len(r) <= runes {
		return s
	}
	return string(r[:runes-1]) + "…"
}
