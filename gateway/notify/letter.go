package notify

import (
	"bytes"
	"fmt"
	"html"
	"io"
	"mime"
	"net/url"
	"strings"
	"time"

	"github.com/emersion/go-message/textproto"
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

// MessageID is the mail's own Message-ID.
func (l *Letter) MessageID() string { return "<" + l.ID.String() + "@" + l.Hostname + ">" }

// mark stands before every subject.
const mark = "[sendgate] "

// Subject is the subject in the languages of the letter.
func (l *Letter) Subject() string { return mark + l.title() }

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

func (l *Letter) languages() []string {
	switch l.Language {
	case webhook.Chinese:
		return []string{"zh-CN"}
	case webhook.English:
		return []string{"en"}
	}
	return []string{"zh-CN", "en"}
}

// utf8 reports whether the letter goes to an address that needs SMTPUTF8.
func (l *Letter) utf8() bool {
	for _, a := range l.To {
		if !a.IsASCII() {
			return true
		}
	}
	return false
}

// Compose writes the letter: the same text plain and as HTML, one language after the other, because
// programs show one part of an alternative only. Errors are those of w.
func (l *Letter) Compose(w io.Writer) error {
	var body bytes.Buffer
	parts := textproto.NewMultipartWriter(&body)
	boundary := "=_" + l.ID.String() // "=_" never stands in quoted-printable (RFC 2045 6.7)
	if err := parts.SetBoundary(boundary); err != nil {
		return fmt.Errorf("compose notice: %w", err)
	}
	for _, p := range []part{
		{contentType: "text/plain; charset=utf-8", encoding: "quoted-printable", body: l.plain()},
		{contentType: "text/html; charset=utf-8", encoding: "quoted-printable", body: l.html()},
	} {
		if err := p.write(parts); err != nil {
			return fmt.Errorf("compose notice: %w", err)
		}
	}
	if err := parts.Close(); err != nil {
		return fmt.Errorf("compose notice: %w", err)
	}
	if err := textproto.WriteHeader(w, l.header(boundary)); err != nil {
		return fmt.Errorf("write notice: %w", err)
	}
	if _, err := body.WriteTo(w); err != nil {
		return fmt.Errorf("write notice: %w", err)
	}
	return nil
}

// header asks programs not to answer: RFC 3834 5, and X-Auto-Response-Suppress for Exchange
// (MS-OXCMAIL 2.1.3.2.22).
func (l *Letter) header(boundary string) textproto.Header {
	var fs fields
	fs.add("From", l.From)
	to := make([]string, len(l.To))
	for i, a := range l.To {
		to[i] = "<" + string(a) + ">"
	}
	fs.add("To", strings.Join(to, ", "))
	fs.add("Subject", mark+mime.BEncoding.Encode("utf-8", l.title())) // the mark apart: it lets long words be folded
	fs.add("Date", l.Time.Format(time.RFC1123Z))
	fs.add("Message-ID", l.MessageID())
	if id := reference("<" + l.Notice.IncidentID + "@" + l.Hostname + ">"); l.Notice.IncidentID != "" && id != "" {
		fs.add("References", id) // all mails of an incident stand together
	}
	fs.add("Auto-Submitted", "auto-generated")
	fs.add("X-Auto-Response-Suppress", "All")
	fs.add("Precedence", "bulk")
	fs.add("Content-Language", strings.Join(l.languages(), ", "))
	fs.add("MIME-Version", "1.0")
	fs.add("Content-Type", fmt.Sprintf("multipart/alternative; boundary=%q", boundary))
	return fs.header()
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
		if link := l.link(); link != "" {
			b.WriteString("\n" + link + "\n")
		}
		b.WriteString("\n" + fmt.Sprintf(signature.In(lang), l.Hostname) + "\n")
	}
	return []byte(strings.ReplaceAll(b.String(), "\n", "\r\n"))
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
		if link := l.link(); link != "" {
			fmt.Fprintf(&b, "<p><a href=\"%s\">%s</a></p>\n", html.EscapeString(link), html.EscapeString(link))
		}
		fmt.Fprintf(&b, "<p><small>%s</small></p>\n</div>\n", text(fmt.Sprintf(signature.In(lang), l.Hostname)))
	}
	b.WriteString("</body></html>\n")
	return []byte(strings.ReplaceAll(b.String(), "\n", "\r\n"))
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

// link is where to look, or nothing.
func (l *Letter) link() string {
	u, err := url.Parse(l.Notice.Link)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return ""
	}
	return u.String()
}
