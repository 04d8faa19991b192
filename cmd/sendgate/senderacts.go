package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/sendgate/sendgate/gateway/web"
	"github.com/sendgate/sendgate/policy/guard"
	"github.com/spf13/cobra"
)

// A duration is for the flags --for and --until of acts on senders.
type duration struct{ span, until string }

func (d *duration) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&d.span, "for", "", "so long from now, as 90m, 24h or 7d")
	cmd.Flags().StringVar(&d.until, "until", "", "until this time, as 2026-11-21T10:31:05+08:00")
}

// end gives what the API asks for; neither is allowed where it means for good.
func (d *duration) end(forGood bool) (span string, until time.Time, err error) {
	if d.span != "" && d.until != "" || d.span == "" && d.until == "" && !forGood {
		return "", until, usageError{errors.New("say how long with --for 24h, or until when with --until TIME")}
	}
	if d.span != "" {
		var s web.Span
		if err := s.UnmarshalText([]byte(d.span)); err != nil || s <= 0 {
			return "", until, usageError{fmt.Errorf("--for %q: write a duration such as 90m, 24h or 7d", d.span)}
		}
	}
	if d.until != "" {
		if until, err = time.Parse(time.RFC3339, d.until); err != nil {
			return "", until, usageError{fmt.Errorf("--until %q: write a time as 2026-11-21T10:31:05+08:00", d.until)}
		}
	}
	return d.span, until, nil
}

const whyFlag = "why; it is kept in the journal"

func newBoostCommand() *cobra.Command {
	var body web.BoostRequest
	var d duration
	cmd := newSenderCommand("boost IDENTITY --amount N --for 24h --reason TEXT", "Raise limits of a sender for a while; what waits goes at once, by itself", "boosted",
		func() (any, error) {
			if body.Amount < 1 {
				return nil, usageError{errors.New("say by how much with --amount")}
			}
			var err error
			body.For, body.Until, err = d.end(false)
			return &body, err
		})
	cmd.Flags().Int64Var(&body.Amount, "amount", 0, "added to the limit")
	cmd.Flags().StringVar(&body.Rule, "rule", "", "only this limit (default: every one that applies)")
	cmd.Flags().StringVar(&body.Reason, "reason", "", whyFlag)
	d.flags(cmd)
	return cmd
}

func newOverrideCommand() *cobra.Command {
	var body web.OverrideRequest
	var d duration
	cmd := newSenderCommand("override IDENTITY --rule NAME --limit N --for 24h --reason TEXT", "Replace a limit of a sender for a while", "overridden",
		func() (any, error) {
			if body.Rule == "" || body.Limit < 1 {
				return nil, usageError{errors.New("name the limit with --rule, and what it shall be with --limit")}
			}
			var err error
			body.For, body.Until, err = d.end(false)
			return &body, err
		})
	cmd.Flags().Int64Var(&body.Limit, "limit", 0, "instead of that of the rule")
	cmd.Flags().StringVar(&body.Rule, "rule", "", "name of the limit")
	cmd.Flags().StringVar(&body.Reason, "reason", "", whyFlag)
	d.flags(cmd)
	return cmd
}

func newRevokeCommand() *cobra.Command {
	var body web.RevokeRequest
	cmd := newSenderCommand("revoke IDENTITY", "End boosts and overrides of a sender", "revoked", func() (any, error) { return &body, nil })
	cmd.Flags().StringVar(&body.Rule, "rule", "", "only those of this limit")
	cmd.Flags().StringVar(&body.Reason, "reason", "", whyFlag)
	return cmd
}

func newResetCommand() *cobra.Command {
	var body web.ResetRequest
	cmd := newSenderCommand("reset IDENTITY --reason TEXT", "Forget what was counted for a sender", "was reset", func() (any, error) { return &body, nil })
	cmd.Flags().StringVar(&body.Rule, "rule", "", "only under this limit")
	cmd.Flags().StringVar(&body.Reason, "reason", "", whyFlag)
	return cmd
}

func newSuspendCommand() *cobra.Command {
	var body web.SuspendRequest
	var d duration
	cmd := newSenderCommand("suspend IDENTITY --reason TEXT", "Keep a sender from writing to other organisations", "suspended now",
		func() (any, error) {
			var err error
			body.For, body.Until, err = d.end(true)
			return &body, err
		})
	cmd.Long = "Keep a sender from writing to other organisations, for a time or until it is ended (sendgate senders unsuspend)."
	cmd.Flags().StringVar(&body.Reason, "reason", "", whyFlag)
	d.flags(cmd)
	return cmd
}

func newUnsuspendCommand() *cobra.Command {
	var body web.UnsuspendRequest
	var forget, keep bool
	cmd := newSenderCommand("unsuspend IDENTITY", "Let a sender write to other organisations again", "unsuspended",
		func() (any, error) {
			switch {
			case forget && keep:
				return nil, usageError{errors.New("--forget and --keep are not both possible")}
			case forget:
				body.History = guard.Forget
			case keep:
				body.History = guard.Keep
			}
			return &body, nil
		})
	cmd.Long = "Let a sender write to other organisations again. What counted against the account is forgiven, unless told otherwise."
	cmd.Flags().StringVar(&body.Reason, "reason", "", whyFlag)
	cmd.Flags().BoolVar(&forget, "forget", false, "forget all that was learned of the account: it is new then")
	cmd.Flags().BoolVar(&keep, "keep", false, "forgive nothing: more of the same suspends the account again")
	return cmd
}

// newSenderCommand makes a command that does something to one sender.
func newSenderCommand(use, short, done string, request func() (any, error)) *cobra.Command {
	where := func(_ context.Context, _ *client, identity string) (string, error) {
		return "/senders/" + url.PathEscape(identity), nil
	}
	return newActCommand(use, short, where, request, func(c *client, v *web.SenderDetail) error {
		if _, err := fmt.Fprintf(c.out, "%s\n\n", clean(c.say(done, v.Identity))); err != nil {
			return err
		}
		return c.printSender(v)
	})
}
