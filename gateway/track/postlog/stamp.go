package postlog

import (
	"strings"
	"time"
)

// stamp reads the time stamp that begins a line in any form but RFC 5424's, which is [clock.iso] alone.
// Without one, ok is false. With ErrStamp the stamp is passed over nevertheless.
func (c *clock) stamp(s string) (t time.Time, rest string, ok bool, err error) {
	if s == "" {
		return time.Time{}, s, false, nil
	}
	if s[0] == '[' { // [2026-11-21 08:30:14] postfix/smtpd[1]:
		if t, rest, ok, err = c.iso(s[1:]); ok && strings.HasPrefix(rest, "]") {
			return t, rest[1:], true, err
		}
		return time.Time{}, s, false, nil
	}
	s = cutWeekday(s)
	switch {
	case isLetter(s[0]):
		return c.traditional(s)
	case len(s) > 10 && s[4] == '-':
		return c.iso(s)
	case len(s) > 10 && (s[10] == '.' || s[10] == ' '):
		return c.unix(s)
	}
	return time.Time{}, s, false, nil
}

// cutWeekday passes over the "Sat " of journalctl -o short-full and of asctime.
func cutWeekday(s string) string {
	if len(s) > 4 && s[3] == ' ' {
		switch s[:3] {
		case "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun":
			if rest := strings.TrimLeft(s[4:], " "); rest != "" {
				return rest
			}
		}
	}
	return s
}

// traditional reads RFC 3164 4.1.2, "Nov  1 08:30:14", and what is made of it: any padding of the day,
// a fraction, the year before or after the time.
func (c *clock) traditional(s string) (t time.Time, rest string, ok bool, err error) {
	var w wall
	if w.month = month(s); w.month == 0 || len(s) < 12 || s[3] != ' ' {
		return time.Time{}, s, false, nil
	}
	if w.day, rest, ok = cutNumber(strings.TrimLeft(s[4:], " ")); !ok || !strings.HasPrefix(rest, " ") {
		return time.Time{}, s, false, nil
	}
	rest = strings.TrimLeft(rest, " ")
	w.year, rest = cutYear(rest)
	if rest, ok = w.time(rest); !ok {
		return time.Time{}, s, false, nil
	}
	if w.year == 0 && strings.HasPrefix(rest, " ") {
		if year, after := cutYear(rest[1:]); year != 0 {
			w.year, rest = year, " "+after
		}
	}
	if !w.possible() {
		return time.Time{}, rest, true, ErrStamp
	}
	return c.local(w), rest, true, nil
}

// month reads an English abbreviation.
func month(s string) int {
	if len(s) < 3 {
		return 0
	}
	key := uint32(s[0]|0x20)<<16 | uint32(s[1]|0x20)<<8 | uint32(s[2]|0x20)
	switch key {
	case 'j'<<16 | 'a'<<8 | 'n':
		return 1
	case 'f'<<16 | 'e'<<8 | 'b':
		return 2
	case 'm'<<16 | 'a'<<8 | 'r':
		return 3
	case 'a'<<16 | 'p'<<8 | 'r':
		return 4
	case 'm'<<16 | 'a'<<8 | 'y':
		return 5
	case 'j'<<16 | 'u'<<8 | 'n':
		return 6
	case 'j'<<16 | 'u'<<8 | 'l':
		return 7
	case 'a'<<16 | 'u'<<8 | 'g':
		return 8
	case 's'<<16 | 'e'<<8 | 'p':
		return 9
	case 'o'<<16 | 'c'<<8 | 't':
		return 10
	case 'n'<<16 | 'o'<<8 | 'v':
		return 11
	case 'd'<<16 | 'e'<<8 | 'c':
		return 12
	}
	return 0
}

// cutYear reads "2026 "; a host may be called 2026 too, but hardly is.
func cutYear(s string) (year int, rest string) {
	if len(s) < 5 || s[4] != ' ' {
		return 0, s
	}
	year, rest, _ = cutNumber(s)
	if year < 1970 || year > 2199 || len(rest) != len(s)-4 {
		return 0, s
	}
	return year, rest[1:]
}

// time reads "08:30:14" with or without a fraction.
func (w *wall) time(s string) (rest string, ok bool) {
	if w.hour, s, ok = cutTwo(s); !ok || !strings.HasPrefix(s, ":") {
		return s, false
	}
	if w.minute, s, ok = cutTwo(s[1:]); !ok || !strings.HasPrefix(s, ":") {
		return s, false
	}
	if w.second, s, ok = cutTwo(s[1:]); !ok {
		return s, false
	}
	w.nano, s = cutFraction(s)
	return s, true
}

// cutTwo reads two digits, or one as careless programs write.
func cutTwo(s string) (n int, rest string, ok bool) {
	if len(s) == 0 || !isDigit(s[0]) {
		return 0, s, false
	}
	n = int(s[0] - '0')
	if len(s) > 1 && isDigit(s[1]) {
		return n*10 + int(s[1]-'0'), s[2:], true
	}
	return n, s[1:], true
}

// cutFraction reads ".123456" or ",123" as nanoseconds; further digits are dropped.
func cutFraction(s string) (nano int, rest string) {
	if len(s) < 2 || (s[0] != '.' && s[0] != ',') || !isDigit(s[1]) {
		return 0, s
	}
	i, unit := 1, 100_000_000
	for ; i < len(s) && isDigit(s[i]); i++ {
		nano += int(s[i]-'0') * unit
		unit /= 10
	}
	return nano, s[i:]
}

// iso reads RFC 3339 with the liberties of ISO 8601: a blank for the T, an offset without colon, without
// minutes, after a blank, as the name of a zone, or none.
func (c *clock) iso(s string) (t time.Time, rest string, ok bool, err error) {
	var w wall
	if len(s) < 19 || s[4] != '-' || s[7] != '-' || (s[10]|0x20 != 't' && s[10] != ' ') {
		return time.Time{}, s, false, nil
	}
	year, after, _ := cutNumber(s[:4])
	month, after2, _ := cutNumber(s[5:7])
	day, after3, _ := cutNumber(s[8:10])
	w.year, w.month, w.day = year, month, day
	if rest, ok = w.time(s[11:]); !ok || after+after2+after3 != "" {
		return time.Time{}, s, false, nil
	}
	offset, rest, zoned := cutOffset(rest)
	if !w.possible() || w.year < 1970 {
		return time.Time{}, rest, true, ErrStamp
	}
	if zoned {
		return c.at(w, offset), rest, true, nil
	}
	return c.local(w), rest, true, nil
}

// cutOffset reads "Z", "+08:00", "+0800", "+08", "UTC", "GMT", also after a blank, as seconds east of
// UTC. Another zone's abbreviation is passed over: it is the local one.
func cutOffset(s string) (seconds int, rest string, ok bool) {
	at := strings.TrimPrefix(s, " ")
	if at == "" {
		return 0, s, false
	}
	switch sign := at[0]; {
	case len(at) == len(s) && sign|0x20 == 'z':
		return 0, at[1:], true
	case (sign == '+' || sign == '-') && len(at) > 2 && isDigit(at[1]) && isDigit(at[2]):
		hours, after, _ := cutTwo(at[1:])
		minutes, after2, _ := cutTwo(strings.TrimPrefix(after, ":"))
		if len(after2) < len(after)-1 { // two digits of minutes
			after = after2
		} else {
			minutes = 0
		}
		seconds = hours*3600 + minutes*60
		if sign == '-' {
			seconds = -seconds
		}
		return seconds, after, hours <= 15 && minutes < 60
	case strings.HasPrefix(at, "UTC ") || strings.HasPrefix(at, "GMT "):
		return 0, at[3:], true
	case len(at) != len(s) && isZone(at):
		_, rest, _ = strings.Cut(at, " ")
		return 0, " " + rest, false
	}
	return 0, s, false
}

// isZone says whether a zone's abbreviation begins the text, and not a host in capitals: a host follows,
// not a tag.
func isZone(s string) bool {
	zone, rest, _ := strings.Cut(s, " ")
	if len(zone) < 3 || len(zone) > 5 {
		return false
	}
	for i := range len(zone) {
		if zone[i] < 'A' || zone[i] > 'Z' {
			return false
		}
	}
	next, _, more := strings.Cut(rest, " ")
	return more && !isTag(next)
}

// unix reads seconds since 1970, as of journalctl -o short-unix.
func (c *clock) unix(s string) (t time.Time, rest string, ok bool, err error) {
	seconds, rest, _ := cutNumber(s)
	if len(s)-len(rest) != 10 {
		return time.Time{}, s, false, nil
	}
	nano, rest := cutFraction(rest)
	return c.epoch(time.Unix(int64(seconds), int64(nano)).UTC()), rest, true, nil
}
