package similar

import "math/bits"

// Slots is the number of values in a sketch.
const Slots = 128

// A sketch is a one-permutation MinHash (Li, Owen, Zhang, "One Permutation Hashing", NIPS 2012): each
// feature falls into one of 128 slots, each slot keeps its smallest hash and of that 16 bits (b-bit
// minwise hashing, Li and König, WWW 2010). The share of equal slots estimates the Jaccard similarity of
// the sets of features. Four slots share a word.
type sketch [Slots / 4]uint64

const emptySlot = ^uint32(0)

// A sketcher collects features.
type sketcher struct {
	low   [Slots]uint32
	bits  [Slots]uint16
	count int
}

func newSketcher() (s sketcher) {
	for i := range s.low {
		s.low[i] = emptySlot
	}
	return s
}

// add takes a feature: 7 bits choose the slot, 32 bits order within it, 16 bits are kept.
func (s *sketcher) add(h uint64) {
	s.count++
	slot := h >> 57
	if v := uint32(h >> 16); v < s.low[slot] {
		s.low[slot], s.bits[slot] = v, uint16(h)
	}
}

// sketch fills the empty slots by optimal densification (Shrivastava, ICML 2017): each borrows from a
// slot that a hash of its own number and the attempt chooses, until one is not empty.
func (s *sketcher) sketch(h hasher) (out sketch) {
	if s.count == 0 {
		return out
	}
	for i := range s.bits {
		v := s.bits[i]
		if s.low[i] == emptySlot {
			v = s.bits[s.donor(h, uint64(i))]
		}
		out[i/4] |= uint64(v) << (i % 4 * 16)
	}
	return out
}

func (s *sketcher) donor(h hasher, slot uint64) uint64 {
	for attempt := uint64(1); ; attempt++ {
		if j := h.pair(slot+1, attempt) >> 57; s.low[j] != emptySlot {
			return j
		}
	}
}

// equal counts equal slots. With fewer than three in the first half it gives up and says none: two
// texts that reach the lowest threshold of a fifth look like that less than once in ten thousand.
func (a *sketch) equal(b *sketch) int {
	n := 0
	for i := range len(a) / 2 {
		n += zeroLanes(a[i] ^ b[i])
	}
	if n < 3 {
		return 0
	}
	for i := len(a) / 2; i < len(a); i++ {
		n += zeroLanes(a[i] ^ b[i])
	}
	return n
}

// zeroLanes counts 16-bit lanes that are zero, without carries between them.
func zeroLanes(x uint64) int {
	const low = 0x7fff7fff7fff7fff
	return bits.OnesCount64(^((x&low + low) | x | low))
}

// slot gives value i.
func (a *sketch) slot(i int) uint16 { return uint16(a[i/4] >> (i % 4 * 16)) }
