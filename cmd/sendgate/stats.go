package main

import (
	"context"
	"fmt"
	"net/url"
	"strconv"

	"github.com/sendgate/sendgate/gateway/web"
	"github.com/spf13/cobra"
)

func newStatsCommand() *cobra.Command {
	hours := 0
	cmd := newClientCommand("stats", "Count what became of the mail of the last hours", cobra.NoArgs,
		func(ctx context.Context, c *client, _ []string) error {
			return ask(ctx, c, "/stats", url.Values{"hours": {strconv.Itoa(hours)}}, c.printStats)
		})
	cmd.Flags().IntVar(&hours, "hours", 24, "so many hours back, at most 2160")
	return cmd
}

func (c *client) printStats(s *web.Stats) error {
	var t table
	t.add(c.headings("state", "count")...)
	for _, l := range s.Labels {
		t.add(l.Label.In(c.lang), strconv.FormatInt(l.Recipients, 10))
	}
	if err := t.write(c.out); err != nil {
		return err
	}
	_, err := fmt.Fprintln(c.out, c.say("counted", s.Recipients, clock(s.Since), 100*s.UnknownRatio))
	if err != nil || len(s.Tracking) == 0 {
		return err
	}
	if _, err := fmt.Fprintln(c.out); err != nil {
		return err
	}
	return c.printSources(s.Tracking)
}
