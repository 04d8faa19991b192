package main

import (
	"context"
	"fmt"
	"time"

	"github.com/sendgate/sendgate/gateway/web"
	"github.com/spf13/cobra"
)

func newTrackingCommand() *cobra.Command {
	return newClientCommand("tracking", "Show the logs that are followed, how far, and what is missing", cobra.NoArgs,
		func(ctx context.Context, c *client, _ []string) error {
			return ask(ctx, c, "/tracking", nil, func(v *web.Tracking) error { return c.printSources(v.Sources) })
		})
}

// printSources prints the logs, then what is missing of them.
func (c *client) printSources(sources []web.Source) error {
	if len(sources) == 0 {
		_, err := fmt.Fprintln(c.out, c.say("not tracked"))
		return err
	}
	var logs, gaps table
	logs.add(c.headings("log", "source state", "lag", "last line")...)
	gaps.add(c.headings("log", "gap from", "gap to", "reason")...)
	for i := range sources {
		s := &sources[i]
		state := c.sourceState(s.State)
		if s.Error != "" {
			state += ": " + s.Error
		}
		logs.add(s.Name, state, (time.Duration(s.LagSeconds) * time.Second).String(), clock(s.LastLine))
		for _, g := range s.Gaps {
			gaps.add(s.Name, clock(g.From), clock(g.To), g.Reason)
		}
	}
	return c.writeParts(&logs, &gaps)
}

func (c *client) sourceState(state string) string {
	switch state {
	case web.SourceFollowing, web.SourceCaughtUp, web.SourceError:
		return c.say(state)
	}
	return state // from a newer server
}
