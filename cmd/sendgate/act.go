package main

import (
	"context"
	"fmt"
	"net/url"

	"github.com/sendgate/sendgate/gateway/web"
	"github.com/spf13/cobra"
)

// act asks for something to be done to one of the things at a path, and reads the answer into v.
func (c *client) act(ctx context.Context, path, name, verb string, body, v any) (raw []byte, err error) {
	raw, err = c.post(ctx, path+"/"+url.PathEscape(name)+"/"+verb, body, v)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", verb, name, err)
	}
	return raw, nil
}

// actOnMessage does something to one message and gives the message as it is then.
func (c *client) actOnMessage(ctx context.Context, part, verb string, body any) (*web.MessageDetail, []byte, error) {
	id, err := c.resolve(ctx, part)
	if err != nil {
		return nil, nil, err
	}
	var m web.MessageDetail
	raw, err := c.act(ctx, "/messages", id, verb, body, &m)
	return &m, raw, err
}

// newMessagesActCommand makes a command that does something to messages; its name is the verb of the API.
func newMessagesActCommand(use, short, done string) *cobra.Command {
	var cmd *cobra.Command
	cmd = newClientCommand(use, short, cobra.MinimumNArgs(1), func(ctx context.Context, c *client, args []string) error {
		for _, arg := range args {
			m, raw, err := c.actOnMessage(ctx, arg, cmd.Name(), nil)
			if err != nil {
				return err
			}
			if err := c.printActed(raw, c.say(done, m.ID, m.Label.In(c.lang))); err != nil {
				return err
			}
		}
		return nil
	})
	return cmd
}

// newActCommand makes a command that acts on the one thing that its argument names, which where finds; its name is
// the verb of the API.
func newActCommand[T any](use, short string, where func(ctx context.Context, c *client, name string) (path string, err error),
	request func() (any, error), print func(c *client, v *T) error) *cobra.Command {
	var cmd *cobra.Command
	cmd = newClientCommand(use, short, cobra.ExactArgs(1), func(ctx context.Context, c *client, args []string) error {
		body, err := request()
		if err != nil {
			return err
		}
		path, err := where(ctx, c, args[0])
		if err != nil {
			return err
		}
		var v T
		raw, err := c.post(ctx, path+"/"+cmd.Name(), body, &v)
		if err != nil {
			return fmt.Errorf("%s %s: %w", cmd.Name(), args[0], err)
		}
		return answer(c, raw, &v, nil, func(v *T) error { return print(c, v) })
	})
	return cmd
}
