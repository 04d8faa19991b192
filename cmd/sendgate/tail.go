package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/sendgate/sendgate/gateway/web"
	"github.com/spf13/cobra"
)

func newTailCommand() *cobra.Command {
	return newClientCommand("tail [QUERY...]", "Show what happens, while it happens", cobra.ArbitraryArgs,
		func(ctx context.Context, c *client, args []string) error {
			return c.tail(ctx, strings.Join(args, " "))
		})
}

// tail follows the stream until it is interrupted.
func (c *client) tail(ctx context.Context, q string) error {
	path := "/events"
	if q != "" {
		path += "?" + url.Values{"q": {q}}.Encode()
	}
	err := c.follow(ctx, path, false, func(data []byte) error {
		if err := c.printRecord(data); err != nil {
			return outputError{err}
		}
		return nil
	})
	if ctx.Err() != nil {
		return nil // interrupted: that is how it ends
	}
	return err
}

func (c *client) printRecord(data []byte) error {
	if c.json {
		_, err := fmt.Fprintf(c.out, "%s\n", data)
		return err
	}
	var r web.LiveRecord
	if err := json.Unmarshal(data, &r); err != nil {
		return fmt.Errorf("%s does not speak like sendgate: %w", c.where, err)
	}
	for i := range r.Events {
		if _, err := fmt.Fprintln(c.out, clean(c.liveLine(&r, &r.Events[i]))); err != nil {
			return err
		}
	}
	return nil
}

// liveLine is one event in one line.
func (c *client) liveLine(r *web.LiveRecord, e *web.TimelineEntry) string {
	parts := []string{clock(e.Time), r.ID, c.kind(e.Kind)}
	if r.State != "" { // else it is about no message
		parts = append(parts, c.sender(r.From), "->", c.about(e, r.RecipientCount))
		if r.Subject != "" {
			parts = append(parts, fmt.Sprintf("%q", cut(r.Subject, subjectCells)))
		}
	}
	if more := strings.Join(c.more(e), " "); more != "" {
		parts = append(parts, more)
	}
	return strings.Join(parts, " ")
}
