package similar

import (
	"encoding/binary"
	"math/bits"
)

// Odd constants of high entropy, from the fractional parts of square roots.
const (
	mixA = 0x6a09e667f3bcc909
	mixB = 0xbb67ae8584caa73b
	mixC = 0x3c6ef372fe94f82b
)

// A hasher is a seeded 64-bit hash in the manner of wyhash (Wang Yi, 2019): 64x64 multiplications
// folded by exclusive or. Without the seed nobody can aim words at chosen slots of a sketch.
type hasher struct{ one, two uint64 }

func newHasher(seed [16]byte) hasher {
	return hasher{
		one: binary.LittleEndian.Uint64(seed[:8]) ^ mixA,
		two: binary.LittleEndian.Uint64(seed[8:]) ^ mixB,
	}
}

func fold128(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// bytes hashes one token.
func (h hasher) bytes(b []byte) uint64 {
	n := uint64(len(b))
	v := h.one
	for len(b) >= 8 {
		v = fold128(v^binary.LittleEndian.Uint64(b), h.two)
		b = b[8:]
	}
	v = fold128(v^tail(b), h.two^n*mixC)
	return fold128(v, v^mixC)
}

// tail reads fewer than eight octets, the first the lowest. Two reads of four or two may overlap.
func tail(b []byte) uint64 {
	switch n := len(b); {
	case n >= 4:
		return uint64(binary.LittleEndian.Uint32(b)) | uint64(binary.LittleEndian.Uint32(b[n-4:]))<<(8*(n-4))
	case n >= 2:
		return uint64(binary.LittleEndian.Uint16(b)) | uint64(binary.LittleEndian.Uint16(b[n-2:]))<<(8*(n-2))
	case n == 1:
		return uint64(b[0])
	}
	return 0
}

// pair combines two hashes; the order counts.
func (h hasher) pair(a, b uint64) uint64 {
	return fold128(a^h.two, bits.RotateLeft64(b, 29)^h.one)
}
