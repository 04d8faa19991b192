package content

import "bytes"

// A level is a multipart or a message that is open: its parts are being read.
type level struct {
	kind      string // the subtype of a multipart
	delimiter []byte // "--" and its boundary; nil for a message
	got       view
}

// A view is what a part, or the parts of a level, show.
type view struct {
	text  []byte
	html  bool
	links []string
	alts  []string
}

// add appends another part, on a line of its own.
func (v *view) add(part view) {
	switch n := len(v.text); {
	case n == 0:
		v.text = part.text
	case len(part.text) > 0 && v.text[n-1] != '\n':
		v.text = append(append(v.text, '\n'), part.text...)
	default:
		v.text = append(v.text, part.text...)
	}
	v.html = v.html || part.html
	v.links = appendNew(v.links, part.links, maxLinks)
	v.alts = append(v.alts, part.alts[:min(len(part.alts), maxAlts-len(v.alts))]...)
}

// better says that of two alternatives the second is taken: HTML before plain text, the later one of
// equals (RFC 2046 5.1.4), and none that shows nothing. Spam puts random words into the plain part.
func better(have, next *view) bool {
	if shows := len(bytes.TrimSpace(next.text)) > 0; shows != (len(bytes.TrimSpace(have.text)) > 0) {
		return shows
	}
	return next.html || !have.html
}

// appendNew appends what is not yet there. Lists are short or their limits small.
func appendNew(all, more []string, most int) []string {
	if len(all) == 0 {
		return more[:min(len(more), most)]
	}
	seen := make(map[string]bool, len(all))
	for _, s := range all {
		seen[s] = true
	}
	for _, s := range more {
		if len(all) < most && !seen[s] {
			seen[s] = true
			all = append(all, s)
		}
	}
	return all
}

// add gives what was read to the level it stands in.
func (e *Extractor) add(got view) {
	l := &e.levels[len(e.levels)-1]
	if l.kind != "alternative" {
		l.got.add(got)
	} else if better(&l.got, &got) {
		l.got = got
	}
}

// pop closes the innermost level.
func (e *Extractor) pop() {
	l := e.levels[len(e.levels)-1]
	e.levels = e.levels[:len(e.levels)-1]
	if l.delimiter == nil {
		e.forwarded(l.got)
		return
	}
	e.add(l.got)
}

// forwarded keeps the text of an attached message apart.
func (e *Extractor) forwarded(got view) {
	text := bytes.TrimRight(got.text, "\n ")
	if room := e.limits.TextBytes - int64(len(e.done.Forwarded)); int64(len(text)) > room {
		text = []byte(cutText(string(text), int(max(0, room))))
		e.cut("more text than is looked at")
	}
	if len(e.done.Forwarded) > 0 && len(text) > 0 {
		e.done.Forwarded += "\n"
	}
	e.done.Forwarded += string(text)
}

// boundary looks for the delimiter of an open multipart, the innermost first. One of an outer level
// ends what is open within it, even if that lacks its own end (RFC 2046 5.1.2).
func (e *Extractor) boundary(line []byte) bool {
	line = bytes.TrimRight(line, " \t\r")
	for i := len(e.levels) - 1; i > 0; i-- {
		l := &e.levels[i]
		if l.delimiter == nil || !bytes.HasPrefix(line, l.delimiter) {
			continue
		}
		switch rest := line[len(l.delimiter):]; {
		case len(rest) == 0:
			e.endAt(i)
			e.startPart()
			return true
		case string(rest) == "--":
			e.endAt(i)
			e.state = inGap
			return true
		}
	}
	return false
}

// endAt ends everything within a level.
func (e *Extractor) endAt(i int) {
	if e.state == inHeader {
		e.endHeader()
	}
	if e.part.preamble && len(e.levels)-1 == i {
		e.part = part{raw: e.part.raw[:0]}
		e.out = e.out[:0]
	}
	e.endPart(true)
	for len(e.levels)-1 > i {
		e.pop()
	}
}

func (e *Extractor) startPart() {
	e.parts++
	if e.parts > e.limits.Parts {
		e.cut("more parts than are looked at")
		e.state = inGap
		return
	}
	e.header = Header{raw: e.header.raw[:0], fields: e.header.fields[:0], limit: e.limits.HeaderBytes}
	e.state = inHeader
}
