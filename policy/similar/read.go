package similar

import (
	"encoding/binary"
	"slices"
	"strings"
)

// A reader makes signatures. It serves one text at a time, and keeps its buffers for the next.
type reader struct {
	normaliser
	hash   hasher
	tokens []token
	fresh  []token // those of the new text
	linked bool    // there is a link among the tokens
}

// maxKept is the text from which a reader's buffers are not kept.
const maxKept = 64 << 10

func newReader(h hasher) *reader {
	r := &reader{hash: h}
	r.emit = r.add
	return r
}

func (r *reader) add(k kind, t []byte, kept bool) {
	w := uint8(wordWeight)
	if k == sign {
		w = signWeight
	}
	r.linked = r.linked || k == link
	r.tokens = append(r.tokens, token{r.hash.bytes(t) + uint64(k)*mixB, w, kept})
}

// read takes the tokens of a text.
func (r *reader) read(text string, hints *Hints) {
	r.tokens, r.fresh, r.linked = r.tokens[:0], r.fresh[:0], false
	r.normalise(text, hints)
	for _, t := range r.tokens {
		if t.kept {
			r.fresh = append(r.fresh, t)
		}
	}
}

// maxLearned bounds what of one message is offered to be learned.
const maxLearned = 512

// sign makes the signature of a text, leaving out what the sender repeats in every mail.
func (r *reader) sign(text string, hints *Hints, known *boilerplate) Signature {
	r.read(text, hints)
	sig := Signature{units: units(r.fresh), fullUnits: units(r.tokens), exact: r.hash.exact(r.fresh)}
	if n := min(len(r.fresh), maxLearned); n > 0 {
		sig.shingles = make([]uint32, 0, n)
	}
	var total int
	sig.text, sig.features, total = r.hash.sketch(r.fresh, known, &sig.shingles)
	sig.template = total >= minFeatures && sig.features < minFeatures
	if len(r.fresh) != len(r.tokens) {
		full, _, _ := r.hash.sketch(r.tokens, known, nil)
		sig.full = &full
	}
	sig.attach(hints, r.hash)
	sig.linked = r.linked || len(sig.attachments) > 0 || len(hints.Hosts) > 0
	return sig
}

// shingle hashes the run of tokens at i that weighs two words. What is shorter than one is one; ok is
// false for what is left at the end.
func (h hasher) shingle(tokens []token, i int) (v uint64, ok bool) {
	sum := 0
	for j := i; j < len(tokens) && sum < shingleWeight; j++ {
		v = h.pair(v, tokens[j].hash)
		sum += int(tokens[j].weight)
	}
	return v, sum >= shingleWeight || i == 0
}

// sketch gives the sketch of tokens, how many features it has, and how many there were.
func (h hasher) sketch(tokens []token, known *boilerplate, learn *[]uint32) (sketch, uint16, int) {
	s := newSketcher()
	total := 0
	for i := range tokens {
		v, ok := h.shingle(tokens, i)
		if !ok {
			break
		}
		total++
		print := uint32(v >> 20)
		if learn != nil && len(*learn) < maxLearned {
			*learn = append(*learn, print)
		}
		if !known.has(print) {
			s.add(v)
		}
	}
	return s.sketch(h), uint16(min(s.count, 1<<16-1)), total
}

func (s *Signature) attach(hints *Hints, h hasher) {
	for _, sum := range hints.Attachments[:min(len(hints.Attachments), maxAttachments)] {
		s.attachments = append(s.attachments, binary.LittleEndian.Uint64(sum[:]))
	}
	if len(hints.Hosts) == 0 {
		return
	}
	hosts := slices.Compact(slices.Sorted(slices.Values(hints.Hosts)))
	for _, host := range hosts {
		s.hosts = h.pair(s.hosts, h.bytes([]byte(strings.ToLower(host))))
	}
}
