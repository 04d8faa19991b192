package notify

import (
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-message/textproto"
)

// fields are header fields in their order.
type fields []string

// Lengths of a line without its CRLF (RFC 5322 2.1.1).
const (
	softLine = 76
	hardLine = 900
)

// add adds a field, cleaned and folded; an empty value adds nothing. go-message's own Add changes
// the case of names such as Reporting-MTA.
func (fs *fields) add(name, value string) {
	if value = clean(value); value == "" {
		return
	}
	var b strings.Builder
	b.WriteString(name + ":")
	length := b.Len()
	for word := range strings.SplitSeq(value, " ") {
		if length+1+len(word) > softLine && length > len(name)+1 {
			b.WriteString("\r\n")
			length = 0
		}
		for len(word) > hardLine {
			cut := hardLine
			for !utf8.RuneStart(word[cut]) {
				cut--
			}
			b.WriteString(" " + word[:cut] + "\r\n")
			word, length = word[cut:], 0
		}
		b.WriteString(" " + word)
		length += 1 + len(word)
	}
	b.WriteString("\r\n")
	*fs = append(*fs, b.String())
}

// header gives the fields to go-message, which wants the last one first.
func (fs fields) header() (h textproto.Header) {
	for i := len(fs) - 1; i >= 0; i-- {
		h.AddRaw([]byte(fs[i]))
	}
	return h
}

// clean makes foreign text one line of valid UTF-8 with single spaces and without controls.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < 0x20 || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == ' ' }), " ")
}

// ascii replaces what is not.
func ascii(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= utf8.RuneSelf {
			return '?'
		}
		return r
	}, s)
}

func isASCII[T ~string | ~[]byte](s T) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
