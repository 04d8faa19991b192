package source

import "bytes"

// maxLine bounds a line; the rest of a longer one is skipped.
const maxLine = 1 << 20

// A splitter cuts octets into lines. A line ends with LF, or with NUL, of which a crash of the
// machine leaves blocks in files.
type splitter struct {
	line []byte // what is there of the line, at most maxLine
	skip bool   // up to the next end: reading began inside a line
}

// next takes octets up to the end of a line and says how many. ended says that they completed one;
// it is nil when there is nothing in it, and the receiver's otherwise.
func (s *splitter) next(p []byte) (line []byte, used int, ended bool) {
	end := bytes.IndexByte(p, '\n')
	if end < 0 {
		end = len(p)
	}
	if nul := bytes.IndexByte(p[:end], 0); nul >= 0 {
		end = nul
	}
	if !s.skip {
		s.line = append(s.line, p[:min(end, maxLine-len(s.line))]...)
	}
	if end == len(p) {
		return nil, end, false
	}
	used = end + 1
	for used < len(p) && p[used] == 0 {
		used++
	}
	return s.flush(), used, true
}

// flush ends the line although nothing says so, as at the end of a file.
func (s *splitter) flush() []byte {
	line := bytes.TrimRight(s.line, "\r")
	s.skip, s.line = false, s.line[:0]
	if cap(s.line) > MaxOctets/4 {
		s.line = nil // once long, not long for ever
	}
	if len(line) == 0 {
		return nil
	}
	return bytes.Clone(line)
}
