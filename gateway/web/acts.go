package web

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
	"go.uber.org/zap"
)

var (
	errHoldTime = problem(http.StatusUnprocessableEntity, "invalid_time",
		`say how long with "for" ("10m", from now) or until when with "until", not both and not neither`)
	errHoldFor = problem(http.StatusUnprocessableEntity, "invalid_time",
		`"for" is a duration above zero, such as 90s, 10m or 1h30m`)
	errHoldPast     = problem(http.StatusUnprocessableEntity, "invalid_time", `"until" is in the past: release the message instead`)
	errNotRecipient = problem(http.StatusUnprocessableEntity, "invalid_address", "the message has no such recipient")
	errBounceReason = problem(http.StatusUnprocessableEntity, "bounce_reason_required", "say why, in reason: the sender reads it in the bounce")
	errBounceOwn    = problem(http.StatusForbidden, "bounce_own", "a bounce says that an administrator stopped the message: it is not for one's own mail")
	errReason       = problem(http.StatusUnprocessableEntity, "reason_required", "say why, in reason: it is kept with the message")
)

func (s *Server) releaseMessage(ctx context.Context, in *messageInput) (*messageOutput, error) {
	id, err := s.existing(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if err := s.release(ctx, id); err != nil {
		return nil, s.refused("release", err)
	}
	s.acted(ctx, "release", id)
	return s.answer(ctx, id)
}

// A HoldRequest says how long a message is held.
type HoldRequest struct {
	For   string    `json:"for,omitempty" doc:"from now, as 90s, 10m or 1h30m"`
	Until time.Time `json:"until,omitzero"`
}

// huma does not see the parameters of an embedded type that is not exported.
type holdInput struct {
	ID   string `path:"id" doc:"sendgate's own id of the message"`
	Body HoldRequest
}

func (s *Server) holdMessage(ctx context.Context, in *holdInput) (*messageOutput, error) {
	id, err := s.existing(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	until, err := in.Body.end(s.now())
	if err != nil {
		return nil, err
	}
	if err := s.holder.Hold(ctx, id, until.Add(s.margin()), actor(ctx)); err != nil {
		return nil, s.refused("hold", err)
	}
	s.acted(ctx, "hold", id, zap.Time("until", until))
	return s.answer(ctx, id)
}

// end is the time until which the message can surely be taken back, as people are shown it.
func (h *HoldRequest) end(now time.Time) (time.Time, error) {
	if (h.For == "") == h.Until.IsZero() {
		return time.Time{}, errHoldTime
	}
	if h.For == "" {
		if !h.Until.After(now) {
			return time.Time{}, errHoldPast
		}
		return h.Until.UTC(), nil
	}
	d, err := time.ParseDuration(h.For)
	if err != nil || d <= 0 {
		return time.Time{}, errHoldFor
	}
	return now.Add(d).UTC(), nil
}

// A CancelRequest says why, and for whom when not for all.
type CancelRequest struct {
	Reason     string   `json:"reason" maxLength:"1000" required:"false" doc:"kept with the message; with bounce the sender reads it"`
	Recipients []string `json:"recipients,omitempty" nullable:"false" maxItems:"20000" doc:"addresses; none means all"`
	Bounce     bool     `json:"bounce,omitempty" doc:"tell the sender by a delivery status notification (RFC 3464) that an administrator stopped it, and why; needs a reason. Without it the sender is told nothing. Mail of the null sender never causes one"`
}

type cancelInput struct {
	ID   string `path:"id" doc:"sendgate's own id of the message"`
	Body CancelRequest
}

func (s *Server) cancelMessage(ctx context.Context, in *cancelInput) (*messageOutput, error) {
	id, err := s.existing(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if err := in.Body.mayBounce(role(ctx)); err != nil {
		return nil, err
	}
	if in.Body.Reason == "" && s.settings.Load().reasonRequired {
		return nil, errReason
	}
	chosen, err := s.chosen(id, in.Body.Recipients)
	if err != nil {
		return nil, err
	}
	bounce, err := s.cancel(ctx, id, chosen, &in.Body)
	if err != nil {
		return nil, err
	}
	out, err := s.answer(ctx, id)
	if err == nil {
		out.Body.Bounce = bounce
	}
	return out, err
}

// mayBounce refuses a bounce that says nothing, and one of a message's own sender to himself.
func (r *CancelRequest) mayBounce(role string) error {
	switch {
	case !r.Bounce:
		return nil
	case role == "user":
		return errBounceOwn
	case strings.TrimSpace(r.Reason) == "":
		return errBounceReason
	}
	return nil
}

// cancel takes back a message, or with indexes some of its recipients.
func (s *Server) cancel(ctx context.Context, id policy.ID, chosen []int, r *CancelRequest) (bounce Bounce, err error) {
	var outcomes []Outcome
	if r.Bounce {
		outcomes, bounce, err = s.holder.Return(ctx, id, chosen, r.Reason, actor(ctx))
	} else {
		outcomes, err = s.holder.Cancel(ctx, id, chosen, r.Reason, actor(ctx))
	}
	if err != nil {
		return "", s.refused("cancel", err)
	}
	if !anySuccess(outcomes) {
		return "", undone(outcomes)
	}
	fields := []zap.Field{zap.Int("recipients", len(outcomes))}
	if r.Bounce {
		fields = append(fields, zap.Bool("bounce", true))
	}
	s.acted(ctx, "cancel", id, fields...)
	return bounce, nil
}

// A ResendRequest says to whom a message is sent again, when not to all that failed.
type ResendRequest struct {
	Recipients []string `json:"recipients,omitempty" nullable:"false" maxItems:"20000" doc:"addresses, each of which has come to an end; none means all that failed"`
	Reason     string   `json:"reason,omitempty" maxLength:"1000" doc:"kept with the message"`
}

type resendInput struct {
	ID   string `path:"id" doc:"sendgate's own id of the message"`
	Body ResendRequest
}

func (s *Server) resendMessage(ctx context.Context, in *resendInput) (*messageOutput, error) {
	id, err := s.existing(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	chosen, err := s.chosen(id, in.Body.Recipients)
	if err == nil {
		err = s.mayResend(ctx, id, chosen)
	}
	if err != nil {
		return nil, err
	}
	if err := s.holder.Resend(ctx, id, chosen, in.Body.Reason, actor(ctx)); err != nil {
		return nil, s.refused("resend", err)
	}
	s.acted(ctx, "resend", id, zap.Int("recipients", len(in.Body.Recipients)))
	return s.answer(ctx, id)
}

// chosen finds the indexes of the recipients with these addresses; nil is all of them.
func (s *Server) chosen(id policy.ID, addresses []string) ([]int, error) {
	if len(addresses) == 0 {
		return nil, nil
	}
	rows, err := s.journal.Recipients(id)
	if err != nil {
		return nil, s.fail("read recipients", err)
	}
	wanted := policy.NewSelection(addresses)
	indexes := wanted.Of(rows)
	if len(wanted.Missing()) > 0 {
		return nil, errNotRecipient
	}
	return indexes, nil
}

// refused turns an error of the holder into a problem.
func (s *Server) refused(what string, err error) error {
	var r *Refusal
	if errors.As(err, &r) {
		return problem(http.StatusConflict, r.Code, r.Detail)
	}
	return s.fail(what, err)
}
