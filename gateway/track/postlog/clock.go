package postlog

import "time"

const (
	ahead    = 48 * time.Hour     // how far the clock of a host may be ahead, its zone being wrong included
	live     = 5 * time.Minute    // what is this close to now has just been written
	disorder = 7 * 24 * time.Hour // how far back a line may stand behind another in a file
	jitter   = 2 * time.Minute    // the same, within the hour that exists twice
)

// A clock finds out what time a stamp means.
type clock struct {
	zone *time.Location
	now  func() time.Time
	last time.Time // the line before
	sure time.Time // the latest line whose year was certain

	// The offsets in force around an hour of wall time, because many lines fall into one hour and a
	// look into the zone's rules costs more than the rest of the stamp.
	hour         int64 // of wall time, since 1970, plus 1
	early, later int64 // seconds east of UTC; equal but near a change
}

// A wall is a reading of a clock that shows neither zone nor, with year 0, the year.
type wall struct {
	year, month, day, hour, minute, second, nano int
}

// possible says whether a clock can show that at all; 60 is a leap second.
func (w wall) possible() bool {
	return 1 <= w.month && w.month <= 12 && 1 <= w.day && w.day <= daysIn(w.month, w.year) &&
		w.hour < 24 && w.minute < 60 && w.second <= 60
}

// daysIn gives the number of days of a month; February has 29 in year 0.
func daysIn(month, year int) int {
	switch {
	case month == 2 && !leap(year):
		return 28
	case month == 2:
		return 29
	case month == 4 || month == 6 || month == 9 || month == 11:
		return 30
	}
	return 31
}

func leap(year int) bool { return year%4 == 0 && (year%100 != 0 || year%400 == 0) }

// in gives the reading as if it were UTC.
func (w wall) in(year int) time.Time {
	return time.Date(year, time.Month(w.month), w.day, w.hour, w.minute, w.second, w.nano, time.UTC)
}

// at finds the time of a reading with an offset in seconds east of UTC.
func (c *clock) at(w wall, offset int) time.Time {
	t := w.in(w.year).Add(-time.Duration(offset) * time.Second)
	c.last, c.sure = t, t
	return t
}

// epoch takes a time that needs no finding.
func (c *clock) epoch(t time.Time) time.Time {
	c.last, c.sure = t, t
	return t
}

// local finds the time of a reading in the clock's own zone.
func (c *clock) local(w wall) time.Time {
	if w.year != 0 {
		t := c.zoned(w.in(w.year))
		c.last, c.sure = t, t
		return t
	}
	now := c.now()
	t := c.zoned(w.in(c.latest(w, now)))
	if t.Sub(now).Abs() > live {
		if older, ok := c.following(w, now); ok {
			t = older
		}
	}
	if w.month == 2 && w.day == 29 {
		c.sure = t
	}
	c.last = t
	return t
}

// latest gives the last year in which the reading is not in the future. Zones do not matter to it: they
// differ by less than what a clock may be ahead.
func (c *clock) latest(w wall, now time.Time) int {
	year := now.UTC().Year() + 1
	for w.in(year).Sub(now) > ahead || (w.month == 2 && w.day == 29 && !leap(year)) {
		year--
	}
	return year
}

// following gives the time of the reading after the latest certain one, when that is so long ago that
// [clock.latest] would leap over a year: an old file is read.
func (c *clock) following(w wall, now time.Time) (time.Time, bool) {
	if c.sure.IsZero() || now.Sub(c.sure) < 365*24*time.Hour-disorder {
		return time.Time{}, false
	}
	from := c.sure.Add(-disorder)
	year := from.Year()
	for w.in(year).Before(from) || (w.month == 2 && w.day == 29 && !leap(year)) {
		year++
	}
	t := c.zoned(w.in(year))
	if t.Sub(now) > ahead {
		return time.Time{}, false
	}
	if t.After(c.sure) {
		c.sure = t
	}
	return t, true
}

// zoned gives the time at which clocks of the zone show a reading.
func (c *clock) zoned(shown time.Time) time.Time {
	early, later := c.offsets(shown.Unix())
	first := shown.Add(-time.Duration(early) * time.Second)
	if early == later {
		return first
	}
	second := shown.Add(-time.Duration(later) * time.Second)
	_, inFirst := first.In(c.zone).Zone()
	_, inSecond := second.In(c.zone).Zone()
	switch isFirst, isSecond := int64(inFirst) == early, int64(inSecond) == later; {
	case isFirst && isSecond:
		return c.twice(first, second)
	case isSecond:
		return second
	}
	return first // also in the hour that does not exist: the clock had not been put forward
}

// twice chooses in the hour that exists twice.
func (c *clock) twice(first, second time.Time) time.Time {
	now := c.now()
	switch {
	case second.Sub(now).Abs() <= live:
		return second
	case first.Sub(now).Abs() <= live:
		return first
	case second.Sub(now) > live: // not yet
		return first
	case first.Before(c.last.Add(-jitter)) && c.last.Sub(first) < disorder:
		return second // the clock has gone back since the line before
	}
	return first
}

// offsets gives the zone's offsets a day before and a day after a wall time, from which the one in force
// is to be chosen. No zone changes twice within two days.
func (c *clock) offsets(shown int64) (early, later int64) {
	if hour := shown/3600 + 1; hour != c.hour {
		_, e := time.Unix(shown-86400, 0).In(c.zone).Zone()
		_, l := time.Unix(shown+86400, 0).In(c.zone).Zone()
		c.hour, c.early, c.later = hour, int64(e), int64(l)
	}
	return c.early, c.later
}
