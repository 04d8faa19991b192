package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// Keys and explanations are held together: whoever adds a key says what it means.
func TestEveryKeyIsExplained(t *testing.T) {
	keys, err := keysOf("../..")
	if err != nil {
		t.Fatal(err)
	}
	if len(keys) < 200 {
		t.Fatalf("found %d keys only", len(keys))
	}
	for _, k := range keys {
		if k.words == "" {
			t.Errorf("%s: write a comment above its field", k.path)
		}
	}
}

// Operations and explanations likewise: a summary, and who may use it.
func TestEveryOperationIsExplained(t *testing.T) {
	d, err := asked()
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for path, methods := range d.Paths {
		for method, o := range methods {
			if count++; o.Summary == "" || len(o.Roles) == 0 {
				t.Errorf("%s %s: summary %q, roles %q", method, path, o.Summary, o.Roles)
			}
		}
	}
	if count < 50 {
		t.Errorf("found %d operations only", count)
	}
}

// The pages say what the code says.
func TestPagesAreCurrent(t *testing.T) {
	for _, p := range pages {
		t.Run(p.name, func(t *testing.T) {
			have, err := os.ReadFile(p.name)
			if err != nil {
				t.Fatal(err)
			}
			var want bytes.Buffer
			if err := p.write(&want, "../.."); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(have, want.Bytes()) {
				t.Errorf("it is not what the source says (%s): go run ./contrib/reference", firstDifference(string(have), want.String()))
			}
		})
	}
}

// firstDifference is the first line of a that is not in b's place.
func firstDifference(a, b string) string {
	others := strings.Split(b, "\n")
	for i, line := range strings.Split(a, "\n") {
		if i >= len(others) || line != others[i] {
			return line
		}
	}
	return "lines are missing at its end"
}

func TestFieldsAreNamedByTheirKeys(t *testing.T) {
	names := map[string]string{"Max": "max", "Factor": "factor"}
	if got := inKeys("each is Factor times as long, up to Max|Maximum", names); got != "each is `factor` times as long, up to `max`\\|Maximum" {
		t.Error(got)
	}
}
