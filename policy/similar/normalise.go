package similar

import (
	"encoding/binary"
	"slices"
	"strings"
)

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

// normalise cuts a text into tokens; kept is false for those in lines that were stripped.
func normalise(text string, hints Hints, give func(k kind, t []byte, kept bool)) {
	lines := splitLines(fold(text[:min(len(text), MaxText)]))
	strip(lines, hints.reply())
	kept := true
	s := scanner{names: newNames(hints.Names), emit: func(k kind, t []byte) { give(k, t, kept) }}
	for i := range lines {
		if kept == lines[i].drop {
			s.begun = false // masks do not run together over the edge
		}
		kept = !lines[i].drop
		s.line(lines[i].text)
	}
}

// read gives the tokens of a text, and whether there is a link among them.
func (h hasher) read(text string, hints Hints) (tokens []token, linked bool) {
	tokens = make([]token, 0, min(len(text), MaxText)/5)
	normalise(text, hints, func(k kind, t []byte, kept bool) {
		w := uint8(wordWeight)
		if k == sign {
			w = signWeight
		}
		linked = linked || k == link
		tokens = append(tokens, token{h.bytes(t) + uint64(k)*mixB, w, kept})
	})
	return tokens, linked
}

// reply reports an answer by its header or its subject.
func (h *Hints) reply() bool {
	if h.Reply {
		return true
	}
	subject := strings.TrimLeft(string(fold(h.Subject[:min(len(h.Subject), 64)])), " [")
	for _, p := range []string{"re:", "re :", "aw:", "sv:", "回复:", "回覆:", "答复:", "答覆:", "回 复:", "re[", "fw:", "fwd:", "转发:", "轉寄:"} {
		if strings.HasPrefix(subject, p) {
			return true
		}
	}
	return false
}

// kept gives the tokens of the new text.
func kept(tokens []token) []token {
	if !slices.ContainsFunc(tokens, func(t token) bool { return !t.kept }) {
		return tokens
	}
	return slices.DeleteFunc(slices.Clone(tokens), func(t token) bool { return !t.kept })
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

// shingles hands over the hash of each run of tokens that weighs two words. What is shorter than one
// is one.
func (h hasher) shingles(tokens []token, give func(uint64)) {
	for i := range tokens {
		v, sum, j := uint64(0), 0, i
		for ; j < len(tokens) && sum < shingleWeight; j++ {
			v = h.pair(v, tokens[j].hash)
			sum += int(tokens[j].weight)
		}
		if sum < shingleWeight && i > 0 {
			return
		}
		give(v)
	}
}

// maxLearned bounds what of one message is offered to be learned.
const maxLearned = 512

// sign makes the signature of a text, leaving out what the sender repeats in every mail.
func (h hasher) sign(text string, hints Hints, known *boilerplate) Signature {
	tokens, linked := h.read(text, hints)
	fresh := kept(tokens)
	sig := Signature{units: units(fresh), fullUnits: units(tokens), exact: h.exact(fresh)}
	var total int
	sig.text, sig.features, total = h.sketch(fresh, known, &sig.shingles)
	sig.template = total >= minFeatures && sig.features < minFeatures
	if len(fresh) != len(tokens) {
		full, _, _ := h.sketch(tokens, known, nil)
		sig.full = &full
	}
	sig.attach(hints, h)
	sig.linked = linked || len(sig.attachments) > 0 || len(hints.Hosts) > 0
	return sig
}

// sketch gives the sketch of tokens, how many features it has, and how many there were.
func (h hasher) sketch(tokens []token, known *boilerplate, learn *[]uint32) (sketch, uint16, int) {
	s := newSketcher()
	total := 0
	h.shingles(tokens, func(v uint64) {
		total++
		print := uint32(v >> 20)
		if learn != nil && len(*learn) < maxLearned {
			*learn = append(*learn, print)
		}
		if !known.has(print) {
			s.add(v)
		}
	})
	return s.sketch(h), uint16(min(s.count, 1<<16-1)), total
}

func (s *Signature) attach(hints Hints, h hasher) {
	for _, sum := range hints.Attachments[:min(len(hints.Attachments), maxAttachments)] {
		s.attachments = append(s.attachments, binary.LittleEndian.Uint64(sum[:]))
	}
	hosts := slices.Compact(slices.Sorted(slices.Values(hints.Hosts)))
	for _, host := range hosts {
		s.hosts = h.pair(s.hosts, h.bytes([]byte(strings.ToLower(host))))
	}
}
