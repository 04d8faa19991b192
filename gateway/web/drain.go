package web

import (
	"context"
	"net/http"
	"time"

	"go.uber.org/zap"
)

// drainFor is how long a drain takes at most when nobody says.
const drainFor = time.Hour

var (
	errNotDraining = problem(http.StatusConflict, "not_draining", "the gateway is not being drained, or has closed its listeners already")
	errDraining    = problem(http.StatusConflict, "draining", "the gateway is being drained already")
)

// The states of a drain.
const (
	DrainOff     = "off"
	DrainOn      = "draining" // no mail is taken, and what is here goes
	DrainClosing = "closing"  // the listeners are closed; the process ends soon
	DrainEnded   = "ended"    // the process ends now
)

// A Drain says how far the gateway is emptied.
type Drain struct {
	State  string    `json:"state" enum:"off,draining,closing,ended"`
	Since  time.Time `json:"since,omitzero"`
	Until  time.Time `json:"until,omitzero" doc:"when it is given up, and the process ends all the same"`
	All    bool      `json:"all,omitempty" doc:"whether what waits for a person goes, too"`
	Author string    `json:"author,omitempty"`
	// Released counts what was let go by the drain, Left what still has to leave.
	Released int  `json:"released" doc:"messages that the drain let go"`
	Left     int  `json:"left" doc:"messages that still have to leave"`
	Staying  int  `json:"staying" doc:"messages that stay in the store until the next start"`
	Unknown  bool `json:"unknown,omitempty" doc:"the store cannot be read at the moment: more may stay than is named"`
	// Stays names them, the first hundred.
	Stays []Staying `json:"stays" nullable:"false" doc:"messages that stay, the first hundred of them"`
}

// A Staying is a message that a drain leaves in the store.
type Staying struct {
	ID     string `json:"id"`
	Sender string `json:"sender"`
	Why    string `json:"why" enum:"approval,suspended,time,unreadable" doc:"it waits for approval; its account is suspended; it could not be delivered in time; it cannot be read"`
}

// Drains empties the gateway.
type Drains interface {
	Drain() Drain
	StartDrain(until time.Time, all bool, actor string) error
	// StopDrain accepts mail again; it is false when that is no longer possible.
	StopDrain(actor string) bool
}

// A DrainRequest asks for the gateway to be emptied.
type DrainRequest struct {
	All     bool   `json:"all,omitempty" doc:"let go as well what waits for approval, and the mail of suspended accounts"`
	Timeout string `json:"timeout,omitempty" doc:"after which the process ends with whatever is left; 1h when not given"`
}

type (
	drainOutput struct{ Body Drain }
	drainInput  struct{ Body DrainRequest }
)

func (s *Server) getDrain(context.Context, *struct{}) (*drainOutput, error) {
	return &drainOutput{s.drain()}, nil
}

func (s *Server) drain() Drain {
	if s.drains == nil {
		return Drain{State: DrainOff, Stays: []Staying{}}
	}
	return s.drains.Drain()
}

func (s *Server) startDrain(ctx context.Context, in *drainInput) (*drainOutput, error) {
	now := s.now()
	until := now.Add(drainFor)
	if in.Body.Timeout != "" {
		var err error
		if until, err = deadline(in.Body.Timeout, time.Time{}, now); err != nil {
			return nil, err
		}
	}
	switch {
	case s.drains == nil:
		return nil, errNoSwitch
	case s.drain().State != DrainOff:
		return nil, errDraining
	}
	s.actedOn(ctx, "drain", "", zap.Bool("all", in.Body.All), zap.Time("until", until))
	if err := s.drains.StartDrain(until, in.Body.All, actor(ctx)); err != nil {
		return nil, errDraining // somebody was quicker
	}
	return &drainOutput{s.drain()}, nil
}

func (s *Server) stopDrain(ctx context.Context, _ *struct{}) (*drainOutput, error) {
	if s.drains == nil || !s.drains.StopDrain(actor(ctx)) {
		return nil, errNotDraining
	}
	s.actedOn(ctx, "stop_drain", "")
	return &drainOutput{s.drain()}, nil
}
