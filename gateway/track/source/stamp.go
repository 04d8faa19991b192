package source

import (
	"bytes"
	"time"
)

// A stamper reads the times of log lines, as far as a source needs them: to bound gaps.
type stamper struct {
	zone *time.Location
	now  func() time.Time
}

// bsd is RFC 3164 4.1.2.
const bsd = "Jan _2 15:04:05"

// cut takes the time from the beginning of a line. The time is zero, and rest the line, when there is
// none.
func (s stamper) cut(line []byte) (t time.Time, rest []byte) {
	if len(line) > len(bsd) && line[len(bsd)] == ' ' {
		if t, err := time.Parse(bsd, string(line[:len(bsd)])); err == nil {
			return s.year(t), line[len(bsd)+1:]
		}
	}
	token, rest, ok := bytes.Cut(line, []byte(" "))
	if !ok || len(token) > len("2006-01-02T15:04:05.999999999+00:00") {
		return time.Time{}, line
	}
	if t, err := time.Parse(time.RFC3339Nano, string(token)); err == nil {
		return t, rest
	}
	return time.Time{}, line
}

// year gives a time without one the latest year that does not put it more than a day ahead of the
// clock.
func (s stamper) year(t time.Time) time.Time {
	now := s.now().In(s.zone)
	in := func(year int) time.Time {
		return time.Date(year, t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, s.zone)
	}
	limit := now.AddDate(0, 0, 1)
	for year := now.Year() + 1; year >= now.Year(); year-- {
		if at := in(year); !at.After(limit) {
			return at
		}
	}
	return in(now.Year() - 1)
}
