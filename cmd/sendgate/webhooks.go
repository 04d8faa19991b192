package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/sendgate/sendgate/gateway/web"
	"github.com/spf13/cobra"
)

func newWebhooksCommand() *cobra.Command {
	cmd := newClientCommand("webhooks", "Show the programs that are told of events, how far, and what fails", cobra.NoArgs,
		func(ctx context.Context, c *client, _ []string) error {
			return ask(ctx, c, "/webhooks", nil, c.printWebhooks)
		})
	cmd.AddCommand(newWebhooksTestCommand(), newWebhooksResumeCommand())
	return cmd
}

func newWebhooksTestCommand() *cobra.Command {
	return newClientCommand("test NAME", "Post a test event to a webhook now", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) error {
			var v web.WebhookTest
			raw, err := c.post(ctx, "/webhooks/"+url.PathEscape(args[0])+"/test", nil, &v)
			if err != nil {
				return err
			}
			if !v.Delivered && !c.json {
				return errors.New(clean(c.say("webhook test failed", args[0], v.Error)))
			}
			return c.printActed(raw, c.say("webhook test delivered", args[0], v.Milliseconds))
		})
}

func newWebhooksResumeCommand() *cobra.Command {
	var body web.WebhookResume
	cmd := newClientCommand("resume NAME", "Go on at once with a webhook that fails or is disabled", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) error {
			var v web.Webhook
			raw, err := c.post(ctx, "/webhooks/"+url.PathEscape(args[0])+"/resume", &body, &v)
			if err != nil {
				return err
			}
			return c.printActed(raw, c.say("webhook resumed", v.Name))
		})
	cmd.Flags().BoolVar(&body.Skip, "skip", false, "give up the events that wait, and go on from now")
	return cmd
}

func (c *client) printWebhooks(list *web.WebhookList) error {
	if len(list.Webhooks) == 0 {
		_, err := fmt.Fprintln(c.out, c.say("no webhooks"))
		return err
	}
	var t table
	t.add(c.headings("webhook", "webhook host", "webhook state", "lag", "webhook behind", "webhook last", "webhook error")...)
	for i := range list.Webhooks {
		w := &list.Webhooks[i]
		trouble := ""
		if w.State != "ok" {
			trouble = clock(w.ErrorAt) + " " + w.Error
		}
		t.add(w.Name, w.Host, c.named("webhook", w.State), (time.Duration(w.LagSeconds) * time.Second).String(), strconv.FormatUint(w.Behind, 10), clock(w.LastDelivery), trouble)
	}
	return t.write(c.out)
}
