package milter

import (
	"strings"

	"github.com/sendgate/sendgate/policy/content"
)

// maxHeader is how many octets of a header are kept.
const maxHeader = 256 << 10

// A header is the fields of a message, with their folds as LF and white space.
type header struct {
	content.Fields
	size int
}

// add keeps a field, unless there are too many octets.
func (h *header) add(name, value string) {
	h.size += len(name) + len(value)
	if h.size <= maxHeader {
		h.Fields = append(h.Fields, content.Field{Name: name, Value: value})
	}
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
