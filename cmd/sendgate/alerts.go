package main

import (
	"context"
	"fmt"
	"net/url"
	"strconv"

	"github.com/sendgate/sendgate/gateway/web"
	"github.com/spf13/cobra"
)

func newAlertsCommand() *cobra.Command {
	all, limit := false, 0
	cmd := newClientCommand("alerts", "List what people should know", cobra.NoArgs,
		func(ctx context.Context, c *client, _ []string) error {
			query := url.Values{"open": {strconv.FormatBool(!all)}, "limit": {strconv.Itoa(limit)}}
			return ask(ctx, c, "/alerts", query, c.printAlerts)
		})
	cmd.Flags().BoolVar(&all, "all", false, "also what is over")
	cmd.Flags().IntVar(&limit, "limit", 100, "so many, at most 1000")
	cmd.AddCommand(newAlertsAckCommand())
	return cmd
}

func newAlertsAckCommand() *cobra.Command {
	return newClientCommand("ack ID...", "Say that you have seen alerts", cobra.MinimumNArgs(1),
		func(ctx context.Context, c *client, args []string) error {
			for _, id := range args {
				var a web.Alert
				raw, err := c.act(ctx, "/alerts", id, "acknowledge", nil, &a)
				if err != nil {
					return err
				}
				if err := c.printActed(raw, c.say("acknowledged", a.ID, a.Title.In(c.lang))); err != nil {
					return err
				}
			}
			return nil
		})
}

func (c *client) printAlerts(list *web.AlertList) error {
	if len(list.Alerts) == 0 {
		_, err := fmt.Fprintln(c.out, c.say("no alerts"))
		return err
	}
	var t table
	t.add(c.headings("id", "severity", "last", "times", "seen by", "what", "text")...)
	for i := range list.Alerts {
		a := &list.Alerts[i]
		t.add(a.ID, c.named("severity", a.Severity), clock(a.Last), strconv.Itoa(a.Count), a.AcknowledgedBy, a.Title.In(c.lang), a.Text.In(c.lang))
		if a.Campaign != "" {
			t.add("", "", "", "", "", "", c.say("look at campaign", a.Campaign))
		}
		if advice := a.Advice.In(c.lang); advice != "" {
			t.add("", "", "", "", "", "", advice)
		}
	}
	return t.write(c.out)
}
