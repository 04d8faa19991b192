package policy

import (
	"errors"
	"slices"
	"strings"
	"time"
)

// times are hours of some days of the week.
type times struct {
	days     [7]bool // from Sunday
	from, to int     // minutes of the day; to is excluded, and may be on the next day
}

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

var errTimes = errors.New(`write days and hours such as "mon-fri 08:00-18:00", "sat,sun" or "22:00-06:00"`)

// parseTimes reads "mon-fri,sun 08:00-18:00"; days or hours may be left out.
func parseTimes(s string) (t times, err error) {
	words := strings.Fields(strings.ToLower(s))
	t.to = 24 * 60
	hours := len(words) > 0 && strings.Contains(words[len(words)-1], ":")
	if hours {
		if t.from, t.to, err = parseHours(words[len(words)-1]); err != nil {
			return t, err
		}
		words = words[:len(words)-1]
	}
	switch {
	case len(words) > 1 || len(words) == 0 && !hours:
		return t, errTimes
	case len(words) == 0:
		t.days = [7]bool{true, true, true, true, true, true, true}
		return t, nil
	}
	for _, part := range strings.Split(words[0], ",") {
		first, last, span := strings.Cut(part, "-")
		if !span {
			last = first
		}
		a, b := slices.Index(weekdays, first), slices.Index(weekdays, last)
		if a < 0 || b < 0 {
			return t, errTimes
		}
		for d := a; ; d = (d + 1) % 7 {
			t.days[d] = true
			if d == b {
				break
			}
		}
	}
	return t, nil
}

func parseHours(s string) (from, to int, err error) {
	first, last, ok := strings.Cut(s, "-")
	if !ok {
		return 0, 0, errTimes
	}
	for i, part := range []string{first, last} {
		if part == "24:00" && i == 1 {
			to = 24 * 60
			break
		}
		clock, err := time.Parse("15:04", part)
		if err != nil {
			return 0, 0, errTimes
		}
		if minute := clock.Hour()*60 + clock.Minute(); i == 0 {
			from = minute
		} else {
			to = minute
		}
	}
	if from == to {
		return 0, 0, errTimes
	}
	return from, to, nil
}

// has reports whether a moment is in these hours.
func (t times) has(at time.Time) bool {
	at = at.Local()
	minute, day := at.Hour()*60+at.Minute(), int(at.Weekday())
	if t.from < t.to {
		return t.days[day] && minute >= t.from && minute < t.to
	}
	return t.days[day] && minute >= t.from || t.days[(day+6)%7] && minute < t.to // over midnight
}
