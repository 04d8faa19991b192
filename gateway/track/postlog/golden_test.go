package postlog

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/mail.golden")

// TestGolden reads a log that a Postfix 3.7 wrote (hosts and addresses changed), and lines in the manner of
// other installations.
func TestGolden(t *testing.T) {
	p := NewParser(zone(t, "Europe/Berlin"), at(t, "2026-11-22T00:00:00Z"))
	var got strings.Builder
	for i, raw := range corpus(t) {
		l, n, err := p.Parse(raw)
		if err != nil {
			t.Errorf("line %d: %v", i+1, err)
			continue
		}
		if e, ok := l.Entry(); ok {
			fmt.Fprintf(&got, "%d %s x%d %s\n", i+1, l.Time.Format("15:04:05"), n, describe(e))
		}
	}
	const path = "testdata/mail.golden"
	if *update {
		if err := os.WriteFile(path, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	wanted := strings.Split(string(want), "\n")
	for i, line := range strings.Split(got.String(), "\n") {
		if i >= len(wanted) || line != wanted[i] {
			t.Fatalf("statement %d:\n got %s\nwant %s", i+1, line, strings.Join(wanted[min(i, len(wanted)):min(i+1, len(wanted))], ""))
		}
	}
	if n := strings.Count(got.String(), "\n"); n+1 != len(wanted) {
		t.Errorf("%d statements, want %d", n, len(wanted)-1)
	}
}

// describe lists the fields that are set, but for the line.
func describe(e Entry) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s", e.Tag, e.Kind, e.QueueID)
	for v, i := reflect.ValueOf(e), 3; i < v.NumField(); i++ {
		if !v.Field(i).IsZero() {
			fmt.Fprintf(&b, " %s=%v", v.Type().Field(i).Name, v.Field(i))
		}
	}
	return b.String()
}
