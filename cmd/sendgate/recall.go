package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/sendgate/sendgate/gateway/web"
	"github.com/sendgate/sendgate/policy"
	"github.com/spf13/cobra"
)

func newRecallCommand() *cobra.Command {
	var body web.RecallRequest
	var readToo, bestEffort, wait bool
	cmd := newClientCommand("recall [ID...] --reason TEXT", "Take messages back, wherever they are within reach", cobra.ArbitraryArgs,
		func(ctx context.Context, c *client, args []string) error {
			if len(args) == 0 && body.Query == "" && body.MessageIDHeader == "" {
				return usageError{errors.New("name messages by their ids, or find them with --message-id or --query")}
			}
			if err := c.nameMessages(ctx, &body, args); err != nil {
				return err
			}
			body.UnreadOnly = new(!readToo)
			if bestEffort {
				body.GroupMode = "best_effort"
			}
			return c.recall(ctx, &body, wait)
		})
	cmd.Long = "Take messages back, wherever they are within reach: out of the hold, out of queues, and unread out of mailboxes.\n" +
		"The exit code is 1 when nothing could be taken back, or the recall did not begin.\n\n" +
		"  sendgate recall 8T0V1X --reason \"wrong file\" --dry-run\n" +
		"  sendgate recall --message-id '<x@corp.example>' --reason \"wrong file\" --wait\n" +
		"  sendgate recall --query 'from:alice subject:\"price list\" after:2h' --reason \"old prices\""
	flags := cmd.Flags()
	flags.StringVar(&body.MessageIDHeader, "message-id", "", "take back what has this Message-ID")
	flags.StringVar(&body.Query, "query", "", "take back what this query finds, as in sendgate messages")
	flags.StringVar(&body.Reason, "reason", "", "why; it is kept with the messages")
	flags.StringArrayVar(&body.Recipients, "recipient", nil, "only from this recipient; may be repeated")
	flags.BoolVar(&body.DryRun, "dry-run", false, "only show what it would come to")
	flags.BoolVar(&readToo, "read-too", false, "also what was read already, where the configuration allows it")
	flags.BoolVar(&bestEffort, "best-effort", false, "take each member of a group alone, not all or none")
	flags.StringVar(&body.Notify, "notify", "", "which recipients are told: none, read (those who had read it) or all (default as configured)")
	flags.StringVar(&body.Correction, "correct", "", "id of the message that replaces it: who had read it is told")
	flags.BoolVar(&wait, "wait", false, "show how it gets on, until it has ended")
	return cmd
}

// nameMessages finds the whole ids.
func (c *client) nameMessages(ctx context.Context, body *web.RecallRequest, args []string) (err error) {
	for _, arg := range args {
		id, err := c.resolve(ctx, arg)
		if err != nil {
			return err
		}
		body.MessageIDs = append(body.MessageIDs, id)
	}
	if body.Correction != "" {
		body.Correction, err = c.resolve(ctx, body.Correction)
	}
	return err
}

// recall asks for it, waits if told to, and prints what it came to.
func (c *client) recall(ctx context.Context, body *web.RecallRequest, wait bool) error {
	var r web.Recall
	raw, err := c.post(ctx, "/recalls", body, &r)
	if err != nil {
		return err
	}
	refused := r.Restriction
	if wait && r.ID != "" && r.Status != recallDone && r.Ended.IsZero() {
		if raw, err = c.waitForRecall(ctx, r.ID, &r); err != nil {
			return err
		}
	}
	return c.finishRecall(&r, raw, refused)
}

// What web.Recall has in status and overall.
const (
	recallDone      = "done"
	overallFailed   = "all_failed"
	overallRejected = "rejected"
	overallApproval = "awaiting_approval"
)

// finishRecall prints what a recall came to; that it did not begin or took nothing back is an error.
func (c *client) finishRecall(r *web.Recall, raw []byte, refused *web.Restriction) error {
	switch {
	case c.json:
		if err := c.printJSON(raw); err != nil {
			return err
		}
	case refused == nil || r.ID != "":
		if err := c.printRecall(r, false); err != nil {
			return err
		}
	}
	switch {
	case refused != nil && r.ID != "":
		return errors.New(clean(c.say("see recall", refused.Text.In(c.lang), r.ID)))
	case refused != nil:
		return errors.New(clean(refused.Text.In(c.lang)))
	case r.Overall == overallFailed:
		return errors.New(c.say("nothing taken"))
	case r.Overall == overallRejected:
		return errors.New(c.say("overall rejected"))
	}
	return nil
}

// printRecall shows each recipient, the groups, what answers or forwards the messages, and the sum. With
// evidence it shows where a copy was and how that is known.
func (c *client) printRecall(r *web.Recall, evidence bool) error {
	if err := c.writeParts(c.recallLines(r.Recipients, evidence), c.recallGroups(r.Groups), c.recallRelated(r.Related)); err != nil {
		return err
	}
	for _, line := range c.recallSum(r) {
		if _, err := fmt.Fprintln(c.out, clean(line)); err != nil {
			return err
		}
	}
	return nil
}

func (c *client) recallLines(list []web.RecallRecipient, evidence bool) *table {
	var t table
	t.add(c.headings("message", "recipient", "result")...)
	for i := range list {
		p := &list[i]
		address := p.Address
		if p.Group != "" {
			address += " (" + p.Group + ")"
		}
		text := []string{p.Text.In(c.lang)}
		if evidence {
			text = append(text, replyLines(p.Detail)...)
		}
		t.addLines([]string{p.MessageID, address}, text)
	}
	return &t
}

func (c *client) recallGroups(list []web.RecallGroup) *table {
	var t table
	t.add(c.headings("message", "group", "done", "failed", "open", "percent", "blocked by")...)
	for i := range list {
		g := &list[i]
		blocked := []string{""}
		if g.BlockedBy > 0 {
			blocked = append([]string{c.people(g.BlockedBy)}, g.Blockers...)
		}
		t.addLines([]string{
			g.MessageID, g.Address, strconv.Itoa(g.SuccessCount), strconv.Itoa(g.FailureCount), strconv.Itoa(g.ProcessingCount), strconv.Itoa(g.Percent) + " %",
		}, blocked)
	}
	return &t
}

// people counts members.
func (c *client) people(n int) string {
	if n == 1 {
		return c.say("one member")
	}
	return c.say("members", n)
}

func (c *client) recallRelated(list []web.RecallRelated) *table {
	var t table
	t.add(c.headings("related", "from", "subject", "to", "state")...)
	for i := range list {
		m := &list[i]
		state := m.Label.In(c.lang)
		if m.Held {
			state = c.say("cancel too", m.MessageID)
		}
		t.add(m.MessageID, cut(c.sender(m.From), addressCells), cut(m.Subject, subjectCells), strconv.Itoa(m.RecipientCount), state)
	}
	return &t
}

// recallSum says how many were taken back, and what is still to come.
func (c *client) recallSum(r *web.Recall) (lines []string) {
	total := r.SuccessCount + r.FailureCount + r.ProcessingCount
	if r.DryRun {
		return c.recallPlan(r, total)
	}
	lines = append(lines, c.say("taken back", r.SuccessCount, total))
	switch {
	case r.Overall == overallApproval:
		lines = append(lines, c.say("approve it", clock(r.ApproveUntil), r.ID))
	case r.Ended.IsZero() && r.ProcessingCount > 0:
		lines = append(lines, c.say("in progress", r.ProcessingCount, r.ID))
	}
	if r.Corrected {
		lines = append(lines, c.say("corrected"))
	}
	return lines
}

// recallPlan says how many could be taken back now, and of how many that cannot be told.
func (c *client) recallPlan(r *web.Recall, total int) []string {
	can, unclear := 0, 0
	for i := range r.Recipients {
		switch p := &r.Recipients[i]; {
		case p.Status == policy.RecallSuccess, p.Code == policy.RecallPlanned, p.Code == policy.WaitingArrival:
			can++
		case p.Status == policy.RecallProcessing:
			unclear++
		}
	}
	lines := []string{c.say("would be", can, total)}
	if unclear > 0 {
		lines = append(lines, c.say("unclear", unclear))
	}
	if !r.ApproveUntil.IsZero() {
		lines = append(lines, c.say("needs approval"))
	}
	return lines
}
