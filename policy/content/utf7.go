package content

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// decodeUTF7 decodes RFC 2152, which x/text does not know and spam still uses. What is no UTF-7
// stands for itself.
func decodeUTF7(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for {
		i := bytes.IndexByte(b, '+')
		if i < 0 {
			return bytes.ToValidUTF8(append(out, b...), []byte("\uFFFD"))
		}
		out = append(out, b[:i]...)
		b = b[i+1:]
		end := 0
		for end < len(b) && b[end] != '-' && b[end] != '_' && base64Digits[b[end]] < 64 {
			end++
		}
		if end == 0 {
			out = append(out, '+')
		} else {
			out = appendUTF16(out, b[:end])
		}
		b = b[end:]
		if len(b) > 0 && b[0] == '-' {
			b = b[1:]
		}
	}
}

// appendUTF16 appends what a run of base64 stands for.
func appendUTF16(out, digits []byte) []byte {
	t := transfer{kind: base64Transfer}
	octets := t.end(t.line(nil, digits, ""), true)
	units := make([]uint16, 0, len(octets)/2)
	for i := 0; i+1 < len(octets); i += 2 {
		units = append(units, uint16(octets[i])<<8|uint16(octets[i+1]))
	}
	for _, r := range utf16.Decode(units) {
		out = utf8.AppendRune(out, r)
	}
	return out
}
