package postlog

import "strings"

// maxForeignID bounds another server's queue id; Exchange's and Exim's stay far below.
const maxForeignID = 64

// IsQueueID says whether Postfix could have given that queue id: short ones are hexadecimal, long ones
// (enable_long_queue_ids) are of digits and letters and begin with the time, which now starts with a digit.
// It is lenient: what it takes too is never a word that begins another log line.
func IsQueueID(s string) bool {
	if len(s) < 5 || len(s) > 32 {
		return false
	}
	digit, hex := false, true
	for i := range len(s) {
		switch b := s[i]; {
		case isDigit(b):
			digit = true
		case 'A' <= b && b <= 'F':
		case isLetter(b):
			hex = false
		default:
			return false
		}
	}
	return digit || hex
}

// queuedAs finds the queue id in a server's reply:
//
//	250 2.0.0 Ok: queued as 4XyZ12Abc                    Postfix; the last one, after a content filter
//	250 OK id=1tAbCd-0005Gy-Ab                           Exim
//	250 2.0.0 5AL8xAbc012345 Message accepted for delivery    Sendmail
//
// whole says that the end of the reply is there; else an id at its very end may be cut.
func queuedAs(text string, whole bool) string {
	if i := lastFold(text, "queued as "); i >= 0 {
		return foreignID(text[i+len("queued as "):], whole)
	}
	if i := strings.Index(text, "OK id="); i >= 0 {
		if id := foreignID(text[i+len("OK id="):], whole); strings.Count(id, "-") == 2 {
			return id
		}
		return ""
	}
	if i := strings.Index(text, " Message accepted for delivery"); i >= 0 {
		if id := foreignID(text[strings.LastIndexByte(text[:i], ' ')+1:i], true); IsQueueID(id) && strings.IndexByte(id, '.') < 0 {
			return id
		}
	}
	return ""
}

// foreignID gives the word that begins the text when it can be a queue id.
func foreignID(text string, whole bool) string {
	text = strings.TrimLeft(text, "(<[ ")
	i := 0
	for i < len(text) && isForeign(text[i]) {
		i++
	}
	if i == len(text) && !whole {
		return ""
	}
	id := strings.TrimRight(text[:i], ".-_/+=")
	if len(id) > maxForeignID {
		return ""
	}
	return id
}

func isForeign(b byte) bool {
	return isDigit(b) || isLetter(b) || strings.IndexByte("-_.+/=", b) >= 0
}

// lastFold is strings.LastIndex for lower-case ASCII, in any case.
func lastFold(s, lower string) int {
	for i := len(s) - len(lower); i >= 0; i-- {
		if s[i]|0x20 == lower[0] && strings.EqualFold(s[i:i+len(lower)], lower) {
			return i
		}
	}
	return -1
}
