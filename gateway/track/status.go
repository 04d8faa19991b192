package track

import (
	"slices"
	"time"
)

// A Status is how tracking is doing.
type Status struct {
	Sources      []SourceStatus
	Gaps         []Gap
	Waiting      int     // queue files whose message is not known yet
	UnknownRatio float64 // share of the recipients of the last 24 h
}

// A SourceStatus is how a source is doing.
type SourceStatus struct {
	Name     string
	CaughtUp bool
	// Off is how far the times of the lines that come are from now: ahead where it is positive. It is 0
	// below an hour. The clock or the time zone of the log is wrong then.
	Off      time.Duration
	Lag      time.Duration // from the newest line read, or the start, to now; 0 when caught up
	LastLine time.Time     // zero before the first
	Behind   int64         // octets still unread, -1 when unknown
	// CursorAge is how long ago the place was kept from which reading goes on after a restart.
	CursorAge time.Duration
}

// quiet is how long a source may say nothing before what it said last counts for nothing.
const quiet = 30 * time.Second

// Status gives the state of all sources.
func (t *Tracker) Status() Status {
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	s := Status{Gaps: slices.Clone(t.gaps), Waiting: len(t.graph.waiting), UnknownRatio: t.ratio}
	for _, f := range t.feeds {
		st := SourceStatus{
			Name: f.source.Name(), LastLine: f.line, Behind: f.behind, Off: f.off, CursorAge: now.Sub(f.keptAt),
			CaughtUp: f.caught && now.Sub(f.heard) < quiet,
		}
		if !st.CaughtUp {
			last := f.line
			if last.IsZero() {
				last = f.since
			}
			st.Lag = max(0, now.Sub(last))
		}
		s.Sources = append(s.Sources, st)
	}
	return s
}
