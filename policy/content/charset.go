package content

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	"golang.org/x/text/encoding/unicode"
)

// decodeCharset turns octets into valid UTF-8. A charset that is missing, unknown or not what the
// octets are in is guessed; known is false only for a name that means nothing to us.
func decodeCharset(name string, b []byte) (decoded []byte, known bool) {
	name = strings.ToLower(strings.Trim(name, " \t\"'"))
	if e, size := byteOrderMark(b); size > 0 {
		return octetsOf(e, b[size:]), true
	}
	switch name {
	case "", "us-ascii", "ascii", "ansi_x3.4-1968", "utf-8", "utf8", "unicode-1-1-utf-8",
		"unknown-8bit", "x-unknown", "unknown", "default", "8bit", "7bit", "binary":
		return guess(b), true
	case "utf-7", "utf7", "unicode-1-1-utf-7", "x-unicode-2-0-utf-7", "csutf7":
		return decodeUTF7(b), true
	case "utf-16", "ucs-2", "iso-10646-ucs-2", "unicode":
		return octetsOf(wideOrder(b), b), true
	}
	e := lookup(name)
	switch {
	case e == nil:
		return guess(b), false
	case isASCII(b) && !shifts(e):
		return b, true
	}
	return octetsOf(e, b), true
}

// octetsOf decodes with replacement characters for what is broken.
func octetsOf(e encoding.Encoding, b []byte) []byte {
	decoded, err := e.NewDecoder().Bytes(b)
	if err != nil {
		return guess(b)
	}
	return bytes.ToValidUTF8(decoded, []byte("\uFFFD"))
}

// lookup finds a charset by a name in lower case, nil if there is none.
func lookup(name string) encoding.Encoding {
	switch strings.TrimPrefix(name, "x-") {
	case "gb2312", "gbk", "gb18030", "gb_2312-80", "gb2312-80", "gb_2312", "csgb2312", "iso-ir-58", "chinese",
		"euc-cn", "euccn", "cp936", "ms936", "windows-936", "gb18030-2000", "gb18030-2022", "gbk2312", "gb":
		return simplifiedchinese.GB18030 // a superset; senders label one as the other
	case "hz-gb-2312", "hz":
		return simplifiedchinese.HZGB2312 // a "replacement" for htmlindex
	case "big5-eten", "cp950", "ms950", "windows-950", "chinesebig5", "big-5":
		return traditionalchinese.Big5
	case "cp932", "ms932", "windows-932", "windows-31j", "shiftjis":
		return japanese.ShiftJIS
	case "iso-2022-jp-1", "iso-2022-jp-2", "iso-2022-jp-ms", "cp50220", "cp50221":
		return japanese.ISO2022JP
	case "cp949", "ms949", "windows-949", "uhc":
		return korean.EUCKR
	case "ansi", "ansi_x3.110-1983":
		return charmap.Windows1252
	}
	if strings.HasPrefix(name, "cp125") {
		name = "windows-" + name[2:]
	}
	if e, err := htmlindex.Get(name); err == nil && e != encoding.Replacement {
		return e
	}
	if e, err := ianaindex.MIME.Encoding(name); err == nil && e != nil {
		return e
	}
	return nil
}

// shifts holds for charsets whose ASCII octets may mean something else.
func shifts(e encoding.Encoding) bool {
	if e == japanese.ISO2022JP || e == simplifiedchinese.HZGB2312 {
		return true
	}
	decoded, err := e.NewDecoder().Bytes([]byte("Az09=<"))
	return err != nil || string(decoded) != "Az09=<" // UTF-16, EBCDIC
}

func byteOrderMark(b []byte) (encoding.Encoding, int) {
	switch {
	case bytes.HasPrefix(b, []byte("\xEF\xBB\xBF")):
		return unicode.UTF8, 3
	case bytes.HasPrefix(b, []byte("\xFE\xFF")):
		return unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM), 2
	case bytes.HasPrefix(b, []byte("\xFF\xFE")):
		return unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM), 2
	}
	return nil, 0
}

// wideOrder tells the order of UTF-16 without a mark: big-endian (RFC 2781 4.3), unless the zeros
// of its ASCII stand in second place.
func wideOrder(b []byte) encoding.Encoding {
	var zeros [2]int
	for i, c := range b {
		if c == 0 {
			zeros[i&1]++
		}
	}
	if zeros[1] > zeros[0] {
		return unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM)
	}
	return unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func guessString(s string) string {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf || s[i] == '\x1b' {
			return string(guess([]byte(s)))
		}
	}
	return s
}

// guess decodes text of an unknown charset: UTF-8 if it nearly is, ISO-2022-JP by its escapes,
// GB18030 or Big5 if its pairs look like that, else windows-1252.
func guess(b []byte) []byte {
	if bytes.Contains(b, []byte("\x1b$")) && isASCII(b) {
		return octetsOf(japanese.ISO2022JP, b)
	}
	if utf8.Valid(b) {
		return b
	}
	if nearlyUTF8(b) {
		return bytes.ToValidUTF8(b, []byte("\uFFFD"))
	}
	return octetsOf(guessPairs(b), b)
}

// nearlyUTF8 allows one broken octet for four good characters, and a cut at the end.
func nearlyUTF8(b []byte) bool {
	good, bad := 0, 0
	for i := 0; i < len(b); {
		if b[i] < utf8.RuneSelf {
			i++
			continue
		}
		r, size := utf8.DecodeRune(b[i:])
		switch {
		case r != utf8.RuneError || size > 1:
			good++
		case !utf8.FullRune(b[i:]):
			return good > 0 && good >= 4*bad // the cut
		default:
			bad++
		}
		i += size
	}
	return good > 0 && good >= 4*bad
}

// guessPairs tells double-byte Chinese from Latin text. In GB 2312 nearly all characters in use
// have a lead octet B0-F7 (or A1-A3, punctuation) and a trail octet from A1; in Big5 they lead with
// A4-C6 (or A1-A3) and half of the trail octets are below 7F.
func guessPairs(b []byte) encoding.Encoding {
	var pairs, bad, gb, big5 int
	for i := 0; i < len(b); i++ {
		if b[i] < utf8.RuneSelf {
			continue
		}
		if i+1 == len(b) {
			break
		}
		lead, trail := b[i], b[i+1]
		i++
		pairs++
		switch {
		case lead == 0x80 || lead == 0xff || trail < 0x30 || trail == 0x7f || trail == 0xff:
			bad++
		case trail >= 0xa1 && (lead >= 0xb0 && lead <= 0xf7 || lead >= 0xa1 && lead <= 0xa3):
			gb++
		}
		if lead >= 0xa1 && lead <= 0xc6 && (trail >= 0xa1 || trail >= 0x40 && trail < 0x7f) {
			big5++
		}
	}
	switch {
	case pairs == 0 || bad*20 > pairs:
		return charmap.Windows1252
	case gb*10 >= pairs*7:
		return simplifiedchinese.GB18030
	case big5*10 >= pairs*7:
		return traditionalchinese.Big5
	}
	return charmap.Windows1252
}
