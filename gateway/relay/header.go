package relay

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	contents "github.com/sendgate/sendgate/policy/content"
)

// Bounds of a header.
const (
	maxHeader = 256 << 10
	maxText   = 2048 // octets of a decoded field that are kept
)

// A header is the fields of a message in their order, undecoded.
type header struct {
	raw    []byte // with the empty line at its end, if there is one
	fields []field
}

type field struct {
	name  string
	value string // unfolded
}

// readHeader reads up to the empty line, or up to the first line that belongs to no header
// (Postfix takes that for the beginning of the body, too). The line is part of raw.
func readHeader(r *bufio.Reader) (*header, error) {
	h := &header{}
	start := 0 // of the line
	for {
		piece, err := r.ReadSlice('\n')
		h.raw = append(h.raw, piece...)
		if len(h.raw) > maxHeader {
			return nil, errHeaderTooLarge
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		line := h.raw[start:]
		if len(line) > 0 && !h.add(line) {
			return h, nil
		}
		if err == io.EOF {
			return h, nil
		}
		if err != nil {
			return nil, err
		}
		start = len(h.raw)
	}
}

// add takes a line and reports whether the header goes on.
func (h *header) add(line []byte) bool {
	line = bytes.TrimRight(line, "\r\n")
	if len(line) == 0 {
		return false
	}
	if line[0] == ' ' || line[0] == '\t' {
		if len(h.fields) == 0 {
			return false
		}
		h.fields[len(h.fields)-1].value += string(line)
		return true
	}
	name, value, ok := bytes.Cut(line, []byte(":"))
	name = bytes.TrimRight(name, " \t") // RFC 5322 4.5.8
	if !ok || len(name) == 0 || bytes.ContainsFunc(name, notInName) {
		return false
	}
	h.fields = append(h.fields, field{string(name), string(value)})
	return true
}

// notInName holds for what no field name contains (RFC 5322 3.6.8).
func notInName(r rune) bool { return r <= ' ' || r >= 0x7f }

// count is how many fields of a name there are.
func (h *header) count(name string) int {
	n := 0
	for _, f := range h.fields {
		if strings.EqualFold(f.name, name) {
			n++
		}
	}
	return n
}

// values gives the fields of a name, decoded to UTF-8.
func (h *header) values(name string) []string {
	var all []string
	for _, f := range h.fields {
		if strings.EqualFold(f.name, name) {
			all = append(all, contents.Decode(f.value))
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
			return cutText(contents.Decode(f.value), maxText)
		}
	}
	return ""
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
