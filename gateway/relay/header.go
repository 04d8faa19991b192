package relay

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	contents "github.com/sendgate/sendgate/policy/content"
)

// maxHeader bounds a header, in octets.
const maxHeader = 256 << 10

// What most headers have room in.
const (
	usualHeader = 1 << 10
	usualFields = 16
)

// A header is the fields of a message in their order, undecoded.
type header struct {
	contents.Fields        // unfolded
	raw             []byte // with the empty line at its end, if there is one
}

// readHeader reads up to the empty line, or up to the first line that belongs to no header
// (Postfix takes that for the beginning of the body, too). The line is part of raw.
func readHeader(r *bufio.Reader) (*header, error) {
	h := &header{Fields: make(contents.Fields, 0, usualFields), raw: make([]byte, 0, usualHeader)}
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
		if len(h.Fields) == 0 {
			return false
		}
		h.Fields[len(h.Fields)-1].Value += string(line)
		return true
	}
	name, value, ok := bytes.Cut(line, []byte(":"))
	name = bytes.TrimRight(name, " \t") // RFC 5322 4.5.8
	if !ok || len(name) == 0 || bytes.ContainsFunc(name, notInName) {
		return false
	}
	h.Fields = append(h.Fields, contents.Field{Name: string(name), Value: string(value)})
	return true
}

// notInName holds for what no field name contains (RFC 5322 3.6.8).
func notInName(r rune) bool { return r <= ' ' || r >= 0x7f }
