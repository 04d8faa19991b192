package content

import (
	"bytes"
	"crypto/sha256"
	"hash"
	"strings"
)

// A part is a leaf of the message that is being read.
type part struct {
	transfer transfer
	preamble bool // what stands before the first delimiter: text only if none comes

	text    bool
	html    bool
	charset string
	flowed  bool
	joined  bool // DelSp=yes
	raw     []byte

	pictures dataURIs

	attachment Attachment
	hash       hash.Hash // nil without an attachment
}

// endHeader looks what the header that has ended announces.
func (e *Extractor) endHeader() {
	if e.header.cut {
		e.cut("a header is longer than is kept")
	}
	h := &e.header
	m := parseMedia(h.first("Content-Type"))
	if !strings.Contains(m.kind, "/") {
		m.kind = e.defaultType()
	}
	e.state = inPart
	first := !e.message
	if first {
		e.message = true
		e.done.Header = e.header
		e.header = Header{limit: e.limits.HeaderBytes}
		h = &e.done.Header
	}
	t, known := newTransfer(h.first("Content-Transfer-Encoding"))
	if !known {
		e.problem("unknown transfer encoding")
	}
	switch {
	case strings.HasPrefix(m.kind, "multipart/"):
		e.openMultipart(&m)
	case (m.kind == "message/rfc822" || m.kind == "message/global") && t.kind == identityTransfer:
		e.openMessage()
	default:
		e.openLeaf(h, &m, t)
	}
}

// defaultType is that of RFC 2045 5.2 and RFC 2046 5.1.5.
func (e *Extractor) defaultType() string {
	if e.levels[len(e.levels)-1].kind == "digest" {
		return "message/rfc822"
	}
	return "text/plain"
}

// openMultipart begins with the preamble. Without a boundary all of it is text, and so is what is
// nested too deep.
func (e *Extractor) openMultipart(m *media) {
	e.part = part{text: true, raw: e.part.raw[:0]}
	boundary, plain := m.raw("boundary")
	if !plain {
		boundary = m.text("boundary")
	}
	if boundary = strings.TrimRight(boundary, " \t"); boundary == "" || len(boundary) > maxBoundary {
		e.problem("multipart without a usable boundary")
		return
	}
	if len(e.levels) > e.limits.Depth {
		e.cut("nested deeper than is looked at")
		return
	}
	e.part.preamble = true
	e.levels = append(e.levels, level{kind: m.kind[len("multipart/"):], delimiter: []byte("--" + boundary)})
}

func (e *Extractor) openMessage() {
	if len(e.levels) > e.limits.Depth {
		e.part = part{text: true, raw: e.part.raw[:0]}
		e.cut("nested deeper than is looked at")
		return
	}
	e.levels = append(e.levels, level{})
	e.startPart()
}

func (e *Extractor) openLeaf(h *Header, m *media, t transfer) {
	disposition := parseMedia(h.first("Content-Disposition"))
	name := disposition.text("filename")
	if name == "" {
		name = m.text("name")
	}
	e.part = part{transfer: t, raw: e.part.raw[:0]}
	if e.isBody(m.kind, disposition.kind, name) {
		e.part.text = true
		e.part.html = m.kind == "text/html" || m.kind == "application/xhtml+xml"
		e.part.charset = m.word("charset")
		e.part.flowed = m.word("format") == "flowed"
		e.part.joined = m.word("delsp") == "yes"
		return
	}
	if len(e.done.Attachments) >= e.limits.Attachments {
		e.cut("more attachments than are listed")
		return
	}
	e.part.hash = sha256.New()
	e.part.attachment = Attachment{
		Name:   cutText(name, maxValue),
		Type:   cutText(clean(m.kind), maxAlt),
		Inline: disposition.kind == "inline" || disposition.kind == "" && h.Count("Content-ID") > 0,
	}
}

// isBody says that a part is shown as text: it is text, and not called an attachment. Some programs
// give the body a name, others give attachments no disposition: the first text is the body.
func (e *Extractor) isBody(kind, disposition, name string) bool {
	switch {
	case disposition == "attachment":
		return false
	case kind == "application/xhtml+xml":
	case !strings.HasPrefix(kind, "text/") || isData(kind[len("text/"):]):
		return false
	}
	return name == "" || disposition == "inline" || len(e.levels[len(e.levels)-1].got.text) == 0
}

// isData holds for subtypes of text that mail programs do not show as text.
func isData(subtype string) bool {
	switch subtype {
	case "calendar", "vcard", "x-vcard", "directory", "csv", "rtf", "xml", "css", "javascript", "x-amp-html",
		"rfc822-headers", "x-patch", "x-diff":
		return true
	}
	return false
}

// take keeps octets of a text part, or hashes those of an attachment.
func (p *part) take(octets []byte, e *Extractor) {
	switch {
	case p.hash != nil:
		p.hash.Write(octets)
		p.attachment.Size += int64(len(octets))
	case p.text:
		if p.html {
			octets = p.pictures.strip(octets)
		}
		room := max(0, e.limits.Bytes-e.looked-int64(len(p.raw)))
		if int64(len(octets)) > room {
			octets = octets[:room]
			e.cut("more text parts than are looked at")
		}
		p.raw = append(p.raw, octets...)
	}
}

// endPart ends the part that is being read, if there is one.
func (e *Extractor) endPart(boundary bool) {
	if e.state == inGap {
		return
	}
	e.out = e.part.transfer.end(e.out, boundary)
	e.drain()
	p := e.part
	e.part = part{raw: p.raw[:0]}
	switch {
	case p.hash != nil:
		p.hash.Sum(p.attachment.SHA256[:0])
		e.done.Attachments = append(e.done.Attachments, p.attachment)
	case p.text:
		if p.preamble && len(bytes.TrimSpace(p.raw)) > 0 {
			e.problem("multipart without its boundary")
		}
		e.looked += int64(len(p.raw))
		e.add(e.render(&p))
	}
	e.state = inGap
}
