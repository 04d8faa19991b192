package similar

import (
	"bytes"
	"math/bits"
)

// A line is one line of folded text, without the blanks around it.
type line struct {
	text []byte
	seen [cues]uint64
	drop bool
}

// appendLines cuts folded text. Beyond maxLines the rest is one line.
func appendLines(lines []line, folded []byte) []line {
	const maxLines = 20000
	for len(folded) > 0 && len(lines) < maxLines {
		text := folded
		if i := bytes.IndexByte(folded, '\n'); i >= 0 && len(lines) < maxLines-1 {
			text, folded = folded[:i], folded[i+1:]
		} else {
			folded = nil
		}
		text = bytes.Trim(text, " ")
		lines = append(lines, line{text: text, seen: cueFinder.scan(text)})
	}
	return lines
}

func (l *line) blank() bool     { return len(l.text) == 0 }
func (l *line) has(c cue) bool  { return l.seen[c] != 0 }
func (l *line) count(c cue) int { return bits.OnesCount64(l.seen[c]) }

// strip marks what is not the writer's new text: quotations where the message is a reply (elsewhere a
// "quotation" is the message), signatures, disclaimers, list footers, invitations, the greeting.
//
// Every rule but the one for quoted headers is local: it takes the lines it recognises and a few
// short ones below, never "all to the end". Otherwise one closing formula moved up would hide a text.
func strip(lines []line, reply bool) {
	if reply {
		stripQuotes(lines)
	}
	stripArmour(lines)
	stripBlocks(lines)
	stripSignatures(lines)
	stripGreeting(lines)
}

// A block is a run of lines that are not blank, where a long line stands alone: HTML gives one line
// for each paragraph, often without a blank line between.
func stripBlocks(lines []line) {
	for i := 0; i < len(lines); {
		j := blockEnd(lines, i)
		stripBlock(lines[i:j])
		i = j
	}
}

const longLine = 160

func blockEnd(lines []line, i int) int {
	j := i + 1
	if lines[i].blank() || len(lines[i].text) > longLine {
		return j
	}
	for j < len(lines) && !lines[j].blank() && !lines[j].drop && len(lines[j].text) <= longLine {
		j++
	}
	return j
}

func stripBlock(block []line) {
	var seen [cues]uint64
	size := 0
	for i := range block {
		for c := range seen {
			seen[c] |= block[i].seen[c]
		}
		size += len(block[i].text)
	}
	legal := bits.OnesCount64(seen[cueLegal])
	switch {
	case legal >= 3 && size <= 600*legal:
		dropAll(block)
	case seen[cueMeeting] != 0:
		stripMeeting(block)
	case seen[cueLeave] != 0 && size <= 400:
		dropAll(block)
	default:
		stripSingly(block)
	}
}

// stripMeeting drops the lines of an invitation and the short ones between them.
func stripMeeting(block []line) {
	first, last := -1, -1
	for i := range block {
		if block[i].has(cueMeeting) {
			if first < 0 {
				first = i
			}
			last = i
		}
	}
	for i := first; i <= last; i++ {
		block[i].drop = true
	}
}

func stripSingly(block []line) {
	for i := range block {
		l := &block[i]
		if l.has(cueDevice) && len(l.text) <= 120 || l.has(cueLeave) && len(l.text) <= 200 || l.count(cueLegal) >= 3 && len(l.text) <= longLine {
			l.drop = true
		}
	}
}

func dropAll(lines []line) {
	for i := range lines {
		lines[i].drop = true
	}
}

// stripArmour drops PGP signatures (RFC 4880 6.2), which look new in every message and alike in shape.
func stripArmour(lines []line) {
	inside := false
	for i := range lines {
		t := lines[i].text
		if !inside && (len(t) == 0 || t[0] != '-') {
			continue
		}
		if bytes.HasPrefix(t, []byte("-----begin pgp signature")) {
			inside = true
		}
		if inside || bytes.HasPrefix(t, []byte("-----begin pgp signed")) {
			lines[i].drop = true
		}
		if bytes.HasPrefix(t, []byte("-----end pgp signature")) {
			inside = false
		}
	}
}
