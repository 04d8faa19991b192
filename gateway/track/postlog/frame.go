package postlog

import "strings"

// maxWords bounds how many words may stand between the stamp and the tag: host, and what some daemons
// put in between.
const maxWords = 4

// cutPriority passes over "<22>" (RFC 3164 4.1.1). known says that there was one.
func cutPriority(s string) (rest string, known bool) {
	if len(s) < 3 || s[0] != '<' {
		return s, false
	}
	_, after, ok := cutNumber(s[1:])
	if !ok || len(s)-len(after) > 4 || !strings.HasPrefix(after, ">") {
		return s, false
	}
	return strings.TrimLeft(after[1:], " "), true
}

// cutVersion passes over the "1 " that begins RFC 5424 (6.2.2). Files may lack the priority before it.
func cutVersion(s string, prioritised bool) (rest string, ok bool) {
	rest, ok = strings.CutPrefix(s, "1 ")
	if !ok {
		return s, false
	}
	if strings.HasPrefix(rest, "- ") {
		return rest, prioritised
	}
	return rest, len(rest) > 19 && rest[4] == '-' && rest[7] == '-' && rest[10] == 'T'
}

// structured reads RFC 5424 from the time stamp on.
func (p *Parser) structured(s string) (l Line, err error) {
	rest, known := strings.CutPrefix(s, "- ")
	if known {
		l.Time = p.clock.now().UTC()
	} else {
		l.Time, rest, known, err = p.clock.iso(s)
	}
	if !known {
		return Line{}, ErrFrame
	}
	rest = strings.TrimLeft(rest, " ")
	var app, pid string
	l.Host, rest = cutNil(rest)
	app, rest = cutNil(rest)
	pid, rest = cutNil(rest)
	_, rest = cutNil(rest) // MSGID
	l.Text = strings.TrimPrefix(strings.TrimPrefix(cutData(rest), " "), "\uFEFF")
	if app == "" {
		l.tagged(l.Text)
		return l, err
	}
	l.setTag(app)
	l.PID, _, _ = cutNumber(pid)
	l.Text = strings.TrimLeft(l.Text, " ")
	if again, ok := strings.CutPrefix(l.Text, app); ok && strings.HasPrefix(again, "[") {
		l.tagged(l.Text) // some relays keep the tag in the message too
	}
	return l, err
}

// cutNil reads a header field; "-" is none (RFC 5424 6.2).
func cutNil(s string) (value, rest string) {
	value, rest, _ = strings.Cut(s, " ")
	if value == "-" {
		value = ""
	}
	return value, rest
}

// cutData passes over structured data (RFC 5424 6.3), whose values are quoted.
func cutData(s string) string {
	if rest, ok := strings.CutPrefix(s, "-"); ok {
		return rest
	}
	quoted := false
	for i := 0; i < len(s); i++ {
		switch b := s[i]; {
		case quoted && b == '\\':
			i++
		case b == '"':
			quoted = !quoted
		case !quoted && b == ']' && (i+1 == len(s) || s[i+1] != '['):
			return s[i+1:]
		case !quoted && i == 0 && b != '[':
			return s
		}
	}
	return s // never closed: cut, or no structured data
}

// plain reads every other frame: prefixes of runtimes, stamp, host, tag.
func (p *Parser) plain(s string, known bool) (l Line, err error) {
	s = cutCompose(s)
	var stamped bool
	l.Time, s, stamped, err = p.clock.stamp(s)
	if !stamped {
		l.Time = p.clock.now().UTC()
		if !l.bare(s, known) {
			return Line{}, ErrFrame
		}
		return l, nil
	}
	s = strings.TrimPrefix(strings.TrimLeft(s, " "), ": ")
	s = cutStream(s)
	// A runtime's stamp may stand before the program's own. The outer one knows its zone.
	if inner, ok := p.within(s); ok {
		s = inner
	}
	l.addressed(strings.TrimLeft(s, " "))
	return l, err
}

// within passes over a second stamp, which must not disturb what the clock remembers.
func (p *Parser) within(s string) (rest string, ok bool) {
	if s == "" || !isDigit(s[0]) && month(s) == 0 {
		return s, false
	}
	aside := p.clock
	_, rest, ok, _ = aside.stamp(s)
	return rest, ok
}

// cutCompose passes over the "mail-1  | " of docker compose.
func cutCompose(s string) string {
	i := strings.IndexByte(s, '|')
	if i < 2 || i > 64 || i+1 >= len(s) || s[i-1] != ' ' || s[i+1] != ' ' {
		return s
	}
	if name := strings.TrimRight(s[:i], " "); strings.IndexByte(name, ' ') >= 0 {
		return s
	}
	return strings.TrimLeft(s[i+1:], " ")
}

// cutStream passes over the "stdout F " of a Kubernetes container log.
func cutStream(s string) string {
	for _, stream := range []string{"stdout F ", "stderr F ", "stdout P ", "stderr P "} {
		if rest, ok := strings.CutPrefix(s, stream); ok {
			return rest
		}
	}
	return s
}

// bare reads a line that begins with its tag. Without a priority the tag must look like one.
func (l *Line) bare(s string, prioritised bool) bool {
	word, _, _ := strings.Cut(s, " ")
	if !isTag(word) || (!prioritised && !strings.ContainsAny(word, "[/")) {
		return false
	}
	l.tagged(s)
	return true
}

// addressed reads host and tag. Between them some daemons put the facility (AIX "mail:info", FreeBSD
// "<mail.info>"), and AIX "Message forwarded from mx1:".
func (l *Line) addressed(s string) {
	rest := s
	for range maxWords {
		word, after, _ := strings.Cut(rest, " ")
		if isTag(word) {
			l.tagged(rest)
			return
		}
		if l.Host == "" && !strings.HasPrefix(word, "<") {
			if _, ok := lastRepeated(rest); ok {
				break
			}
			l.Host, s = word, after
		}
		rest = strings.TrimLeft(after, " ")
		if from, ok := strings.CutPrefix(rest, "Message forwarded from "); ok {
			if host, inner, ok := strings.Cut(from, ": "); ok {
				l.Host, rest = host, inner
			}
		}
	}
	l.Text = strings.TrimLeft(s, " ")
}

// isTag says whether a tag begins a word: it ends with a colon, or with a process id and perhaps a colon,
// behind which a careless template may have left out the blank.
func isTag(word string) bool {
	n := len(word)
	if n < 2 || word[0] == '<' {
		return false
	}
	if pidEnd(word) > 0 {
		return true
	}
	return word[n-1] == ':' && strings.IndexByte(word, ':') == n-1
}

// pidEnd gives the index behind the "[123]" or "[123]:" of a word; 0 when there is none.
func pidEnd(word string) int {
	open := strings.IndexByte(word, '[')
	if open < 1 {
		return 0
	}
	end := strings.IndexByte(word[open:], ']')
	if end < 0 {
		return 0
	}
	end += open + 1
	if end < len(word) && word[end] == ':' {
		return end + 1
	}
	if end < len(word) {
		return 0
	}
	return end
}

// tagged reads "tag[pid]: text" or "tag: text".
func (l *Line) tagged(s string) {
	word, text, _ := strings.Cut(s, " ")
	if !isTag(word) {
		l.Text = s
		return
	}
	if end := pidEnd(word); end > 0 {
		word, text = word[:end], s[end:]
	}
	word = strings.TrimSuffix(word, ":")
	if i := strings.IndexByte(word, '['); i > 0 {
		l.PID, _, _ = cutNumber(word[i+1:])
		word = word[:i]
	}
	l.setTag(word)
	l.Text = cutMessageID(strings.TrimLeft(text, " "))
}

// cutMessageID passes over Solaris's "[ID 197553 mail.info] ".
func cutMessageID(text string) string {
	if !strings.HasPrefix(text, "[ID ") {
		return text
	}
	if i := strings.Index(text, "] "); i > 0 && i < 64 {
		return text[i+2:]
	}
	return text
}
