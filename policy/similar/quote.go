package similar

import (
	"bytes"
	"slices"
	"strings"
)

// stripQuotes drops what a reply repeats.
func stripQuotes(lines []line) {
	for i := 0; i < len(lines); i++ {
		l := &lines[i]
		switch {
		case l.blank():
		case olderBelow(lines, i):
			dropAll(lines[i:])
			return
		case quoted(l.text):
			l.drop = true
			stripAttribution(lines, i)
		case l.has(cueWrote) && len(l.text) < 200:
			l.drop = true
			stripAttribution(lines, i)
		}
	}
}

// quoted reports a line of a quotation: ">", "|", initials before ">", ": " of bulletin boards.
func quoted(t []byte) bool {
	switch t[0] {
	case '>', '|':
		return true
	case ':':
		return len(t) > 1 && t[1] == ' '
	}
	i := bytes.IndexByte(t[:min(len(t), 12)], '>')
	if i <= 0 || bytes.IndexByte(t[:i], '<') >= 0 {
		return false
	}
	for _, c := range t[:i] {
		if c < 'a' || c > 'z' {
			return c >= 0x80 && i <= 12
		}
	}
	return true
}

// stripAttribution drops what stands above a quotation: "on monday john" before "doe wrote:".
func stripAttribution(lines []line, i int) {
	for k := i - 1; k >= 0 && k >= i-2; k-- {
		t := lines[k].text
		if len(t) == 0 || lines[k].drop {
			continue
		}
		if len(t) < 120 && (bytes.HasPrefix(t, []byte("on ")) || bytes.HasPrefix(t, []byte("在 ")) ||
			t[len(t)-1] == ':' && (lines[k].has(cueWrote) || k == i-1 && quoteHead(t))) {
			dropAll(lines[k:i])
		}
		return
	}
}

// quoteHead reports a line that may say who is quoted: it names an address or a time.
func quoteHead(t []byte) bool {
	return bytes.IndexByte(t, '@') >= 0 || bytes.Contains(t, []byte("said")) || bytes.Contains(t, []byte("说"))
}

// olderBelow reports the head of an older message that reaches to the end.
func olderBelow(lines []line, i int) bool {
	l := &lines[i]
	if l.has(cueOriginal) && len(l.text) < 80 && (l.text[0] == '-' || l.text[0] == '_' || l.text[0] == '*' || len(l.text) < 24) {
		return true
	}
	if len(l.text) >= 5 && rowOf(l.text, "-_=*") {
		return introduced(lines[i+1:])
	}
	return headField(l.text) && headBlock(lines[i:])
}

// rowOf reports a line of signs only.
func rowOf(t []byte, signs string) bool {
	for _, c := range t {
		if strings.IndexByte(signs, c) < 0 {
			return false
		}
	}
	return true
}

// introduced reports that the next line says who wrote what follows.
func introduced(below []line) bool {
	i := slices.IndexFunc(below, func(l line) bool { return !l.blank() })
	return i >= 0 && i < 3 && below[i].has(cueWrote) && !quoted(below[i].text)
}

// headBlock reports three header fields within six lines, as mail programs put above what they quote.
func headBlock(lines []line) bool {
	n := 0
	for i := range lines[:min(6, len(lines))] {
		if headField(lines[i].text) {
			n++
		}
	}
	return n >= 3
}

var headFields = [][]byte{
	[]byte("from:"), []byte("sent:"), []byte("date:"), []byte("to:"), []byte("cc:"), []byte("subject:"), []byte("reply-to:"),
	[]byte("发件人:"), []byte("发送时间:"), []byte("发送日期:"), []byte("收件人:"), []byte("抄送:"), []byte("主题:"), []byte("日期:"), []byte("时间:"),
	[]byte("寄件者:"), []byte("收件者:"), []byte("主旨:"),
	[]byte("von:"), []byte("gesendet:"), []byte("an:"), []byte("betreff:"),
}

// headField reports "from: ...", also in stars or behind a blank before the colon.
func headField(t []byte) bool {
	t = bytes.TrimLeft(t, "*")
	if i := bytes.IndexByte(t[:min(len(t), 24)], ':'); i > 0 {
		name := bytes.ReplaceAll(bytes.Trim(t[:i], "* "), []byte(" "), nil)
		return slices.ContainsFunc(headFields, func(f []byte) bool { return bytes.Equal(f[:len(f)-1], name) })
	}
	return false
}
