package similar

import "slices"

// An Edit is a run of normalised tokens that two texts share, or that one of them has alone.
type Edit struct {
	Op     Op       `json:"op"`
	Tokens []string `json:"tokens"`
}

// Op says whose tokens they are.
type Op string

// The operations that turn the first text into the second.
const (
	Same    Op = "same"
	Removed Op = "removed"
	Added   Op = "added"
)

// maxDiff bounds the tokens of each text that are compared.
const maxDiff = 1000

// Diff shows how two messages differ after normalisation: what was stripped is not there, numbers are
// "#", links "<link>", addresses "<mail>", the recipients' names "<name>". It compares the first 1,000
// tokens of each.
func Diff(a string, aHints Hints, b string, bHints Hints) []Edit {
	return edits(Tokens(a, aHints), Tokens(b, bHints))
}

// Tokens gives the normalised tokens of the new text, at most 1,000.
func Tokens(text string, hints Hints) []string {
	var out []string
	n := normaliser{scanner: scanner{emit: func(_ kind, t []byte, kept bool) {
		if kept && len(out) < maxDiff {
			out = append(out, string(t))
		}
	}}}
	n.normalise(text, &hints)
	return out
}

// edits aligns two texts by their longest common subsequence (Wagner and Fischer, JACM 21, 1974).
func edits(a, b []string) []Edit {
	width := len(b) + 1
	longest := make([]uint16, (len(a)+1)*width) // of a[i:] and b[j:]
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			at := i*width + j
			if a[i] == b[j] {
				longest[at] = longest[at+width+1] + 1
			} else {
				longest[at] = max(longest[at+width], longest[at+1])
			}
		}
	}
	var out script
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		switch at := i*width + j; {
		case a[i] == b[j]:
			out.add(Same, a[i])
			i, j = i+1, j+1
		case longest[at+width] >= longest[at+1]:
			out.add(Removed, a[i])
			i++
		default:
			out.add(Added, b[j])
			j++
		}
	}
	out.add(Removed, a[i:]...)
	out.add(Added, b[j:]...)
	return out
}

type script []Edit

// add appends tokens, to the last edit when it is of the same kind.
func (s *script) add(op Op, tokens ...string) {
	if len(tokens) == 0 {
		return
	}
	if n := len(*s); n > 0 && (*s)[n-1].Op == op {
		(*s)[n-1].Tokens = append((*s)[n-1].Tokens, tokens...)
		return
	}
	*s = append(*s, Edit{op, slices.Clone(tokens)})
}
