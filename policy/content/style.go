package content

import "bytes"

// Properties that can hide text.
const (
	propDisplay uint16 = 1 << iota
	propVisibility
	propFont
	propOpacity
	propWidth
	propHeight
	propMaxWidth
	propMaxHeight
	propOverflow
	propIndent
	propPosition
	propLeft
	propTop
	propInk
	propGround

	inherited = propVisibility | propFont | propIndent
	sizes     = propWidth | propHeight | propMaxWidth | propMaxHeight
	places    = propLeft | propTop
)

// away is how many pixels from its place text is out of sight.
const away = 500

// A style is what declarations say of an element: what they set, what of that hides, what is
// important, and what other rules may set. Overflow and position hide only together with a size or a
// place.
type style struct {
	set, hides, firm uint16
	shown            uint16
	ink, ground      colour
	important        bool // of the declaration that is being read
}

// read takes declarations; later ones replace earlier ones. The octets are put into lower case.
func (s *style) read(css []byte) {
	css = lower(css)
	for len(css) > 0 {
		var declaration []byte
		declaration, css, _ = bytes.Cut(css, []byte(";"))
		name, value, ok := bytes.Cut(declaration, []byte(":"))
		if !ok {
			continue
		}
		value, _, s.important = bytes.Cut(value, []byte("!"))
		s.declare(bytes.TrimSpace(name), bytes.TrimSpace(value))
	}
}

func (s *style) declare(name, value []byte) {
	switch string(name) {
	case "color":
		if s.note(propInk, false) {
			s.ink = parseColour(value)
		}
	case "background-color", "background", "background-image":
		s.backdrop(value)
	case "display":
		s.note(propDisplay, string(value) == "none")
	case "visibility":
		s.note(propVisibility, string(value) == "hidden" || string(value) == "collapse")
	case "overflow":
		s.note(propOverflow, string(value) == "hidden")
	case "position":
		s.note(propPosition, string(value) == "absolute" || string(value) == "fixed")
	case "opacity":
		n, unit, ok := number(value)
		s.note(propOpacity, ok && n < 0.05 && (unit == "" || unit == "%"))
	case "font-size":
		s.font(value)
	case "font":
		s.shorthand(value)
	default:
		s.measure(lengthProperty(name), value)
	}
}

// lengthProperty knows the properties that hide by their length.
func lengthProperty(name []byte) uint16 {
	switch string(name) {
	case "width":
		return propWidth
	case "height":
		return propHeight
	case "max-width":
		return propMaxWidth
	case "max-height":
		return propMaxHeight
	case "text-indent":
		return propIndent
	case "left":
		return propLeft
	case "top":
		return propTop
	}
	return 0
}

// measure takes a length: a size hides if it is zero, a place if it is far away. Percentages of an
// unknown height are no size.
func (s *style) measure(property uint16, value []byte) {
	if property == 0 {
		return
	}
	n, unit, ok := number(value)
	if unit == "em" || unit == "rem" {
		n *= 16
	}
	ok = ok && unit != "%"
	if property&sizes != 0 {
		s.note(property, ok && n == 0)
	} else {
		s.note(property, ok && n <= -away)
	}
}

// note sets a property, unless something important has. It reports whether it did.
func (s *style) note(property uint16, hides bool) bool {
	if s.firm&property != 0 && !s.important {
		return false
	}
	s.set |= property
	s.hides &^= property
	if hides {
		s.hides |= property
	}
	if s.important {
		s.firm |= property
	}
	return true
}

// font takes a font size: a pixel cannot be read. Sizes relative to the surrounding font leave it as
// hidden as it was.
func (s *style) font(value []byte) {
	n, unit, ok := number(value)
	switch {
	case !ok:
		if len(value) > 0 && string(value) != "inherit" && string(value) != "smaller" && string(value) != "larger" {
			s.note(propFont, false) // small, medium, calc()
		}
	case unit == "em" && n >= 0.1 || unit == "%" && n >= 10:
	case unit == "em" || unit == "%":
		s.note(propFont, true)
	case unit == "rem":
		s.note(propFont, n < 0.1)
	case unit == "px" || unit == "pt" || unit == "":
		s.note(propFont, n <= 1)
	default:
		s.note(propFont, n == 0)
	}
}

// shorthand finds the size in font: its first number that is no weight.
func (s *style) shorthand(value []byte) {
	for word := range bytes.FieldsSeq(value) {
		size, _, _ := bytes.Cut(word, []byte("/"))
		if n, unit, ok := number(size); ok && (unit != "" || n < 100) {
			s.font(size)
			return
		}
	}
}

// backdrop takes a background: a plain colour, or something whose colour is not known.
func (s *style) backdrop(value []byte) {
	switch string(value) {
	case "none", "transparent", "inherit", "initial", "unset", "":
		return
	}
	if !s.note(propGround, false) {
		return
	}
	s.ground = unknown
	if bytes.Contains(value, []byte("url(")) || bytes.Contains(value, []byte("gradient")) {
		return
	}
	if bytes.HasPrefix(value, []byte("rgb")) {
		s.ground = parseColour(value)
		return
	}
	for word := range bytes.FieldsSeq(value) {
		if c := parseColour(word); c != unknown {
			s.ground = c
			return
		}
	}
}

// merge puts a style over another one.
func (s *style) merge(over *style) {
	takes := over.set &^ (s.firm &^ over.firm)
	s.hides = s.hides&^takes | over.hides&takes
	s.set |= takes
	s.firm |= over.firm
	s.shown |= over.shown
	if takes&propInk != 0 {
		s.ink = over.ink
	}
	if takes&propGround != 0 {
		s.ground = over.ground
	}
}

// apply makes an element, which has inherited from those around it, look as the style says.
func (s *style) apply(el *element) {
	if s.set&propInk != 0 {
		el.ink = s.ink
	}
	if s.set&propGround != 0 && s.ground != transparent {
		el.ground = s.ground
	}
	el.hidden = el.hidden&^s.set | s.hides&inherited
	h := s.hides
	el.dropped = el.dropped || h&(propDisplay|propOpacity) != 0 ||
		h&propOverflow != 0 && h&sizes != 0 || h&propPosition != 0 && h&places != 0
}

// number reads the number and the unit that a value consists of.
func number(value []byte) (n float64, unit string, ok bool) {
	n, size := decimal(value)
	if size == 0 {
		return 0, "", false
	}
	unit, ok = unitOf(value[size:])
	return n, unit, ok
}

// unitOf names the units that matter; those of a letter's width count as em.
func unitOf(name []byte) (unit string, ok bool) {
	switch string(name) {
	case "":
		return "", true
	case "px":
		return "px", true
	case "pt":
		return "pt", true
	case "%":
		return "%", true
	case "em", "ex", "ch":
		return "em", true
	case "rem":
		return "rem", true
	case "pc", "in", "cm", "mm", "q", "vw", "vh":
		return "other", true
	}
	return "", false
}

// decimal reads the number that a value begins with, and how long it is; 0 for none.
func decimal(value []byte) (n float64, size int) {
	digits, sign, scale := 0, 1.0, 0.0
	for i, c := range value[:min(len(value), 16)] {
		switch {
		case '0' <= c && c <= '9':
			n, digits, scale = n*10+float64(c-'0'), digits+1, scale*10
		case c == '.' && scale == 0:
			scale = 1
		case c == '-' && i == 0:
			sign = -1
		case c == '+' && i == 0:
		default:
			return finish(n*sign, scale, digits, i)
		}
		size = i + 1
	}
	return finish(n*sign, scale, digits, size)
}

func finish(n, scale float64, digits, size int) (float64, int) {
	if digits == 0 {
		return 0, 0
	}
	return n / max(scale, 1), size
}

// lower puts ASCII letters into lower case, in place.
func lower(b []byte) []byte {
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return b
}
