package policy

import (
	"errors"
	"fmt"
	"slices"
	"testing"
)

func TestFaultText(t *testing.T) {
	for want, f := range map[string]*Fault{
		"a.b: 7: too many":     {Path: "a.b", Value: 7, Text: "too many"},
		"a.b: is missing":      {Path: "a.b", Text: "is missing"},
		"a.b: : may not be so": {Path: "a.b", Value: "", Text: "may not be so"},
	} {
		if got := f.Error(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestNoFaultsAreNoError(t *testing.T) {
	var faults Faults
	faults.In("hold", nil)
	faults.In("rules", Faults{}.Err())
	if err := faults.Err(); err != nil {
		t.Errorf("%v", err)
	}
}

func TestFaultsInAPart(t *testing.T) {
	plain := errors.New("no such file")
	fault := func(path string) error { return &Fault{Path: path, Value: 1, Text: "bad"} }
	for _, c := range []struct {
		outcome, prefix string
		err             error
		want            []string
	}{
		{"a key of the part", "hold", fault("max"), []string{"hold.max: 1: bad"}},
		{"an entry of the part", "rules", fault("[2].for"), []string{"rules[2].for: 1: bad"}},
		{"the part itself", "hold", fault(""), []string{"hold: 1: bad"}},
		{"the part is the whole", "", fault("max"), []string{"max: 1: bad"}},
		{"an error that is no fault", "tls", plain, []string{"tls: no such file"}},
		{"a percent sign is no verb", "tls", errors.New("50% %d"), []string{"tls: 50% %d"}},
		{"several", "a", errors.Join(fault("x"), plain, errors.Join(fault("[0]"), fault("y.z"))),
			[]string{"a.x: 1: bad", "a: no such file", "a[0]: 1: bad", "a.y.z: 1: bad"}},
		{"a fault that was wrapped keeps its key", "a", fmt.Errorf("in passing: %w", fault("x")), []string{"a.x: 1: bad"}},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			var faults Faults
			faults.In(c.prefix, c.err)
			var got []string
			for _, err := range faults {
				got = append(got, err.Error())
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// Parts within parts give the whole path, and the originals stay as they were.
func TestFaultsNest(t *testing.T) {
	var inner, middle, outer Faults
	inner.Add("port", 70000, "must be below %d", 65536)
	middle.In("listen[1]", inner.Err())
	middle.Add("size", nil, "is missing")
	outer.In("relay", middle.Err())
	const want = "relay.listen[1].port: 70000: must be below 65536\nrelay.size: is missing"
	if err := outer.Err(); err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
	var f *Fault
	if !errors.As(outer.Err(), &f) || f.Path != "relay.listen[1].port" || f.Value != 70000 {
		t.Errorf("%+v", f)
	}
	if got := inner.Err().Error(); got != "port: 70000: must be below 65536" {
		t.Errorf("the inner fault became %q", got)
	}
}
