package web

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/sendgate/sendgate/gateway/web/pages"
	"go.uber.org/zap"
)

// MaxBypass is how long the rules can be bypassed at a time.
const MaxBypass = 24 * time.Hour

// bypassFor is for how long when nobody says.
const bypassFor = time.Hour

// bypassSpans are for how long the form offers it, the usual first.
var bypassSpans = []string{"1h", "15m", "4h", "24h"}

var (
	errBypassLong = problem(http.StatusUnprocessableEntity, "invalid_time", "the rules can be bypassed for 24h at most: begin again when that is over")
	errNoBypass   = problem(http.StatusConflict, "not_bypassed", "the rules are not bypassed")
	errNoSwitch   = problem(http.StatusServiceUnavailable, "not_available", "this gateway has no such switch")
)

// A Bypass says whether the rules are bypassed: then they count and tell, and hold and refuse nothing.
type Bypass struct {
	On    bool      `json:"on"`
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero" doc:"when it ends by itself"`
	// Suspensions is true while suspended accounts may send, too.
	Suspensions bool   `json:"suspensions,omitempty" doc:"whether suspended accounts may send, too"`
	Author      string `json:"author,omitempty"`
	Reason      string `json:"reason,omitempty"`
}

// Bypasses is the switch.
type Bypasses interface {
	Bypass() Bypass
	// StartBypass bypasses the rules until a time, in place of what was said before. It is durable when the
	// error is nil.
	StartBypass(ctx context.Context, until time.Time, suspensions bool, reason, actor string) error
	EndBypass(ctx context.Context, reason, actor string) error
}

// A BypassRequest asks for the rules to be bypassed.
type BypassRequest struct {
	For         string    `json:"for,omitempty" doc:"from now, as 30m or 2h; 1h when neither this nor until is given; at most 24h"`
	Until       time.Time `json:"until,omitzero"`
	Reason      string    `json:"reason" required:"false" maxLength:"1000" doc:"everybody who looks after mail reads it"`
	Suspensions bool      `json:"suspensions,omitempty" doc:"let suspended accounts send, too"`
}

type (
	bypassOutput struct{ Body Bypass }
	bypassInput  struct{ Body BypassRequest }
	unbypass     struct {
		Reason string `query:"reason" maxLength:"1000" doc:"kept in the journal"`
	}
)

// getBypass is for everybody: who sends has to know that mail can hardly be taken back.
func (s *Server) getBypass(ctx context.Context, _ *struct{}) (*bypassOutput, error) {
	b := s.bypass()
	if whoIs(ctx).role == "user" {
		b.Author, b.Reason = "", ""
	}
	return &bypassOutput{b}, nil
}

// bypass is off where there is no switch.
func (s *Server) bypass() Bypass {
	if s.bypasses == nil {
		return Bypass{}
	}
	return s.bypasses.Bypass()
}

func (s *Server) startBypass(ctx context.Context, in *bypassInput) (*bypassOutput, error) {
	b, now := &in.Body, s.now()
	if s.bypasses == nil {
		return nil, errNoSwitch
	}
	if b.For == "" && b.Until.IsZero() {
		b.Until = now.Add(bypassFor)
	}
	until, err := deadline(b.For, b.Until, now)
	switch {
	case err != nil:
		return nil, err
	case until.Sub(now) > MaxBypass:
		return nil, errBypassLong
	case strings.TrimSpace(b.Reason) == "":
		return nil, errWhy
	}
	if err := s.bypasses.StartBypass(ctx, until, b.Suspensions, b.Reason, actor(ctx)); err != nil {
		return nil, s.fail("bypass the rules", err)
	}
	s.actedOn(ctx, "bypass", "", zap.Time("until", until), zap.Bool("suspensions", b.Suspensions), zap.String("reason", b.Reason))
	return &bypassOutput{s.bypass()}, nil
}

func (s *Server) endBypass(ctx context.Context, in *unbypass) (*bypassOutput, error) {
	if !s.bypass().On {
		return nil, errNoBypass
	}
	if err := s.bypasses.EndBypass(ctx, in.Reason, actor(ctx)); err != nil {
		return nil, s.fail("end the bypass", err)
	}
	s.actedOn(ctx, "end_bypass", "", zap.String("reason", in.Reason))
	return &bypassOutput{s.bypass()}, nil
}

// bypassPages serves the form of the settings, and the button of the banner that stands on every page.
func (s *Server) bypassPages(mux *http.ServeMux) {
	mux.Handle("POST /bypass", s.act(func(v *visit) (to, said string, err error) {
		in := &bypassInput{BypassRequest{For: v.form("for"), Reason: v.form("reason"), Suspensions: v.form("suspensions") != ""}}
		if _, err := call[bypassInput, bypassOutput](s, v, "start-bypass", in); err != nil {
			return "/settings/about", "", told(err)
		}
		return "/settings/about", "bypass.began", nil
	}))
	mux.Handle("POST /bypass/end", s.act(func(v *visit) (to, said string, err error) {
		_, err = call[unbypass, bypassOutput](s, v, "end-bypass", &unbypass{Reason: v.form("reason")})
		return s.cameFrom(v.r), "bypass.ended", err
	}))
}

// banner is what every page says while the rules are bypassed. Who has own mail only does not read the reason.
func (s *Server) banner(v *visit) *pages.Bypass {
	b := s.bypass()
	if !b.On {
		return nil
	}
	who := whoIs(v.ctx)
	p := &pages.Bypass{Until: b.Until, Left: b.Until.Sub(s.now()), Suspensions: b.Suspensions, MayEnd: who.allowed(access["end-bypass"])}
	if who.role != "user" {
		p.Author, p.Reason = b.Author, b.Reason
	}
	return p
}

// emergency says in an answer about readiness what somebody has switched. A gateway that is being emptied is not
// ready.
func (s *Server) emergency(r *Readiness) {
	if b := s.bypass(); b.On {
		r.Parts = append(r.Parts, Part{Name: "bypass", OK: true, Detail: "the rules are bypassed until " + b.Until.Format(time.RFC3339) + " by " + b.Author + ": " + b.Reason})
	}
	if d := s.drain(); d.State != DrainOff {
		r.Ready = false
		r.Parts = append(r.Parts, Part{Name: "drain", Decides: true, Detail: "the gateway is being emptied and takes no mail"})
	}
}
