package main

import (
	"context"
	"fmt"

	"github.com/sendgate/sendgate/gateway/web"
	"github.com/spf13/cobra"
)

func newReleaseCommand() *cobra.Command {
	return newClientCommand("release ID...", "Let held messages go now", cobra.MinimumNArgs(1),
		func(ctx context.Context, c *client, args []string) error {
			for _, arg := range args {
				m, raw, err := c.act(ctx, arg, "release", nil)
				if err != nil {
					return err
				}
				if err := c.printActed(raw, c.say("released", m.ID, m.Label.In(c.lang))); err != nil {
					return err
				}
			}
			return nil
		})
}

// act does something to one message and gives the message as it is then.
func (c *client) act(ctx context.Context, part, verb string, body any) (*web.MessageDetail, []byte, error) {
	id, err := c.resolve(ctx, part)
	if err != nil {
		return nil, nil, err
	}
	var m web.MessageDetail
	raw, err := c.post(ctx, "/messages/"+id+"/"+verb, body, &m)
	if err != nil {
		return nil, nil, fmt.Errorf("%s %s: %w", verb, id, err)
	}
	return &m, raw, nil
}

// printActed prints the answer for programs, or a line for people.
func (c *client) printActed(raw []byte, line string) error {
	if c.json {
		return c.printJSON(raw)
	}
	_, err := fmt.Fprintln(c.out, clean(line))
	return err
}
