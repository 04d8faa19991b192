package main

import (
	"context"

	"github.com/sendgate/sendgate/gateway/web"
	"github.com/spf13/cobra"
)

func newCancelCommand() *cobra.Command {
	var body web.CancelRequest
	cmd := newClientCommand("cancel ID --reason TEXT", "Take back a message that has not left yet", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) error {
			m, raw, err := c.act(ctx, args[0], "cancel", &body)
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(raw)
			}
			return c.recipients(m.Recipients).write(c.out)
		})
	cmd.Flags().StringVar(&body.Reason, "reason", "", "why; it is kept with the message")
	cmd.Flags().StringArrayVar(&body.Recipients, "recipient", nil, "only this recipient; may be repeated")
	return cmd
}
