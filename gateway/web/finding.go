package web

import (
	"time"

	"github.com/sendgate/sendgate/policy"
)

// kindAnomaly is the kind of findings about what is unusual for an account.
const kindAnomaly = "anomaly"

// A UnitName is what is counted, for programs and for people.
type UnitName struct {
	Name  policy.Unit  `json:"name"`
	Label policy.Label `json:"label"`
}

func unitName(u policy.Unit, n int64) UnitName {
	if u == "" {
		return UnitName{}
	}
	return UnitName{u, u.Label(n)}
}

// A Finding is what one rule said about a message.
type Finding struct {
	Rule     string        `json:"rule,omitempty"`
	Kind     string        `json:"kind" doc:"limit, hold, domain, suspension, approval, similar, anomaly, ..." example:"limit"`
	Score    int64         `json:"score,omitempty" doc:"with anomaly: how unusual it is for the account in all, or what the reason named by source adds to that"`
	Campaign string        `json:"campaign,omitempty" doc:"with similar: id of the campaign to look at; the numbers are of its recipients"`
	Unit     UnitName      `json:"unit,omitzero" doc:"what asked, used and limit count"`
	Key      string        `json:"key,omitempty" doc:"whom it counts for"`
	Window   Span          `json:"window,omitempty" doc:"absent for a limit of each message"`
	Asked    int64         `json:"asked,omitempty" doc:"by this message"`
	Used     int64         `json:"used,omitempty" doc:"before this message"`
	Limit    int64         `json:"limit,omitempty" doc:"as it was in force"`
	Source   string        `json:"source,omitempty" doc:"where the limit came from: rule, override, boost, ramp; with anomaly: the stage (log, tag, pace, hold, suspend) or the reason"`
	NextFree time.Time     `json:"next_free,omitzero" doc:"when it fits"`
	Exceeded bool          `json:"exceeded" doc:"the rule was broken"`
	Decided  bool          `json:"decided" doc:"this rule made the verdict"`
	Shadow   bool          `json:"shadow" doc:"the rule only says what it would have done"`
	Warn     bool          `json:"warn,omitempty" doc:"the warning mark was crossed"`
	Action   policy.Action `json:"action,omitempty" doc:"what the rule does when it is broken"`
	Text     policy.Label  `json:"text" doc:"the same sentence as in SMTP replies and notices"`
}

func findingView(f *policy.Finding) Finding {
	v := Finding{
		Rule: f.Rule, Kind: f.Kind, Campaign: campaignOf(f), Unit: unitName(f.Unit, f.Limit), Key: f.Key, Window: Span(f.Window), Asked: f.Asked,
		Used: f.Used, Limit: f.Limit, Source: f.Source, NextFree: f.Next.UTC(), Exceeded: f.Exceeded, Decided: f.Decided,
		Shadow: f.Shadow, Warn: f.Warn, Action: f.Action, Text: f.Text(),
	}
	if f.Kind == kindAnomaly { // what it used of a score
		v.Score, v.Used = f.Used, 0
	}
	return v
}

// A Remark is a finding in short, as it stands in a timeline.
type Remark struct {
	Rule     string       `json:"rule,omitempty"`
	Text     policy.Label `json:"text"`
	Campaign string       `json:"campaign,omitempty" doc:"id of the campaign that it is about"`
	Decided  bool         `json:"decided"`
	Shadow   bool         `json:"shadow"`
}

// remarks are the findings that somebody has to know: what was broken, decided or nearly broken.
func remarks(findings []policy.Finding) (list []Remark) {
	for i := range findings {
		if f := &findings[i]; f.Exceeded || f.Decided || f.Warn {
			list = append(list, Remark{Rule: f.Rule, Text: f.Text(), Campaign: campaignOf(f), Decided: f.Decided, Shadow: f.Shadow})
		}
	}
	return list
}

// verdicts are the findings that decided, of the events of one message in their order. What decided stands
// in the event that accepts a message; the one that holds it may name the rule only.
type verdicts []*policy.Finding

func (v *verdicts) add(e *policy.Event) {
	for i := range e.Findings {
		if f := &e.Findings[i]; f.Decided && !f.Shadow {
			*v = append(*v, f)
		}
	}
}

// of gives the newest finding by which the event was decided, or nil.
func (v verdicts) of(e *policy.Event) *policy.Finding {
	for i := range e.Findings {
		if f := &e.Findings[i]; f.Decided && !f.Shadow {
			return f
		}
	}
	for i := len(v) - 1; i >= 0 && e.Rule != ""; i-- {
		if v[i].Rule == e.Rule {
			return v[i]
		}
	}
	return nil
}
