package similar

import (
	"bytes"
	"unicode/utf8"
)

// calendar holds the words of dates, always masked. "may" and "march" mean other things too; masking
// them everywhere is the same for every copy.
var calendar = wordSet("january", "february", "march", "april", "may", "june", "july", "august", "september", "october",
	"november", "december", "jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec",
	"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday",
	"mon", "tue", "tues", "wed", "thu", "thur", "thurs", "fri", "sat", "sun")

// inCalendar reports a word of a date. Most words are none by their first three letters.
func inCalendar(w []byte) bool {
	return len(w) >= 3 && len(w) <= maxCalendar && calendarStart.has(w) && calendar[string(w)]
}

// A letterSet holds the first three letters of words, by five bits of each.
type letterSet [1 << 10]uint32

var calendarStart = newLetterSet(calendar)

func newLetterSet(words map[string]bool) *letterSet {
	s := &letterSet{}
	for w := range words {
		s[uint(w[0]&31)<<5|uint(w[1]&31)] |= 1 << (w[2] & 31)
	}
	return s
}

func (s *letterSet) has(w []byte) bool { return s[uint(w[0]&31)<<5|uint(w[1]&31)]>>(w[2]&31)&1 != 0 }

// maxCalendar is the length of the longest word of a date, september or wednesday.
const maxCalendar = 9

// clock holds what belongs to a number before it.
var clock = wordSet("am", "pm", "st", "nd", "rd", "th", "gmt", "utc", "cet", "cest", "est", "edt", "pst", "pdt", "cst", "oclock",
	"o'clock")

// dateSign reports a sign that makes a date or a time of the number before it.
func dateSign(r rune) bool {
	switch r {
	case '年', '月', '日', '号', '时', '点', '分', '秒':
		return true
	}
	return false
}

func numeralSign(r rune) bool {
	switch r {
	case '〇', '零', '一', '二', '三', '四', '五', '六', '七', '八', '九', '十', '廿', '百', '千', '两':
		return true
	}
	return false
}

var (
	weekdays = [][]byte{[]byte("星期"), []byte("礼拜"), []byte("周")}
	dayparts = [][]byte{
		[]byte("上午"), []byte("下午"), []byte("凌晨"), []byte("中午"), []byte("早上"), []byte("晚上"), []byte("傍晚"),
	}
)

// date masks a Chinese date or time that begins t and gives how many octets it took, 0 for none. Most
// ideographs begin neither: the switch comes first.
func (s *scanner) date(r rune, t []byte) int {
	n := 0
	switch {
	case s.afterNumber() && dateSign(r):
		return utf8.RuneLen(r) // 5月: the sign goes with the number
	case numeralSign(r):
		n = numeral(t)
	case r == '星' || r == '礼' || r == '周':
		n = weekday(t)
	case r == '上' || r == '下' || r == '凌' || r == '中' || r == '早' || r == '晚' || r == '傍':
		n = daypart(t)
	}
	if n > 0 {
		s.give(number, nil)
	}
	return n
}

// numeral measures 二〇二六年, 十二月: written numerals before a sign of a date.
func numeral(t []byte) int {
	n := 0
	for n < len(t) {
		r, size := utf8.DecodeRune(t[n:])
		if numeralSign(r) {
			n += size
			continue
		}
		if n > 0 && dateSign(r) {
			return n + size
		}
		break
	}
	return 0
}

// weekday measures 星期一, 周日.
func weekday(t []byte) int {
	for _, w := range weekdays {
		if !bytes.HasPrefix(t, w) {
			continue
		}
		if r, size := utf8.DecodeRune(t[len(w):]); numeralSign(r) || r == '日' || r == '天' {
			return len(w) + size
		}
	}
	return 0
}

// daypart measures 上午 and the like.
func daypart(t []byte) int {
	for _, d := range dayparts {
		if bytes.HasPrefix(t, d) {
			return len(d)
		}
	}
	return 0
}
