package notify

import (
	"bytes"

	"io"
	"strings"
	"unicode/utf8"
)

const (
	// maxReturned is the longest original that is returned whole.
	maxReturned = 1 << 20
	// maxHeader bounds what is returned of a header.
	maxHeader = 128 << 10
)

// originalPart is the third part: the original, or its header. RET speaks about failures only
// (RFC 3461 4.3).
func (r *Report) originalPart(original io.Reader) (part, bool) {
	if original == nil {
		return part{}, false
	}
	full := r.Action == Failed && strings.EqualFold(r.Message.Envelope.Ret, "FULL") && r.Message.BodySize <= maxReturned
	limit := int64(maxHeader)
	if full {
		limit = maxReturned
	}
	octets, err := io.ReadAll(io.LimitReader(original, limit))
	if err != nil || len(octets) == 0 {
		return part{}, false
	}
	header := headerOf(octets)
	if full {
		return r.messagePart(octets, isASCII(header)), true
	}
	return r.headerPart(header), true
}

// messagePart returns the whole original. An 8-bit header makes it a message/global (RFC 6532 3.7),
// which may be encoded; a message/rfc822 may not.
func (r *Report) messagePart(octets []byte, plainHeader bool) part {
	p := part{contentType: "message/rfc822", description: "Undelivered message", encoding: "7bit", body: octets}
	switch {
	case isASCII(octets):
	case plainHeader || r.utf8() || !r.Message.Envelope.UTF8:
		p.encoding = "8bit"
	default:
		p.encoding = "quoted-printable"
	}
	if !plainHeader && r.Message.Envelope.UTF8 {
		p.contentType = "message/global"
	}
	return p
}

// headerPart returns the header alone.
func (r *Report) headerPart(header []byte) part {
	p := part{contentType: "text/rfc822-headers", description: "Header of the message", encoding: "7bit", body: header}
	if isASCII(header) {
		return p
	}
	p.encoding = "quoted-printable"
	if r.Message.Envelope.UTF8 && utf8.Valid(header) {
		p.contentType = "message/global-headers"
		if r.utf8() {
			p.encoding = "8bit"
		}
	}
	return p
}

// headerOf cuts a message, or its beginning, after its header.
func headerOf(octets []byte) []byte {
	if bytes.HasPrefix(octets, []byte("\r\n")) {
		return nil
	}
	if end := bytes.Index(octets, []byte("\r\n\r\n")); end >= 0 {
		return octets[:end+2]
	}
	if len(octets) > maxHeader {
		octets = octets[:maxHeader]
	}
	if end := bytes.LastIndex(octets, []byte("\r\n")); end >= 0 {
		return octets[:end+2]
	}
	return octets
}
