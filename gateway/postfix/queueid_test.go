package postfix

import (
	"strings"
	"testing"
)

func TestQueueIDs(t *testing.T) {
	for _, c := range []struct {
		id    string
		valid bool
		dirs  string // what the hashed directories are named after
	}{
		{"4jX1HT6PPwz1SGbB", true, "DC1C4"},
		{"4jX1HT6J7zz1SGb5", true, "D8A1F"}, // microseconds may end in z
		{"E6D7E984EB1", true, "E6D7E984EB1"},
		{"000000", true, "000000"},
		{"ABCDE", false, ""},
		{"abcdef", false, ""},
		{"4jX1HT6PPwz", false, ""},
		{"1HT6PPwz1SGbB", false, ""}, // seconds have six digits
		{"4jX1HT6PPwzASGbB", false, ""},
		{"", false, ""}, {"-", false, ""}, {"ALL", false, ""}, {"ALL000", false, ""}, {"../../etc", false, ""},
		{"ABCDEF\n", false, ""}, {"ABCDEF ABCDEF", false, ""}, {"ABCDEF\x00", false, ""},
		{strings.Repeat("A", 41), false, ""},
	} {
		if ValidID(c.id) != c.valid {
			t.Errorf("ValidID(%q) = %v", c.id, !c.valid)
		}
		if c.valid && hashed(c.id) != c.dirs {
			t.Errorf("hashed(%q) = %s, want %s", c.id, hashed(c.id), c.dirs)
		}
	}
}

func FuzzValidID(f *testing.F) {
	for _, s := range []string{"4jX1HT6PPwz1SGbB", "E6D7E984EB1", "ALL", "-", "z", "BBBBBBBBBBz0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, id string) {
		if !ValidID(id) {
			return
		}
		if strings.ContainsAny(id, "./- \n\r\x00") || id == "ALL" || len(id) > maxID || len(hashed(id)) < 5 {
			t.Errorf("%q is taken for a queue id", id)
		}
	})
}
