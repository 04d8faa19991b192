package track

import (
	"bufio"
	"bytes"
	"io"
	"strconv"
	"strings"
	"time"

	"net/mail"

	"github.com/emersion/go-message"
	"github.com/emersion/go-message/textproto"
)

// Bounds of a delivery report.
const (
	maxReport     = 1 << 20 // octets looked at
	maxStatus     = 256 << 10
	maxHeader     = 128 << 10
	maxDepth      = 4
	maxParts      = 32
	maxRecipients = 1000
	maxField      = 2000
)

// A dsn is a delivery report (RFC 3464) as far as it is used.
type dsn struct {
	envID      string
	reporter   string    // Reporting-MTA without its type
	arrival    time.Time // zero when not given
	messageID  string    // of the message that it is about, bare
	recipients []dsnRecipient
}

// A dsnRecipient is one group of per-recipient fields (RFC 3464 2.3).
type dsnRecipient struct {
	original, final    string // addresses without their type
	action             string // in lower case
	status, diagnostic string
}

// readDSN takes a delivery report apart; false when the message is none. It reads at most 1 MiB.
func readDSN(r io.Reader) (*dsn, bool) {
	e, err := message.ReadWithOptions(io.LimitReader(r, maxReport), &message.ReadOptions{MaxHeaderBytes: maxHeader})
	if e == nil || !readable(err) {
		return nil, false
	}
	d, parts := &dsn{}, maxParts
	d.walk(e, maxDepth, &parts)
	return d, len(d.recipients) > 0
}

// readable passes what go-message says of charsets and encodings that it does not know.
func readable(err error) bool {
	return err == nil || message.IsUnknownCharset(err) || message.IsUnknownEncoding(err)
}

// walk looks at the parts of an entity. A report may stand in a multipart/mixed that a list or a
// scanner has put around it; what is inside the returned message is not looked at.
func (d *dsn) walk(e *message.Entity, depth int, parts *int) {
	kind, _, _ := e.Header.ContentType()
	switch kind {
	case "message/delivery-status", "message/global-delivery-status":
		body, _ := io.ReadAll(io.LimitReader(e.Body, maxStatus)) // what could be read counts
		d.status(body)
		return
	case "message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers", "message/rfc822-headers":
		d.returned(e.Body)
		return
	}
	mr := e.MultipartReader()
	if mr == nil || depth == 0 {
		return
	}
	for *parts > 0 {
		*parts--
		p, err := mr.NextPart()
		if p == nil || !readable(err) {
			return
		}
		d.walk(p, depth-1, parts)
	}
}

// returned reads the header of the message that came back.
func (d *dsn) returned(r io.Reader) {
	octets, _ := io.ReadAll(io.LimitReader(r, maxHeader))
	if !bytes.HasSuffix(octets, []byte("\n\n")) {
		octets = append(octets, "\r\n\r\n"...) // a header alone may end without an empty line
	}
	h, err := textproto.ReadHeader(bufio.NewReader(bytes.NewReader(octets)))
	if err == nil && d.messageID == "" {
		d.messageID = bareID(h.Get("Message-Id"))
	}
}

// status reads the groups of fields.
func (d *dsn) status(body []byte) {
	for i, group := range groups(body) {
		if i == 0 {
			d.envID = decodeXtext(group["original-envelope-id"])
			d.reporter = untyped(group["reporting-mta"])
			if t, err := mail.ParseDate(group["arrival-date"]); err == nil {
				d.arrival = t
			}
			if group["final-recipient"] == "" { // some reporters leave the per-message group out
				continue
			}
		}
		if len(d.recipients) >= maxRecipients {
			return
		}
		d.recipients = append(d.recipients, dsnRecipient{
			original: decodeXtext(untyped(group["original-recipient"])), final: untyped(group["final-recipient"]),
			action: strings.ToLower(firstWord(group["action"])), status: firstWord(group["status"]),
			diagnostic: untyped(group["diagnostic-code"]),
		})
	}
}

// groups cuts the body into groups of fields by empty lines; names are in lower case, folded lines are
// joined.
func groups(body []byte) (all []map[string]string) {
	group, last := map[string]string{}, ""
	end := func() {
		if len(group) > 0 {
			all = append(all, group)
			group, last = map[string]string{}, ""
		}
	}
	for line := range strings.Lines(string(body)) {
		line = strings.TrimRight(line, "\r\n \t")
		switch {
		case line == "":
			end()
		case line[0] == ' ' || line[0] == '\t':
			if last != "" && len(group[last]) < maxField {
				group[last] += " " + strings.TrimLeft(line, " \t")
			}
		default:
			name, value, ok := strings.Cut(line, ":")
			if last = strings.ToLower(strings.TrimSpace(name)); !ok || len(group) > 64 {
				last = ""
				continue
			}
			group[last] = cut(strings.TrimSpace(value), maxField)
		}
	}
	end()
	return all
}

// untyped removes the type of an address or a diagnostic: "rfc822; user@example.com".
func untyped(s string) string {
	if kind, rest, ok := strings.Cut(s, ";"); ok && !strings.ContainsAny(kind, " @<") {
		s = rest
	}
	return strings.TrimSpace(s)
}

func firstWord(s string) string {
	first, _, _ := strings.Cut(strings.TrimSpace(s), " ")
	return first
}

// decodeXtext decodes RFC 3461 4; what is no xtext stays as it is.
func decodeXtext(s string) string {
	if !strings.Contains(s, "+") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '+' {
			if i+3 > len(s) || strings.ToUpper(s[i+1:i+3]) != s[i+1:i+3] {
				return s
			}
			v, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil {
				return s
			}
			b.WriteByte(byte(v))
			i += 2
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// cut bounds foreign text.
func cut(s string, most int) string {
	if len(s) > most {
		return s[:most]
	}
	return s
}
