package main

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/sendgate/sendgate/gateway/web"
	"github.com/spf13/cobra"
)

func newSendersCommand() *cobra.Command {
	limit, part := 0, ""
	cmd := newClientCommand("senders [IDENTITY]", "List senders who are suspended, were granted something or are near a limit; or show one", cobra.MaximumNArgs(1),
		func(ctx context.Context, c *client, args []string) error {
			if len(args) == 1 {
				return c.showSender(ctx, args[0])
			}
			return ask(ctx, c, "/senders", listQuery(limit, map[string]string{"q": part}), c.printSenders)
		})
	cmd.Flags().IntVar(&limit, "limit", 50, "so many senders, at most 1000")
	cmd.Flags().StringVar(&part, "find", "", "senders with this in their identity, whatever they have sent")
	cmd.AddCommand(newBoostCommand(), newOverrideCommand(), newRevokeCommand(), newResetCommand(), newSuspendCommand(), newUnsuspendCommand())
	return cmd
}

func (c *client) showSender(ctx context.Context, identity string) error {
	return ask(ctx, c, "/senders/"+url.PathEscape(identity), nil, c.printSender)
}

func (c *client) printSenders(list *web.SenderList) error {
	if len(list.Senders) == 0 {
		_, err := fmt.Fprintln(c.out, c.say("no senders"))
		return err
	}
	var t table
	t.add(c.headings("identity", "suspended", "grants", "fullest", "percent")...)
	for i := range list.Senders {
		v := &list.Senders[i]
		rule, share := "", ""
		if len(v.Usage) > 0 {
			rule, share = v.Usage[0].Rule, strconv.FormatInt(v.Usage[0].Percent, 10)+"%"
		}
		grants := ""
		if len(v.Grants) > 0 {
			grants = strconv.Itoa(len(v.Grants))
		}
		t.add(v.Identity, c.suspension(v.Suspension), grants, rule, share)
	}
	return t.write(c.out)
}

// suspension says until when somebody is suspended.
func (c *client) suspension(s *web.Suspension) string {
	switch {
	case s == nil:
		return ""
	case s.Until.IsZero():
		return c.say("until ended")
	}
	return c.say("until", clock(s.Until))
}

// printSender shows one sender in parts, of which only those with something in them appear.
func (c *client) printSender(v *web.SenderDetail) error {
	var head table
	head.add(c.say("identity"), v.Identity)
	if s := v.Suspension; s != nil {
		head.add(c.say("suspended"), c.suspension(s))
		head.add(c.say("since"), clock(s.Since))
		head.add(c.say("who"), c.author(s))
		head.add(c.say("reason"), c.cause(s))
	}
	head.add(c.say("messages 24h"), c.sent(&v.Messages))
	return c.writeParts(&head, c.usage(v.Usage, false), c.grants(v.Grants))
}

// author says who suspended somebody.
func (c *client) author(s *web.Suspension) string {
	if s.Automatic {
		return c.say("by itself", s.Nth)
	}
	return s.Author
}

// cause says why, in the language of the person where sendgate has found it out.
func (c *client) cause(s *web.Suspension) string {
	if s.Automatic && len(s.Findings) > 0 {
		return s.Findings[0].Text.In(c.lang)
	}
	return s.Reason
}

// sent sums up the messages of the last day.
func (c *client) sent(m *web.SenderMessages) string {
	text := strconv.Itoa(m.Total)
	if m.More {
		text += "+"
	}
	for _, s := range m.States {
		text += fmt.Sprintf("; %s %d", s.Label.In(c.lang), s.Messages)
	}
	return text
}

func (c *client) grants(list []web.Grant) *table {
	var t table
	t.add(c.headings("rule", "change", "valid until", "who", "reason")...)
	for _, g := range list {
		change := strconv.FormatInt(g.Amount, 10)
		if g.Boost {
			change = "+" + change
		}
		t.add(g.Rule, change, clock(g.Until), g.Author, cut(g.Reason, subjectCells))
	}
	return &t
}

// printTrial says so while limits only tell.
func (c *client) printTrial(until time.Time) error {
	if until.IsZero() {
		return nil
	}
	_, err := fmt.Fprintln(c.err, c.say("trial", clock(until)))
	return err
}
