package postlog

import (
	"os"
	"strings"
	"testing"
	"time"
)

// corpus gives the lines of testdata/mail.log.
func corpus(tb testing.TB) [][]byte {
	tb.Helper()
	data, err := os.ReadFile("testdata/mail.log")
	if err != nil {
		tb.Fatal(err)
	}
	var lines [][]byte
	for line := range strings.Lines(string(data)) {
		lines = append(lines, []byte(line))
	}
	return lines
}

// BenchmarkParse takes lines apart and reads what they state; the goal is 400 thousand a second.
func BenchmarkParse(b *testing.B) {
	lines := corpus(b)
	p := NewParser(zone(b, "Europe/Berlin"), time.Now)
	b.ReportAllocs()
	statements := 0
	for i := 0; b.Loop(); i++ {
		l, _, err := p.Parse(lines[i%len(lines)])
		if err != nil {
			b.Fatal(err)
		}
		if _, ok := l.Entry(); ok {
			statements++
		}
	}
	if statements == 0 {
		b.Error("no statements")
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lines/s")
}
