package main

import (
	"context"
	"fmt"
	"net/url"
	"strconv"

	"github.com/sendgate/sendgate/gateway/web"
	"github.com/spf13/cobra"
)

func newRecallsCommand() *cobra.Command {
	limit, cursor := 0, ""
	cmd := newClientCommand("recalls [ID]", "List recalls, or show what one came to", cobra.MaximumNArgs(1),
		func(ctx context.Context, c *client, args []string) error {
			if len(args) == 1 {
				return c.showRecall(ctx, args[0])
			}
			query := url.Values{"limit": {strconv.Itoa(limit)}}
			if cursor != "" {
				query.Set("cursor", cursor)
			}
			var list web.RecallList
			raw, err := c.get(ctx, "/recalls", query, &list)
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(raw)
			}
			return c.printRecalls(&list)
		})
	cmd.Flags().IntVar(&limit, "limit", 50, "so many recalls, at most 1000")
	cmd.Flags().StringVar(&cursor, "cursor", "", "go on where a page ended")
	return cmd
}

func (c *client) showRecall(ctx context.Context, id string) error {
	var r web.Recall
	raw, err := c.get(ctx, "/recalls/"+url.PathEscape(id), nil, &r)
	if err != nil {
		return err
	}
	if c.json {
		return c.printJSON(raw)
	}
	return c.printRecall(&r)
}

func (c *client) printRecalls(list *web.RecallList) error {
	if len(list.Recalls) == 0 {
		_, err := fmt.Fprintln(c.out, c.say("no recalls"))
		return err
	}
	var t table
	t.add(c.headings("id", "time", "who", "done", "of", "reason")...)
	for i := range list.Recalls {
		r := &list.Recalls[i]
		total := r.SuccessCount + r.FailureCount + r.ProcessingCount
		t.add(r.ID, clock(r.Requested), r.Actor, strconv.Itoa(r.SuccessCount), strconv.Itoa(total), cut(r.Reason, subjectCells))
	}
	if err := t.write(c.out); err != nil {
		return err
	}
	return c.printNext(list.Next)
}
