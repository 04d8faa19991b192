package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/sendgate/sendgate/gateway/web"
	"github.com/spf13/cobra"
)

// errAuditBroken makes the exit code of "audit verify" say it, too.
var errAuditBroken = errors.New("the audit log is not whole")

func newAuditCommand() *cobra.Command {
	var actor, act, object string
	var limit int
	var before uint64
	cmd := newClientCommand("audit", "List what people and programs did to sendgate, newest first", cobra.NoArgs,
		func(ctx context.Context, c *client, _ []string) error {
			query := listQuery(limit, map[string]string{"actor": actor, "act": act, "object": object})
			if before > 0 {
				query.Set("before", strconv.FormatUint(before, 10))
			}
			return ask(ctx, c, "/audit", query, c.printAudit)
		})
	cmd.Flags().StringVar(&actor, "actor", "", "a part of who did it")
	cmd.Flags().StringVar(&act, "act", "", "the act, such as recall")
	cmd.Flags().StringVar(&object, "object", "", "a part of what it was done to")
	cmd.Flags().Uint64Var(&before, "before", 0, "only what is older than this number")
	cmd.Flags().IntVar(&limit, "limit", 50, "so many, at most 1000")
	cmd.AddCommand(newAuditVerifyCommand())
	return cmd
}

func newAuditVerifyCommand() *cobra.Command {
	return newClientCommand("verify", "Say whether the audit log is whole; the exit code is 1 when it is not", cobra.NoArgs,
		func(ctx context.Context, c *client, _ []string) error {
			var v web.AuditVerdict
			raw, err := c.get(ctx, "/audit/verify", nil, &v)
			if err != nil {
				return err
			}
			switch {
			case c.json:
				err = c.printJSON(raw)
			case v.Whole:
				_, err = fmt.Fprintln(c.out, c.say("audit whole", v.Entries, v.Hash))
			default:
				_, err = fmt.Fprintln(c.out, c.say("audit broken", v.Fault))
			}
			if err == nil && !v.Whole {
				err = errAuditBroken
			}
			return err
		})
}

func (c *client) printAudit(list *web.AuditList) error {
	var t table
	t.add(c.headings("number", "time", "who", "what", "object", "detail")...)
	for i := range list.Entries {
		e := &list.Entries[i]
		t.add(strconv.FormatUint(e.Number, 10), clock(e.Time), e.Actor, e.Label.In(c.lang), e.Object, e.Detail)
	}
	if err := t.write(c.out); err != nil || list.Next == 0 {
		return err
	}
	_, err := fmt.Fprintln(c.out, c.say("more audit", list.Next))
	return err
}
