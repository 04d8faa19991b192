package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sendgate/sendgate/gateway/web"
	"github.com/spf13/cobra"
)

func newHoldCommand() *cobra.Command {
	var span time.Duration
	var until string
	cmd := newClientCommand("hold ID", "Hold a held message longer, or shorter", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) error {
			body, err := holdRequest(span, until)
			if err != nil {
				return usageError{err}
			}
			m, raw, err := c.actOnMessage(ctx, args[0], "hold", body)
			if err != nil {
				return err
			}
			return c.printActed(raw, c.say("held", m.ID, clock(m.HeldUntil)))
		})
	cmd.Flags().DurationVar(&span, "for", 0, "so long from now, as 90s or 10m")
	cmd.Flags().StringVar(&until, "until", "", "until this time, as 2026-11-21T10:31:05+08:00")
	return cmd
}

func holdRequest(span time.Duration, until string) (*web.HoldRequest, error) {
	if (span == 0) == (until == "") {
		return nil, errors.New("say how long with --for 10m, or until when with --until TIME")
	}
	if until == "" {
		return &web.HoldRequest{For: span.String()}, nil
	}
	t, err := time.Parse(time.RFC3339, until)
	if err != nil {
		return nil, fmt.Errorf("--until %q: write a time as 2026-11-21T10:31:05+08:00", until)
	}
	return &web.HoldRequest{Until: t}, nil
}
