package web

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy/similar"
	"go.uber.org/zap"
)

var errUndecided = problem(http.StatusConflict, "nothing_decided", "nobody has decided about the campaign: there is nothing to withdraw")

// A CampaignRequest says why something is decided about a campaign.
type CampaignRequest struct {
	Reason string `json:"reason" required:"false" maxLength:"1000" doc:"kept in the journal"`
}

// An AllowRequest lets a campaign pass for a time, as a newsletter.
type AllowRequest struct {
	For    string    `json:"for,omitempty" doc:"from now, as 24h or 30d"`
	Until  time.Time `json:"until,omitzero"`
	Reason string    `json:"reason" required:"false" maxLength:"1000" doc:"kept in the journal"`
}

// A CampaignResult is a campaign after a decision.
type CampaignResult struct {
	Messages int            `json:"messages" doc:"how many messages that waited for approval it acted on"`
	Campaign CampaignDetail `json:"campaign"`
}

// A CampaignCancel says why a campaign is stopped, and whether its senders are told.
type CampaignCancel struct {
	CampaignRequest
	Bounce bool `json:"bounce,omitempty" doc:"tell each sender by a delivery status notification (RFC 3464) that an administrator stopped the message, and why; needs a reason. The null sender, a forged one and one who was told of 100 messages in the last hour are told nothing"`
}

type campaignCancelInput struct {
	ID   string `path:"id" maxLength:"100" doc:"id of the campaign"`
	Body CampaignCancel
}

type campaignActInput struct {
	ID   string `path:"id" maxLength:"100" doc:"id of the campaign"`
	Body CampaignRequest
}

type campaignAllowInput struct {
	ID   string `path:"id" maxLength:"100" doc:"id of the campaign"`
	Body AllowRequest
}

type campaignActOutput struct{ Body *CampaignResult }

func (s *Server) approveCampaign(ctx context.Context, in *campaignActInput) (*campaignActOutput, error) {
	c, err := s.campaign(in.ID)
	if err != nil {
		return nil, err
	}
	return s.decide(ctx, &c, "approve", time.Time{}, in.Body.Reason)
}

func (s *Server) slowCampaign(ctx context.Context, in *campaignActInput) (*campaignActOutput, error) {
	c, err := s.campaign(in.ID)
	if err != nil {
		return nil, err
	}
	return s.decide(ctx, &c, "slow", time.Time{}, in.Body.Reason)
}

func (s *Server) cancelCampaign(ctx context.Context, in *campaignCancelInput) (*campaignActOutput, error) {
	c, err := s.campaign(in.ID)
	switch {
	case err != nil:
		return nil, err
	case strings.TrimSpace(in.Body.Reason) == "":
		return nil, errWhy
	case in.Body.Bounce:
		return s.decide(ctx, &c, "return", time.Time{}, in.Body.Reason)
	}
	return s.decide(ctx, &c, "cancel", time.Time{}, in.Body.Reason)
}

func (s *Server) allowCampaign(ctx context.Context, in *campaignAllowInput) (*campaignActOutput, error) {
	c, err := s.campaign(in.ID)
	if err != nil {
		return nil, err
	}
	until, err := deadline(in.Body.For, in.Body.Until, s.now())
	switch {
	case err != nil:
		return nil, err
	case strings.TrimSpace(in.Body.Reason) == "":
		return nil, errWhy
	}
	return s.decide(ctx, &c, "allow", until, in.Body.Reason)
}

func (s *Server) withdrawCampaign(ctx context.Context, in *campaignActInput) (*campaignActOutput, error) {
	c, err := s.campaign(in.ID)
	switch {
	case err != nil:
		return nil, err
	case c.Decision.Kind == similar.Undecided:
		return nil, errUndecided
	}
	return s.decide(ctx, &c, "withdraw", time.Time{}, in.Body.Reason)
}

// decide acts on a campaign and gives it as it is then.
func (s *Server) decide(ctx context.Context, c *similar.Campaign, what string, until time.Time, reason string) (*campaignActOutput, error) {
	messages, err := s.campaigns.Decide(ctx, c.ID, what, until, reason, actor(ctx))
	if err != nil {
		return nil, s.campaignError(what+" campaign", err)
	}
	s.log.Info("act", zap.String("verb", what), zap.Stringer("campaign", c.ID), zap.String("actor", actor(ctx)),
		zap.Int("messages", messages), zap.Time("until", until), zap.String("reason", reason))
	fields := []zap.Field{zap.Int("messages", messages), zap.Time("until", until), zap.String("reason", reason)}
	if what == "return" {
		what, fields = "cancel", append(fields, zap.Bool("bounce", true))
	}
	s.audit(ctx, "campaign_"+what, c.ID.String(), fields...)
	after, err := s.campaigns.Get(c.ID)
	if err != nil {
		return nil, s.campaignError("read campaign", err)
	}
	v, err := s.campaignDetail(ctx, &after)
	if err != nil {
		return nil, err
	}
	return &campaignActOutput{&CampaignResult{Messages: messages, Campaign: *v}}, nil
}
