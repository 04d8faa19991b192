package main

import (
	"context"
	"fmt"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"
)

// ask gets what is at a path and prints it.
func ask[T any](ctx context.Context, c *client, path string, query url.Values, print func(*T) error) error {
	var v T
	raw, err := c.get(ctx, path, query, &v)
	return answer(c, raw, &v, err, print)
}

// answer prints what came back: for programs as it came, for people with print.
func answer[T any](c *client, raw []byte, v *T, err error, print func(*T) error) error {
	if err != nil {
		return err
	}
	if c.json {
		return c.printJSON(raw)
	}
	return print(v)
}

// printJSON prints an answer as it came.
func (c *client) printJSON(raw []byte) error {
	_, err := c.out.Write(raw)
	return err
}

// printActed prints the answer for programs, or a line for people.
func (c *client) printActed(raw []byte, line string) error {
	if c.json {
		return c.printJSON(raw)
	}
	_, err := fmt.Fprintln(c.out, clean(line))
	return err
}

// named gives what people call a name of the API; one from a newer server stays as it is.
func (c *client) named(kind, name string) string {
	if l, ok := words[kind+" "+name]; ok {
		return l.In(c.lang)
	}
	return name
}

// writeParts prints tables with a blank line between them, and leaves out those that have only their headings.
func (c *client) writeParts(parts ...*table) error {
	between := ""
	for _, t := range parts {
		if len(t.rows) < 2 {
			continue
		}
		if _, err := fmt.Fprint(c.out, between); err != nil {
			return err
		}
		if err := t.write(c.out); err != nil {
			return err
		}
		between = "\n"
	}
	return nil
}

// listQuery asks for so much of a list, by the filters that are not empty.
func listQuery(limit int, filters map[string]string) url.Values {
	query := url.Values{"limit": {strconv.Itoa(limit)}}
	for name, value := range filters {
		if value != "" {
			query.Set(name, value)
		}
	}
	return query
}

// pageFlags are the flags of a list that comes in pages.
func pageFlags(cmd *cobra.Command, limit *int, cursor *string, what string) {
	cmd.Flags().IntVar(limit, "limit", 50, "so many "+what+", at most 1000")
	cmd.Flags().StringVar(cursor, "cursor", "", "go on where a page ended")
}

// printNext tells how to see the next page, apart from the table.
func (c *client) printNext(cursor string) error {
	if cursor == "" {
		return nil
	}
	_, err := fmt.Fprintln(c.err, c.say("next page", cursor))
	return err
}
