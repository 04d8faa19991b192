package postlog

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// FuzzParse holds what callers rely on, for any octets, whatever line came before.
func FuzzParse(f *testing.F) {
	for _, line := range corpus(f) {
		f.Add(line, []byte("Oct 25 02:30:00 mx1 last message repeated 2 times"))
	}
	berlin := zone(f, "Europe/Berlin")
	f.Fuzz(func(t *testing.T, first, second []byte) {
		p := NewParser(berlin, at(t, "2026-10-25T00:40:00Z"))
		for _, raw := range [][]byte{first, second} {
			l, n, err := p.Parse(raw)
			if err != nil {
				if l != (Line{}) || n != 0 {
					t.Fatalf("an error and a line: %+v, %d", l, n)
				}
				continue
			}
			if n < 1 || n > maxRepeated || l.Time.IsZero() || l.Time.Location() != time.UTC || l.PID < 0 {
				t.Fatalf("got %+v, %d", l, n)
			}
			if !utf8.ValidString(l.Text+l.Tag+l.Host) || strings.ContainsAny(l.Text+l.Tag+l.Host, "\x00\r\n") {
				t.Fatalf("got %+v", l)
			}
			if l.Instance != "" && l.Tag != l.Instance+"/"+l.Service {
				t.Fatalf("tag %q is not %q and %q", l.Tag, l.Instance, l.Service)
			}
			again, _, err := p.ParseAt(l.Time, "", raw)
			if err != nil || again.Text != l.Text && !strings.Contains(string(raw), "repeated") {
				t.Fatalf("with a known time got %+v, %v, before %+v", again, err, l)
			}
		}
	})
}

// FuzzEntry holds what callers rely on, for any text of any program.
func FuzzEntry(f *testing.F) {
	p := NewParser(nil, time.Now)
	for _, line := range corpus(f) {
		if l, _, err := p.Parse(line); err == nil {
			f.Add(l.Service, l.Text)
		}
	}
	f.Fuzz(func(t *testing.T, service, text string) {
		l := Line{Tag: "postfix/" + service, Instance: "postfix", Service: service, Text: text}
		e, ok := l.Entry()
		if !ok {
			if e != (Entry{}) {
				t.Fatalf("no statement, but %+v", e)
			}
			return
		}
		if e.Line != l || e.Kind == "" {
			t.Fatalf("got %+v", e)
		}
		if e.Kind != Rejected && !IsQueueID(e.QueueID) {
			t.Fatalf("%s of queue id %q", e.Kind, e.QueueID)
		}
		if (e.Kind == Status || e.Kind == Expired) != (e.Status != "") {
			t.Fatalf("got %+v", e)
		}
		if e.Code != 0 && (e.Code < 200 || e.Code > 599) || e.Delay < 0 || len(e.QueuedAs) > maxForeignID || e.Size < 0 {
			t.Fatalf("got %+v", e)
		}
		if strings.ContainsAny(e.QueuedAs+e.ForwardedAs, " ()<>,") {
			t.Fatalf("queue ids %q, %q", e.QueuedAs, e.ForwardedAs)
		}
	})
}
