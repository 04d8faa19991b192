package main

import (
	"context"
	"fmt"
	"net/url"
	"strconv"

	"github.com/sendgate/sendgate/gateway/web"
	"github.com/spf13/cobra"
)

func newApprovalsCommand() *cobra.Command {
	limit, cursor, batch := 0, "", ""
	cmd := newClientCommand("approvals", "List messages that wait for approval, newest first", cobra.NoArgs,
		func(ctx context.Context, c *client, _ []string) error {
			query := url.Values{"limit": {strconv.Itoa(limit)}}
			if cursor != "" {
				query.Set("cursor", cursor)
			}
			if batch != "" {
				query.Set("batch", batch)
			}
			var list web.ApprovalList
			raw, err := c.get(ctx, "/approvals", query, &list)
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(raw)
			}
			return c.printApprovals(&list)
		})
	cmd.Long = "List messages that wait for approval, newest first. sendgate approve lets them go, sendgate cancel takes them back. " +
		"What was pulled back together when its sender was suspended is a batch: approvals approve and approvals cancel decide about all of it."
	cmd.Flags().IntVar(&limit, "limit", 50, "so many messages, at most 1000")
	cmd.Flags().StringVar(&cursor, "cursor", "", "go on where a page ended")
	cmd.Flags().StringVar(&batch, "batch", "", "only what was pulled back together")
	cmd.AddCommand(newBatchApproveCommand(), newBatchCancelCommand())
	return cmd
}

func newBatchApproveCommand() *cobra.Command {
	return newClientCommand("approve BATCH", "Let all go that was pulled back together", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) error {
			return c.decideBatch(ctx, args[0], "approve", nil)
		})
}

func newBatchCancelCommand() *cobra.Command {
	var body web.PulledBackCancel
	cmd := newClientCommand("cancel BATCH --reason TEXT", "Take all back that was pulled back together", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) error {
			return c.decideBatch(ctx, args[0], "cancel", &body)
		})
	cmd.Flags().StringVar(&body.Reason, "reason", "", "why; it is kept with the messages")
	return cmd
}

// decideBatch decides about all messages of a batch. It fails when that did not work for one of them.
func (c *client) decideBatch(ctx context.Context, batch, verb string, body any) error {
	var result web.BatchResult
	raw, err := c.post(ctx, "/approvals/"+url.PathEscape(batch)+"/"+verb, body, &result)
	if err != nil {
		return fmt.Errorf("%s %s: %w", verb, batch, err)
	}
	if err := c.printActed(raw, c.say("batch "+verb, batch, result.Done)); err != nil {
		return err
	}
	for i := range result.Results {
		if r := &result.Results[i]; !r.Done {
			return fmt.Errorf("%s %s: %d of %d failed, the first %s: %s", verb, batch, result.Failed, len(result.Results), r.ID, r.Detail)
		}
	}
	return nil
}

func newApproveCommand() *cobra.Command {
	return newClientCommand("approve ID...", "Let messages go that wait for approval", cobra.MinimumNArgs(1),
		func(ctx context.Context, c *client, args []string) error {
			for _, arg := range args {
				m, raw, err := c.act(ctx, arg, "approve", nil)
				if err != nil {
					return err
				}
				if err := c.printActed(raw, c.say("approved", m.ID, m.Label.In(c.lang))); err != nil {
					return err
				}
			}
			return nil
		})
}

func (c *client) printApprovals(list *web.ApprovalList) error {
	if len(list.Approvals) == 0 {
		_, err := fmt.Fprintln(c.out, c.say("no approvals"))
		return err
	}
	var t table
	t.add(c.headings("id", "from", "to", "subject", "expires", "then", "why")...)
	for i := range list.Approvals {
		a := &list.Approvals[i]
		why := []string{a.Text.In(c.lang)}
		if a.Campaign != "" {
			why = append(why, c.say("look at campaign", a.Campaign))
		}
		if a.Batch != "" {
			why = append(why, c.say("batch", a.Batch))
		}
		t.addLines([]string{
			a.ID, cut(c.sender(a.From), addressCells), strconv.Itoa(a.Recipients), cut(a.Subject, subjectCells),
			clock(a.Expires), c.expiry(a.OnExpiry),
		}, why)
	}
	if err := t.write(c.out); err != nil {
		return err
	}
	return c.printNext(list.Next)
}

// expiry names what becomes of a message that nobody approves.
func (c *client) expiry(s string) string {
	if l, ok := words["expiry "+s]; ok {
		return l.In(c.lang)
	}
	return s // from a newer server
}
