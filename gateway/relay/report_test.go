package relay

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-smtp"
)

func TestNotificationsAreHandedOn(t *testing.T) {
	for _, hold := range []bool{false, true} {
		var mu sync.Mutex
		var seen []string
		l := newLab(t, newBackend(t, nil))
		if !hold {
			l.settings.Engine = passAll
		}
		l.settings.Reports = func(message []byte) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, string(message))
		}
		c := l.start().hello()
		head := "Subject: failed\r\nContent-Type: multipart/report; boundary=b\r\n\r\n"
		for _, from := range []string{"", "someone@corp.example"} {
			c.mail(from, "alice@corp.example")
			c.send(head + "--b\r\nAction: failed\r\n.\r\n")
			c.expect("250")
		}
		c.mail("", "alice@corp.example")
		c.send(head + strings.Repeat("0123456789abcdef\r\n", 20_000) + ".\r\n")
		c.expect("250")
		mu.Lock()
		if len(seen) != 2 || seen[0] != head+"--b\r\nAction: failed\r\n" {
			t.Fatalf("seen %.300q", seen)
		}
		if len(seen[1]) != len(head)+maxBeginning {
			t.Errorf("a long one was kept in %d octets", len(seen[1]))
		}
		mu.Unlock()
	}
}

func TestARefusedNotificationIsNobodys(t *testing.T) {
	var seen []string
	l := newLab(t, newBackend(t, func(b *backend) { b.done = func(*smtp.Conn) error { return refusal(554, "5.7.1", "no") } }))
	l.settings.Engine = passAll
	l.settings.Reports = func(message []byte) { seen = append(seen, string(message)) }
	c := l.start().hello()
	c.mail("", "alice@corp.example")
	c.send("Subject: x\r\n\r\nx\r\n.\r\n")
	c.expect("554")
	if !slices.Equal(seen, nil) {
		t.Errorf("seen %q", seen)
	}
}
