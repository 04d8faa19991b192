package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/sendgate/sendgate/gateway/config"
	"github.com/sendgate/sendgate/gateway/web"
	"github.com/sendgate/sendgate/policy"
	"github.com/spf13/cobra"
)

func newRulesCommand() *cobra.Command {
	cmd := newClientCommand("rules", "List the rules in effect", cobra.NoArgs,
		func(ctx context.Context, c *client, _ []string) error {
			return ask(ctx, c, "/rules", nil, c.printRules)
		})
	cmd.AddCommand(newRulesTestCommand())
	return cmd
}

func (c *client) printRules(v *web.Rules) error {
	if err := c.printTrial(v.Trial); err != nil {
		return err
	}
	var holds table
	holds.add(c.headings("hold rule", "hold for", "mode")...)
	for i := range v.Rules {
		holds.add(v.Rules[i].Name, v.Rules[i].For.String(), c.mode(v.Rules[i].Shadow))
	}
	holds.add(c.say("default rule"), v.Hold.Default.String(), c.mode(false))
	var limits table
	limits.add(c.headings("limit rule", "limit", "unit", "per", "for whom", "action", "mode")...)
	for i := range v.Limits {
		l := &v.Limits[i]
		limits.add(l.Name, strconv.FormatInt(l.Limit, 10), l.Unit.Label(l.Limit).In(c.lang), web.Span(l.Per).Label().In(c.lang),
			c.named("key", string(l.Key)), c.named("action", string(l.Action)), c.mode(l.Shadow || !v.Trial.IsZero()))
	}
	return c.writeParts(&holds, &limits)
}

// mode says whether a rule acts.
func (c *client) mode(shadow bool) string {
	if shadow {
		return c.say("only tells")
	}
	return c.say("acts")
}

func newRulesTestCommand() *cobra.Command {
	since, file := "", ""
	cmd := newClientCommand("test [--file limits.yaml]", "Say what limits would have done to the mail of the past", cobra.NoArgs,
		func(ctx context.Context, c *client, _ []string) error {
			var span web.Span
			if err := span.UnmarshalText([]byte(since)); err != nil || span <= 0 {
				return usageError{fmt.Errorf("--since %q: write a duration such as 24h or 30d", since)}
			}
			limits, err := c.limitsToTest(ctx, file)
			if err != nil {
				return err
			}
			body := web.BackTestRequest{Since: since, Limits: limits}
			var v web.BackTest
			raw, err := c.postLong(ctx, "/rules/test", &body, &v)
			return answer(c, raw, &v, err, c.printBackTest)
		})
	cmd.Long = "Say what limits would have done to the mail of the past. Nothing is changed. Without a file\n" +
		"these are the limits in effect. The file has them as the configuration has them below policy:\n\n" +
		"  limits:\n" +
		"    - name: external-hour\n" +
		"      unit: external_recipients\n" +
		"      limit: 200\n" +
		"      per: hour"
	cmd.Flags().StringVar(&since, "since", "30d", "how far back")
	cmd.Flags().StringVar(&file, "file", "", "YAML file with limits")
	return cmd
}

// limitsToTest are those of a file, or those in effect.
func (c *client) limitsToTest(ctx context.Context, file string) ([]web.LimitRule, error) {
	if file != "" {
		return readLimits(file)
	}
	var v web.Rules
	if _, err := c.get(ctx, "/rules", nil, &v); err != nil {
		return nil, err
	}
	if len(v.Limits) == 0 {
		return nil, errors.New("no limits are in effect: write some into a file, and name it with --file")
	}
	return v.Limits, nil
}

// readLimits reads and checks a file with limits; the error names every fault with its line.
func readLimits(name string) ([]web.LimitRule, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read limits: %w", err)
	}
	var content struct {
		Limits []policy.LimitRule `yaml:"limits"`
	}
	file, err := config.Decode(name, data, &content)
	if !file.Readable() {
		return nil, err
	}
	checked := policy.DefaultConfig()
	checked.Limits = content.Limits
	if err := errors.Join(err, file.Locate(checked.Validate())); err != nil {
		return nil, err
	}
	if len(content.Limits) == 0 {
		return nil, fmt.Errorf("%s has no limits", name)
	}
	rules := make([]web.LimitRule, len(content.Limits))
	for i := range content.Limits {
		rules[i] = web.LimitRuleOf(&content.Limits[i])
	}
	return rules, nil
}

func (c *client) printBackTest(v *web.BackTest) error {
	if _, err := fmt.Fprintf(c.out, "%s\n\n", c.say("looked at", v.Messages, v.Recipients, clock(v.Since))); err != nil {
		return err
	}
	var rules, examples table
	rules.add(c.headings("limit rule", "broken", "would hold", "would refuse", "senders")...)
	examples.add(c.headings("limit rule", "message", "time", "identity", "subject", "text")...)
	for i := range v.Rules {
		r := &v.Rules[i]
		rules.add(r.Name, strconv.Itoa(r.Exceeded), strconv.Itoa(r.Held), strconv.Itoa(r.Refused), strconv.Itoa(r.Senders))
		for _, e := range r.Examples {
			examples.add(r.Name, e.ID, clock(e.Time), cut(e.Identity, addressCells), cut(e.Subject, subjectCells), e.Text.In(c.lang))
		}
	}
	return c.writeParts(&rules, &examples)
}
