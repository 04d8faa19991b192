package maillog

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Bounds of a line.
const (
	maxValue      = 400 // octets of one value, before it is quoted
	maxRecipients = 20
	maxLine       = 8 << 10
)

// A Line is one line of the mail log.
type Line struct {
	Time    time.Time
	Verb    Verb
	ID      string // sendgate's own, of the message or of the timeline
	QueueID string
	Sender  string // with its angle brackets; empty when there is none
	Rule    string
	More    []Field
}

// A Field is a further name with its value.
type Field struct{ Name, Value string }

// add appends a field unless it has no value.
func (l *Line) add(name, value string) {
	if value != "" {
		l.More = append(l.More, Field{name, value})
	}
}

// fields are all of them in order.
func (l *Line) fields() []Field {
	all := make([]Field, 0, 4+len(l.More))
	all = append(all, Field{"id", l.ID}, Field{"queue_id", l.QueueID}, Field{"sender", l.Sender}, Field{"rule", l.Rule})
	return append(all, l.More...)
}

// Text is the line without time and host.
func (l *Line) Text() string {
	var b strings.Builder
	b.WriteString(string(l.Verb))
	for _, f := range l.fields() {
		value := token(f.Value)
		if b.Len()+len(f.Name)+len(value)+2 > maxLine {
			b.WriteString(" ...")
			break
		}
		b.WriteByte(' ')
		b.WriteString(f.Name)
		b.WriteByte('=')
		b.WriteString(value)
	}
	return b.String()
}

// token writes a value so that it ends where it seems to end. Only what stands between plain letters and
// common signs goes without quotes.
func token(v string) string {
	if v == "" {
		return "-"
	}
	v = cut(v, maxValue)
	if v == "-" || strings.ContainsFunc(v, func(r rune) bool { return !plain(r) }) {
		return strconv.Quote(v)
	}
	return v
}

func plain(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("<>@._+-:/,#[]", r)
}

// cut shortens a text to a number of octets, between two runes.
func cut(s string, octets int) string {
	if len(s) <= octets {
		return s
	}
	for octets > 0 && !utf8.RuneStart(s[octets]) {
		octets--
	}
	return s[:octets] + "…"
}

// stamp is a time as the lines have it, to the microsecond.
func stamp(t time.Time) string { return t.Local().Format("2006-01-02T15:04:05.000000Z07:00") }
