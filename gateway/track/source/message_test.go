package source

import (
	"testing"
	"time"
)

var testNow = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func testStamper() stamper {
	return stamper{zone: time.UTC, now: func() time.Time { return testNow }}
}

func TestMessages(t *testing.T) {
	ten := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name, message string
		want          string
		at            time.Time
		host          string
	}{
		{"RFC 3164", "<22>Nov 21 10:00:00 mx1 postfix/smtp[1]: a", "Nov 21 10:00:00 mx1 postfix/smtp[1]: a", time.Time{}, ""},
		{"without host", "<22>Nov 21 10:00:00 postfix/smtp[1]: a", "postfix/smtp[1]: a", ten, "peer"},
		{"rsyslog's own", "<22>2026-11-21T10:00:00.5+00:00 mx1 postfix/smtp[1]: a", "2026-11-21T10:00:00.5+00:00 mx1 postfix/smtp[1]: a", time.Time{}, ""},
		{"without time", "<22>postfix/smtp[1]: a", "postfix/smtp[1]: a", testNow, "peer"},
		{"without priority", "postfix/smtp[1]: a", "postfix/smtp[1]: a", testNow, "peer"},
		{"a priority that is none", "<2x>a", "<2x>a", testNow, "peer"},
		{"RFC 5424", `<22>1 2026-11-21T10:00:00Z mx1 postfix/smtp 77 - - a`, "postfix/smtp[77]: a", ten, "mx1"},
		{"RFC 5424 with data", `<22>1 2026-11-21T10:00:00Z mx1 postfix/smtp 77 - [x@1 a="\"]\\"][y] ` + "\ufeffa", "postfix/smtp[77]: a", ten, "mx1"},
		{"RFC 5424 with nothing", `<22>1 - - - - - -`, ": ", testNow, "peer"},
		{"RFC 5424 without end of data", `<22>1 2026-11-21T10:00:00Z mx1 a 1 - [x a="`, `1 2026-11-21T10:00:00Z mx1 a 1 - [x a="`, testNow, "peer"},
		{"RFC 5424 with another time", `<22>1 yesterday mx1 a 1 - - b`, `1 yesterday mx1 a 1 - - b`, testNow, "peer"},
		{"RFC 5424 with an empty field", `<22>1 2026-11-21T10:00:00Z  a 1 - - b`, `1 2026-11-21T10:00:00Z  a 1 - - b`, testNow, "peer"},
		{"line ends within", "<22>a\nb\x00c\n\x00", "a b c", testNow, "peer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			raw, ok := messageReader{testStamper(), "peer"}.raw([]byte(tt.message))
			if !ok || string(raw.Data) != tt.want || !raw.Time.Equal(tt.at) || raw.Host != tt.host {
				t.Errorf("got %q at %v from %q, %v\nwant %q at %v from %q", raw.Data, raw.Time, raw.Host, ok, tt.want, tt.at, tt.host)
			}
		})
	}
	for _, empty := range []string{"", "<22>", "<22>  \n"} {
		if raw, ok := (messageReader{testStamper(), "peer"}).raw([]byte(empty)); ok {
			t.Errorf("%q is the line %q", empty, raw.Data)
		}
	}
}

func TestStamps(t *testing.T) {
	shanghai, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	s := testStamper()
	s.zone = shanghai
	for _, tt := range []struct {
		name, line string
		want       time.Time
	}{
		{"this year, in the zone", "Nov 21 18:00:00 mx1 a: b", testNow.Add(-2 * time.Hour)},
		{"one digit", "Nov  1 20:00:00 mx1 a: b", testNow.AddDate(0, 0, -20)},
		{"what would be in the future is last year's", "Dec  1 20:00:00 mx1 a: b", time.Date(2025, 12, 1, 12, 0, 0, 0, time.UTC)},
		{"a clock may be ahead by a day", "Nov 22 19:00:00 mx1 a: b", testNow.Add(23 * time.Hour)},
		{"with offset", "2026-11-21T14:00:00.25+02:00 mx1 a: b", testNow.Add(time.Second / 4)},
		{"no time", "postfix: a", time.Time{}},
		{"nothing else", "2026-11-21T14:00:00+02:00", time.Time{}},
	} {
		if got, _ := s.cut([]byte(tt.line)); !got.Equal(tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	s.now = func() time.Time { return time.Date(2026, 12, 31, 16, 30, 0, 0, time.UTC) } // 1 January there
	if got, _ := s.cut([]byte("Dec 31 23:59:00 mx1 a: b")); got.In(shanghai).Year() != 2026 {
		t.Errorf("New Year's Eve is %v", got)
	}
	s.now = func() time.Time { return time.Date(2026, 12, 31, 15, 30, 0, 0, time.UTC) }
	if got, _ := s.cut([]byte("Jan  1 00:00:01 mx1 a: b")); got.In(shanghai).Year() != 2027 {
		t.Errorf("a minute ahead is %v", got)
	}
}
