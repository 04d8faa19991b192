package main

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/sendgate/sendgate/gateway/web"
	"github.com/spf13/cobra"
)

// Widths of columns that hold foreign text, in cells.
const (
	addressCells = 32
	subjectCells = 40
)

func newMessagesCommand() *cobra.Command {
	limit, cursor := 0, ""
	cmd := newClientCommand("messages [QUERY...]", "List and search messages, newest first", cobra.ArbitraryArgs,
		func(ctx context.Context, c *client, args []string) error {
			query := url.Values{"limit": {strconv.Itoa(limit)}}
			if len(args) > 0 {
				query.Set("q", strings.Join(args, " "))
			}
			if cursor != "" {
				query.Set("cursor", cursor)
			}
			var list web.MessageList
			raw, err := c.get(ctx, "/messages", query, &list)
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(raw)
			}
			return c.printMessages(&list)
		})
	cmd.Long = "List and search messages, newest first. A query has words of the subject, and\n" +
		"from: to: subject: id: queue: state: before: after:\n\n" +
		"  sendgate messages state:held\n" +
		"  sendgate messages from:alice@corp.example after:2h invoice"
	cmd.Flags().IntVar(&limit, "limit", 50, "so many messages, at most 1000")
	cmd.Flags().StringVar(&cursor, "cursor", "", "go on where a page ended")
	return cmd
}

func (c *client) printMessages(list *web.MessageList) error {
	if len(list.Messages) == 0 {
		_, err := fmt.Fprintln(c.out, c.say("none"))
		return err
	}
	var t table
	t.add(c.headings("id", "received", "from", "to", "subject", "state", "held until")...)
	for _, m := range list.Messages {
		t.add(m.ID, clock(m.Received), cut(c.sender(m.From), addressCells), strconv.Itoa(m.Recipients),
			cut(m.Subject, subjectCells), m.Label.In(c.lang), clock(m.HeldUntil))
	}
	if err := t.write(c.out); err != nil {
		return err
	}
	return c.printNext(list.Next)
}

// printNext tells how to see the next page, apart from the table.
func (c *client) printNext(cursor string) error {
	if cursor == "" {
		return nil
	}
	_, err := fmt.Fprintln(c.err, c.say("next page", cursor))
	return err
}
