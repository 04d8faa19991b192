package content

import (
	"bytes"
	"iter"
	"slices"
	"strings"
	"unicode/utf8"
)

// A Header is the fields of a message in their order, undecoded. The zero value is empty and keeps
// 256 KiB; what comes after that is dropped, but still recognised as header.
type Header struct {
	raw    []byte
	fields []span
	limit  int64 // 0 means maxHeader
	cut    bool
}

// A span is where a field lies in raw.
type span struct{ name, colon, value, end int }

// AddLine takes a line of a message, with its end, and reports whether it belongs to the header. The
// empty line does not, nor does a line that is neither a field nor a fold: Postfix, too, takes that
// for the beginning of the body.
func (h *Header) AddLine(line []byte) bool {
	if len(line) == 0 {
		return false
	}
	if line[0] == ' ' || line[0] == '\t' {
		if len(h.fields) == 0 && !h.cut {
			return false
		}
		h.extend(line)
		return true
	}
	colon := bytes.IndexByte(line, ':')
	if colon < 0 {
		return false
	}
	name := bytes.TrimRight(line[:colon], " \t") // RFC 5322 4.5.8
	if len(name) == 0 || bytes.ContainsFunc(name, notInName) {
		return false
	}
	if start := len(h.raw); h.room(len(line)) {
		h.raw = append(h.raw, line...)
		h.fields = append(h.fields, span{start, start + len(name), start + colon + 1, len(h.raw)})
	}
	return true
}

// extend appends to the last field.
func (h *Header) extend(line []byte) {
	if len(h.fields) > 0 && h.room(len(line)) {
		h.raw = append(h.raw, line...)
		h.fields[len(h.fields)-1].end = len(h.raw)
	}
}

// room reports whether so many octets more may be kept. Once something was dropped nothing is kept,
// so that a fold never ends up at a field that is not its own. A field counts for at least 64
// octets, which is what remembering it costs.
func (h *Header) room(octets int) bool {
	limit := h.limit
	if limit == 0 {
		limit = maxHeader
	}
	h.cut = h.cut || int64(len(h.raw)+octets+64*len(h.fields)) > limit
	return !h.cut
}

// notInName holds for what no field name contains (RFC 5322 3.6.8).
func notInName(r rune) bool { return r <= ' ' || r >= 0x7f }

// named gives the undecoded values of a name.
func (h *Header) named(name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, f := range h.fields {
			if f.colon-f.name == len(name) && strings.EqualFold(string(h.raw[f.name:f.colon]), name) &&
				!yield(string(h.raw[f.value:f.end])) {
				return
			}
		}
	}
}

// first gives the undecoded value of the first field of a name.
func (h *Header) first(name string) string {
	for v := range h.named(name) {
		return v
	}
	return ""
}

// Count is how many fields of a name there are.
func (h *Header) Count(name string) int {
	n := 0
	for range h.named(name) {
		n++
	}
	return n
}

// Get gives the first field of a name, decoded, and cut to 2 KiB; "" if there is none.
func (h *Header) Get(name string) string { return cutText(Decode(h.first(name)), maxValue) }

// Values gives all fields of a name, decoded; of each no more than its first 16 KiB.
func (h *Header) Values(name string) []string {
	var all []string
	for v := range h.named(name) {
		all = append(all, Decode(v))
	}
	return all
}

// Addresses gives the mailboxes in all fields of a name ("To"); see [Address].
func (h *Header) Addresses(name string) []Address {
	var all []Address
	for v := range h.named(name) {
		all = append(all, parseAddresses(v)...)
	}
	return all
}

// IDs gives the message ids in all fields of a name ("Message-ID", "References"), without their
// brackets, at most 100.
func (h *Header) IDs(name string) []string {
	var all []string
	for v := range h.named(name) {
		for id := range ids(v) {
			if len(all) == maxIDs {
				return all
			}
			if !slices.Contains(all, id) {
				all = append(all, id)
			}
		}
	}
	return all
}

// ids gives what stands in angle brackets; without any, the words that contain an @.
func ids(v string) iter.Seq[string] {
	return func(yield func(string) bool) {
		brackets := strings.Contains(v, "<")
		for word := range strings.FieldsFuncSeq(v, func(r rune) bool { return r <= ' ' || r == '>' || r == ',' }) {
			_, inner, ok := strings.Cut(word, "<")
			if !brackets {
				inner, ok = word, strings.Contains(word, "@")
			}
			if ok && inner != "" && !yield(cutText(clean(inner), maxValue)) {
				return
			}
		}
	}
}

// Thread gives the ids of the messages that this one answers, the nearest first.
func (h *Header) Thread() []string {
	all := h.IDs("In-Reply-To")
	references := h.IDs("References")
	for _, id := range slices.Backward(references) {
		if !slices.Contains(all, id) {
			all = append(all, id)
		}
	}
	return all
}

// Decode unfolds the value of a field and decodes it to UTF-8 without control characters: its
// encoded words (RFC 2047) and raw 8-bit text, whose charset is guessed. Only its first 16 KiB are
// looked at.
func Decode(value string) string {
	value = cutText(value, maxField)
	return clean(decodeWords(guessString(strings.TrimSpace(unfold(value)))))
}

var lineEnds = strings.NewReplacer("\r", "", "\n", "")

// unfold takes the line ends out (RFC 5322 2.2.3).
func unfold(value string) string {
	if !strings.ContainsAny(value, "\r\n") {
		return value
	}
	return lineEnds.Replace(value) // by octets: it need not be UTF-8
}

// clean makes foreign text valid UTF-8 without control characters.
func clean(s string) string {
	if isPlain(s) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || 0x7f <= r && r < 0xa0 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// isPlain holds for printable ASCII.
func isPlain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// cutText cuts between characters.
func cutText(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for i := 0; i < utf8.UTFMax && most > 0 && !utf8.RuneStart(s[most]); i++ {
		most--
	}
	return s[:most]
}
