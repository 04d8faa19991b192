package anomaly

import "math"

// A level is a number of 0 to 4,000 in an octet, on a logarithmic scale: 16 steps double it, which are
// 4.4 % each. Below a sixteenth it is zero.
type level = byte

const (
	perOctave = 16
	smallest  = 1.0 / 16
)

// quantise gives the nearest level.
func quantise(x float64) level {
	if !(x >= smallest) { // also NaN
		return 0
	}
	return level(min(math.Round(1+perOctave*math.Log2(x/smallest)), 255))
}

// values are the numbers of all levels; nothing changes them.
var values = func() (v [256]float64) {
	for l := 1; l < len(v); l++ {
		v[l] = smallest * math.Exp2(float64(l-1)/perOctave)
	}
	return v
}()

// value gives the number of a level.
func value(l level) float64 { return values[l] }
