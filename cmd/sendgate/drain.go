package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/sendgate/sendgate/gateway/web"
	"github.com/sendgate/sendgate/policy"
	"github.com/spf13/cobra"
)

// drainWatch is how often a drain is looked at.
const drainWatch = time.Second

// errStays is the end of a drain that could not let everything go.
var errStays = errors.New("not all mail could leave: it is safe in the store and goes after the next start, or by \"sendgate export-held DIR\"")

func newDrainCommand() *cobra.Command {
	var body web.DrainRequest
	var stop bool
	cmd := newClientCommand("drain", "Take no more mail, let everything go, and end the gateway", cobra.NoArgs,
		func(ctx context.Context, c *client, _ []string) error {
			var d web.Drain
			if stop {
				raw, err := c.exchange(ctx, http.MethodDelete, "/drain", nil, &d)
				return answer(c, raw, &d, err, c.printWholeDrain)
			}
			raw, err := c.post(ctx, "/drain", &body, &d)
			return answer(c, raw, &d, err, func(d *web.Drain) error { return c.watchDrain(ctx, d) })
		})
	cmd.Long = "Empty the gateway. From now on clients read 421 4.3.2 and come again later; what is held goes at once, what failed\n" +
		"before is tried at once. When nothing is left the listeners close and the process ends with exit code 0, so that\n" +
		"systemd does not start it again. What waits for approval and mail of suspended accounts stays in the store and is\n" +
		"named, unless --all is given.\n\n" +
		"This command watches until the end; to interrupt it interrupts nothing. --stop takes mail again."
	cmd.Flags().BoolVar(&body.All, "all", false, "let go as well what waits for approval, and the mail of suspended accounts")
	cmd.Flags().StringVar(&body.Timeout, "timeout", "", "end with whatever is left after so long, as 30m (default 1h)")
	cmd.Flags().BoolVar(&stop, "stop", false, "take mail again")
	cmd.AddCommand(newClientCommand("status", "Say how far the gateway is emptied", cobra.NoArgs, func(ctx context.Context, c *client, _ []string) error {
		return ask(ctx, c, "/drain", nil, c.printWholeDrain)
	}))
	return cmd
}

// printWholeDrain prints how far a drain is, and what stays.
func (c *client) printWholeDrain(d *web.Drain) error {
	if err := c.printDrain(d); err != nil {
		return err
	}
	return c.printStaying(d)
}

// watchDrain prints what changes until the gateway has ended. When it is gone, what it said last counts.
func (c *client) watchDrain(ctx context.Context, d *web.Drain) error {
	tick := time.NewTicker(drainWatch)
	defer tick.Stop()
	for before := ""; d.State != web.DrainEnded; {
		if now := fmt.Sprint(d.State, d.Left, d.Released, d.Staying); now != before {
			before = now
			if err := c.printDrain(d); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		var next web.Drain
		if _, err := c.get(ctx, "/drain", nil, &next); err != nil {
			if ctx.Err() == nil && d.State == web.DrainClosing {
				d.State = web.DrainEnded // between two looks
				break
			}
			return err
		}
		if *d = next; d.State == web.DrainOff {
			return c.printDrain(d)
		}
	}
	if err := errors.Join(c.printDrain(d), c.printStaying(d)); err != nil {
		return err
	}
	if d.Staying > 0 || d.Unknown {
		return errStays
	}
	return nil
}

func (c *client) printDrain(d *web.Drain) error {
	text := policy.Label{EN: "the gateway takes mail", ZH: "网关正常接收邮件"}
	switch d.State {
	case web.DrainOn:
		text = policy.Label{EN: "draining", ZH: "正在排空"}
	case web.DrainClosing:
		text = policy.Label{EN: "closing", ZH: "正在关闭"}
	case web.DrainEnded:
		text = policy.Label{EN: "drained; the process ends", ZH: "已排空，进程即将结束"}
	}
	line := text.In(c.lang)
	if d.State != web.DrainOff {
		line += policy.Label{
			EN: fmt.Sprintf(": %d let go, %d left, %d stay", d.Released, d.Left, d.Staying),
			ZH: fmt.Sprintf("：已放行 %d，剩余 %d，保留 %d", d.Released, d.Left, d.Staying),
		}.In(c.lang)
	}
	_, err := fmt.Fprintln(c.out, line)
	return err
}

// printStaying names what stays, and why.
func (c *client) printStaying(d *web.Drain) error {
	if len(d.Stays) == 0 {
		return nil
	}
	why := map[string]policy.Label{
		"approval":  {EN: "waits for approval", ZH: "等待审批"},
		"suspended": {EN: "its account is suspended", ZH: "账号已被暂停"},
		"time":      {EN: "not delivered in time", ZH: "未能及时投递"},

		"unreadable": {EN: "it cannot be read: sendgate export-held", ZH: "无法读取，请使用 sendgate export-held 导出"},
	}
	var t table
	for _, s := range d.Stays {
		t.add(s.ID, s.Sender, why[s.Why].In(c.lang))
	}
	if err := t.write(c.out); err != nil {
		return err
	}
	if more := d.Staying - len(d.Stays); more > 0 {
		_, err := fmt.Fprintf(c.out, "+ %d\n", more)
		return err
	}
	return nil
}
