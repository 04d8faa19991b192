package main

import (
	"context"
	"fmt"

	"github.com/sendgate/sendgate/gateway/web"
	"github.com/spf13/cobra"
)

func newCancelCommand() *cobra.Command {
	var body web.CancelRequest
	cmd := newClientCommand("cancel ID --reason TEXT", "Take back a message that has not left yet", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) error {
			m, raw, err := c.actOnMessage(ctx, args[0], "cancel", &body)
			return answer(c, raw, m, err, func(m *web.MessageDetail) error {
				if text := bounceTexts[m.Bounce]; text != "" {
					fmt.Fprintln(c.out, text)
				}
				return c.recipients(m.Recipients).write(c.out)
			})
		})
	cmd.Flags().StringVar(&body.Reason, "reason", "", "why; it is kept with the message, and with --bounce the sender reads it")
	cmd.Flags().BoolVar(&body.Bounce, "bounce", false, "tell the sender, by a bounce, that an administrator stopped the message and why; needs --reason")
	cmd.Flags().StringArrayVar(&body.Recipients, "recipient", nil, "only this recipient; may be repeated")
	return cmd
}

// bounceTexts say whether the sender is told.
var bounceTexts = map[web.Bounce]string{
	web.BounceSent:    "The sender is told by a bounce.",
	web.BouncePending: "The sender is told by a bounce as soon as the mail server has deleted the message.",
	web.BounceNone:    "Nobody is told: the message has no return address of ours, or its sender wants no reports.",
	web.BounceLimited: "Nobody is told: the sender was told of many other messages in the last hour.",
}
