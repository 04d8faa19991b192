package main

import (
	"context"
	"fmt"
	"net/url"
	"strconv"

	"github.com/sendgate/sendgate/gateway/web"
	"github.com/spf13/cobra"
)

func newRecallsCommand() *cobra.Command {
	limit, cursor, evidence := 0, "", false
	cmd := newClientCommand("recalls [ID]", "List recalls, or show what one came to", cobra.MaximumNArgs(1),
		func(ctx context.Context, c *client, args []string) error {
			if len(args) == 1 {
				return c.showRecall(ctx, args[0], evidence)
			}
			return ask(ctx, c, "/recalls", listQuery(limit, map[string]string{"cursor": cursor}), c.printRecalls)
		})
	pageFlags(cmd, &limit, &cursor, "recalls")
	cmd.Flags().BoolVar(&evidence, "evidence", false, "of one recall: also where copies were, and how that is known")
	cmd.AddCommand(
		newRecallActCommand("approve ID", "Let a large recall begin, as a second person", "approve"),
		newRecallActCommand("cancel ID", "End a recall; what it has taken stays taken", "cancel"),
		newRecallRestoreCommand(), newRecallStatsCommand(),
	)
	return cmd
}

func newRecallActCommand(use, short, verb string) *cobra.Command {
	return newClientCommand(use, short, cobra.ExactArgs(1), func(ctx context.Context, c *client, args []string) error {
		return c.actOnRecall(ctx, args[0], verb, nil)
	})
}

func newRecallRestoreCommand() *cobra.Command {
	var body web.RestoreRequest
	cmd := newClientCommand("restore ID", "Put back what a recall has taken out of mailboxes", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) error {
			return c.actOnRecall(ctx, args[0], "restore", &body)
		})
	cmd.Flags().StringArrayVar(&body.Recipients, "recipient", nil, "only to this recipient; may be repeated")
	return cmd
}

// actOnRecall does something to a recall and prints it as it is then.
func (c *client) actOnRecall(ctx context.Context, part, verb string, body any) error {
	id, err := c.recallID(ctx, part)
	if err != nil {
		return err
	}
	var r web.Recall
	raw, err := c.act(ctx, "/recalls", id, verb, body, &r)
	return answer(c, raw, &r, err, func(r *web.Recall) error { return c.printRecall(r, false) })
}

// recallID gives the whole id of a recall, as resolve does for messages.
func (c *client) recallID(ctx context.Context, part string) (string, error) {
	return c.wholeID(part, "recalls", func() (ids []string, err error) {
		var list web.RecallList
		if _, err := c.get(ctx, "/recalls", url.Values{"limit": {"1000"}}, &list); err != nil {
			return nil, err
		}
		for i := range list.Recalls {
			ids = append(ids, list.Recalls[i].ID)
		}
		return ids, nil
	})
}

func (c *client) showRecall(ctx context.Context, part string, evidence bool) error {
	id, err := c.recallID(ctx, part)
	if err != nil {
		return err
	}
	return ask(ctx, c, "/recalls/"+url.PathEscape(id), nil, func(r *web.Recall) error { return c.printRecallAlone(r, evidence) })
}

// printRecallAlone prints a recall with what was asked for, and by whom.
func (c *client) printRecallAlone(r *web.Recall, evidence bool) error {
	var head table
	for _, line := range [][2]string{
		{"id", r.ID}, {"time", clock(r.Requested)}, {"who", r.Actor}, {"reason", r.Reason}, {"approved by", r.ApprovedBy},
		{"result", c.say("overall " + r.Overall)}, {"ended", clock(r.Ended)},
	} {
		if line[1] != "" {
			head.add(c.say(line[0]), line[1])
		}
	}
	if err := head.write(c.out); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(c.out); err != nil {
		return err
	}
	return c.printRecall(r, evidence)
}

func (c *client) printRecalls(list *web.RecallList) error {
	if len(list.Recalls) == 0 {
		_, err := fmt.Fprintln(c.out, c.say("no recalls"))
		return err
	}
	var t table
	t.add(c.headings("id", "time", "who", "result", "done", "of", "reason")...)
	for i := range list.Recalls {
		r := &list.Recalls[i]
		total := r.SuccessCount + r.FailureCount + r.ProcessingCount
		t.add(r.ID, clock(r.Requested), r.Actor, c.say("overall "+r.Overall), strconv.Itoa(r.SuccessCount), strconv.Itoa(total), cut(r.Reason, subjectCells))
	}
	if err := t.write(c.out); err != nil {
		return err
	}
	return c.printNext(list.Next)
}
