package web

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
	"go.uber.org/zap"
)

var (
	errOneTime      = problem(http.StatusUnprocessableEntity, "invalid_time", `say how long with "for" or until when with "until", not both; neither is until somebody ends it`)
	errNotSuspended = problem(http.StatusConflict, "not_suspended", "the sender is not suspended")
	errNoSender     = problem(http.StatusUnprocessableEntity, "invalid_identity", "only an identity can be suspended, not a domain, a network or the gateway")
)

// A SuspendRequest keeps a sender from writing to other organisations.
type SuspendRequest struct {
	For    string    `json:"for,omitempty" doc:"from now, as 10m, 24h or 7d"`
	Until  time.Time `json:"until,omitzero" doc:"neither for nor until: until somebody ends it"`
	Reason string    `json:"reason" required:"false" maxLength:"1000" doc:"kept in the journal; the sender does not see it"`
}

// An UnsuspendRequest ends a suspension.
type UnsuspendRequest struct {
	Reason string `json:"reason,omitempty" maxLength:"1000" doc:"kept in the journal"`
	// History says what becomes of what counted against the account.
	History string `json:"history,omitempty" enum:"forgive,forget,keep" default:"forgive" doc:"what counted against the account: forgive it; forget it with all that was learned of the account, which is new then; or keep it, so that more of the same suspends it again"`
}

// forgive is what happens without a word.
const forgive = "forgive"

type suspendInput struct {
	Identity string `path:"identity" maxLength:"1000" doc:"the identity, with URL escapes"`
	Body     SuspendRequest
}

func (s *Server) suspendSender(ctx context.Context, in *suspendInput) (*senderOutput, error) {
	b := &in.Body
	if err := s.checkSender(in.Identity); err != nil {
		return nil, err
	}
	var until time.Time
	switch {
	case b.For != "" && !b.Until.IsZero():
		return nil, errOneTime
	case b.For != "" || !b.Until.IsZero():
		var err error
		if until, err = deadline(b.For, b.Until, s.now()); err != nil {
			return nil, err
		}
	}
	if strings.TrimSpace(b.Reason) == "" {
		return nil, errWhy
	}
	if err := s.limits.Suspend(ctx, in.Identity, until, b.Reason, actor(ctx)); err != nil {
		return nil, s.refused("suspend", err)
	}
	s.actedOn(ctx, "suspend", in.Identity, zap.Time("until", until), zap.String("reason", b.Reason))
	return s.senderAnswer(ctx, in.Identity)
}

type unsuspendInput struct {
	Identity string `path:"identity" maxLength:"1000" doc:"the identity, with URL escapes"`
	Body     UnsuspendRequest
}

func (s *Server) unsuspendSender(ctx context.Context, in *unsuspendInput) (*senderOutput, error) {
	if err := s.checkSender(in.Identity); err != nil {
		return nil, err
	}
	if _, ok := s.limits.Suspension(in.Identity); !ok {
		return nil, errNotSuspended
	}
	history := in.Body.History
	if history == forgive {
		history = ""
	}
	if err := s.limits.Unsuspend(ctx, in.Identity, history, in.Body.Reason, actor(ctx)); err != nil {
		return nil, s.refused("unsuspend", err)
	}
	s.actedOn(ctx, "unsuspend", in.Identity, zap.String("history", history), zap.String("reason", in.Body.Reason))
	return s.senderAnswer(ctx, in.Identity)
}

// checkSender wants somebody who sends: other keys of limits cannot be suspended.
func (s *Server) checkSender(identity string) error {
	if err := s.checkKey(identity, ""); err != nil {
		return err
	}
	if keyKind(identity) != policy.ByIdentity {
		return errNoSender
	}
	return nil
}
