package notify

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"strings"
	"time"

	"github.com/emersion/go-message/textproto"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// An Action is what a report says of its recipients (RFC 3464 2.3.3). Recipients of a Relayed
// report that are known to be in their mailbox are reported as delivered.
type Action string

// The actions.
const (
	Failed  Action = "failed"
	Delayed Action = "delayed"
	Relayed Action = "relayed"
)

// A Report is what is told to the sender of a message.
type Report struct {
	ID         policy.ID // of the report itself
	Hostname   string    // of this gateway
	Time       time.Time
	Action     Action
	Message    store.Message // what is reported on
	Recipients []store.Recipient
	RetryUntil time.Time // with Delayed
	// Stopped is true when a person ended the sending; Reason is what he says about it to the sender.
	Stopped bool
	Reason  string
}

// MessageID is the report's own Message-ID.
func (r *Report) MessageID() string { return "<" + r.ID.String() + "@" + r.Hostname + ">" }

// Subject is the report's subject.
func (r *Report) Subject() string {
	l := subjects[r.Action]
	if r.Stopped {
		l = stoppedSubject
	}
	return l.EN + " / " + l.ZH
}

// From is the report's From field.
func (r *Report) From() string { return "Mail Delivery System <MAILER-DAEMON@" + r.Hostname + ">" }

// Compose writes a report. original is the message it is about, from its first octet, or nil; it is
// read at most up to 1 MiB. Errors are those of w.
func Compose(w io.Writer, r *Report, original io.Reader) error {
	var body bytes.Buffer
	parts := textproto.NewMultipartWriter(&body)
	boundary := "report-" + r.ID.String()
	if err := parts.SetBoundary(boundary); err != nil {
		return fmt.Errorf("compose report: %w", err)
	}
	list := []part{r.textPart(), r.statusPart()}
	if p, ok := r.originalPart(original); ok {
		list = append(list, p)
	}
	for i := range list {
		if err := list[i].write(parts); err != nil {
			return fmt.Errorf("compose report: %w", err)
		}
	}
	if err := parts.Close(); err != nil {
		return fmt.Errorf("compose report: %w", err)
	}
	if err := textproto.WriteHeader(w, r.header(boundary, isASCII(body.Bytes()))); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	if _, err := body.WriteTo(w); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

func (r *Report) header(boundary string, sevenBit bool) textproto.Header {
	var fs fields
	fs.add("From", r.From())
	fs.add("To", "<"+string(r.Message.Envelope.Sender)+">")
	fs.add("Subject", mime.BEncoding.Encode("utf-8", r.Subject()))
	fs.add("Date", r.Time.Format(time.RFC1123Z))
	fs.add("Message-ID", r.MessageID())
	if id := reference(r.Message.Envelope.MessageID); id != "" {
		fs.add("In-Reply-To", id)
		fs.add("References", id)
	}
	fs.add("Auto-Submitted", "auto-replied")
	fs.add("MIME-Version", "1.0")
	fs.add("Content-Type", fmt.Sprintf("multipart/report; report-type=%s; boundary=%q", r.statusSubtype(), boundary))
	if !sevenBit {
		fs.add("Content-Transfer-Encoding", "8bit")
	}
	return fs.header()
}

// reference gives a Message-ID as it may stand in our header, or nothing when it is malformed.
func reference(id string) string {
	inner, ok := strings.CutPrefix(id, "<")
	inner, ok2 := strings.CutSuffix(inner, ">")
	if !ok || !ok2 || len(id) > 500 || !isASCII(id) || strings.ContainsFunc(inner, func(c rune) bool {
		return c <= ' ' || c == 0x7f || c == '<' || c == '>'
	}) {
		return ""
	}
	return id
}

// utf8 reports whether the report itself goes to an address that needs SMTPUTF8.
func (r *Report) utf8() bool { return !r.Message.Envelope.Sender.IsASCII() }

// A part is one body part of the report.
type part struct {
	contentType string
	description string
	encoding    string // 7bit, 8bit or quoted-printable
	body        []byte
}

func (p *part) write(w *textproto.MultipartWriter) error {
	var fs fields
	fs.add("Content-Type", p.contentType)
	fs.add("Content-Description", p.description)
	fs.add("Content-Transfer-Encoding", p.encoding)
	pw, err := w.CreatePart(fs.header())
	if err != nil {
		return err
	}
	if p.encoding != "quoted-printable" {
		_, err = pw.Write(p.body)
		return err
	}
	qp := quotedprintable.NewWriter(pw)
	if _, err := qp.Write(p.body); err != nil {
		return err
	}
	return qp.Close()
}
