package web

import (
	"context"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// Stats say what became of the mail of the last hours.
type Stats struct {
	Since        time.Time              `json:"since" doc:"the full hour from which on messages are counted, by when they came in"`
	Hours        int                    `json:"hours" doc:"as asked for"`
	Recipients   int64                  `json:"recipients" doc:"how many there are; a group counts by its members, a resend once"`
	States       map[policy.State]int64 `json:"states" nullable:"false" doc:"recipients in each state that occurs"`
	Labels       []LabelCount           `json:"labels" nullable:"false" doc:"recipients by label: all labels there are, in the same order each time"`
	UnknownRatio float64                `json:"unknown_ratio" doc:"share of the recipients of whom it is not known what became of them, 0 to 1"`
	Tracking     []Source               `json:"tracking" nullable:"false" doc:"how the logs are followed; empty when nothing is tracked"`
	Bypass       *Bypass                `json:"bypass,omitempty" doc:"while the rules are bypassed"`
}

// A LabelCount is a label with the number of recipients that have it.
type LabelCount struct {
	Label      policy.Label `json:"label"`
	Recipients int64        `json:"recipients"`
}

// labels are those of recipients, in the order in which people are shown them.
var labels = []policy.Label{
	policy.LabelDelivering, policy.LabelMailbox, policy.LabelRemote, policy.LabelReturned, policy.LabelBlocked,
	policy.LabelRecalled, policy.LabelUnknown,
}

type statsInput struct {
	Hours int `query:"hours" minimum:"1" maximum:"2160" default:"24" doc:"so many hours back from now"`
}

type statsOutput struct{ Body Stats }

func (s *Server) getStats(_ context.Context, in *statsInput) (*statsOutput, error) {
	now := s.now().UTC()
	since := now.Add(-time.Duration(in.Hours) * time.Hour).Truncate(time.Hour)
	out := &statsOutput{Stats{Since: since, Hours: in.Hours, States: map[policy.State]int64{}, Tracking: s.sources()}}
	v := &out.Body
	if b := s.bypass(); b.On {
		v.Bypass = &b
	}
	byLabel := map[policy.Label]int64{}
	for state, n := range s.journal.Counts(since, now) {
		if n == 0 {
			continue
		}
		v.States[state] = n
		v.Recipients += n
		byLabel[state.Label()] += n
	}
	for _, l := range labels {
		v.Labels = append(v.Labels, LabelCount{l, byLabel[l]})
	}
	if v.Recipients > 0 {
		v.UnknownRatio = float64(byLabel[policy.LabelUnknown]) / float64(v.Recipients)
	}
	return out, nil
}
