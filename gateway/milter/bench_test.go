package milter

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/sendgate/sendgate/policy"
)

// BenchmarkSession is one message of 20 fields and 4 KiB on a connection that is used again, as
// Postfix sends it.
func BenchmarkSession(b *testing.B) {
	for _, c := range []struct {
		name    string
		engine  policy.Engine
		content bool
	}{
		{"hold 0", passAll, false},
		{"hold 60s", nil, false},
		{"hold 0, content read", passAll, true},
		{"hold 60s, content read", nil, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			l := newLab(b)
			if c.engine != nil {
				l.settings.Engine = c.engine
			}
			l.settings.Needs.Body, l.settings.Needs.Content = true, c.content
			l.settings.Config.Listen = []Listener{{Address: "unix:" + b.TempDir() + "/s"}}
			p := l.start().dial().client("192.0.2.7")
			n := 0
			b.ReportAllocs()
			for b.Loop() {
				n++
				if _, err := p.Write(benchMessage(fmt.Sprintf("4Z%x", n))); err != nil {
					b.Fatal(err)
				}
				for {
					code, _, err := readPacket(p)
					if err != nil {
						b.Fatal(err)
					}
					if code == 'c' {
						break
					}
				}
			}
		})
	}
}

func benchMessage(queueID string) []byte {
	packets := [][]byte{
		packet('D', []byte("M"), cstrings("{mail_addr}", "alice@corp.example")),
		packet('M', cstrings("<alice@corp.example>", "SIZE=5000")),
		packet('D', []byte("R"), cstrings("i", queueID, "{rcpt_addr}", "bob@remote.example")),
		packet('R', cstrings("<bob@remote.example>")),
		packet('L', cstrings("Subject", "=?utf-8?B?5L2g5aW9?= quarterly figures")),
		packet('L', cstrings("Message-ID", "<"+queueID+"@corp.example>")),
		packet('L', cstrings("From", "Alice <alice@corp.example>")),
	}
	for i := range 17 {
		packets = append(packets, packet('L', cstrings(fmt.Sprintf("X-Field-%d", i), "a value of some length")))
	}
	packets = append(packets, packet('B', bytes.Repeat([]byte("The quarterly figures are attached, as we said.\r\n"), 4096/49)), packet('D', []byte("E"), cstrings("i", queueID)), packet('E'))
	// ABORT is part of the next write, as it is not answered.
	return join(append(packets, packet('A'))...)
}
