package web

import (
	"net/http"
	"slices"
	"strconv"
	"time"
)

const (
	recallsListed = 30
	recallsPause  = 3 * time.Second // between two looks at the live list
)

// recallDays are the spans that statistics are offered for.
var recallDays = []int{7, 30, 90}

// A recallsPage is what the template of the list is given.
type recallsPage struct {
	offer
	Rows  []recallHead
	Next  string // cursor
	Later bool   // not the first page
	Stats *recallNumbers
	Days  int // of the statistics
	Spans []int
	Own   bool // of a user: own recalls only
}

func (s *Server) recallsPages(mux *http.ServeMux) {
	mux.Handle("GET /recalls", s.page("recalls", s.buildRecalls))
	mux.Handle("GET /recalls/live", s.streamParts(recallsPause, "recalls", []string{"_recalls_rows"}, s.listedRecalls))
	mux.Handle("GET /recalls/new", s.page("recall_new", s.newRecall))
	mux.Handle("POST /recalls/new", s.page("recall_new", s.planRecall))
	mux.Handle("POST /recalls", s.page("recall_new", s.startRecall))
	s.recallPages(mux)
}

func (s *Server) buildRecalls(v *visit) (any, error) {
	data, err := s.listedRecalls(v)
	if err != nil {
		return nil, err
	}
	p := data.(*recallsPage)
	if !p.May("recall-stats") {
		return p, nil
	}
	if n, err := strconv.Atoi(v.form("days")); err == nil && slices.Contains(recallDays, n) {
		p.Days = n
	}
	out, err := call[recallStatsInput, recallStatsOutput](s, v, "recall-stats", &recallStatsInput{From: s.now().Add(-time.Duration(p.Days) * day)})
	if err != nil {
		return nil, s.worded(v, "recalls", err)
	}
	p.Stats = recallNumbersOf(&out.Body)
	return p, nil
}

// listedRecalls is the page without the statistics, for its live part.
func (s *Server) listedRecalls(v *visit) (any, error) {
	out, err := call[listRecallsInput, listRecallsOutput](s, v, "list-recalls", &listRecallsInput{Limit: recallsListed, Cursor: v.form("cursor")})
	if err != nil {
		return nil, s.worded(v, "recalls", err)
	}
	p := &recallsPage{
		offer: offerTo(v), Next: out.Body.Next, Later: v.form("cursor") != "", Days: 30, Spans: recallDays, Own: v.role() == "user",
	}
	for i := range out.Body.Recalls {
		p.Rows = append(p.Rows, recallHead{&out.Body.Recalls[i]})
	}
	return p, nil
}

// recallNumbers are statistics, ready to be shown.
type recallNumbers struct {
	RecallStats
	Percent int // of success
	Ages    []recallClass
	Reasons []recallClass
	Holds   []recallHoldRow
	// Advice is the shortest hold within which most recalls come; nil when there is none.
	Advice *recallHoldRow
}

// A recallClass is one class of recalls.
type recallClass struct {
	Name    string
	UpTo    time.Duration // of a class by age; 0 is longer than all others
	Recalls int
	Counts  RecallCounts
	Percent int
}

type recallHoldRow struct {
	Hold    time.Duration
	Percent int
	More    int
}

// advised is the share of recalls that a hold is worth being advised for.
const advised = 50

func recallNumbersOf(stats *RecallStats) *recallNumbers {
	n := &recallNumbers{RecallStats: *stats, Percent: percentOf(stats.Counts.SuccessRatio)}
	for _, a := range stats.ByAge {
		n.Ages = append(n.Ages, recallClass{UpTo: time.Duration(a.UpTo), Recalls: a.Recalls, Counts: a.Counts, Percent: percentOf(a.Counts.SuccessRatio)})
	}
	for _, r := range stats.ByReason {
		n.Reasons = append(n.Reasons, recallClass{Name: r.Reason, Recalls: r.Recalls, Counts: r.Counts, Percent: percentOf(r.Counts.SuccessRatio)})
	}
	for _, h := range stats.Hold {
		n.Holds = append(n.Holds, recallHoldRow{time.Duration(h.Hold), percentOf(h.Caught), h.More})
	}
	if i := slices.IndexFunc(n.Holds, func(h recallHoldRow) bool { return h.Percent >= advised && h.More > 0 }); i >= 0 {
		n.Advice = &n.Holds[i]
	}
	return n
}

// percentOf rounds a share so that only all is 100 and only nothing is 0.
func percentOf(share float64) int {
	p := int(share*100 + 0.5)
	switch {
	case p == 100 && share < 1:
		return 99
	case p == 0 && share > 0:
		return 1
	}
	return p
}
