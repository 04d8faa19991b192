package content

import "bytes"

// dataMark stands before the octets of a picture that lies within HTML (RFC 2397).
const dataMark = ";base64,"

// dataURIs takes such pictures out of HTML while it passes, so that a pasted screenshot does not use
// up what may be looked at of the text after it.
type dataURIs struct {
	matched  int  // octets of the mark that the text so far ends with
	skipping bool // within a picture
}

// strip takes pictures out, in place.
func (d *dataURIs) strip(octets []byte) []byte {
	kept := octets[:0]
	for len(octets) > 0 {
		n := d.skip(octets)
		octets = octets[n:]
		n = d.keep(octets)
		kept = append(kept, octets[:n]...)
		octets = octets[n:]
	}
	return kept
}

// skip gives how much belongs to a picture; it may be folded.
func (d *dataURIs) skip(octets []byte) int {
	for i, c := range octets {
		if !d.skipping {
			return i
		}
		d.skipping = base64Digits[c] < 64 || c == '=' || c == '\r' || c == '\n'
		if !d.skipping {
			return i
		}
	}
	return len(octets)
}

// keep gives how much comes before the next picture, with its mark.
func (d *dataURIs) keep(octets []byte) int {
	for i := 0; i < len(octets); i++ {
		if d.matched == 0 {
			next := bytes.IndexByte(octets[i:], dataMark[0])
			if next < 0 {
				return len(octets)
			}
			i += next
		}
		switch octets[i] | 0x20 {
		case dataMark[d.matched] | 0x20:
			d.matched++
		case dataMark[0] | 0x20:
			d.matched = 1
		default:
			d.matched = 0
		}
		if d.matched == len(dataMark) {
			d.matched, d.skipping = 0, true
			return i + 1
		}
	}
	return len(octets)
}
