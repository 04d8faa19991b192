package postlog

import "strings"

// maxRepeated bounds a count that a forged line could make absurd.
const maxRepeated = 1_000_000

// unfold reads rsyslog's "message repeated 3 times: [ text]". A cut line has no closing bracket.
func unfold(text string) (times int, inner string, ok bool) {
	rest, ok := strings.CutPrefix(text, "message repeated ")
	if !ok {
		return 0, "", false
	}
	times, rest, ok = cutTimes(rest)
	if !ok {
		return 0, "", false
	}
	inner, ok = strings.CutPrefix(rest, ": [")
	if !ok {
		return 0, "", false
	}
	return times, strings.TrimSpace(strings.TrimSuffix(inner, "]")), true
}

// lastRepeated reads "last message repeated 3 times" of the older syslog daemons, which stands alone
// or, with macOS, between dashes.
func lastRepeated(text string) (times int, ok bool) {
	rest, ok := strings.CutPrefix(strings.TrimLeft(text, "- "), "last message repeated ")
	if !ok {
		return 0, false
	}
	times, rest, ok = cutTimes(rest)
	return times, ok && strings.Trim(rest, "- ") == ""
}

// cutTimes reads "3 times" or "1 time".
func cutTimes(s string) (times int, rest string, ok bool) {
	times, rest, ok = cutNumber(s)
	if !ok || times < 1 {
		return 0, "", false
	}
	rest, ok = strings.CutPrefix(rest, " time")
	return min(times, maxRepeated), strings.TrimPrefix(rest, "s"), ok
}

// cutNumber reads a decimal number of up to 18 digits.
func cutNumber(s string) (n int, rest string, ok bool) {
	i := 0
	for i < len(s) && i < 18 && isDigit(s[i]) {
		n = n*10 + int(s[i]-'0')
		i++
	}
	return n, s[i:], i > 0
}

func isDigit(b byte) bool { return '0' <= b && b <= '9' }

func isLetter(b byte) bool { return 'a' <= b|0x20 && b|0x20 <= 'z' }
