package web

import (
	"context"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/anomaly"
)

// A SignIn is one to the mail server, as a front has seen it: not one to the dashboard, which is a [Session].
type SignIn struct {
	Time      time.Time `json:"time" doc:"the first of its hour from this network with this outcome"`
	Address   string    `json:"address" doc:"of the client"`
	Network   string    `json:"network" doc:"/24 of IPv4, /48 of IPv6: what counts as one place"`
	Mechanism string    `json:"mechanism,omitempty" example:"PLAIN"`
	Program   string    `json:"program,omitempty" doc:"what the client called itself"`
	Refused   bool      `json:"refused" doc:"somebody tried with a wrong password, anybody can"`
	Reply     string    `json:"reply,omitempty" doc:"with which it was refused"`
	Known     bool      `json:"known" doc:"the same account has signed in from this network before"`
}

// A MyLimits says how much of the own limits is used.
type MyLimits struct {
	Usage     []Usage   `json:"usage" nullable:"false" doc:"limits under which something counts"`
	Trial     time.Time `json:"trial,omitzero" doc:"until then limits only tell; absent when it is over"`
	Suspended bool      `json:"suspended" doc:"mail to other organisations is refused"`
	Until     time.Time `json:"until,omitzero" doc:"with suspended: when it ends by itself; absent: a person decides"`
}

type (
	signInsOutput struct {
		Body struct {
			SignIns []SignIn `json:"sign_ins" nullable:"false" doc:"of the last 30 days, newest first, at most 200"`
		}
	}
	myLimitsOutput struct{ Body MyLimits }
)

func (s *Server) mySignIns(ctx context.Context, _ *struct{}) (*signInsOutput, error) {
	return s.signInsOf(ctx, whoIs(ctx).identity)
}

func (s *Server) senderSignIns(ctx context.Context, in *senderInput) (*signInsOutput, error) {
	return s.signInsOf(ctx, in.Identity)
}

func (s *Server) signInsOf(ctx context.Context, identity string) (*signInsOutput, error) {
	events, err := s.signIns(ctx, identity)
	if err != nil {
		return nil, s.fail("read sign-ins", err)
	}
	out := &signInsOutput{}
	out.Body.SignIns = signInViews(events)
	return out, nil
}

// signInViews takes the newest first.
func signInViews(events []policy.Event) []SignIn {
	views, before := make([]SignIn, len(events)), map[string]bool{}
	for i := len(events) - 1; i >= 0; i-- {
		e := &events[i]
		v := SignIn{Time: e.Time.UTC(), Address: e.Evidence, Network: networkOf(e.Evidence), Mechanism: e.Mechanism, Program: e.Program, Refused: e.Reply != "", Reply: e.Reply}
		v.Known = before[v.Network]
		before[v.Network] = before[v.Network] || !v.Refused
		views[i] = v
	}
	return views
}

// networkOf is the network of an address, or what stands there instead.
func networkOf(address string) string {
	a, ok := parseHop(address)
	if !ok {
		return address
	}
	return anomaly.Prefix(a)
}

func (s *Server) myLimits(ctx context.Context, _ *struct{}) (*myLimitsOutput, error) {
	identity := whoIs(ctx).identity
	out := &myLimitsOutput{MyLimits{Usage: usageViews(s.limits.Usage(identity)), Trial: s.trial()}}
	if one, ok := s.limits.Suspension(identity); ok {
		out.Body.Suspended, out.Body.Until = true, one.Until.UTC()
	}
	return out, nil
}
