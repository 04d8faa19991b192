package postlog

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"
)

const noon = "2026-11-21T12:00:00Z"

func TestFrames(t *testing.T) {
	plain := Line{Host: "mx1", Tag: "postfix/smtp", Instance: "postfix", Service: "smtp", PID: 123, Text: "4XyZ12Abc: removed"}
	with := func(change func(*Line)) Line {
		l := plain
		change(&l)
		return l
	}
	noHost := with(func(l *Line) { l.Host = "" })
	noPID := with(func(l *Line) { l.PID = 0 })
	for name, c := range map[string]struct {
		raw  string
		want Line
	}{
		"RFC 3164":                   {"Nov 21 11:00:00 mx1 postfix/smtp[123]: 4XyZ12Abc: removed", plain},
		"priority":                   {"<22>Nov 21 11:00:00 mx1 postfix/smtp[123]: 4XyZ12Abc: removed", plain},
		"priority, no host":          {"<22>Nov 21 11:00:00 postfix/smtp[123]: 4XyZ12Abc: removed", noHost},
		"no host":                    {"Nov 21 11:00:00 postfix/smtp[123]: 4XyZ12Abc: removed", noHost},
		"no host, no pid":            {"Nov 21 11:00:00 postfix/smtp: 4XyZ12Abc: removed", with(func(l *Line) { l.Host, l.PID = "", 0 })},
		"no pid":                     {"Nov 21 11:00:00 mx1 postfix/smtp: 4XyZ12Abc: removed", noPID},
		"pid without colon":          {"Nov 21 11:00:00 mx1 postfix/smtp[123] 4XyZ12Abc: removed", plain},
		"no blank behind the tag":    {"Nov 21 11:00:00 mx1 postfix/smtp[123]:4XyZ12Abc: removed", plain},
		"odd pid":                    {"Nov 21 11:00:00 mx1 postfix/smtp[-]: 4XyZ12Abc: removed", noPID},
		"IPv6 host":                  {"Nov 21 11:00:00 2001:db8::1 postfix/smtp[123]: 4XyZ12Abc: removed", with(func(l *Line) { l.Host = "2001:db8::1" })},
		"IPv6 host with colon":       {"Nov 21 11:00:00 2001:db8:: postfix/smtp[123]: 4XyZ12Abc: removed", with(func(l *Line) { l.Host = "2001:db8::" })},
		"carriage return":            {"Nov 21 11:00:00 mx1 postfix/smtp[123]: 4XyZ12Abc: removed\r\n", plain},
		"two blanks":                 {"Nov 21 11:00:00 mx1  postfix/smtp[123]:  4XyZ12Abc: removed ", plain},
		"NULs in front":              {strings.Repeat("\x00", 100_000) + "Nov 21 11:00:00 mx1 postfix/smtp[123]: 4XyZ12Abc: removed", plain},
		"Solaris":                    {"Nov 21 11:00:00 mx1 postfix/smtp[123]: [ID 197553 mail.info] 4XyZ12Abc: removed", plain},
		"FreeBSD, verbose":           {"Nov 21 11:00:00 <mail.info> mx1 postfix/smtp[123]: 4XyZ12Abc: removed", plain},
		"AIX":                        {"Nov 21 11:00:00 mx1 mail:info postfix/smtp[123]: 4XyZ12Abc: removed", plain},
		"AIX, forwarded":             {"Nov 21 11:00:00 loghost Message forwarded from mx1: postfix/smtp[123]: 4XyZ12Abc: removed", plain},
		"facility by template":       {"2026-11-21T11:00:00Z mx1 mail.info postfix/smtp[123]: 4XyZ12Abc: removed", plain},
		"rsyslog":                    {"2026-11-21T12:00:00.000000+01:00 mx1 postfix/smtp[123]: 4XyZ12Abc: removed", plain},
		"host in capitals":           {"2026-11-21 11:00:00 MAIL postfix/smtp[123]: 4XyZ12Abc: removed", with(func(l *Line) { l.Host = "MAIL" })},
		"docker logs -t":             {"2026-11-21T11:00:00.000000000Z postfix/smtp[123]: 4XyZ12Abc: removed", noHost},
		"docker logs -t, two stamps": {"2026-11-21T11:00:00.000000000Z Nov 21 19:00:00 mx1 postfix/smtp[123]: 4XyZ12Abc: removed", plain},
		"docker compose":             {"mail-1  | Nov 21 11:00:00 mx1 postfix/smtp[123]: 4XyZ12Abc: removed", plain},
		"Kubernetes":                 {"2026-11-21T11:00:00.000000000Z stdout F Nov 21 11:00:00 mx1 postfix/smtp[123]: 4XyZ12Abc: removed", plain},
		"Kubernetes, two ISO stamps": {"2026-11-21T11:00:00Z stdout F 2026-11-21T11:00:00.1+00:00 mx1 postfix/smtp[123]: 4XyZ12Abc: removed", plain},
		"RFC 5424":                   {"<22>1 2026-11-21T11:00:00.000Z mx1 postfix/smtp 123 - - 4XyZ12Abc: removed", plain},
		"RFC 5424, no priority":      {"1 2026-11-21T11:00:00Z mx1 postfix/smtp 123 - - 4XyZ12Abc: removed", plain},
		"RFC 5424, BOM":              {"<22>1 2026-11-21T11:00:00Z mx1 postfix/smtp 123 - - \xEF\xBB\xBF4XyZ12Abc: removed", plain},
		"RFC 5424, data":             {`<22>1 2026-11-21T11:00:00Z mx1 postfix/smtp 123 ID7 [a@1 k="v]\"]" l="["][b m=""] 4XyZ12Abc: removed`, plain},
		"RFC 5424, nothing known":    {"<22>1 2026-11-21T11:00:00Z - - - - - postfix/smtp[123]: 4XyZ12Abc: removed", noHost},
		"RFC 5424, no pid":           {"<22>1 2026-11-21T11:00:00Z mx1 postfix/smtp - - - 4XyZ12Abc: removed", noPID},
		"RFC 5424, tag kept in text": {"<22>1 2026-11-21T11:00:00Z mx1 postfix/smtp - - - postfix/smtp[123]: 4XyZ12Abc: removed", plain},
		"syslog name with a dash":    {"Nov 21 11:00:00 mx1 postfix-out/smtp[123]: 4XyZ12Abc: removed", with(func(l *Line) { l.Tag, l.Instance = "postfix-out/smtp", "postfix-out" })},
		"other syslog name":          {"Nov 21 11:00:00 mx1 mta1/smtp[123]: 4XyZ12Abc: removed", with(func(l *Line) { l.Tag, l.Instance = "mta1/smtp", "mta1" })},
		"service in the syslog name": {"Nov 21 11:00:00 mx1 postfix-mx/relay/smtp[123]: 4XyZ12Abc: removed",
			with(func(l *Line) { l.Tag, l.Instance = "postfix-mx/relay/smtp", "postfix-mx/relay" })},
		"tag without slash":     {"Nov 21 11:00:00 mx1 smtp[123]: 4XyZ12Abc: removed", with(func(l *Line) { l.Tag, l.Instance = "smtp", "" })},
		"no text":               {"Nov 21 11:00:00 mx1 postfix/smtp[123]:", with(func(l *Line) { l.Text = "" })},
		"no tag":                {"Nov 21 11:00:00 mx1 -- MARK --", Line{Host: "mx1", Text: "-- MARK --"}},
		"control characters":    {"Nov 21 11:00:00 mx1 postfix/smtp[123]: a\x00b\x1b[0m\xff\x7f\tc \u00e9", with(func(l *Line) { l.Text = "a?b?[0m?? c \u00e9" })},
		"bare tag":              {"postfix/smtp[123]: 4XyZ12Abc: removed", with(func(l *Line) { l.Host = ""; l.Time = at(t, noon)() })},
		"bare tag, no pid":      {"postfix/smtp: 4XyZ12Abc: removed", with(func(l *Line) { l.Host, l.PID = "", 0; l.Time = at(t, noon)() })},
		"priority and bare tag": {"<22>smtp: 4XyZ12Abc: removed", with(func(l *Line) { l.Host, l.PID, l.Tag, l.Instance = "", 0, "smtp", ""; l.Time = at(t, noon)() })},
		"RFC 5424, no time":     {"<22>1 - mx1 postfix/smtp 123 - - 4XyZ12Abc: removed", with(func(l *Line) { l.Time = at(t, noon)() })},
	} {
		t.Run(name, func(t *testing.T) {
			if c.want.Time.IsZero() {
				c.want.Time = at(t, "2026-11-21T11:00:00Z")()
			}
			l, n, err := NewParser(nil, at(t, noon)).Parse([]byte(c.raw))
			if err != nil || n != 1 || l != c.want {
				t.Errorf("got  %+v, %d, %v\nwant %+v", l, n, err, c.want)
			}
		})
	}
}

func TestForeignLines(t *testing.T) {
	for _, raw := range []string{"", "\r\n", "\x00\x00", "   at org.example.Main.run(Main.java:17)", "error: no such file",
		"==> /var/log/mail.log <==", "4XyZ12Abc: removed", "<22>", "<22>1 ", "<22>1 yesterday mx1 a b c - x", "|", "[", "[2026-11-21",
		"<999999>Nov 21 11:00:00 mx1 a[1]: b", "Novem 21 11:00:00 mx1 a[1]: b", "2026-11-21", "Nov 21", "\x80\x81\x82"} {
		if l, _, err := NewParser(nil, at(t, noon)).Parse([]byte(raw)); !errors.Is(err, ErrFrame) {
			t.Errorf("%q: got %+v, %v", raw, l, err)
		}
	}
}

func TestRepetitions(t *testing.T) {
	const first = "Nov 21 11:00:00 mx1 postfix/smtp[1]: 4XyZ12Abc: skipped, still being delivered"
	const text = "4XyZ12Abc: skipped, still being delivered"
	for name, c := range map[string]struct {
		raw, text string
		times     int
	}{
		"rsyslog":                 {"Nov 21 11:00:09 mx1 postfix/smtp[1]: message repeated 3 times: [ " + text + "]", text, 3},
		"rsyslog, cut":            {"Nov 21 11:00:09 mx1 postfix/smtp[1]: message repeated 3 times: [ " + text, text, 3},
		"rsyslog, absurd":         {"Nov 21 11:00:09 mx1 postfix/smtp[1]: message repeated 999999999999 times: [ " + text + "]", text, maxRepeated},
		"syslogd":                 {"Nov 21 11:00:09 mx1 last message repeated 2 times", text, 2},
		"syslogd, once":           {"Nov 21 11:00:09 mx1 last message repeated 1 time", text, 1},
		"FreeBSD":                 {"Nov 21 11:00:09 mx1 syslogd: last message repeated 4 times", text, 4},
		"macOS":                   {"Nov 21 11:00:09 mx1 --- last message repeated 1 time ---", text, 1},
		"of another host":         {"Nov 21 11:00:09 mx2 last message repeated 2 times", "last message repeated 2 times", 1},
		"nothing is repeated":     {"Nov 21 11:00:09 mx1 postfix/smtp[1]: message repeated 0 times: [ x]", "message repeated 0 times: [ x]", 1},
		"not about a repetition":  {"Nov 21 11:00:09 mx1 a[1]: message repeated often: [ x]", "message repeated often: [ x]", 1},
		"not about a repetition2": {"Nov 21 11:00:09 mx1 a[1]: last message repeated 2 times ago", "last message repeated 2 times ago", 1},
	} {
		t.Run(name, func(t *testing.T) {
			p := NewParser(nil, at(t, noon))
			if _, _, err := p.Parse([]byte(first)); err != nil {
				t.Fatal(err)
			}
			l, n, err := p.Parse([]byte(c.raw))
			if err != nil || n != c.times || l.Text != c.text || l.Time.Second() != 9 {
				t.Errorf("got %+v, %d, %v", l, n, err)
			}
		})
	}
	p := NewParser(nil, at(t, noon))
	if l, n, err := p.Parse([]byte("Nov 21 11:00:09 last message repeated 2 times")); err != nil || n != 1 || l.Tag != "" {
		t.Errorf("the first line repeats nothing, got %+v, %d, %v", l, n, err)
	}
}

func TestParseAt(t *testing.T) {
	p := NewParser(zone(t, "Asia/Shanghai"), at(t, noon))
	known := time.Date(2020, 2, 29, 1, 2, 3, 4, time.FixedZone("", 3600))
	l, n, err := p.ParseAt(known, "mx9", []byte("postfix/submission/smtpd[77]: 4XyZ12Abc: client=unknown[192.0.2.1]"))
	want := Line{Time: known.UTC(), Host: "mx9", Tag: "postfix/submission/smtpd", Instance: "postfix/submission", Service: "smtpd",
		PID: 77, Text: "4XyZ12Abc: client=unknown[192.0.2.1]"}
	if err != nil || n != 1 || l != want {
		t.Errorf("got  %+v, %d, %v\nwant %+v", l, n, err, want)
	}
	if l, _, err := p.ParseAt(known, "", []byte("Nov 21 11:00:00 mx1 a[1]: b")); err != nil || l.Host != "mx1" || !l.Time.Equal(known) {
		t.Errorf("got %+v, %v", l, err)
	}
	if _, _, err := p.ParseAt(known, "mx9", []byte("what?")); !errors.Is(err, ErrFrame) {
		t.Errorf("got %v", err)
	}
}

// TestLongLines: time and memory are bounded by what is looked at.
func TestLongLines(t *testing.T) {
	head := "Nov 21 11:00:00 mx1 postfix/smtp[1]: 4XyZ12Abc: to=<"
	for _, filler := range []string{"a", ">, ", ", ", "to=<", `"`, `\`, "[", "]", "(", "q", "; from=<", "queued as ", " from ", "\xff"} {
		raw := append([]byte(head), bytes.Repeat([]byte(filler), 1<<20/len(filler))...)
		l, _, err := NewParser(nil, at(t, noon)).Parse(raw)
		if err != nil || len(l.Text) > maxLine {
			t.Fatalf("%q: %d octets, %v", filler, len(l.Text), err)
		}
		if e, ok := l.Entry(); ok && e.To == "" {
			t.Errorf("%q: got %+v", filler, e.Kind)
		}
	}
}
