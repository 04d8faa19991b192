package web

import (
	"net/http"
	"time"
)

// overviewPause is how often a live overview is renewed.
const overviewPause = 2 * time.Second

// overviewParts are the pieces of the overview that change while one looks.
var overviewParts = []string{"_overview_now", "_overview_states", "_overview_senders", "_overview_near", "_overview_alerts", "_overview_parts"}

// An overviewPage is what the template is given.
type overviewPage struct {
	Overview
	PerMinute perMinute
	Series    []chartSeries
	Chart     chart
}

// perMinute is the flow of the last whole minute.
type perMinute struct{ Accepted, Held, Released, Blocked, Recalled int }

// A chart is what app.js draws.
type chart struct {
	Times  []int64       `json:"times"`
	Series []chartSeries `json:"series"`
	Hourly bool          `json:"hourly,omitempty"` // each value is that of an hour, the last one none
}

type chartSeries struct {
	Name   string `json:"name"`
	Values []int  `json:"values"`
}

func (s *Server) overviewPages(mux *http.ServeMux) {
	mux.Handle("GET /overview", s.page("overview", s.buildOverview))
	mux.Handle("GET /overview/chart", s.part("overview", "_overview_chart", s.buildOverview))
	mux.Handle("GET /overview/live", s.stream(livePage{overviewPause, "overview", overviewParts, s.buildOverview, true}))
}

func (s *Server) buildOverview(v *visit) (any, error) {
	out, err := call[struct{}, overviewOutput](s, v, "overview", &struct{}{})
	if err != nil {
		return nil, err
	}
	p := overviewPage{Overview: out.Body}
	f := &p.Flow
	p.Chart.Times = f.Times
	for _, c := range []struct {
		key    string
		values []int
	}{
		{"overview.accepted", f.Accepted}, {"overview.released", f.Released}, {"overview.blocked", f.Blocked},
		{"overview.held", f.Held}, {"overview.recalled", f.Recalled},
	} {
		p.Chart.Series = append(p.Chart.Series, chartSeries{s.renderer.Say(v.lang, c.key), c.values})
	}
	if n := len(f.Times) - 2; n >= 0 {
		p.PerMinute = perMinute{f.Accepted[n], f.Held[n], f.Released[n], f.Blocked[n], f.Recalled[n]}
	}
	return p, nil
}
