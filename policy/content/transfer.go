package content

import (
	"bytes"
	"strings"
)

// Content transfer encodings (RFC 2045 6).
const (
	identityTransfer = iota
	base64Transfer
	quotedTransfer
)

// A transfer undoes a transfer encoding, line by line, in constant memory. Broken encodings are
// decoded as far as possible.
type transfer struct {
	kind   int
	octets uint32 // base64: bits of the quantum
	digits int    // and how many digits of it were seen
	held   string // identity and quoted: the line end, which belongs to a boundary if one follows
	broken []byte // quoted: a code that is cut by the end of a piece
}

// newTransfer takes the value of Content-Transfer-Encoding. What is unknown stays as it is.
func newTransfer(name string) (t transfer, known bool) {
	switch name, _, _ := strings.Cut(strings.ToLower(name), ";"); strings.Trim(name, " \t\"") {
	case "base64":
		return transfer{kind: base64Transfer}, true
	case "quoted-printable":
		return transfer{kind: quotedTransfer}, true
	case "", "7bit", "8bit", "binary", "7-bit", "8-bit":
		return transfer{}, true
	}
	return transfer{}, false
}

// line appends what a line, or a piece of one if eol is empty, stands for.
func (t *transfer) line(dst, piece []byte, eol string) []byte {
	switch t.kind {
	case base64Transfer:
		return t.base64(dst, piece)
	case quotedTransfer:
		return t.quoted(dst, piece, eol)
	}
	dst = append(append(dst, t.held...), piece...)
	t.held = eol
	return dst
}

// end appends what is left. The last line end stays unless a boundary follows (RFC 2046 5.1.1).
func (t *transfer) end(dst []byte, boundary bool) []byte {
	if t.kind == base64Transfer {
		return t.endQuantum(dst)
	}
	dst = append(dst, t.broken...)
	if !boundary {
		dst = append(dst, t.held...)
	}
	t.broken, t.held = t.broken[:0], ""
	return dst
}

// base64 ignores what is no digit (RFC 2045 6.8). Padding ends a quantum, not the text: encodings
// put one after the other are seen.
func (t *transfer) base64(dst, piece []byte) []byte {
	bits, n := t.octets, t.digits
	for _, c := range piece {
		v := base64Digits[c]
		if v >= 64 {
			if c == '=' && n > 0 {
				t.octets, t.digits = bits, n
				dst = t.endQuantum(dst)
				bits, n = 0, 0
			}
			continue
		}
		bits = bits<<6 | uint32(v)
		if n++; n == 4 {
			dst = append(dst, byte(bits>>16), byte(bits>>8), byte(bits))
			n = 0
		}
	}
	t.octets, t.digits = bits, n
	return dst
}

// endQuantum appends the octets of an incomplete quantum, with or without its padding.
func (t *transfer) endQuantum(dst []byte) []byte {
	switch t.digits {
	case 2:
		dst = append(dst, byte(t.octets>>4))
	case 3:
		dst = append(dst, byte(t.octets>>10), byte(t.octets>>2))
	}
	t.digits, t.octets = 0, 0
	return dst
}

// base64Digits gives the value of a digit, 64 for everything else; - and _ are those of RFC 4648 5.
var base64Digits = func() (digits [256]byte) {
	for i := range digits {
		digits[i] = 64
	}
	for i, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") {
		digits[c] = byte(i)
	}
	digits['-'], digits['_'] = 62, 63
	return digits
}()

// quoted decodes quoted-printable; what is no code stands for itself.
func (t *transfer) quoted(dst, piece []byte, eol string) []byte {
	dst = append(dst, t.held...)
	t.held = eol
	if len(t.broken) > 0 {
		t.broken = append(t.broken, piece...)
		piece = t.broken
	}
	if eol != "" {
		piece = bytes.TrimRight(piece, " \t\r") // RFC 2045 6.7 (3)
	}
	for {
		i := bytes.IndexByte(piece, '=')
		if i < 0 {
			t.broken = t.broken[:0]
			return append(dst, piece...)
		}
		dst = append(dst, piece[:i]...)
		piece = piece[i:]
		switch {
		case len(piece) > 2 && isHex(piece[1]) && isHex(piece[2]):
			dst = append(dst, unhex(piece[1])<<4|unhex(piece[2]))
			piece = piece[3:]
		case eol == "" && len(piece) < 3:
			t.broken = append(t.broken[:0], piece...)
			return dst
		case len(piece) == 1: // a soft line break
			t.held, t.broken = "", t.broken[:0]
			return dst
		default:
			dst = append(dst, '=')
			piece = piece[1:]
		}
	}
}
