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
	cmd := newCampaignReasonCommand("cancel ID --reason TEXT", "Stop a campaign, and take back all that waits of it", "campaign canceled")
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

// newCampaignCommand makes a command that decides about one campaign; its name is the verb of the API.
func newCampaignCommand(use, short, done string, request func() (any, error)) *cobra.Command {
	var cmd *cobra.Command
	cmd = newClientCommand(use, short, cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) error {
			body, err := request()
			if err != nil {
				return err
			}
			id, err := c.resolveCampaign(ctx, args[0])
			if err != nil {
				return err
			}
			var v web.CampaignResult
			raw, err := c.post(ctx, "/campaigns/"+url.PathEscape(id)+"/"+cmd.Name(), body, &v)
			if err != nil {
				return fmt.Errorf("%s %s: %w", cmd.Name(), args[0], err)
			}
			line := c.say(done, v.Campaign.ID, v.Messages)
			if d := v.Campaign.Decision; d != nil && !d.Until.IsZero() {
				line += " (" + c.say("until", clock(d.Until)) + ")"
			}
			return c.printActed(raw, line)
		})
	return cmd
}
