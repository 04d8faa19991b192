package notify

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"strings"
	"time"

	"github.com/emersion/go-message/textproto"
	"github.com/sendgate/sendgate/policy"
)

// A draft is a mail of ours to people: the same text plain and as HTML.
type draft struct {
	id        policy.ID // of the mail itself
	hostname  string
	from      string // a mailbox with its name, encoded
	to        []policy.Address
	languages []string
	time      time.Time
	mark      string // before the subject: "[sendgate]"
	title     string
	thread    string // the same in all mails that stand together, or empty
	plain     []byte
	html      []byte
	// Of the event with which it is accepted.
	reason, evidence string
}

func (d *draft) messageID() string { return "<" + d.id.String() + "@" + d.hostname + ">" }

func (d *draft) subject() string { return d.mark + " " + d.title }

// encodedSubject has the mark in a word of its own, so that long words can be folded. Between two encoded words
// white space does not count (RFC 2047 6.2): there it stands in the second.
func (d *draft) encodedSubject() string {
	space := " "
	if isASCII(d.mark) || isASCII(d.title) {
		space = ""
	}
	return mime.BEncoding.Encode("utf-8", d.mark) + " " + mime.BEncoding.Encode("utf-8", space+d.title)
}

// utf8 reports whether the mail goes to an address that needs SMTPUTF8.
func (d *draft) utf8() bool {
	for _, a := range d.to {
		if !a.IsASCII() {
			return true
		}
	}
	return false
}

// compose writes the mail. Errors are those of w.
func (d *draft) compose(w io.Writer) error {
	var body bytes.Buffer
	parts := textproto.NewMultipartWriter(&body)
	boundary := "=_" + d.id.String() // "=_" never stands in quoted-printable (RFC 2045 6.7)
	if err := parts.SetBoundary(boundary); err != nil {
		return fmt.Errorf("compose notice: %w", err)
	}
	for _, p := range []part{
		{contentType: "text/plain; charset=utf-8", encoding: "quoted-printable", body: d.plain},
		{contentType: "text/html; charset=utf-8", encoding: "quoted-printable", body: d.html},
	} {
		if err := p.write(parts); err != nil {
			return fmt.Errorf("compose notice: %w", err)
		}
	}
	if err := parts.Close(); err != nil {
		return fmt.Errorf("compose notice: %w", err)
	}
	if err := textproto.WriteHeader(w, d.header(boundary)); err != nil {
		return fmt.Errorf("write notice: %w", err)
	}
	if _, err := body.WriteTo(w); err != nil {
		return fmt.Errorf("write notice: %w", err)
	}
	return nil
}

// header asks programs not to answer: RFC 3834 5, and X-Auto-Response-Suppress for Exchange
// (MS-OXCMAIL 2.1.3.2.22).
func (d *draft) header(boundary string) textproto.Header {
	var fs fields
	fs.add("From", d.from)
	to := make([]string, len(d.to))
	for i, a := range d.to {
		to[i] = "<" + string(a) + ">"
	}
	fs.add("To", strings.Join(to, ", "))
	fs.add("Subject", d.encodedSubject())
	fs.add("Date", d.time.Format(time.RFC1123Z))
	fs.add("Message-ID", d.messageID())
	if id := reference("<" + d.thread + "@" + d.hostname + ">"); d.thread != "" && id != "" {
		fs.add("References", id)
	}
	fs.add("Auto-Submitted", "auto-generated")
	fs.add("X-Auto-Response-Suppress", "All")
	fs.add("Precedence", "bulk")
	fs.add("Content-Language", strings.Join(d.languages, ", "))
	fs.add("MIME-Version", "1.0")
	fs.add("Content-Type", fmt.Sprintf("multipart/alternative; boundary=%q", boundary))
	return fs.header()
}

// crlf ends lines as mail does.
func crlf(text string) []byte { return []byte(strings.ReplaceAll(text, "\n", "\r\n")) }
