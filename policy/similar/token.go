package similar

import (
	"bytes"
	"unicode"
	"unicode/utf8"
)

// kind says what a token stands for.
type kind uint8

const (
	word    kind = iota
	sign         // one ideograph
	number       // digits, dates, ids, words longer than 24 letters
	link         // a URL, whatever its host: hosts rotate
	mailbox      // an address
	name         // what the recipient is called
)

// masked is the text of the kinds that hide theirs.
var masked = [...][]byte{number: []byte("#"), link: []byte("<link>"), mailbox: []byte("<mail>"), name: []byte("<name>")}

// A scanner cuts a folded line into tokens and hands them to emit. Masks of one kind in a row are one.
type scanner struct {
	names  names
	emit   func(k kind, t []byte, kept bool)
	kept   bool // the line was not stripped
	last   kind
	begun  bool   // a token was given
	single []byte // letters standing alone: "f r e e"
	joined []byte // letters that were spelled: "f.r.e.e"
}

func (s *scanner) give(k kind, text []byte) {
	if k >= number {
		if s.begun && s.last == k {
			return
		}
		text = masked[k]
	}
	s.last, s.begun = k, true
	s.emit(k, text, s.kept)
}

// class is a set of what octets are.
type class uint8

const (
	small   class = 1 << iota // a letter from a to z
	numeric                   // a digit
	joint                     // ".", ":" or "@": there may be a URL or an address
	blank
	beyond // part of a character beyond ASCII
	sundry
)

var classes = classTable()

func classTable() (t [256]class) {
	for c := range t {
		switch b := byte(c); {
		case b >= utf8.RuneSelf:
			t[c] = beyond
		case lower(b):
			t[c] = small
		case digit(b):
			t[c] = numeric
		case b == ' ':
			t[c] = blank
		case b == '.' || b == ':' || b == '@':
			t[c] = joint
		default:
			t[c] = sundry
		}
	}
	return t
}

// line scans one line. Chunks are what stands between blanks and ideographs.
func (s *scanner) line(t []byte) {
	for i := 0; i < len(t); {
		switch c := t[i]; {
		case c == ' ':
			i++
		case c < utf8.RuneSelf:
			i += s.ascii(t[i:])
		default:
			i += s.beyondASCII(t[i:])
		}
	}
	s.flush()
}

// ascii scans a chunk that begins with ASCII and gives how many octets it took. Most are a word of
// small letters alone, or with one sign behind it.
func (s *scanner) ascii(t []byte) int {
	letters := 0
	for letters < len(t) && classes[t[letters]] == small {
		letters++
	}
	n, found := letters, class(0)
	for n < len(t) && classes[t[n]]&(blank|beyond) == 0 {
		found |= classes[t[n]]
		n++
	}
	if n < len(t) && t[n] != ' ' {
		n = chunkEnd(t, n)
		found |= joint // whatever there is
	}
	switch {
	case letters > 1 && n <= letters+1 && found&numeric == 0 && (found&joint == 0 || !scheme(t[:n])):
		s.flush()
		s.word(t[:letters], 0, false)
	case found&joint == 0:
		s.words(t[:n])
	default:
		s.chunk(t[:n])
	}
	return n
}

// scheme reports the chunks of letters and one sign that stand for a URL.
func scheme(t []byte) bool { return string(t) == "www." || string(t) == "mailto:" }

// chunkEnd finds the next blank, ideograph or other sign that is no letter.
func chunkEnd(t []byte, i int) int {
	for i < len(t) && t[i] != ' ' {
		if t[i] < utf8.RuneSelf {
			i++
			continue
		}
		r, size := utf8.DecodeRune(t[i:])
		if ideograph(r) || !unicode.IsLetter(r) {
			return i
		}
		i += size
	}
	return i
}

// beyondASCII scans what begins with another octet and gives how many octets it took.
func (s *scanner) beyondASCII(t []byte) int {
	r, size := utf8.DecodeRune(t)
	switch {
	case ideograph(r):
		s.flush()
		if n := s.names.prefix(t); n > 0 {
			s.give(name, nil)
			return n
		}
		if n := s.date(r, t); n > 0 {
			return n
		}
		s.give(sign, t[:size])
		return size
	case unicode.IsLetter(r):
		j := chunkEnd(t, 0)
		s.chunk(t[:j])
		return j
	}
	return size // a sign that is not written out
}

// chunk scans what stands between two blanks: a URL, an address, or words with signs between them.
func (s *scanner) chunk(t []byte) {
	if i := linkStart(t); i >= 0 {
		s.words(t[:i])
		s.flush()
		s.give(link, nil)
		return
	}
	if i := bytes.IndexByte(t, '@'); i > 0 && i < len(t)-3 && letterOrDigit(t[i-1]) && letterOrDigit(t[i+1]) {
		s.flush()
		s.give(mailbox, nil)
		return
	}
	s.words(t)
}

// linkStart gives where a URL begins, or -1. Hosts without a scheme count when they have a path or
// end like one.
func linkStart(t []byte) int {
	if i := bytes.Index(t, []byte("://")); i > 0 {
		for i > 0 && t[i-1] >= 'a' && t[i-1] <= 'z' {
			i--
		}
		return i
	}
	i := 0
	for i < len(t) && !letterOrDigit(t[i]) {
		i++
	}
	if bytes.HasPrefix(t[i:], []byte("www.")) || bytes.HasPrefix(t[i:], []byte("mailto:")) || bareHost(t[i:]) {
		return i
	}
	return -1
}

var commonDomains = wordSet("com", "net", "org", "cn", "io", "ly", "me", "biz", "info", "gov", "edu", "top", "xyz", "shop",
	"site", "club", "online", "example", "test", "invalid", "uk", "de", "ru", "hk", "tw", "jp", "gl", "app", "link")

// bareHost reports "shop.example/path" and "shop.com".
func bareHost(t []byte) bool {
	dot := bytes.IndexByte(t, '.')
	if dot <= 0 {
		return false
	}
	end := 0
	for end < len(t) && (letterOrDigit(t[end]) || t[end] == '.' || t[end] == '-') {
		end++
	}
	for end > 0 && (t[end-1] == '.' || t[end-1] == '-') {
		end--
	}
	host := t[:end]
	i := bytes.LastIndexByte(host, '.')
	return i > 0 && commonDomains[string(host[i+1:])]
}

func letterOrDigit(c byte) bool { return classes[c]&(small|numeric|beyond) != 0 }
func digit(c byte) bool         { return c >= '0' && c <= '9' }

// words scans letters and digits with signs between them.
func (s *scanner) words(t []byte) {
	if l, ok := loneLetter(t); ok {
		s.single = append(s.single, l)
		return
	}
	s.flush()
	for i := 0; i < len(t); {
		if !letterOrDigit(t[i]) {
			i++
			continue
		}
		if n := s.spelled(t[i:]); n > 0 {
			i += n
			continue
		}
		j, digits, quotes := wordEnd(t, i)
		s.word(t[i:j], digits, quotes)
		i = j
	}
}

// loneLetter reports a chunk with one letter and nothing but signs around it.
func loneLetter(t []byte) (letter byte, ok bool) {
	for _, c := range t {
		if !letterOrDigit(c) {
			continue
		}
		if letter != 0 || digit(c) || c >= utf8.RuneSelf {
			return 0, false
		}
		letter = c
	}
	return letter, letter != 0
}

// flush gives letters that stood alone: three and more are one word, spelled to hide it.
func (s *scanner) flush() {
	if len(s.single) == 0 {
		return
	}
	letters := s.single
	s.single = s.single[:0]
	if len(letters) >= 3 {
		s.word(letters, 0, false)
		return
	}
	for i := range letters {
		s.word(letters[i:i+1], 0, false)
	}
}

// spelled joins "f.r.e.e" and gives how many octets it took, 0 when t does not begin so.
func (s *scanner) spelled(t []byte) int {
	i := 0
	for i < len(t) && lower(t[i]) && (i+1 == len(t) || !letterOrDigit(t[i+1])) {
		i += 2
	}
	if i < 4 {
		return 0
	}
	i = min(i, len(t))
	s.joined = s.joined[:0]
	for k := 0; k < i; k += 2 {
		s.joined = append(s.joined, t[k])
	}
	s.word(s.joined, 0, false)
	return i
}

func lower(c byte) bool { return c >= 'a' && c <= 'z' }

// wordEnd finds the end of a word; apostrophes within belong to it.
func wordEnd(t []byte, i int) (end, digits int, quotes bool) {
	for ; i < len(t); i++ {
		switch c := t[i]; {
		case digit(c):
			digits++
		case letterOrDigit(c):
		case c == '\'' && i+1 < len(t) && lower(t[i+1]):
			quotes = true
		default:
			return i, digits, quotes
		}
	}
	return i, digits, quotes
}

// word gives one word, or the mask for it.
func (s *scanner) word(w []byte, digits int, quotes bool) {
	const maxWord = 24
	switch {
	case digits > 0 || len(w) > maxWord && utf8.RuneCount(w) > maxWord:
		s.give(number, nil)
	case inCalendar(w), s.afterNumber() && clock[string(w)]:
		s.give(number, nil)
	case s.names.word(w):
		s.give(name, nil)
	case quotes:
		s.give(word, bytes.ReplaceAll(w, []byte{'\''}, nil))
	default:
		s.give(word, w)
	}
}

func (s *scanner) afterNumber() bool { return s.begun && s.last == number }
