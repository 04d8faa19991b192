package policy

import (
	"testing"
	"time"
)

func TestVerdictsTogether(t *testing.T) {
	held := Verdict{Action: Hold, Rule: "hour", Until: noon.Add(time.Hour), Charge: &Charge{Amounts: []Amount{{Rule: "hour", Units: 1}}},
		Findings: []Finding{{Rule: "hour", Kind: "limit", Decided: true}, {Kind: "hold", Decided: true}}, Tags: []Field{{"A", "1"}}, Upstream: "bulk"}
	for _, tt := range []struct {
		name    string
		w       Verdict
		action  Action
		rule    string
		decided []bool
	}{
		{"nothing more", Verdict{Charge: &Charge{Signature: []byte("s")}}, Hold, "hour", []bool{true, true}},
		{"a longer hold", Verdict{Action: Hold, Rule: "similar", Until: noon.Add(2 * time.Hour), Findings: []Finding{{Decided: true}}}, Hold, "similar", []bool{true, true, true}},
		{"a shorter hold", Verdict{Action: Hold, Rule: "similar", Until: noon, Findings: []Finding{{Decided: true}}}, Hold, "hour", []bool{true, true, true}},
		{"approval", Verdict{Action: Approval, Rule: "similar", Findings: []Finding{{Decided: true}}}, Approval, "similar", []bool{false, true, true}},
		{"put off", Verdict{Action: Defer, Rule: "similar"}, Defer, "similar", []bool{false, true}},
		{"refused", Verdict{Action: Reject, Rule: "similar"}, Reject, "similar", []bool{false, true}},
	} {
		for turn, got := range []Verdict{held.And(tt.w), tt.w.And(held)} {
			if got.Action != tt.action || got.Rule != tt.rule || got.Upstream != "bulk" || len(got.Tags) != 1 || len(got.Charge.Amounts) != 1 {
				t.Errorf("%s, %d: %+v", tt.name, turn, got)
			}
			if tt.w.Charge != nil && string(got.Charge.Signature) != "s" {
				t.Errorf("%s, %d: charge %+v", tt.name, turn, got.Charge)
			}
			if turn == 0 {
				for i, want := range tt.decided {
					if got.Findings[i].Decided != want {
						t.Errorf("%s: finding %d: %+v", tt.name, i, got.Findings[i])
					}
				}
			}
		}
	}
	if held.Findings[0].Decided != true {
		t.Error("the verdict itself was changed")
	}
}
