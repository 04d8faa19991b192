package web

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// recallStatsSpan is what is counted when nobody says from when.
const recallStatsSpan = 30 * day

var errSpanOrder = problem(http.StatusUnprocessableEntity, "invalid_time", `"from" is before "to"`)

// RecallStats say how the recalls of a span of time went.
type RecallStats struct {
	From     time.Time         `json:"from"`
	To       time.Time         `json:"to"`
	Recalls  int               `json:"recalls"`
	Counts   RecallCounts      `json:"recipients"`
	ByReason []RecallReason    `json:"by_reason" nullable:"false" doc:"the most frequent first"`
	ByAge    []RecallAge       `json:"by_age" nullable:"false" doc:"by the time between sending and recall, in ascending order"`
	ByCode   []RecallCodeCount `json:"by_code" nullable:"false" doc:"codes that occur, the most frequent first"`
	Hold     []RecallHold      `json:"hold" nullable:"false" doc:"what a hold of some length would have caught"`
}

// RecallCounts are recipients by status.
type RecallCounts struct {
	Success      int     `json:"success"`
	Fail         int     `json:"fail"`
	Processing   int     `json:"processing"`
	SuccessRatio float64 `json:"success_ratio" doc:"share of success among what is at an end, 0 to 1"`
}

// A RecallReason is one of the reasons that people gave.
type RecallReason struct {
	Reason  string       `json:"reason" doc:"as it was given; empty where there was none"`
	Recalls int          `json:"recalls"`
	Counts  RecallCounts `json:"recipients"`
}

// A RecallAge is a class of recalls by the time since sending.
type RecallAge struct {
	UpTo    Span         `json:"up_to,omitempty" doc:"at most so long; absent for longer than all others"`
	Recalls int          `json:"recalls"`
	Counts  RecallCounts `json:"recipients"`
}

// A RecallCodeCount counts recipients with a code.
type RecallCodeCount struct {
	Code       policy.RecallCode   `json:"code"`
	Status     policy.RecallStatus `json:"status" enum:"success,fail,processing"`
	Text       policy.Label        `json:"text"`
	Recipients int                 `json:"recipients"`
}

// A RecallHold is what a hold of some length would have caught.
type RecallHold struct {
	Hold   Span    `json:"hold"`
	Caught float64 `json:"caught" doc:"share of all recalls that came within it, 0 to 1"`
	More   int     `json:"more" doc:"recipients that could not be taken back and would have been"`
}

type recallStatsInput struct {
	From time.Time `query:"from" doc:"by when the recall was asked for; 30 days before to when absent"`
	To   time.Time `query:"to" doc:"now when absent"`
}

type recallStatsOutput struct{ Body RecallStats }

func (s *Server) recallStats(ctx context.Context, in *recallStatsInput) (*recallStatsOutput, error) {
	from, to := in.From.UTC(), in.To.UTC()
	if to.IsZero() {
		to = s.now().UTC()
	}
	if from.IsZero() {
		from = to.Add(-recallStatsSpan)
	}
	if !from.Before(to) {
		return nil, errSpanOrder
	}
	stats, err := s.recalls.Stats(ctx, from, to)
	if err != nil {
		return nil, s.recallProblem("count recalls", err)
	}
	return &recallStatsOutput{recallStatsView(stats, from, to)}, nil
}

func recallStatsView(stats *policy.RecallStats, from, to time.Time) RecallStats {
	v := RecallStats{
		From: from, To: to, Recalls: stats.Recalls, Counts: recallCounts(stats.Recipients),
		ByReason: []RecallReason{}, ByAge: []RecallAge{}, ByCode: []RecallCodeCount{}, Hold: []RecallHold{},
	}
	for _, r := range stats.ByReason {
		v.ByReason = append(v.ByReason, RecallReason{r.Reason, r.Recalls, recallCounts(r.Recipients)})
	}
	for _, a := range stats.ByAge {
		v.ByAge = append(v.ByAge, RecallAge{Span(a.UpTo), a.Recalls, recallCounts(a.Recipients)})
	}
	for _, c := range policy.RecallCodes {
		if n := stats.ByCode[c]; n > 0 {
			v.ByCode = append(v.ByCode, RecallCodeCount{c, c.Status(), c.Label(), n})
		}
	}
	slices.SortStableFunc(v.ByCode, func(a, b RecallCodeCount) int { return b.Recipients - a.Recipients })
	for _, h := range stats.Hold {
		v.Hold = append(v.Hold, RecallHold{Span(h.Hold), h.Caught, h.More})
	}
	return v
}

func recallCounts(c policy.RecallCounts) RecallCounts {
	v := RecallCounts{Success: c.Success, Fail: c.Fail, Processing: c.Processing}
	if ended := c.Success + c.Fail; ended > 0 {
		v.SuccessRatio = float64(c.Success) / float64(ended)
	}
	return v
}
