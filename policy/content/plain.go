package content

import "bytes"

// plainLines ends lines by LF, drops what no terminal shows, and joins flowed ones (RFC 3676).
func plainLines(text []byte, flowed, delsp bool) []byte {
	out := make([]byte, 0, len(text)+1)
	open := -1 // quotation depth of a line that flows on, -1 for none
	for len(text) > 0 {
		var line []byte
		line, text, _ = bytes.Cut(text, []byte("\n"))
		line = bytes.TrimRight(line, "\r\x00")
		if !flowed {
			out = append(append(out, line...), '\n')
			continue
		}
		depth := 0
		for depth < len(line) && line[depth] == '>' {
			depth++
		}
		rest := bytes.TrimPrefix(line[depth:], []byte(" ")) // space-stuffing (4.4)
		signature := string(rest) == "-- "
		if open == depth && !signature {
			out = append(out, rest...)
		} else {
			out = endLine(out, open >= 0)
			out = appendQuoted(out, depth, rest)
		}
		open = -1
		if len(rest) > 0 && rest[len(rest)-1] == ' ' && !signature {
			open = depth
			if delsp {
				out = out[:len(out)-1]
			}
			continue
		}
		out = append(out, '\n')
	}
	return endLine(out, open >= 0)
}

func endLine(out []byte, open bool) []byte {
	if open {
		out = append(out, '\n')
	}
	return out
}

// appendQuoted begins a line of a quotation.
func appendQuoted(out []byte, depth int, rest []byte) []byte {
	for range depth {
		out = append(out, '>')
	}
	if depth > 0 {
		out = append(out, ' ')
	}
	return append(out, rest...)
}
