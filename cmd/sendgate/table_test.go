package main

import (
	"strings"
	"testing"
)

func TestColumnsAlignInCells(t *testing.T) {
	var table table
	table.add("状态", "x")
	table.add("abc", "y")
	table.add("e\u0301", "z") // e with a combining accent: one cell
	var b strings.Builder
	if err := table.write(&b); err != nil {
		t.Fatal(err)
	}
	if want := "状态  x\nabc   y\ne\u0301     z\n"; b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}

func TestCutKeepsWithinTheCells(t *testing.T) {
	for _, tt := range []struct {
		text string
		most int
		want string
	}{
		{"short", 5, "short"},
		{"longer", 5, "long…"},
		{"会议通知", 8, "会议通知"},
		{"会议通知", 7, "会议通…"},
		{"会议通知", 6, "会议…"},
	} {
		got := cut(tt.text, tt.most)
		if got != tt.want || cells(got) > tt.most {
			t.Errorf("%q to %d: got %q", tt.text, tt.most, got)
		}
	}
}

func TestCleanDisarmsTheTerminal(t *testing.T) {
	for text, want := range map[string]string{
		"plain 会议 é":           "plain 会议 é",
		"a\x1b[2Jb":            "a\uFFFD[2Jb",
		"a\u009b2Jb":           "a\uFFFD2Jb",
		"a\r\nb\tc\x00\x7f":    "a\uFFFD\uFFFDb\uFFFDc\uFFFD\uFFFD",
		"exe.\u202egnp\u2066x": "exe.\uFFFDgnp\uFFFDx",
		"a\u2028b":             "a\uFFFDb",
	} {
		if got := clean(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
