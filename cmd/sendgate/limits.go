package main

import (
	"context"
	"fmt"
	"net/url"
	"strconv"

	"github.com/sendgate/sendgate/gateway/web"
	"github.com/spf13/cobra"
)

func newLimitsCommand() *cobra.Command {
	near, limit := 0, 0
	cmd := newClientCommand("limits", "List who is near a limit", cobra.NoArgs,
		func(ctx context.Context, c *client, _ []string) error {
			query := url.Values{"near": {strconv.Itoa(near)}, "limit": {strconv.Itoa(limit)}}
			return ask(ctx, c, "/limits", query, func(list *web.UsageList) error { return c.printUsage(list, near) })
		})
	cmd.Flags().IntVar(&near, "near", 80, "percent of a limit from which on its usage is listed")
	cmd.Flags().IntVar(&limit, "limit", 50, "so many, at most 1000")
	return cmd
}

func (c *client) printUsage(list *web.UsageList, near int) error {
	if err := c.printTrial(list.Trial); err != nil {
		return err
	}
	if len(list.Limits) == 0 {
		_, err := fmt.Fprintln(c.out, c.say("nobody near", near))
		return err
	}
	return c.usage(list.Limits, true).write(c.out)
}

// usage lists what is used of limits, with whom it counts for when asked to.
func (c *client) usage(list []web.Usage, named bool) *table {
	var t table
	head := c.headings("rule", "used", "limit", "unit", "per", "percent", "limit from", "next free")
	if named {
		head = append(c.headings("whom"), head...)
	}
	t.add(head...)
	for i := range list {
		u := &list[i]
		from := c.named("source", u.Source)
		if u.Shadow {
			from += " " + c.say("only tells")
		}
		row := []string{
			u.Rule, strconv.FormatInt(u.Used, 10), strconv.FormatInt(u.Limit, 10), u.Unit.Label.In(c.lang), u.Window.Label().In(c.lang),
			strconv.FormatInt(u.Percent, 10) + "%", from, clock(u.NextFree),
		}
		if named {
			row = append([]string{cut(u.Key, addressCells)}, row...)
		}
		t.add(row...)
	}
	return &t
}
