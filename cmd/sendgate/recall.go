package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/sendgate/sendgate/gateway/web"
	"github.com/spf13/cobra"
)

func newRecallCommand() *cobra.Command {
	var body web.RecallRequest
	var readToo, individual bool
	cmd := newClientCommand("recall [ID...] --reason TEXT", "Take messages back, wherever they are within reach", cobra.ArbitraryArgs,
		func(ctx context.Context, c *client, args []string) error {
			if len(args) == 0 && body.Query == "" {
				return usageError{errors.New("name messages by their ids, or find them with --query")}
			}
			for _, arg := range args {
				id, err := c.resolve(ctx, arg)
				if err != nil {
					return err
				}
				body.MessageIDs = append(body.MessageIDs, id)
			}
			body.UnreadOnly = new(!readToo)
			if individual {
				body.GroupMode = "individual"
			}
			var r web.Recall
			raw, err := c.post(ctx, "/recalls", &body, &r)
			if err != nil {
				return err
			}
			return c.finishRecall(&r, raw)
		})
	cmd.Long = "Take messages back, wherever they are within reach. The exit code is 1 when nothing could be taken back."
	flags := cmd.Flags()
	flags.StringVar(&body.Query, "query", "", "take back what this query finds, as in sendgate messages")
	flags.StringVar(&body.Reason, "reason", "", "why; it is kept with the messages")
	flags.StringArrayVar(&body.Recipients, "recipient", nil, "only from this recipient; may be repeated")
	flags.BoolVar(&body.DryRun, "dry-run", false, "only show what it would come to")
	flags.BoolVar(&readToo, "read-too", false, "also what was read already")
	flags.BoolVar(&individual, "individual", false, "take each member of a group alone, not all or none")
	return cmd
}

// finishRecall prints what a recall came to; nothing taken back is an error.
func (c *client) finishRecall(r *web.Recall, raw []byte) error {
	print := func() error { return c.printRecall(r) }
	if c.json {
		print = func() error { return c.printJSON(raw) }
	}
	if err := print(); err != nil {
		return err
	}
	if r.Overall == "all_failed" {
		return errors.New(c.say("nothing taken"))
	}
	return nil
}

func (c *client) printRecall(r *web.Recall) error {
	var t table
	t.add(c.headings("message", "recipient", "result")...)
	for i := range r.Recipients {
		p := &r.Recipients[i]
		t.add(p.MessageID, p.Address, p.Text.In(c.lang))
	}
	if err := t.write(c.out); err != nil {
		return err
	}
	word := "taken back"
	if r.DryRun {
		word = "would be"
	}
	total := r.SuccessCount + r.FailureCount + r.ProcessingCount
	if _, err := fmt.Fprintln(c.out, c.say(word, r.SuccessCount, total)); err != nil {
		return err
	}
	if r.ProcessingCount > 0 && !r.DryRun {
		_, err := fmt.Fprintln(c.out, c.say("in progress", r.ProcessingCount, r.ID))
		return err
	}
	return nil
}
