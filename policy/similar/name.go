package similar

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// names are the recipients' own names, folded: words, and runs of ideographs.
type names struct {
	folded []byte
	words  [][]byte
	signs  [][]byte
	prints uint64 // a bit for each word, see letterPrint
}

const maxNames = 64

// set takes display names and addresses apart, and forgets those of before.
func (n *names) set(given []string) {
	n.folded, n.words, n.signs, n.prints = n.folded[:0], n.words[:0], n.signs[:0], 0
	for _, g := range given {
		if local, _, ok := strings.Cut(g, "@"); ok {
			g = local
		}
		from := len(n.folded)
		n.folded = fold(n.folded, g)
		for part := range bytes.FieldsFuncSeq(n.folded[from:], notLetter) {
			n.add(part)
		}
		if len(n.words)+len(n.signs) >= maxNames {
			break
		}
	}
}

func notLetter(r rune) bool { return r < utf8.RuneSelf && !(r >= 'a' && r <= 'z') }

// add keeps a part that is long enough to be somebody's.
func (n *names) add(part []byte) {
	r, size := utf8.DecodeRune(part)
	switch {
	case ideograph(r):
		if len(part) > size {
			n.signs = append(n.signs, part)
		}
	case len(part) >= 3:
		n.words = append(n.words, part)
		n.prints |= letterPrint(part)
	}
}

// letterPrint gives the bit of a word, by its length and its first letter. Few words of a text have that of a
// name.
func letterPrint(w []byte) uint64 { return 1 << ((len(w)*11 + int(w[0])) % 64) }

func (n *names) word(w []byte) bool {
	if n.prints&letterPrint(w) == 0 {
		return false
	}
	for _, x := range n.words {
		if bytes.Equal(x, w) {
			return true
		}
	}
	return false
}

// prefix gives the length of a name in ideographs that t begins with.
func (n *names) prefix(t []byte) int {
	for _, x := range n.signs {
		if bytes.HasPrefix(t, x) {
			return len(x)
		}
	}
	return 0
}
