package main

import (
	"context"

	"github.com/sendgate/sendgate/gateway/web"
	"github.com/spf13/cobra"
)

func newResendCommand() *cobra.Command {
	var body web.ResendRequest
	cmd := newClientCommand("resend ID", "Send a message again to the recipients that failed", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) error {
			m, raw, err := c.act(ctx, args[0], "resend", &body)
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(raw)
			}
			return c.recipients(m.Recipients).write(c.out)
		})
	cmd.Flags().StringVar(&body.Reason, "reason", "", "why; it is kept with the message")
	cmd.Flags().StringArrayVar(&body.Recipients, "recipient", nil, "only to this recipient, who may have had it; may be repeated")
	return cmd
}
