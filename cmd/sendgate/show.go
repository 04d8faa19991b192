package main

import (
	"context"
	"regexp"
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
			return ask(ctx, c, "/messages/"+id, nil, c.printMessage)
		})
}

func (c *client) printMessage(m *web.MessageDetail) error {
	var head table
	for _, line := range [][2]string{
		{"id", m.ID}, {"from", c.sender(m.From)}, {"subject", m.Subject}, {"received", clock(m.Received)},
		{"client", m.Client}, {"login", m.Login}, {"identity", m.Identity}, {"message-id", m.MessageID},
		{"size", strconv.FormatInt(m.Size, 10)}, {"state", m.Label.In(c.lang)}, {"held until", clock(m.HeldUntil)},
		{"recallable", c.recallable(&m.Recall)},
	} {
		if line[1] != "" {
			head.add(c.say(line[0]), line[1])
		}
	}
	return c.writeParts(&head, c.recipients(m.Recipients), c.timeline(m))
}

// recallable says until when a message can be taken back, or why it cannot.
func (c *client) recallable(r *web.Recallable) string {
	switch {
	case r.Restriction != nil:
		return r.Restriction.Text.In(c.lang)
	case !r.Until.IsZero():
		return c.say("available until", clock(r.Until))
	case r.Available:
		return c.say("available")
	}
	return ""
}

// recipients lists them: members are indented under their group, attempts follow each other.
func (c *client) recipients(list []web.Recipient) *table {
	var t table
	t.add(c.headings("recipient", "state", "since", "reply")...)
	for i := range list {
		r := &list[i]
		address := r.Address
		if r.Group != "" {
			address = "  " + address
		}
		t.addLines([]string{address, r.Label.In(c.lang), clock(r.Since)}, c.notes(r))
	}
	return &t
}

// notes gathers what is worth knowing of a recipient beside its state.
func (c *client) notes(r *web.Recipient) []string {
	var before, after facts
	before.add(r.Members == 1, c.say("one member"))
	before.add(r.Members > 1, c.say("members", r.Members))
	before.add(r.Attempt > 1, c.say("attempt", r.Attempt))
	text := r.Reply
	if text == "" && (r.State.Failed() || r.State == policy.StateUnknown) {
		text = r.Evidence
	}
	after.add(r.Reason != "", r.Reason)
	after.add(r.State == policy.StateHeld, c.say("on hold"))
	after.add(r.Attempts > 1, c.say("tries", r.Attempts))
	after.add(!r.NextTry.IsZero(), c.say("next try", clock(r.NextTry)))
	after.add(r.MayBeDuplicate, c.say("duplicate"))
	after.add(r.Superseded, c.say("superseded"))
	if r.Recall != nil {
		after.add(true, r.Recall.Text.In(c.lang))
	}
	return around(before, replyLines(text), after)
}

// facts are short texts that stand in one line.
type facts []string

func (f *facts) add(known bool, text string) {
	if known {
		*f = append(*f, text)
	}
}

// around puts facts before the first line of a reply and behind its last.
func around(before facts, reply []string, after facts) []string {
	if len(reply) == 0 {
		return []string{strings.Join(append(before, after...), "; ")}
	}
	last := len(reply) - 1
	reply[last] = strings.Join(append(facts{reply[last]}, after...), "; ")
	reply[0] = strings.Join(append(before, reply[0]), "; ")
	return reply
}

// multiline finds the beginning of a reply of several lines (RFC 5321 4.2.1).
var multiline = regexp.MustCompile(`\b[245][0-9][0-9]-`)

// replyLines gives the lines of a reply, also of one that a log has joined with blanks, as
// "550-5.7.1 no 550 5.7.1 never".
func replyLines(text string) (lines []string) {
	for line := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == '\n' || r == '\r' }) {
		lines = append(lines, splitReply(line)...)
	}
	return lines
}

func splitReply(line string) (lines []string) {
	first := multiline.FindStringIndex(line)
	if first == nil {
		return []string{line}
	}
	start := 0
	again := regexp.MustCompile(" " + line[first[0]:first[0]+3] + "[- ]")
	for _, at := range again.FindAllStringIndex(line, -1) {
		if at[0] < first[1] {
			continue
		}
		lines, start = append(lines, line[start:at[0]]), at[0]+1
		if line[at[1]-1] == ' ' {
			break // the last
		}
	}
	return append(lines, line[start:])
}

func (c *client) timeline(m *web.MessageDetail) *table {
	var t table
	t.add(c.headings("time", "event", "who", "about", "more")...)
	envelope := 0
	for i := range m.Recipients {
		if m.Recipients[i].Group == "" && m.Recipients[i].Attempt <= 1 {
			envelope++
		}
	}
	for i := range m.Timeline {
		e := &m.Timeline[i]
		t.addLines([]string{clock(e.Time), c.kind(e.Kind), e.Actor, c.about(e, envelope)}, c.more(e))
	}
	return &t
}

// about names whom an event concerns: the member of a group, all, one, or how many.
func (c *client) about(e *web.TimelineEntry, all int) string {
	n := len(e.Recipients)
	switch {
	case e.Member != "" && n == 1:
		return e.Member + " (" + e.Recipients[0] + ")"
	case e.Member != "":
		return e.Member
	case n == 1 && all != 1:
		return e.Recipients[0]
	case n == 0, n == all:
		return c.say("all")
	}
	return c.say("recipients", n)
}

// when says what the time in an event means. A hold has two: people are promised the one, mail leaves
// a little later.
func (c *client) when(e *web.TimelineEntry) string {
	switch {
	case !e.NextTry.IsZero():
		return c.say("next try", clock(e.NextTry))
	case e.Until.IsZero(), e.Kind == policy.Released, e.Kind == policy.Offered, e.Kind == policy.Resent: // now
		return ""
	case !e.RecallUntil.IsZero():
		return c.say("recall until", clock(e.RecallUntil), e.Until.Local().Format(time.TimeOnly))
	case e.Kind == policy.Deferred:
		return c.say("next try", clock(e.Until))
	}
	return c.say("until", clock(e.Until))
}

// reason is why something happened; of recalls, how they ended.
func (c *client) reason(e *web.TimelineEntry) string {
	switch {
	case e.Kind == policy.RecallOutcome:
		return policy.RecallCode(e.Reason).Label().In(c.lang)
	case e.Kind == policy.RecallEnded && words["overall "+e.Reason] != (policy.Label{}):
		return c.say("overall " + e.Reason)
	}
	return e.Reason
}

// more gathers the facts of an event.
func (c *client) more(e *web.TimelineEntry) []string {
	var before, after facts
	for _, text := range []string{c.when(e), e.Rule, c.reason(e)} {
		before.add(text != "", text)
	}
	for _, f := range e.Findings {
		before.add(true, c.remark(&f, e.Rule))
	}
	text := e.Reply
	if text == "" && (e.Kind == policy.Bounced || e.Kind == policy.AsyncBounced || e.Kind == policy.Expired) {
		text = e.Evidence
	}
	after.add(e.QueueID != "", e.QueueID)
	after.add(e.Upstream != "", e.Upstream)
	after.add(e.MayBeDuplicate, c.say("duplicate"))
	return around(before, replyLines(text), after)
}

// remark is what a rule said; its name is left out where it stands already.
func (c *client) remark(f *web.Remark, named string) string {
	text := f.Text.In(c.lang)
	if f.Rule != "" && f.Rule != named {
		text = f.Rule + ": " + text
	}
	if f.Campaign != "" {
		text += " (" + c.say("in campaign", f.Campaign) + ")"
	}
	if f.Shadow {
		text += " (" + c.say("only tells") + ")"
	}
	return text
}
