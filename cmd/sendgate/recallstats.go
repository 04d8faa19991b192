package main

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/sendgate/sendgate/gateway/web"
	"github.com/spf13/cobra"
)

func newRecallStatsCommand() *cobra.Command {
	days := 0
	cmd := newClientCommand("stats", "How recalls went, and what a longer hold would have caught", cobra.NoArgs,
		func(ctx context.Context, c *client, _ []string) error {
			if days < 1 {
				return usageError{fmt.Errorf("--days %d: at least 1", days)}
			}
			from := time.Now().AddDate(0, 0, -days).UTC().Format(time.RFC3339)
			return ask(ctx, c, "/stats/recalls", url.Values{"from": {from}}, c.printRecallStats)
		})
	cmd.Flags().IntVar(&days, "days", 30, "so many days back")
	return cmd
}

func (c *client) printRecallStats(s *web.RecallStats) error {
	sum := c.say("recalls counted", s.Recalls, clock(s.From), s.Counts.Success, s.Counts.Success+s.Counts.Fail)
	if _, err := fmt.Fprintf(c.out, "%s\n\n", sum); err != nil {
		return err
	}
	return c.writeParts(c.byReason(s.ByReason), c.byAge(s.ByAge), c.byCode(s.ByCode), c.byHold(s.Hold))
}

func (c *client) byReason(list []web.RecallReason) *table {
	var t table
	t.add(c.headings("reason", "recalls", "done", "failed", "open")...)
	for i := range list {
		r := &list[i]
		t.add(append([]string{cut(r.Reason, subjectCells), strconv.Itoa(r.Recalls)}, counts(&r.Counts)...)...)
	}
	return &t
}

func (c *client) byAge(list []web.RecallAge) *table {
	var t table
	t.add(c.headings("asked after", "recalls", "done", "failed", "open")...)
	for i := range list {
		a := &list[i]
		age := c.say("longer")
		if a.UpTo > 0 {
			age = "≤ " + a.UpTo.String()
		}
		t.add(append([]string{age, strconv.Itoa(a.Recalls)}, counts(&a.Counts)...)...)
	}
	return &t
}

func counts(n *web.RecallCounts) []string {
	return []string{strconv.Itoa(n.Success), strconv.Itoa(n.Fail), strconv.Itoa(n.Processing)}
}

func (c *client) byCode(list []web.RecallCodeCount) *table {
	var t table
	t.add(c.headings("result", "count")...)
	for i := range list {
		t.add(list[i].Text.In(c.lang), strconv.Itoa(list[i].Recipients))
	}
	return &t
}

func (c *client) byHold(list []web.RecallHold) *table {
	var t table
	t.add(c.headings("with a hold of", "recalls within", "more taken")...)
	for i := range list {
		h := &list[i]
		t.add(h.Hold.String(), fmt.Sprintf("%.0f %%", 100*h.Caught), strconv.Itoa(h.More))
	}
	return &t
}
