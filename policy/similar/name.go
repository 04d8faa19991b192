package similar

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// names are the recipients' own names, folded: words, and runs of ideographs.
type names struct {
	words [][]byte
	signs [][]byte
}

const maxNames = 64

// newNames takes display names and addresses apart.
func newNames(given []string) names {
	var n names
	for _, g := range given {
		if local, _, ok := strings.Cut(g, "@"); ok {
			g = local
		}
		for _, part := range bytes.FieldsFunc(fold(g), notLetter) {
			n.add(part)
		}
		if len(n.words)+len(n.signs) >= maxNames {
			break
		}
	}
	return n
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
	}
}

func (n *names) word(w []byte) bool {
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
