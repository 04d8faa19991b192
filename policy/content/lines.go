package content

import "bytes"

// lines puts visible text together: white space becomes one space, blocks become lines.
type lines struct {
	text   []byte
	most   int // octets
	full   bool
	space  bool // one is due before the next word
	breaks int  // line ends that are due before the next word
	quoted bool // the next line belongs to a quotation
}

// end ends a line, if it has begun; with 2, an empty one follows.
func (l *lines) end(breaks int) {
	if len(l.text) > 0 {
		l.breaks = max(l.breaks, breaks)
	}
	l.space = false
}

// lineBreak ends a line even if it is empty, but leaves no more than one empty line.
func (l *lines) lineBreak() {
	if len(l.text) > 0 {
		l.breaks = min(l.breaks+1, 2)
	}
	l.space = false
}

// flow appends text whose white space means nothing but a gap.
func (l *lines) flow(text []byte) {
	for len(text) > 0 {
		n := wordLength(text)
		if n > 0 {
			l.word(text[:n])
			text = text[n:]
		}
		if n = spaceLength(text); n > 0 {
			l.space = true
			text = text[n:]
		}
	}
}

// keep appends preformatted text.
func (l *lines) keep(text []byte) {
	for i, line := range bytes.Split(text, []byte("\n")) {
		if i > 0 {
			l.lineBreak()
		}
		if line = bytes.TrimRight(line, "\r "); len(line) > 0 {
			l.word(line)
		}
	}
}

// word appends what has no gap in it.
func (l *lines) word(word []byte) {
	start := l.breaks > 0 || len(l.text) == 0
	for range l.breaks {
		l.text = append(l.text, '\n')
	}
	switch {
	case start && l.quoted:
		l.text = append(l.text, "> "...)
	case !start && l.space:
		l.text = append(l.text, ' ')
	}
	l.breaks, l.space = 0, false
	if len(l.text)+len(word) <= l.most {
		l.text = append(l.text, word...)
		return
	}
	l.full = true
	l.text = l.text[:min(len(l.text), l.most)]
	l.text = append(l.text, cutText(string(word), l.most-len(l.text))...)
}

// wordLength is up to where no white space stands; no-break spaces are white space as well.
func wordLength(text []byte) int {
	for i, c := range text {
		if c <= ' ' && isSpace(c) || c == 0xC2 && i+1 < len(text) && text[i+1] == 0xA0 {
			return i
		}
	}
	return len(text)
}

// spaceLength is how much white space text begins with.
func spaceLength(text []byte) int {
	i := 0
	for i < len(text) {
		switch {
		case isSpace(text[i]):
			i++
		case text[i] == 0xC2 && i+1 < len(text) && text[i+1] == 0xA0:
			i += 2
		default:
			return i
		}
	}
	return i
}

func isSpace(c byte) bool {
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == 0
}
