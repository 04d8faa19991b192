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
			m, raw, err := c.actOnMessage(ctx, args[0], "resend", &body)
			return answer(c, raw, m, err, func(m *web.MessageDetail) error { return c.recipients(m.Recipients).write(c.out) })
		})
	cmd.Flags().StringVar(&body.Reason, "reason", "", "why; it is kept with the message")
	cmd.Flags().StringArrayVar(&body.Recipients, "recipient", nil, "only to this recipient, who may have had it; may be repeated")
	return cmd
}
