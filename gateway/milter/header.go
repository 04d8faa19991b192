package milter

import (
	"strings"
	"unicode/utf8"

	"github.com/sendgate/sendgate/policy/content"
)

// Bounds of a header.
const (
	maxHeader = 256 << 10 // octets that are kept
	maxText   = 2048      // octets of a decoded field that are kept
)

// A header is the fields of a message in their order, undecoded.
type header struct {
	fields []field
	size   int
}

type field struct {
	name  string
	value string // with its folds, as LF and white space
}

// add keeps a field, unless there are too many octets.
func (h *header) add(name, value string) {
	h.size += len(name) + len(value)
	if h.size <= maxHeader {
		h.fields = append(h.fields, field{name, value})
	}
}

// values gives the fields of a name, unfolded and decoded to UTF-8.
func (h *header) values(name string) []string {
	var all []string
	for _, f := range h.fields {
		if strings.EqualFold(f.name, name) {
			all = append(all, content.Decode(f.value))
		}
	}
	return all
}

// written gives the first field of a name as it is written.
func (h *header) written(name string) string {
	for _, f := range h.fields {
		if strings.EqualFold(f.name, name) {
			return f.value
		}
	}
	return ""
}

// first gives the first field of a name, cut to what is kept of it.
func (h *header) first(name string) string {
	for _, f := range h.fields {
		if strings.EqualFold(f.name, name) {
			return cutText(content.Decode(f.value), maxText)
		}
	}
	return ""
}

// cleanForeign makes foreign text valid UTF-8 without control characters.
func cleanForeign(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// cutText cuts between characters.
func cutText(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most]
}
