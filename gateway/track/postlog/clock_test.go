package postlog

import (
	"errors"
	"testing"
	"time"
	_ "time/tzdata" // the zones of the tables, wherever they run
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// at gives a clock that stands still.
func at(t testing.TB, rfc3339 string) func() time.Time {
	t.Helper()
	now, err := time.Parse(time.RFC3339Nano, rfc3339)
	if err != nil {
		t.Fatal(err)
	}
	return func() time.Time { return now }
}

func TestStampForms(t *testing.T) {
	const now = "2026-11-21T12:00:00Z"
	for name, c := range map[string]struct{ stamp, want string }{
		"RFC 3164":                       {"Nov 21 08:30:14", "2026-11-21T07:30:14Z"},
		"day padded with a blank":        {"Nov  1 08:30:14", "2026-11-01T07:30:14Z"},
		"day padded with a zero":         {"Nov 01 08:30:14", "2026-11-01T07:30:14Z"},
		"day not padded":                 {"Nov 1 08:30:14", "2026-11-01T07:30:14Z"},
		"month in small letters":         {"nov  1 08:30:14", "2026-11-01T07:30:14Z"},
		"summer time":                    {"Jul 14 08:30:14", "2026-07-14T06:30:14Z"},
		"fraction":                       {"Nov 21 08:30:14.123456", "2026-11-21T07:30:14.123456Z"},
		"year after the day":             {"Nov 21 2019 08:30:14", "2019-11-21T07:30:14Z"},
		"year after the time":            {"Nov 21 08:30:14 2019", "2019-11-21T07:30:14Z"},
		"asctime":                        {"Thu Nov 21 08:30:14 2019", "2019-11-21T07:30:14Z"},
		"leap second":                    {"Jan  1 00:59:60", "2026-01-01T00:00:00Z"},
		"offset":                         {"2026-11-21T15:49:01+08:00", "2026-11-21T07:49:01Z"},
		"offset and microseconds":        {"2026-11-21T15:49:01.123456+08:00", "2026-11-21T07:49:01.123456Z"},
		"offset and milliseconds":        {"2026-11-21T15:49:01.5+08:00", "2026-11-21T07:49:01.5Z"},
		"offset and twelve digits":       {"2026-11-21T15:49:01.123456789012+08:00", "2026-11-21T07:49:01.123456789Z"},
		"offset west":                    {"2026-11-21T01:49:01-03:30", "2026-11-21T05:19:01Z"},
		"offset without colon":           {"2026-11-21T15:49:01+0800", "2026-11-21T07:49:01Z"},
		"offset without minutes":         {"2026-11-21T15:49:01+08", "2026-11-21T07:49:01Z"},
		"offset after a blank":           {"2026-11-21 15:49:01 +0800", "2026-11-21T07:49:01Z"},
		"Z":                              {"2026-11-21T07:49:01Z", "2026-11-21T07:49:01Z"},
		"Z and nanoseconds":              {"2026-11-21T07:49:01.123456789Z", "2026-11-21T07:49:01.123456789Z"},
		"no offset":                      {"2026-11-21T08:49:01", "2026-11-21T07:49:01Z"},
		"blank for the T":                {"2026-11-21 08:49:01", "2026-11-21T07:49:01Z"},
		"comma":                          {"2026-11-21 08:49:01,250", "2026-11-21T07:49:01.25Z"},
		"brackets":                       {"[2026-11-21 08:49:01]", "2026-11-21T07:49:01Z"},
		"journalctl -o short-full":       {"Sat 2026-11-21 08:49:01 CET", "2026-11-21T07:49:01Z"},
		"journalctl -o short-full --utc": {"Sat 2026-11-21 08:49:01 UTC", "2026-11-21T08:49:01Z"},
		"journalctl -o short-unix":       {"1795247341.250000", "2026-11-21T07:49:01.25Z"},
	} {
		t.Run(name, func(t *testing.T) {
			p := NewParser(zone(t, "Europe/Berlin"), at(t, now))
			l, _, err := p.Parse([]byte(c.stamp + " mx1 postfix/qmgr[7]: 4XyZ12Abc: removed"))
			if err != nil || l.Host != "mx1" || l.Tag != "postfix/qmgr" || l.Text != "4XyZ12Abc: removed" {
				t.Fatalf("got %+v, %v", l, err)
			}
			if got := l.Time.Format(time.RFC3339Nano); got != c.want || l.Time.Location() != time.UTC {
				t.Errorf("time %s, want %s", got, c.want)
			}
		})
	}
}

func TestImpossibleStamps(t *testing.T) {
	for _, stamp := range []string{"Feb 30 08:30:14", "Nov 31 08:30:14", "Nov  0 08:30:14", "Nov 21 24:30:14",
		"Nov 21 08:60:14", "Nov 21 08:30:61", "Feb 29 2026 08:30:14", "2026-02-29T08:30:14Z", "2026-13-01T08:30:14Z",
		"0000-01-01T08:30:14Z"} {
		p := NewParser(nil, at(t, "2026-11-21T12:00:00Z"))
		raw := []byte(stamp + " mx1 postfix/qmgr[7]: 4XyZ12Abc: removed")
		if l, _, err := p.Parse(raw); !errors.Is(err, ErrStamp) {
			t.Errorf("%s: got %v, %v", stamp, l.Time, err)
		}
		known := time.Unix(1e9, 0)
		if l, _, err := p.ParseAt(known, "", raw); err != nil || !l.Time.Equal(known) || l.Host != "mx1" {
			t.Errorf("%s: with a known time got %+v, %v", stamp, l, err)
		}
	}
}

// TestYears reads lines one after the other, each at its own now.
func TestYears(t *testing.T) {
	type step struct{ now, stamp, want string }
	for name, steps := range map[string][]step{
		"New Year's Eve": {
			{"2026-12-31T23:59:58Z", "Dec 31 23:59:58", "2026-12-31T23:59:58Z"},
			{"2027-01-01T00:00:01Z", "Dec 31 23:59:59", "2026-12-31T23:59:59Z"},
			{"2027-01-01T00:00:02Z", "Jan  1 00:00:02", "2027-01-01T00:00:02Z"},
			{"2027-01-01T00:00:02Z", "Dec 31 23:59:59", "2026-12-31T23:59:59Z"},
			{"2027-01-01T00:00:03Z", "Jan  1 00:00:03", "2027-01-01T00:00:03Z"},
		},
		"a host whose clock is ahead on New Year's Eve": {
			{"2026-12-31T23:59:58Z", "Jan  1 00:00:08", "2027-01-01T00:00:08Z"},
			{"2026-12-31T23:59:59Z", "Dec 31 23:59:59", "2026-12-31T23:59:59Z"},
		},
		"a file of last year": {
			{"2027-02-01T00:00:00Z", "Nov  1 10:00:00", "2026-11-01T10:00:00Z"},
			{"2027-02-01T00:00:00Z", "Dec 31 10:00:00", "2026-12-31T10:00:00Z"},
			{"2027-02-01T00:00:00Z", "Jan  1 10:00:00", "2027-01-01T10:00:00Z"},
		},
		"a day too far ahead is a year ago": {
			{"2026-11-21T12:00:00Z", "Nov 22 12:00:00", "2026-11-22T12:00:00Z"},
			{"2026-11-21T12:00:00Z", "Nov 24 12:00:00", "2025-11-24T12:00:00Z"},
			{"2026-11-21T12:00:00Z", "Nov 21 12:00:00", "2026-11-21T12:00:00Z"},
		},
		"29 February today": {
			{"2028-02-29T12:00:00Z", "Feb 29 12:00:00", "2028-02-29T12:00:00Z"},
			{"2028-03-01T12:00:00Z", "Mar  1 12:00:00", "2028-03-01T12:00:00Z"},
		},
		"29 February dates an old file": {
			{"2026-11-21T12:00:00Z", "Feb 29 12:00:00", "2024-02-29T12:00:00Z"},
			{"2026-11-21T12:00:00Z", "Feb 28 12:00:00", "2024-02-28T12:00:00Z"},
			{"2026-11-21T12:00:00Z", "Mar  1 12:00:00", "2024-03-01T12:00:00Z"},
			{"2026-11-21T12:00:00Z", "Nov 25 12:00:00", "2024-11-25T12:00:00Z"},
			{"2026-11-21T12:00:00Z", "Jan  2 12:00:00", "2025-01-02T12:00:00Z"},
			{"2026-11-21T12:00:00Z", "Dec 24 12:00:00", "2025-12-24T12:00:00Z"},
			{"2026-11-21T12:00:00Z", "Apr  1 12:00:00", "2026-04-01T12:00:00Z"},
		},
		"a year dates what follows": {
			{"2026-11-21T12:00:00Z", "2022-12-30T12:00:00Z", "2022-12-30T12:00:00Z"},
			{"2026-11-21T12:00:00Z", "Dec 31 12:00:00", "2022-12-31T12:00:00Z"},
			{"2026-11-21T12:00:00Z", "Jan  1 12:00:00", "2023-01-01T12:00:00Z"},
		},
		"what is live is live, whatever came before": {
			{"2026-11-21T12:00:00Z", "2022-12-30T12:00:00Z", "2022-12-30T12:00:00Z"},
			{"2026-11-21T12:00:00Z", "Nov 21 11:59:59", "2026-11-21T11:59:59Z"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var now time.Time
			p := NewParser(nil, func() time.Time { return now })
			for _, s := range steps {
				now = at(t, s.now)()
				l, _, err := p.Parse([]byte(s.stamp + " mx1 postfix/qmgr[7]: 4XyZ12Abc: removed"))
				if got := l.Time.Format(time.RFC3339); err != nil || got != s.want {
					t.Errorf("at %s: %s is %s (%v), want %s", s.now, s.stamp, got, err, s.want)
				}
			}
		})
	}
}

// TestClockChange: in Berlin 2026 the clocks go forward on 29 March at 01:00 UTC, back on 25 October at 01:00 UTC;
// at Lord Howe by half an hour, back on 4 April at 15:00 UTC.
func TestClockChange(t *testing.T) {
	type step struct{ now, stamp, want string }
	const later = "2026-11-21T12:00:00Z"
	for name, c := range map[string]struct {
		zone  string
		steps []step
	}{
		"forward": {"Europe/Berlin", []step{
			{later, "Mar 29 01:59:59", "2026-03-29T00:59:59Z"},
			{later, "Mar 29 03:00:00", "2026-03-29T01:00:00Z"},
		}},
		"the hour that does not exist": {"Europe/Berlin", []step{
			{later, "Mar 29 02:30:00", "2026-03-29T01:30:00Z"},
			{later, "Mar 29 03:30:00", "2026-03-29T01:30:00Z"},
		}},
		"back, in a file": {"Europe/Berlin", []step{
			{later, "Oct 25 01:59:59", "2026-10-24T23:59:59Z"},
			{later, "Oct 25 02:30:00", "2026-10-25T00:30:00Z"},
			{later, "Oct 25 02:29:59", "2026-10-25T00:29:59Z"}, // disorder
			{later, "Oct 25 02:59:59", "2026-10-25T00:59:59Z"},
			{later, "Oct 25 02:00:00", "2026-10-25T01:00:00Z"},
			{later, "Oct 25 02:55:00", "2026-10-25T01:55:00Z"},
			{later, "Oct 25 03:00:00", "2026-10-25T02:00:00Z"},
		}},
		"back, in a file that begins there": {"Europe/Berlin", []step{
			{later, "Oct 25 02:30:00", "2026-10-25T00:30:00Z"},
			{later, "Oct 25 02:10:00", "2026-10-25T01:10:00Z"},
		}},
		"back, live": {"Europe/Berlin", []step{
			{"2026-10-25T00:10:00Z", "Oct 25 02:10:00", "2026-10-25T00:10:00Z"},
			{"2026-10-25T00:10:00Z", "Oct 25 02:05:00", "2026-10-25T00:05:00Z"},
			{"2026-10-25T01:40:00Z", "Oct 25 02:40:00", "2026-10-25T01:40:00Z"},
			{"2026-10-25T01:40:01Z", "Oct 25 02:39:59", "2026-10-25T01:39:59Z"},
		}},
		"back, live after a start in the second hour": {"Europe/Berlin", []step{
			{"2026-10-25T01:10:00Z", "Oct 25 02:10:00", "2026-10-25T01:10:00Z"},
		}},
		"the second hour has not come": {"Europe/Berlin", []step{
			{"2026-10-25T00:40:00Z", "Oct 25 02:30:00", "2026-10-25T00:30:00Z"},
			{"2026-10-25T00:40:00Z", "Oct 25 02:20:00", "2026-10-25T00:20:00Z"},
		}},
		"with a year": {"Europe/Berlin", []step{
			{later, "2026-10-25 02:59:59", "2026-10-25T00:59:59Z"},
			{later, "2026-10-25 02:00:01", "2026-10-25T01:00:01Z"},
		}},
		"by half an hour": {"Australia/Lord_Howe", []step{
			{later, "Apr  5 01:45:00", "2026-04-04T14:45:00Z"},
			{later, "Apr  5 01:30:00", "2026-04-04T15:00:00Z"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var now time.Time
			p := NewParser(zone(t, c.zone), func() time.Time { return now })
			for _, s := range c.steps {
				now = at(t, s.now)()
				l, _, err := p.Parse([]byte(s.stamp + " mx1 postfix/qmgr[7]: 4XyZ12Abc: removed"))
				if got := l.Time.Format(time.RFC3339); err != nil || got != s.want {
					t.Errorf("at %s: %s is %s (%v), want %s", s.now, s.stamp, got, err, s.want)
				}
			}
		})
	}
}
