package mailbox

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"mime"
	"strings"

	"golang.org/x/text/encoding/htmlindex"
)

// A header holds the values of fields, unfolded, under their names in lower case.
type header map[string][]string

// maxHeader bounds what is read of one message's header.
const maxHeader = 1 << 20

// readHeader reads as much as there is; what is no field is passed over. It ends with the first empty
// line or after 1 MiB.
func readHeader(raw []byte) header {
	h, name := header{}, ""
	var value []byte
	end := func() {
		if name != "" {
			h[name] = append(h[name], string(value))
		}
		name = ""
	}
	for line := range bytes.Lines(raw[:min(len(raw), maxHeader)]) {
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		if line[0] == ' ' || line[0] == '\t' {
			value = append(value, line...) // RFC 5322 2.2.3: only the line break goes
			continue
		}
		end()
		if key, rest, ok := bytes.Cut(line, []byte(":")); ok {
			name = strings.ToLower(string(bytes.TrimRight(key, " \t")))
			value = append(value[:0], rest...)
		}
	}
	end()
	return h
}

// first value of a field, without the white space around it.
func (h header) first(name string) string {
	if values := h[name]; len(values) > 0 {
		return strings.TrimSpace(values[0])
	}
	return ""
}

// digested are the fields that no hop changes.
var digested = []string{"from", "date", "subject", "message-id", "to"}

// digest is that of the fields in digested. Lengths stand before values, so that none can pass for two.
func (h header) digest() [32]byte {
	sum := sha256.New()
	for _, name := range digested {
		for _, v := range h[name] {
			v = strings.Join(strings.Fields(v), " ")
			_ = binary.Write(sum, binary.BigEndian, uint32(len(v)))
			sum.Write([]byte(v))
		}
		sum.Write([]byte{0xff, 0xff, 0xff, 0xff}) // end of this field's values: no length
	}
	return [32]byte(sum.Sum(nil))
}

// decoded turns encoded words (RFC 2047) into text and white space into single spaces.
func decoded(s string) string {
	words := mime.WordDecoder{CharsetReader: func(charset string, r io.Reader) (io.Reader, error) {
		e, err := htmlindex.Get(charset)
		if err != nil {
			return nil, err
		}
		return e.NewDecoder().Reader(r), nil
	}}
	if text, err := words.DecodeHeader(s); err == nil {
		s = text
	}
	return strings.Join(strings.Fields(s), " ")
}
