package content

import (
	"bytes"
	"slices"
	"sync"
	"time"
)

// An Extractor reads a message that is written to it in pieces of any size.
type Extractor struct {
	limits Limits
	now    func() time.Time
	done   Content
	closed bool

	pending []byte // a line that has not ended
	midline bool   // the beginning of the line has been taken

	levels  []level // the message, and what is open in it
	header  Header  // of the part that is being read
	state   state
	part    part
	out     []byte // decoded octets on their way to the part
	parts   int
	looked  int64         // octets of text parts
	spent   time.Duration // on text
	message bool          // the header of the message has been read
}

type state int

const (
	inHeader state = iota
	inPart
	inGap // after the last part of a multipart, or beyond a limit
)

// NewExtractor waits for a message. The clock measures what the work on text takes.
func NewExtractor(l Limits, now func() time.Time) *Extractor {
	used := scratches.Get().(*scratch)
	return &Extractor{
		limits: l,
		now:    now,
		levels: make([]level, 1, 4),
		header: Header{raw: make([]byte, 0, 1<<10), fields: make([]span, 0, 16), limit: l.HeaderBytes},
		out:    used.out,
		part:   part{raw: used.raw},
	}
}

// A scratch is what one message after the other is decoded in. Nothing of it is kept: what is shown of a part was
// copied when it was rendered.
type scratch struct{ out, raw []byte }

// maxScratch bounds what is left for the next message.
const maxScratch = 64 << 10

var scratches = sync.Pool{New: func() any {
	return &scratch{out: make([]byte, 0, maxLine), raw: make([]byte, 0, maxLine)}
}}

// leave gives the scratch to another message.
func (e *Extractor) leave() {
	if cap(e.out) > 0 && cap(e.out) <= maxScratch && cap(e.part.raw) > 0 && cap(e.part.raw) <= maxScratch {
		scratches.Put(&scratch{e.out[:0], e.part.raw[:0]})
	}
	e.part, e.out, e.pending, e.levels = part{}, nil, nil, nil
}

// Write takes octets of the message. It takes all of them and never fails.
func (e *Extractor) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 && !e.closed {
		end := bytes.IndexByte(p, '\n') + 1
		if end == 0 {
			e.hold(p)
			break
		}
		line := p[:end]
		p = p[end:]
		if len(e.pending) > 0 {
			line = e.join(line)
		}
		e.line(line)
		e.pending = e.pending[:0]
	}
	return n, nil
}

// join puts the end of a line to its beginning, if the whole is short enough to be held.
func (e *Extractor) join(line []byte) []byte {
	if len(e.pending)+len(line) <= maxLine {
		return append(e.pending, line...)
	}
	e.line(e.pending)
	return line
}

// hold keeps the beginning of a line until its end comes, or until there is too much of it.
func (e *Extractor) hold(p []byte) {
	if len(e.pending)+len(p) > maxLine {
		e.line(e.pending)
		e.line(p)
		e.pending = e.pending[:0]
		return
	}
	e.pending = append(e.pending, p...)
}

// Close ends the message and gives what was read.
func (e *Extractor) Close() Content {
	if e.closed {
		return e.done
	}
	e.closed = true
	if len(e.pending) > 0 {
		e.line(e.pending)
	}
	if e.state == inHeader {
		e.endHeader()
	}
	e.endPart(false)
	for len(e.levels) > 1 {
		e.pop()
	}
	root := &e.levels[0].got
	e.done.Text = string(bytes.TrimRight(root.text, "\n "))
	e.done.HTML, e.done.Alts, e.done.Links = root.html, root.alts, root.links
	e.leave()
	return e.done
}

// line takes a line in pieces of at most maxLine; only the last one has the line's end.
func (e *Extractor) line(data []byte) {
	for len(data) > maxLine {
		e.piece(data[:maxLine], "")
		data = data[maxLine:]
	}
	switch {
	case len(data) == 0:
	case bytes.HasSuffix(data, []byte("\r\n")):
		e.piece(data[:len(data)-2], "\r\n")
	case bytes.HasSuffix(data, []byte("\n")):
		e.piece(data[:len(data)-1], "\n")
	default:
		e.piece(data, "")
	}
}

func (e *Extractor) piece(data []byte, eol string) {
	first := !e.midline
	e.midline = eol == ""
	if first && len(data) > 2 && data[0] == '-' && data[1] == '-' && e.boundary(data) {
		return
	}
	if e.state == inHeader && !e.headerPiece(data, first, eol) {
		return
	}
	if e.state == inPart {
		e.out = e.part.transfer.line(e.out, data, eol)
		if len(e.out) >= maxLine/2 {
			e.drain()
		}
	}
}

// headerPiece reports whether the piece belongs to the body.
func (e *Extractor) headerPiece(data []byte, first bool, eol string) (body bool) {
	switch {
	case !first:
		e.header.extend(data)
		return false
	case len(data) == 0 && eol != "":
		e.endHeader()
		return false
	case e.header.AddLine(data):
		return false
	case e.isEnvelopeLine(data):
		return false
	}
	e.endHeader()
	if e.state == inHeader { // of an attached message
		return e.headerPiece(data, first, eol)
	}
	return true
}

// isEnvelopeLine holds for the From_ line of an mbox.
func (e *Extractor) isEnvelopeLine(data []byte) bool {
	return e.levels[len(e.levels)-1].delimiter == nil && len(e.header.fields) == 0 &&
		(bytes.HasPrefix(data, []byte("From ")) || bytes.HasPrefix(data, []byte(">From ")))
}

// drain hands decoded octets to the part.
func (e *Extractor) drain() {
	e.part.take(e.out, e)
	e.out = e.out[:0]
}

// problem notes a fault once.
func (e *Extractor) problem(text string) {
	if len(e.done.Problems) < maxProblems && !slices.Contains(e.done.Problems, text) {
		e.done.Problems = append(e.done.Problems, text)
	}
}

// cut notes a limit.
func (e *Extractor) cut(text string) {
	e.done.Truncated = true
	e.problem(text)
}
