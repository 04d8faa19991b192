package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

// parseDuration reads what time.ParseDuration reads, and days before it: "5d", "1d12h". A plain 0
// needs no unit.
func parseDuration(s string) (time.Duration, error) {
	before, rest, found := strings.Cut(s, "d")
	if !found {
		return time.ParseDuration(s)
	}
	days, err := strconv.ParseUint(before, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("days: %w", err)
	}
	if days > uint64(math.MaxInt64/day) {
		return 0, fmt.Errorf("%d days are too many", days)
	}
	d := time.Duration(days) * day
	if rest == "" {
		return d, nil
	}
	more, err := time.ParseDuration(rest)
	if err != nil || more < 0 || d > math.MaxInt64-more {
		return 0, fmt.Errorf("%q after the days is no duration", rest)
	}
	return d + more, nil
}

// formatDuration writes a duration as people do, in one unit: 60s, 15m, 4h, 5d. What is not a
// whole number of seconds is written as Go does.
func formatDuration(d time.Duration) string {
	units := []struct {
		unit time.Duration
		from time.Duration
		name string
	}{{day, day, "d"}, {time.Hour, time.Hour, "h"}, {time.Minute, 2 * time.Minute, "m"}, {time.Second, 0, "s"}}
	for _, u := range units {
		if d >= u.from && d%u.unit == 0 {
			return strconv.FormatInt(int64(d/u.unit), 10) + u.name
		}
	}
	return d.String()
}
