package gateway

import (
	"errors"
	"slices"
	"testing"

	"github.com/sendgate/sendgate/gateway/milter"
	"github.com/sendgate/sendgate/policy"
)

// TestRulesForNobodyAndToNowhere holds what only the whole configuration can tell of rules.
func TestRulesForNobodyAndToNowhere(t *testing.T) {
	var l policy.LimitRule
	l.SetDefaults()
	l.Name, l.Limit, l.Action, l.Upstream = "bulk", 5, policy.Route, "nowhere"
	l.Match.Groups = []string{"staff", "stafff"}
	cfg := DemoConfig(t.TempDir(), "127.0.0.1:1")
	cfg.Identities = []policy.Identity{{Login: "ann", Groups: []string{"staff"}}}
	cfg.Policy.Rules = []policy.Rule{{Name: "r", Action: policy.Hold, Match: policy.Match{Groups: []string{"stafff"}}}}
	cfg.Policy.Limits = []policy.LimitRule{l}
	cfg.Milter.Listen = []milter.Listener{{Address: "127.0.0.1:7357"}}
	cfg.Anomaly.Services = []string{"staff", "machinez"}
	cfg.Track.Upstreams = []string{"elsewhere"}
	all, ok := cfg.Validate().(interface{ Unwrap() []error })
	if !ok {
		t.Fatal("no faults")
	}
	var got []string
	for _, err := range all.Unwrap() {
		var f *policy.Fault
		if !errors.As(err, &f) {
			t.Fatal(err)
		}
		got = append(got, f.Path+": "+f.Text)
	}
	for _, want := range []string{
		"policy.rules[0].match.groups[0]: no identity is in this group",
		"policy.limits[0].match.groups[1]: no identity is in this group",
		"anomaly.services[1]: no identity is in this group",
		"policy.limits[0].upstream: there is no upstream of this name",
		"policy.limits[0].action: a milter cannot send a message elsewhere: use hold, approval or tag, or only the relay",
		"track.upstreams[0]: there is no upstream of this name",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("%q is missing in %q", want, got)
		}
	}
	if len(got) != 6 {
		t.Errorf("faults %q", got)
	}
}
