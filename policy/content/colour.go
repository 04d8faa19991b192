package content

import "bytes"

// A colour is 0xRRGGBB, or one of those below.
type colour int32

const (
	black       colour = 0
	white       colour = 0xffffff
	unknown     colour = -1
	transparent colour = -2
)

// same reports whether text of one colour cannot be told from its ground.
func same(ink, ground colour) bool {
	if ink == transparent {
		return true
	}
	if ink < 0 || ground < 0 {
		return false
	}
	for shift := 0; shift < 24; shift += 8 {
		d := int(ink>>shift&0xff) - int(ground>>shift&0xff)
		if d < -8 || d > 8 {
			return false
		}
	}
	return true
}

// parseColour reads a colour in lower case; most names are unknown, which hides nothing.
func parseColour(value []byte) colour {
	value = bytes.TrimSpace(value)
	switch string(value) {
	case "white", "snow", "ghostwhite", "window":
		return white
	case "black", "windowtext":
		return black
	case "transparent":
		return transparent
	case "red":
		return 0xff0000
	case "yellow":
		return 0xffff00
	case "gray", "grey":
		return 0x808080
	case "blue":
		return 0x0000ff
	case "navy":
		return 0x000080
	case "green":
		return 0x008000
	}
	if bytes.HasPrefix(value, []byte("rgb")) {
		return parseRGB(value)
	}
	digits, _ := bytes.CutPrefix(value, []byte("#"))
	return parseHex(digits)
}

// parseHex reads RRGGBB, RGB, and both with an alpha value.
func parseHex(digits []byte) colour {
	if len(digits) > 8 {
		return unknown
	}
	n := uint32(0)
	for _, c := range digits {
		if !isHex(c) {
			return unknown
		}
		n = n<<4 | uint32(unhex(c))
	}
	switch {
	case len(digits) == 8 && n&0xff < 0x0d, len(digits) == 4 && n&0xf == 0:
		return transparent
	case len(digits) == 8:
		return colour(n >> 8)
	case len(digits) == 6:
		return colour(n)
	case len(digits) == 4:
		n >>= 4
	case len(digits) != 3:
		return unknown
	}
	return colour(n>>8&0xf*0x110000 | n>>4&0xf*0x1100 | n&0xf*0x11)
}

// parseRGB reads rgb(1, 2, 3) and rgba(1, 2, 3, 0.4).
func parseRGB(value []byte) colour {
	_, list, _ := bytes.Cut(value, []byte("("))
	list, _, _ = bytes.Cut(list, []byte(")"))
	c, i := colour(0), 0
	for word := range bytes.FieldsFuncSeq(list, func(r rune) bool { return r == ',' || r == ' ' || r == '/' }) {
		n, unit, ok := number(word)
		if !ok || i < 3 && unit != "" {
			return unknown
		}
		if i == 3 && n < 0.05 {
			return transparent
		}
		if i < 3 {
			c = c<<8 | colour(max(0, min(255, n)))
		}
		i++
	}
	if i < 3 {
		return unknown
	}
	return c
}
