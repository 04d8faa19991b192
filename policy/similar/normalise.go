package similar

import "bytes"

// MaxText is how many octets of a text are looked at.
const MaxText = 256 << 10

// A token is its hash and what it weighs.
type token struct {
	hash   uint64
	weight uint8 // tenths of a word
	kept   bool  // stands in a line that was not stripped
}

// Weights. A shingle is as many tokens in a row as weigh two words: two words or three ideographs.
const (
	wordWeight    = 10
	signWeight    = 7
	shingleWeight = 20
)

// A normaliser cuts texts into tokens. Its buffers serve from text to text.
type normaliser struct {
	folded []byte
	lines  []line
	scanner
}

// normalise hands the tokens of a text to emit; kept is false for those in lines that were stripped.
func (n *normaliser) normalise(text string, hints *Hints) {
	n.folded = fold(n.folded[:0], text[:min(len(text), MaxText)])
	n.lines = appendLines(n.lines[:0], n.folded)
	strip(n.lines, hints.reply())
	n.names.set(hints.Names)
	n.kept, n.begun = true, false
	for i := range n.lines {
		if n.kept == n.lines[i].drop {
			n.begun = false // masks do not run together over the edge
		}
		n.kept = !n.lines[i].drop
		n.line(n.lines[i].text)
	}
}

// reply reports an answer by its header or its subject.
func (h *Hints) reply() bool {
	if h.Reply {
		return true
	}
	var room [128]byte
	subject := bytes.TrimLeft(fold(room[:0], h.Subject[:min(len(h.Subject), 64)]), " [")
	for _, p := range replies {
		if bytes.HasPrefix(subject, []byte(p)) {
			return true
		}
	}
	return false
}

// replies begin the subjects of answers and of what is passed on.
var replies = [...]string{
	"re:", "re :", "aw:", "sv:", "回复:", "回覆:", "答复:", "答覆:", "回 复:", "re[", "fw:", "fwd:", "转发:", "轉寄:",
}

// units measures a text: a word is one, two ideographs are one.
func units(tokens []token) uint16 {
	halves := 0
	for _, t := range tokens {
		halves++
		if t.weight == wordWeight {
			halves++
		}
	}
	return uint16(min(halves/2, 1<<16-1))
}

// exact hashes a text whole.
func (h hasher) exact(tokens []token) uint64 {
	if len(tokens) == 0 {
		return 0
	}
	v := uint64(len(tokens))
	for _, t := range tokens {
		v = h.pair(v, t.hash)
	}
	return max(v, 1)
}
