package notify

import (
	"fmt"
	"html"
	"net/url"
	"strings"
	"time"

	"github.com/sendgate/sendgate/gateway/notify/webhook"
	"github.com/sendgate/sendgate/policy"
)

// A Letter is a notice as mail.
type Letter struct {
	ID       policy.ID // of the mail itself
	Hostname string    // of this gateway
	From     string    // a mailbox with its name, encoded
	To       []policy.Address
	Language string // zh, en or both
	Time     time.Time
	Notice   webhook.Notice
}

// mark stands before every subject.
const mark = "[sendgate]"

// title is the subject in the languages of the letter.
func (l *Letter) title() string {
	titles := make([]string, 0, 2)
	for _, lang := range l.languages() {
		t := visible(l.Notice.Title.In(lang))
		if l.Notice.Update {
			t += policy.Label{EN: " (update)", ZH: "（更新）"}.In(lang)
		}
		titles = append(titles, t)
	}
	return strings.Join(titles, " / ")
}

func (l *Letter) languages() []string { return languages(l.Language) }

// languages gives those of a text for zh, en or both.
func languages(language string) []string {
	switch language {
	case webhook.Chinese:
		return []string{"zh-CN"}
	case webhook.English:
		return []string{"en"}
	}
	return []string{"zh-CN", "en"}
}

// draft is the letter: the same text plain and as HTML, one language after the other, because programs show one part
// of an alternative only.
func (l *Letter) draft() *draft {
	return &draft{
		id: l.ID, hostname: l.Hostname, from: l.From, to: l.To, languages: l.languages(), time: l.Time,
		mark: mark, title: l.title(), thread: l.Notice.IncidentID, // all mails of an incident stand together
		plain: l.plain(), html: l.html(), reason: "notice: " + l.Notice.Kind, evidence: l.Notice.IncidentID,
	}
}

var signature = policy.Label{
	EN: "This is the mail gateway %s. Answers to this address are not read by it.",
	ZH: "本邮件由邮件网关 %s 自动发送，系统不会处理对本邮件的回复。",
}

func (l *Letter) plain() []byte {
	var b strings.Builder
	for i, lang := range l.languages() {
		if i > 0 {
			b.WriteString("\n----------------------------------------\n\n")
		}
		b.WriteString(visible(l.Notice.Title.In(lang)) + "\n\n")
		for _, line := range l.Notice.Lines {
			b.WriteString(visible(line.In(lang)) + "\n")
		}
		if len(l.Notice.Facts) > 0 {
			b.WriteString("\n")
		}
		for _, f := range l.Notice.Facts {
			b.WriteString("  " + visible(f.Name.In(lang)) + policy.Label{EN: ": ", ZH: "："}.In(lang) + visible(f.Value) + "\n")
		}
		if link := webLink(l.Notice.Link); link != "" {
			b.WriteString("\n" + link + "\n")
		}
		b.WriteString("\n" + fmt.Sprintf(signature.In(lang), l.Hostname) + "\n")
	}
	return crlf(b.String())
}

func (l *Letter) html() []byte {
	var b strings.Builder
	text := func(s string) string { return html.EscapeString(visible(s)) }
	b.WriteString("<!DOCTYPE html>\n<html><body>\n")
	for i, lang := range l.languages() {
		if i > 0 {
			b.WriteString("<hr>\n")
		}
		fmt.Fprintf(&b, "<div lang=\"%s\">\n<h3>%s</h3>\n", lang, text(l.Notice.Title.In(lang)))
		for _, line := range l.Notice.Lines {
			fmt.Fprintf(&b, "<p>%s</p>\n", text(line.In(lang)))
		}
		if len(l.Notice.Facts) > 0 {
			b.WriteString("<table>\n")
			for _, f := range l.Notice.Facts {
				fmt.Fprintf(&b, "<tr><td>%s</td><td>%s</td></tr>\n", text(f.Name.In(lang)), text(f.Value))
			}
			b.WriteString("</table>\n")
		}
		if link := webLink(l.Notice.Link); link != "" {
			fmt.Fprintf(&b, "<p><a href=\"%s\">%s</a></p>\n", html.EscapeString(link), html.EscapeString(link))
		}
		fmt.Fprintf(&b, "<p><small>%s</small></p>\n</div>\n", text(fmt.Sprintf(signature.In(lang), l.Hostname)))
	}
	b.WriteString("</body></html>\n")
	return crlf(b.String())
}

// maxText bounds a title, a line or a fact, in octets.
const maxText = 2000

// visible makes foreign text one line of bounded length without characters that turn the direction of
// writing: they make names look like others.
func visible(s string) string {
	if len(s) > maxText {
		s = s[:maxText] + "…"
	}
	return clean(strings.Map(func(r rune) rune {
		if r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' || r == '\u200e' || r == '\u200f' {
			return -1
		}
		return r
	}, s))
}

// webLink is where to look, or nothing.
func webLink(link string) string {
	u, err := url.Parse(link)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return ""
	}
	return u.String()
}
