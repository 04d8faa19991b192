package similar

import (
	"slices"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// plain gives for each octet of ASCII what it becomes; 0 stands for those that need a look: a carriage
// return, and all beyond ASCII.
var plain = plainTable()

func plainTable() (t [256]byte) {
	for c := range byte(utf8.RuneSelf) {
		switch {
		case c >= 'A' && c <= 'Z':
			t[c] = c + 'a' - 'A'
		case c == '\n' || c == '\f' || c == '\v':
			t[c] = '\n'
		case c < ' ' && c != '\r' || c == 0x7f:
			t[c] = ' '
		case c >= ' ':
			t[c] = c
		}
	}
	return t
}

// fold appends text in one form: compatibility decomposed (NFKD, Unicode annex 15), marks and
// everything invisible dropped, lower case, letters that look Latin made Latin, every blank a space
// and every line end a newline. Lines are kept, since the line rules come afterwards: folding first
// means that a disguised signature or quotation is recognised too.
func fold(out []byte, text string) []byte {
	out = slices.Grow(out, len(text))
	for len(text) > 0 {
		room := out[len(out):cap(out)]
		room = room[:min(len(room), len(text))]
		n := 0
		for n < len(room) && plain[text[n]] != 0 {
			room[n] = plain[text[n]]
			n++
		}
		out, text = out[:len(out)+n], text[n:]
		if len(text) > 0 {
			out, n = foldOne(out, text)
			text = text[n:]
		}
	}
	return out
}

// foldOne appends what text begins with and gives how many octets that took.
func foldOne(out []byte, text string) (_ []byte, n int) {
	switch c := text[0]; {
	case c >= utf8.RuneSelf:
		r, size := utf8.DecodeRuneInString(text)
		return foldRune(out, r, text[:size]), size
	case c != '\r':
		return append(out, plain[c]), 1
	case len(text) > 1 && text[1] == '\n':
		return out, 1
	}
	return append(out, '\n'), 1
}

// foldRune appends the form of a rune beyond ASCII; s is its encoding.
func foldRune(out []byte, r rune, s string) []byte {
	switch {
	case ideograph(r):
		return append(out, s...)
	case r >= 0xff01 && r <= 0xff5e: // full width
		return appendLower(out, r-0xfee0)
	case r == utf8.RuneError:
		return out // a broken octet carries nothing
	case r == 0x85 || r == 0x2028 || r == 0x2029:
		return append(out, '\n')
	case invisible(r):
		return out
	case r == 0x2018 || r == 0x2019 || r == 0x02bc || r == 0x00b4:
		return append(out, '\'')
	case unicode.Is(unicode.Zs, r):
		return append(out, ' ')
	}
	if l, ok := latin[r]; ok {
		return append(out, l)
	}
	if d := norm.NFKD.PropertiesString(s).Decomposition(); len(d) > 0 {
		return foldParts(out, d)
	}
	return appendLower(out, r)
}

// foldParts appends a decomposition without its marks.
func foldParts(out, parts []byte) []byte {
	for len(parts) > 0 {
		r, size := utf8.DecodeRune(parts)
		parts = parts[size:]
		if l, ok := latin[r]; ok {
			out = append(out, l)
		} else if !invisible(r) {
			out = appendLower(out, r)
		}
	}
	return out
}

func appendLower(out []byte, r rune) []byte {
	r = unicode.ToLower(r)
	if l, ok := latin[r]; ok {
		return append(out, l)
	}
	return utf8.AppendRune(out, r)
}

// ideograph reports characters of scripts written without blanks, each a token of its own, that have
// no other form. Hangul is left composed for the same reason.
func ideograph(r rune) bool {
	return r >= 0x4e00 && r <= 0x9fff || r >= 0x3041 && r <= 0x30fa || r >= 0xac00 && r <= 0xd7a3 ||
		r >= 0x3400 && r <= 0x4dbf || r >= 0x20000 && r <= 0x2f7ff || r >= 0x0e00 && r <= 0x0eff
}

// invisible reports what takes no room: format characters, marks, fillers, variation selectors, tags.
func invisible(r rune) bool {
	switch {
	case r < 0xa0:
		return r >= 0x80 // C1 controls
	case r < 0x0300:
		return r == 0xad
	case r == 0x115f || r == 0x1160 || r == 0x3164 || r == 0xffa0 || r == 0x2800:
		return true
	}
	return unicode.In(r, unicode.Cf, unicode.Mn, unicode.Me)
}
