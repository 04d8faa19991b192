package web

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/limit"
	"go.uber.org/zap"
)

var (
	errSpan = problem(http.StatusUnprocessableEntity, "invalid_time", `"for" is a duration above zero, such as 90s, 10m, 24h or 7d`)
	errPast = problem(http.StatusUnprocessableEntity, "invalid_time", `"until" is in the past`)
	errFar  = problem(http.StatusUnprocessableEntity, "invalid_time",
		"that is more than ten years away: change the rule in the configuration instead")
	errWhy      = problem(http.StatusUnprocessableEntity, "reason_required", "say why, in reason: it is kept in the journal")
	errIdentity = problem(http.StatusUnprocessableEntity, "invalid_identity", "that is no identity: it is what messages show as identity, without control characters")
	errNoGrant  = problem(http.StatusConflict, "nothing_granted", "there is no boost and no override to end")
)

// A BoostRequest raises limits of a sender for a while.
type BoostRequest struct {
	Rule   string    `json:"rule,omitempty" maxLength:"200" doc:"name of the limit; absent: every limit that applies to the sender"`
	Amount int64     `json:"amount" minimum:"1" maximum:"1000000000000" doc:"added to the limit, in its own unit"`
	For    string    `json:"for,omitempty" doc:"from now, as 10m, 24h or 7d"`
	Until  time.Time `json:"until,omitzero"`
	Reason string    `json:"reason" required:"false" maxLength:"1000" doc:"kept in the journal"`
	// Release is for those who want to say it: raising a limit lets go what waits for it.
	Release bool `json:"release,omitempty" doc:"changes nothing: what waits for the limit goes at once, by itself, as far as it fits"`
}

// An OverrideRequest replaces a limit of a sender for a while.
type OverrideRequest struct {
	Rule   string    `json:"rule" minLength:"1" maxLength:"200" doc:"name of the limit"`
	Limit  int64     `json:"limit" minimum:"1" maximum:"1000000000000" doc:"instead of that of the rule"`
	For    string    `json:"for,omitempty" doc:"from now, as 10m, 24h or 7d"`
	Until  time.Time `json:"until,omitzero"`
	Reason string    `json:"reason" required:"false" maxLength:"1000" doc:"kept in the journal"`
}

// A RevokeRequest ends boosts and overrides of a sender.
type RevokeRequest struct {
	Rule   string `json:"rule,omitempty" maxLength:"200" doc:"name of the limit; absent: all"`
	Reason string `json:"reason,omitempty" maxLength:"1000" doc:"kept in the journal"`
}

// A ResetRequest forgets what was counted for a sender.
type ResetRequest struct {
	Rule   string `json:"rule,omitempty" maxLength:"200" doc:"name of the limit; absent: all"`
	Reason string `json:"reason" required:"false" maxLength:"1000" doc:"kept in the journal"`
}

type boostInput struct {
	Identity string `path:"identity" maxLength:"1000" doc:"the identity, or another key of a limit, with URL escapes"`
	Body     BoostRequest
}

func (s *Server) boostSender(ctx context.Context, in *boostInput) (*senderOutput, error) {
	b := &in.Body
	return s.grant(ctx, "boost", limit.Grant{Rule: b.Rule, Key: in.Identity, Boost: true, Amount: b.Amount, Reason: b.Reason}, b.For, b.Until)
}

type overrideInput struct {
	Identity string `path:"identity" maxLength:"1000" doc:"the identity, or another key of a limit, with URL escapes"`
	Body     OverrideRequest
}

func (s *Server) overrideSender(ctx context.Context, in *overrideInput) (*senderOutput, error) {
	b := &in.Body
	return s.grant(ctx, "override", limit.Grant{Rule: b.Rule, Key: in.Identity, Amount: b.Limit, Reason: b.Reason}, b.For, b.Until)
}

// grant checks in the order: whom, which rule, how long, why.
func (s *Server) grant(ctx context.Context, verb string, g limit.Grant, span string, until time.Time) (*senderOutput, error) {
	if err := s.checkKey(g.Key, g.Rule); err != nil {
		return nil, err
	}
	now := s.now().UTC()
	end, err := deadline(span, until, now)
	if err != nil {
		return nil, err
	}
	if strings.TrimSpace(g.Reason) == "" {
		return nil, errWhy
	}
	g.Given, g.Until, g.Author = now, end, actor(ctx)
	if err := s.limits.Boost(ctx, g); err != nil {
		return nil, s.refused(verb, err)
	}
	s.actedOn(ctx, verb, g.Key, zap.String("rule", g.Rule), zap.Int64("amount", g.Amount), zap.Time("until", end), zap.String("reason", g.Reason))
	return s.senderAnswer(ctx, g.Key)
}

// checkKey wants a key that somebody can have, and a limit that there is, when one is named.
func (s *Server) checkKey(key, rule string) error {
	if key == "" || strings.ContainsFunc(key, unicode.IsControl) {
		return errIdentity
	}
	if rule != "" && !slices.ContainsFunc(s.limits.Rules(), func(l policy.LimitRule) bool { return l.Name == rule }) {
		return problem(http.StatusUnprocessableEntity, "unknown_rule", "there is no limit of the name "+rule+": see the list of rules")
	}
	return nil
}

type revokeInput struct {
	Identity string `path:"identity" maxLength:"1000" doc:"the identity, or another key of a limit, with URL escapes"`
	Body     RevokeRequest
}

func (s *Server) revokeSender(ctx context.Context, in *revokeInput) (*senderOutput, error) {
	b := &in.Body
	if err := s.checkKey(in.Identity, ""); err != nil {
		return nil, err
	}
	// A grant for a limit that is gone from the configuration can be ended, too.
	granted := func(g limit.Grant) bool { return b.Rule == "" || g.Rule == b.Rule }
	if !slices.ContainsFunc(s.limits.Grants(in.Identity), granted) {
		return nil, errNoGrant
	}
	if err := s.limits.Revoke(ctx, in.Identity, b.Rule, b.Reason, actor(ctx)); err != nil {
		return nil, s.refused("revoke", err)
	}
	s.actedOn(ctx, "revoke", in.Identity, zap.String("rule", b.Rule), zap.String("reason", b.Reason))
	return s.senderAnswer(ctx, in.Identity)
}

type resetInput struct {
	Identity string `path:"identity" maxLength:"1000" doc:"the identity, or another key of a limit, with URL escapes"`
	Body     ResetRequest
}

func (s *Server) resetSender(ctx context.Context, in *resetInput) (*senderOutput, error) {
	b := &in.Body
	if err := s.checkKey(in.Identity, b.Rule); err != nil {
		return nil, err
	}
	if strings.TrimSpace(b.Reason) == "" {
		return nil, errWhy
	}
	if err := s.limits.Reset(ctx, in.Identity, b.Rule, b.Reason, actor(ctx)); err != nil {
		return nil, s.refused("reset", err)
	}
	s.actedOn(ctx, "reset", in.Identity, zap.String("rule", b.Rule), zap.String("reason", b.Reason))
	return s.senderAnswer(ctx, in.Identity)
}

// actedOn writes the audit line of an act on a sender.
func (s *Server) actedOn(ctx context.Context, verb, identity string, fields ...zap.Field) {
	fields = append([]zap.Field{zap.String("verb", verb), zap.String("identity", identity), zap.String("actor", actor(ctx))}, fields...)
	s.log.Info("act", fields...)
	s.audit(ctx, verb, identity, fields[3:]...)
}
