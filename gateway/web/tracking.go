package web

import (
	"context"
	"time"
)

// States of a [Source].
const (
	SourceFollowing = "following" // there is more to read
	SourceCaughtUp  = "caught_up" // everything there was has been read
	SourceError     = "error"     // it cannot be read; it is tried again
)

// A Source is a log from which it is known what became of mail, and how far it has been read.
type Source struct {
	Name       string    `json:"name"`
	State      string    `json:"state" enum:"following,caught_up,error"`
	Error      string    `json:"error,omitempty" doc:"why it cannot be read"`
	LagSeconds int64     `json:"lag_seconds" doc:"how far what is known is behind"`
	LastLine   time.Time `json:"last_line,omitzero" doc:"time of the last line that was read"`
	Gaps       []Gap     `json:"gaps" nullable:"false" doc:"times of which lines are missing, oldest first"`
}

// A Gap is a time of which lines are missing. What became of mail then may stay unknown until the
// lines are imported.
type Gap struct {
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
	Reason string    `json:"reason"`
}

// A Tracking lists the logs that are followed.
type Tracking struct {
	Sources []Source `json:"sources" nullable:"false" doc:"empty when nothing is tracked"`
}

type trackingOutput struct{ Body Tracking }

func (s *Server) getTracking(context.Context, *struct{}) (*trackingOutput, error) {
	return &trackingOutput{Tracking{s.sources()}}, nil
}

// sources gives the logs with empty lists in place of none, and times in UTC.
func (s *Server) sources() []Source {
	if s.tracking == nil {
		return []Source{}
	}
	sources := append([]Source{}, s.tracking()...)
	for i := range sources {
		sources[i].LastLine = sources[i].LastLine.UTC()
		gaps := append([]Gap{}, sources[i].Gaps...)
		for j := range gaps {
			gaps[j].From, gaps[j].To = gaps[j].From.UTC(), gaps[j].To.UTC()
		}
		sources[i].Gaps = gaps
	}
	return sources
}
