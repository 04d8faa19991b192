package main

import (
	"context"
	"fmt"
	"net/url"

	"github.com/sendgate/sendgate/gateway/web"
	"github.com/spf13/cobra"
)

func newCampaignsApproveCommand() *cobra.Command {
	return newCampaignReasonCommand("approve ID", "Let a campaign pass, with all that waits of it", "campaign approved")
}

func newCampaignsCancelCommand() *cobra.Command {
	var body web.CampaignCancel
	cmd := newCampaignCommand("cancel ID --reason TEXT", "Stop a campaign, and take back all that waits of it", "campaign canceled", func() (any, error) { return &body, nil })
	cmd.Flags().StringVar(&body.Reason, "reason", "", whyFlag)
	cmd.Flags().BoolVar(&body.Bounce, "bounce", false, "tell each sender, by a bounce, that an administrator stopped the message and why; needs --reason")
	cmd.Long = "Stop a campaign: take back all that waits of it. More of the same text is stopped, too, whoever sends it."
	return cmd
}

func newCampaignsSlowCommand() *cobra.Command {
	return newCampaignReasonCommand("slow ID", "Let a campaign go at a pace only", "campaign slowed")
}

func newCampaignsWithdrawCommand() *cobra.Command {
	return newCampaignReasonCommand("withdraw ID", "Take back what was decided about a campaign", "campaign withdrawn")
}

// newCampaignReasonCommand makes a command that takes nothing but a reason.
func newCampaignReasonCommand(use, short, done string) *cobra.Command {
	var body web.CampaignRequest
	cmd := newCampaignCommand(use, short, done, func() (any, error) { return &body, nil })
	cmd.Flags().StringVar(&body.Reason, "reason", "", whyFlag)
	return cmd
}

func newCampaignsAllowCommand() *cobra.Command {
	var body web.AllowRequest
	var d duration
	cmd := newCampaignCommand("allow ID --for 30d --reason TEXT", "Let a campaign pass until a time, as a newsletter", "campaign allowed",
		func() (any, error) {
			var err error
			body.For, body.Until, err = d.end(false)
			return &body, err
		})
	cmd.Long = "Let a campaign pass until a time, as a newsletter. That holds for those who have sent it so far."
	cmd.Flags().StringVar(&body.Reason, "reason", "", whyFlag)
	d.flags(cmd)
	return cmd
}

// newCampaignCommand makes a command that decides about one campaign.
func newCampaignCommand(use, short, done string, request func() (any, error)) *cobra.Command {
	where := func(ctx context.Context, c *client, part string) (string, error) {
		id, err := c.resolveCampaign(ctx, part)
		return "/campaigns/" + url.PathEscape(id), err
	}
	return newActCommand(use, short, where, request, func(c *client, v *web.CampaignResult) error {
		line := c.say(done, v.Campaign.ID, v.Messages)
		if d := v.Campaign.Decision; d != nil && !d.Until.IsZero() {
			line += " (" + c.say("until", clock(d.Until)) + ")"
		}
		_, err := fmt.Fprintln(c.out, clean(line))
		return err
	})
}
