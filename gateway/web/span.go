package web

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
)

const day = 24 * time.Hour

// A Span is a duration as people write it: "90s", "10m", "1h", "7d", "1d12h".
type Span time.Duration

// UnmarshalText reads a duration, which may have days before everything else.
func (s *Span) UnmarshalText(b []byte) error {
	d, err := parseSpan(string(b))
	if err != nil {
		return err
	}
	*s = Span(d)
	return nil
}

// MarshalText writes what UnmarshalText reads.
func (s Span) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// String is the shortest form: "1h" for an hour, "7d" for a week.
func (s Span) String() string {
	d := time.Duration(s)
	if d >= 2*day && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// Duration is the span itself.
func (s Span) Duration() time.Duration { return time.Duration(s) }

// Label names the span where something is counted per it.
func (s Span) Label() policy.Label {
	switch time.Duration(s) {
	case 0:
		return policy.Label{EN: "message", ZH: "封邮件"}
	case time.Minute:
		return policy.Label{EN: "minute", ZH: "分钟"}
	case time.Hour:
		return policy.Label{EN: "hour", ZH: "小时"}
	case day:
		return policy.Label{EN: "day", ZH: "天"}
	}
	return policy.Label{EN: s.String(), ZH: s.String()}
}

var errSpanForm = errors.New("write a duration such as 90s, 10m, 24h or 7d")

func parseSpan(text string) (time.Duration, error) {
	days, rest, found := strings.Cut(text, "d")
	if !found {
		days, rest = "0", text
	}
	n, err := strconv.ParseUint(days, 10, 32)
	if err != nil || n > uint64(math.MaxInt64/day) {
		return 0, errSpanForm
	}
	d := time.Duration(n) * day
	if rest == "" && found {
		return d, nil
	}
	more, err := time.ParseDuration(rest)
	if err != nil || found && more < 0 || d > math.MaxInt64-max(more, 0) {
		return 0, errSpanForm
	}
	return d + more, nil
}

// Per is over what a limit counts: "message" is each by itself; else a duration, also written as
// minute, hour or day.
type Per policy.Per

// UnmarshalText reads what the configuration does, and days.
func (p *Per) UnmarshalText(b []byte) error {
	if d, err := parseSpan(string(b)); err == nil && d > 0 {
		*p = Per(d)
		return nil
	}
	return (*policy.Per)(p).UnmarshalText(b)
}

// MarshalText writes "message" or a duration.
func (p Per) MarshalText() ([]byte, error) {
	if p == 0 {
		return []byte("message"), nil
	}
	return Span(p).MarshalText()
}

// maxDeadline bounds how far away an end may be: longer than anything is remembered.
const maxDeadline = 3660 * day

// deadline is the end of what lasts for a span, or until a time; exactly one of them is given.
func deadline(span string, until, now time.Time) (time.Time, error) {
	if (span == "") == until.IsZero() {
		return time.Time{}, errHoldTime
	}
	if span != "" {
		d, err := parseSpan(span)
		if err != nil || d <= 0 {
			return time.Time{}, errSpan
		}
		until = now.Add(min(d, 2*maxDeadline))
	}
	switch {
	case !until.After(now):
		return time.Time{}, errPast
	case until.Sub(now) > maxDeadline:
		return time.Time{}, errFar
	}
	return until.UTC(), nil
}
