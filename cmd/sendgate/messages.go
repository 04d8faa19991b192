package main

import (
	"context"
	"fmt"
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
			query := listQuery(limit, map[string]string{"q": strings.Join(args, " "), "cursor": cursor})
			return ask(ctx, c, "/messages", query, c.printMessages)
		})
	cmd.Long = "List and search messages, newest first. A query has words of the subject, and\n" +
		"from: to: subject: id: queue: state: before: after:\n\n" +
		"  sendgate messages state:held\n" +
		"  sendgate messages from:alice@corp.example after:2h invoice"
	pageFlags(cmd, &limit, &cursor, "messages")
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
