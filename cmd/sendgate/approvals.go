package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/sendgate/sendgate/gateway/web"
	"github.com/spf13/cobra"
)

func newApprovalsCommand() *cobra.Command {
	limit, cursor, batch := 0, "", ""
	cmd := newClientCommand("approvals", "List messages that wait for approval, newest first", cobra.NoArgs,
		func(ctx context.Context, c *client, _ []string) error {
			query := listQuery(limit, map[string]string{"cursor": cursor, "batch": batch})
			return ask(ctx, c, "/approvals", query, c.printApprovals)
		})
	cmd.Long = "List messages that wait for approval, newest first. sendgate approve lets them go, sendgate cancel takes them back. " +
		"What was pulled back together when its sender was suspended is a batch: approvals approve and approvals cancel decide about all of it."
	pageFlags(cmd, &limit, &cursor, "messages")
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
	var body web.BatchCancel
	cmd := newClientCommand("cancel BATCH --reason TEXT", "Take all back that was pulled back together", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) error {
			return c.decideBatch(ctx, args[0], "cancel", &body)
		})
	cmd.Flags().StringVar(&body.Reason, "reason", "", "why; it is kept with the messages, and with --bounce the senders read it")
	cmd.Flags().BoolVar(&body.Bounce, "bounce", false, "tell each sender, by a bounce, that an administrator stopped the message and why; needs --reason")
	return cmd
}

// decideBatch decides about all messages of a batch. It fails when that did not work for one of them.
func (c *client) decideBatch(ctx context.Context, batch, verb string, body any) error {
	var result web.BatchResult
	raw, err := c.act(ctx, "/approvals", batch, verb, body, &result)
	if err != nil {
		return err
	}
	if err := c.printActed(raw, c.say("batch "+verb, batch, result.Done)); err != nil {
		return err
	}
	if b, ok := body.(*web.BatchCancel); ok && b.Bounce && !c.json {
		fmt.Fprintln(c.out, c.say("told by bounces", result.Told))
	}
	for i := range result.Results {
		if r := &result.Results[i]; !r.Done {
			return fmt.Errorf("%s %s: %d of %d failed, the first %s: %s", verb, batch, result.Failed, len(result.Results), r.ID, r.Detail)
		}
	}
	return nil
}

func newApproveCommand() *cobra.Command {
	return newMessagesActCommand("approve ID...", "Let messages go that wait for approval", "approved")
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
			clock(a.Expires), c.named("expiry", a.OnExpiry),
		}, why)
	}
	if err := t.write(c.out); err != nil {
		return err
	}
	return c.printNext(list.Next)
}
