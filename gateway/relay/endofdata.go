package relay

import "bytes"

// endOfData finds CRLF.CRLF exactly as go-smtp's reader does, and nothing else: no bare CR or LF
// ends a message (RFC 5321 4.1.1.4). The zero value stands at the beginning of a body.
type endOfData struct {
	state     int
	swallowed bool // the reader left out a CR that no LF followed: that of CRLF.CR (quirk test TestQuirkDotCR)
}

// The states of go-smtp's dataReader.
const (
	atLine = iota
	afterDot
	afterDotCR
	afterCR
	inLine
)

// scan gives the number of octets that belong to the body, and whether they end it.
func (e *endOfData) scan(b []byte) (n int, ended bool) {
	for n < len(b) {
		if e.state == inLine {
			skip := bytes.IndexByte(b[n:], '\r')
			if skip < 0 {
				return len(b), false
			}
			n += skip
		}
		if e.next(b[n]) {
			return n + 1, true
		}
		n++
	}
	return n, false
}

func (e *endOfData) next(c byte) (ended bool) {
	switch {
	case e.state == afterDotCR && c == '\n':
		return true
	case e.state == afterDotCR:
		e.state, e.swallowed = inLine, true
	case e.state == atLine && c == '.':
		e.state = afterDot
	case e.state == afterDot && c == '\r':
		e.state = afterDotCR
	case e.state == afterCR && c == '\n':
		e.state = atLine
	case (e.state == atLine || e.state == inLine) && c == '\r':
		e.state = afterCR
	default:
		e.state = inLine
	}
	return false
}
