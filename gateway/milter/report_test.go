package milter

import (
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestNotificationsAreHandedOn(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	l := newLab(t)
	l.settings.Needs.Body = true
	l.settings.Reports = func(message []byte) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, string(message))
	}
	l.start()
	p := l.dial().client("203.0.113.9") // a stranger: inbound mail
	send := func(from string, chunks ...string) {
		p.want("c", p.mail(from))
		p.want("c", p.rcpt("alice@corp.example"))
		p.header("Content-Type", "multipart/report;\n boundary=b")
		for _, c := range chunks {
			p.body(c)
		}
		if got := p.end("4ZReport"); !slices.Equal(got, []string{"c"}) {
			t.Errorf("answers %q", got)
		}
		p.abort()
	}
	send("someone@remote.example", "no report\r\n")
	send("", "--b\r\n", "Action: failed\r\n")
	send("", strings.Repeat("x", 60_000), strings.Repeat("x", 60_000), strings.Repeat("x", 60_000), strings.Repeat("x", 60_000), strings.Repeat("x", 60_000))
	mu.Lock()
	defer mu.Unlock()
	if len(seen) != 2 || seen[0] != "Content-Type: multipart/report;\r\n boundary=b\r\n\r\n--b\r\nAction: failed\r\n" {
		t.Fatalf("seen %.200q", seen)
	}
	if len(seen[1]) != maxReport {
		t.Errorf("a long one was kept in %d octets", len(seen[1]))
	}
}
