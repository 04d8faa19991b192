package postlog

import (
	"bytes"
	"errors"
	"strings"
	"time"
)

// maxLine bounds what is looked at of one line. Postfix writes at most some KiB.
const maxLine = 64 << 10

// ErrFrame says that a line is no log line at all: neither a time stamp nor a tag begins it.
var ErrFrame = errors.New("not a log line")

// ErrStamp says that the time stamp names a time that cannot exist, such as 31 February.
var ErrStamp = errors.New("impossible time stamp")

// A Line is a log line without its frame.
type Line struct {
	Time time.Time // UTC
	Host string    // as logged; empty when the frame names none
	Tag  string    // "postfix/submission/smtpd"; empty when there is none, such as with "-- MARK --"
	// Instance is the tag before its last slash, which is the syslog_name: "postfix/submission".
	// Service is the rest: the program's name, "smtpd". A tag without slash is all Service.
	Instance, Service string
	PID               int    // 0 when not logged
	Text              string // what follows "tag[pid]: "
}

// A Parser reads the lines of one source in their order.
type Parser struct {
	clock  clock
	before Line // for "last message repeated"
}

// NewParser gives a parser for a source whose stamps without an offset are wall time in a zone (nil:
// UTC).
func NewParser(zone *time.Location, now func() time.Time) *Parser {
	if zone == nil {
		zone = time.UTC
	}
	return &Parser{clock: clock{zone: zone, now: now}}
}

// Parse takes a line apart. The number says how often it was said, normally 1: syslog daemons fold
// repetitions. Errors: [ErrFrame], [ErrStamp].
func (p *Parser) Parse(raw []byte) (Line, int, error) {
	f, err := p.frame(raw)
	if err != nil {
		return Line{}, 0, err
	}
	return p.finish(f)
}

// ParseAt is Parse for a line whose time and host are known from outside, as from the journal. What the
// line itself says of them is passed over; an empty host leaves the line's own.
func (p *Parser) ParseAt(t time.Time, host string, raw []byte) (Line, int, error) {
	f, err := p.frame(raw)
	if err != nil && !errors.Is(err, ErrStamp) {
		return Line{}, 0, err
	}
	f.Time = t.UTC()
	if host != "" {
		f.Host = host
	}
	return p.finish(f)
}

// frame reads everything but repetitions. With ErrStamp the line is complete but for its time.
func (p *Parser) frame(raw []byte) (Line, error) {
	s := clean(raw)
	if s == "" {
		return Line{}, ErrFrame
	}
	s, known := cutPriority(s)
	if rest, ok := cutVersion(s, known); ok {
		return p.structured(rest)
	}
	return p.plain(s, known)
}

// finish unfolds repetitions and remembers the line.
func (p *Parser) finish(l Line) (Line, int, error) {
	if n, ok := lastRepeated(l.Text); ok {
		if p.before.Tag == "" || p.before.Host != l.Host {
			return l, 1, nil
		}
		again := p.before
		again.Time = l.Time
		return again, n, nil
	}
	times := 1
	if n, text, ok := unfold(l.Text); ok {
		l.Text, times = text, n
	}
	p.before = l
	return l, times, nil
}

// clean gives the line as text: without NULs and line ends around it, bounded, with "?" for each
// control character and each octet that is not UTF-8.
func clean(raw []byte) string {
	for len(raw) > 0 && raw[0] == 0 {
		raw = raw[1:]
	}
	if len(raw) > maxLine {
		raw = raw[:maxLine]
	}
	raw = bytes.TrimRight(raw, "\x00\r\n \t")
	for _, b := range raw {
		if b < ' ' || b >= 0x7f {
			return printable(raw)
		}
	}
	return string(raw)
}

// printable does the same the slow way.
func printable(raw []byte) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' {
			return ' '
		}
		if r < ' ' || r == 0x7f || r == '\uFFFD' {
			return '?'
		}
		return r
	}, string(raw))
}

// setTag sets a line's tag and the two parts of it.
func (l *Line) setTag(tag string) {
	l.Tag, l.Service = tag, tag
	if i := strings.LastIndexByte(tag, '/'); i >= 0 {
		l.Instance, l.Service = tag[:i], tag[i+1:]
	}
}
