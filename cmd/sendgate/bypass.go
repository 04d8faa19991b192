package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sendgate/sendgate/gateway/web"
	"github.com/sendgate/sendgate/policy"
	"github.com/spf13/cobra"
)

func newBypassCommand() *cobra.Command {
	var d duration
	var body web.BypassRequest
	var end bool
	cmd := newClientCommand("bypass --reason TEXT [--for 1h]", "Let all mail pass for a while: the rules only watch", cobra.NoArgs,
		func(ctx context.Context, c *client, _ []string) error {
			if end {
				return c.endBypass(ctx, body.Reason)
			}
			if strings.TrimSpace(body.Reason) == "" {
				return usageError{errors.New("say why with --reason TEXT: everybody who looks after mail reads it")}
			}
			var err error
			if body.For, body.Until, err = d.end(true); err != nil {
				return err
			}
			var b web.Bypass
			raw, err := c.post(ctx, "/bypass", &body, &b)
			return answer(c, raw, &b, err, c.printBypass)
		})
	cmd.Long = "Let all mail pass for a while. New mail is not held, paced, put up for approval or refused by rules; they go on\n" +
		"counting and say in \"sendgate explain ID\" what they would have done. What waits for a limit goes, too; what is held\n" +
		"otherwise, or waits for approval, stays (sendgate release, approve, drain).\n\n" +
		"It ends by itself (--for, 1h by default, 24h at most), survives a restart, and shows on every page of the dashboard,\n" +
		"in an alert, in the metric sendgate_bypass and in /readyz. A suspension of a hijacked account stays in force unless\n" +
		"--suspensions is given, and recipients in domains that do not exist are refused as ever."
	cmd.Flags().StringVar(&body.Reason, "reason", "", "why")
	cmd.Flags().BoolVar(&body.Suspensions, "suspensions", false, "let suspended accounts send, too")
	cmd.Flags().BoolVar(&end, "end", false, "put the rules in force again")
	d.flags(cmd)
	cmd.AddCommand(newClientCommand("status", "Say whether the rules are bypassed", cobra.NoArgs, func(ctx context.Context, c *client, _ []string) error {
		return ask(ctx, c, "/bypass", nil, c.printBypass)
	}))
	return cmd
}

func (c *client) endBypass(ctx context.Context, reason string) error {
	path := "/bypass"
	if reason != "" {
		path += "?" + url.Values{"reason": {reason}}.Encode()
	}
	var b web.Bypass
	raw, err := c.exchange(ctx, http.MethodDelete, path, nil, &b)
	return answer(c, raw, &b, err, c.printBypass)
}

func (c *client) printBypass(b *web.Bypass) error {
	text := policy.Label{EN: "the rules apply", ZH: "规则正常生效"}
	if b.On {
		left := time.Until(b.Until).Round(time.Second)
		text = policy.Label{
			EN: fmt.Sprintf("the rules are bypassed until %s (%v left) by %s: %s", clock(b.Until), left, b.Author, b.Reason),
			ZH: fmt.Sprintf("规则已旁路至 %s（剩余 %v），操作人 %s：%s", clock(b.Until), left, b.Author, b.Reason),
		}
		if b.Suspensions {
			text.EN += "; suspended accounts may send, too"
			text.ZH += "；被暂停的账号也可发送"
		}
	}
	_, err := fmt.Fprintln(c.out, clean(text.In(c.lang)))
	return err
}
