package content

import (
	"strings"
)

// decodeWords decodes the encoded words of RFC 2047, wherever they stand: senders put them in
// quotes, in parameters and next to each other. Neighbours of one charset are put together before
// they are decoded, because many programs cut characters in two.
func decodeWords(s string) string {
	if !strings.Contains(s, "=?") {
		return s
	}
	var d wordDecoder
	for {
		i := strings.Index(s, "=?")
		if i < 0 {
			break
		}
		w, ok := parseWord(s[i:])
		if !ok {
			d.text(s[:i+2])
			s = s[i+2:]
			continue
		}
		d.text(s[:i])
		d.word(w)
		s = s[i+w.size:]
	}
	d.text(s)
	d.flush()
	return d.out.String()
}

// A wordDecoder puts decoded text together.
type wordDecoder struct {
	out     strings.Builder
	charset string
	pending []byte // decoded octets of the words seen last
	gap     string // white space after them, which counts only if no word follows (RFC 2047 6.2)
}

func (d *wordDecoder) text(s string) {
	if len(d.pending) > 0 && strings.Trim(s, " \t") == "" {
		d.gap += s
		return
	}
	d.flush()
	d.out.WriteString(s)
}

func (d *wordDecoder) word(w word) {
	if len(d.pending) > 0 && !strings.EqualFold(d.charset, w.charset) {
		d.gap = ""
		d.flush()
	}
	d.charset, d.gap = w.charset, ""
	d.pending = append(d.pending, w.octets...)
}

func (d *wordDecoder) flush() {
	if len(d.pending) > 0 {
		decoded, _ := decodeCharset(d.charset, d.pending)
		d.out.Write(decoded)
	}
	d.out.WriteString(d.gap)
	d.pending, d.gap = d.pending[:0], ""
}

// A word is an encoded word of RFC 2047.
type word struct {
	charset string
	octets  []byte
	size    int // octets it took
}

// parseWord reads the word at the beginning of s.
func parseWord(s string) (word, bool) {
	s = s[:min(len(s), maxWord)]
	rest := s[len("=?"):]
	charset, rest, ok := strings.Cut(rest, "?")
	if !ok || len(charset) == 0 || len(charset) > 64 || len(rest) < 2 || rest[1] != '?' {
		return word{}, false
	}
	charset, _, _ = strings.Cut(charset, "*") // the language of RFC 2231 5
	encoding := rest[0] | 0x20
	text, _, ok := strings.Cut(rest[2:], "?=")
	if !ok || strings.Contains(text, "=?") {
		return word{}, false
	}
	w := word{charset: charset, size: len(s) - len(rest) + 2 + len(text) + len("?=")}
	switch encoding {
	case 'b':
		t := transfer{kind: base64Transfer}
		w.octets = t.end(t.line(nil, []byte(text), ""), true)
	case 'q':
		w.octets = decodeQ(text)
	default:
		return word{}, false
	}
	return w, true
}

// decodeQ decodes the Q encoding; what is no code stands for itself.
func decodeQ(text string) []byte {
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '_':
			c = ' '
		case c == '=' && i+2 < len(text) && isHex(text[i+1]) && isHex(text[i+2]):
			c = unhex(text[i+1])<<4 | unhex(text[i+2])
			i += 2
		}
		out = append(out, c)
	}
	return out
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f'
}

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}
