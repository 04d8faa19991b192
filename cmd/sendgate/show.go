package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sendgate/sendgate/gateway/web"
	"github.com/sendgate/sendgate/policy"
	"github.com/spf13/cobra"
)

func newShowCommand() *cobra.Command {
	return newClientCommand("show ID", "Show a message, its recipients and what happened to it", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) error {
			id, err := c.resolve(ctx, args[0])
			if err != nil {
				return err
			}
			var m web.MessageDetail
			raw, err := c.get(ctx, "/messages/"+id, nil, &m)
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(raw)
			}
			return c.printMessage(&m)
		})
}

func (c *client) printMessage(m *web.MessageDetail) error {
	var head table
	for _, line := range [][2]string{
		{"id", m.ID}, {"from", c.sender(m.From)}, {"subject", m.Subject}, {"received", clock(m.Received)},
		{"client", m.Client}, {"login", m.Login}, {"identity", m.Identity}, {"message-id", m.MessageID},
		{"size", strconv.FormatInt(m.Size, 10)}, {"state", m.Label.In(c.lang)}, {"held until", clock(m.HeldUntil)},
	} {
		if line[1] != "" {
			head.add(c.say(line[0]), line[1])
		}
	}
	recipients, timeline := c.recipients(m.Recipients), c.timeline(m)
	for _, t := range []*table{&head, recipients, timeline} {
		if t != &head {
			if _, err := fmt.Fprintln(c.out); err != nil {
				return err
			}
		}
		if err := t.write(c.out); err != nil {
			return err
		}
	}
	return nil
}

func (c *client) recipients(list []web.Recipient) *table {
	var t table
	t.add(c.headings("recipient", "state", "since", "reply")...)
	for i := range list {
		r := &list[i]
		t.add(r.Address, r.Label.In(c.lang), clock(r.Since), c.notes(r))
	}
	return &t
}

// notes gathers what is worth knowing of a recipient beside its state.
func (c *client) notes(r *web.Recipient) string {
	var notes []string
	if r.Reply != "" {
		notes = append(notes, r.Reply)
	}
	if r.Reason != "" {
		notes = append(notes, r.Reason)
	}
	if r.State == policy.StateHeld {
		notes = append(notes, c.say("on hold"))
	}
	if !r.NextTry.IsZero() {
		notes = append(notes, c.say("next try", clock(r.NextTry)))
	}
	if r.MayBeDuplicate {
		notes = append(notes, c.say("duplicate"))
	}
	return strings.Join(notes, "; ")
}

func (c *client) timeline(m *web.MessageDetail) *table {
	var t table
	t.add(c.headings("time", "event", "who", "about", "more")...)
	for i := range m.Timeline {
		e := &m.Timeline[i]
		t.add(clock(e.Time), c.kind(e.Kind), e.Actor, c.about(e.Recipients, len(m.Recipients)), c.more(e))
	}
	return &t
}

// about names whom an event concerns: all, one, or how many.
func (c *client) about(addresses []string, all int) string {
	switch {
	case len(addresses) == 1 && all != 1:
		return addresses[0]
	case len(addresses) == 0, len(addresses) == all:
		return c.say("all")
	}
	return c.say("recipients", len(addresses))
}

// more gathers the facts of an event.
// when says what the time in an event means. A hold has two: people are promised the one, mail leaves
// a little later.
func (c *client) when(e *web.TimelineEntry) string {
	switch {
	case e.Until.IsZero(), e.Kind == policy.Released, e.Kind == policy.Offered: // now
		return ""
	case !e.RecallUntil.IsZero():
		return c.say("recall until", clock(e.RecallUntil), e.Until.Local().Format(time.TimeOnly))
	case e.Kind == policy.Deferred:
		return c.say("next try", clock(e.Until))
	}
	return c.say("until", clock(e.Until))
}

func (c *client) more(e *web.TimelineEntry) string {
	var facts []string
	if when := c.when(e); when != "" {
		facts = append(facts, when)
	}
	for _, fact := range []string{e.Rule, e.Reason, e.Reply, e.QueueID, e.Upstream} {
		if fact != "" {
			facts = append(facts, fact)
		}
	}
	if e.MayBeDuplicate {
		facts = append(facts, c.say("duplicate"))
	}
	return strings.Join(facts, "; ")
}
