package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/sendgate/sendgate/gateway/web"
	"github.com/spf13/cobra"
)

func newExplainCommand() *cobra.Command {
	return newClientCommand("explain ID", "Say which rules looked at a message, and what each said", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) error {
			id, err := c.resolve(ctx, args[0])
			if err != nil {
				return err
			}
			return ask(ctx, c, "/messages/"+id+"/explain", nil, c.printExplanation)
		})
}

func (c *client) printExplanation(v *web.Explanation) error {
	var head table
	for _, line := range [][2]string{
		{"id", v.ID}, {"from", c.sender(v.From)}, {"identity", v.Identity}, {"subject", v.Subject}, {"state", v.Label.In(c.lang)},
	} {
		head.add(c.say(line[0]), line[1])
	}
	if err := head.write(c.out); err != nil {
		return err
	}
	for i := range v.Steps {
		if err := c.printStep(&v.Steps[i]); err != nil {
			return err
		}
	}
	return nil
}

// printStep prints a decision, and below it what every rule said.
func (c *client) printStep(s *web.Step) error {
	line := clock(s.Time) + "  " + s.Text.In(c.lang)
	if n := len(s.Recipients); n > 0 {
		line += " (" + c.say("recipients", n) + ")"
	}
	if _, err := fmt.Fprintf(c.out, "\n%s\n", clean(line)); err != nil {
		return err
	}
	if len(s.Findings) == 0 {
		return nil
	}
	var t table
	t.add(append([]string{""}, c.headings("rule", "says", "used", "asked", "limit", "limit from", "text")...)...)
	for i := range s.Findings {
		f := &s.Findings[i]
		limit := ""
		if f.Limit > 0 { // one without a unit is said in the text
			limit = number(f.Limit, f.Unit)
		}
		text := []string{f.Text.In(c.lang)}
		if f.Campaign != "" {
			text = append(text, c.say("look at campaign", f.Campaign))
		}
		t.addLines([]string{"", f.Rule, c.verdict(f), number(f.Used, f.Unit), number(f.Asked, f.Unit), limit, c.sourceOf(f)}, text)
	}
	return t.write(c.out)
}

// sourceOf says where a limit comes from. What is unusual for an account says that in words.
func (c *client) sourceOf(f *web.Finding) string {
	if f.Kind == "anomaly" {
		return ""
	}
	return c.named("source", f.Source)
}

// number shows what a rule counts; a rule that counts nothing has none.
func number(n int64, u web.UnitName) string {
	if u.Name == "" {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// verdict is what a rule said, in a word or two.
func (c *client) verdict(f *web.Finding) string {
	action := c.named("action", string(f.Action))
	switch {
	case f.Exceeded && f.Shadow:
		return c.say("would", action)
	case f.Decided:
		return c.say("decides", action)
	case f.Exceeded:
		return c.say("exceeded", action)
	case f.Kind == "anomaly", f.Warn && f.Kind == "similar":
		return c.say("notices")
	case f.Warn:
		return c.say("warns")
	case f.Unit.Name == "":
		return c.say("passes")
	}
	return c.say("fits")
}
