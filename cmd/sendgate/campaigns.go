package main

import (
	"context"
	"fmt"
	"net/url"
	"strconv"

	"github.com/sendgate/sendgate/gateway/web"
	"github.com/spf13/cobra"
)

// hoursShown bounds the hours that are printed of a campaign.
const hoursShown = 24

func newCampaignsCommand() *cobra.Command {
	limit, least := 0, 0
	cmd := newClientCommand("campaigns [ID]", "List messages that say nearly the same, as campaigns; or show one", cobra.MaximumNArgs(1),
		func(ctx context.Context, c *client, args []string) error {
			if len(args) == 1 {
				return c.showCampaign(ctx, args[0])
			}
			return ask(ctx, c, "/campaigns", url.Values{"min": {strconv.Itoa(least)}, "limit": {strconv.Itoa(limit)}}, c.printCampaigns)
		})
	cmd.Long = "List messages that say nearly the same, as campaigns, the latest first; or show one with how its messages differ.\n" +
		"The commands below decide about a campaign as a whole, with all that waits of it."
	cmd.Flags().IntVar(&limit, "limit", 50, "so many campaigns, at most 1000")
	cmd.Flags().IntVar(&least, "min", 2, "campaigns of so many messages; one that was noticed or decided on is always listed")
	cmd.AddCommand(newCampaignsApproveCommand(), newCampaignsCancelCommand(), newCampaignsSlowCommand(), newCampaignsAllowCommand(), newCampaignsWithdrawCommand())
	return cmd
}

func (c *client) showCampaign(ctx context.Context, part string) error {
	id, err := c.resolveCampaign(ctx, part)
	if err != nil {
		return err
	}
	return ask(ctx, c, "/campaigns/"+url.PathEscape(id), nil, c.printCampaign)
}

// resolveCampaign gives the whole id of a campaign of which at least six characters are given.
func (c *client) resolveCampaign(ctx context.Context, part string) (string, error) {
	return c.wholeID(part, "campaigns", func() (ids []string, err error) {
		var list web.CampaignList
		if _, err := c.get(ctx, "/campaigns", url.Values{"min": {"1"}, "limit": {"1000"}}, &list); err != nil {
			return nil, err
		}
		for i := range list.Campaigns {
			ids = append(ids, list.Campaigns[i].ID)
		}
		return ids, nil
	})
}

func (c *client) printCampaigns(list *web.CampaignList) error {
	if len(list.Campaigns) == 0 {
		_, err := fmt.Fprintln(c.out, c.say("no campaigns"))
		return err
	}
	var t table
	t.add(c.headings("id", "last", "messages", "in 1 h", "in 24 h", "from", "level", "decision", "subject")...)
	for i := range list.Campaigns {
		v := &list.Campaigns[i]
		from := cut(v.Sender, addressCells)
		if v.SenderCount > 1 {
			from += " +" + strconv.Itoa(v.SenderCount-1)
		}
		t.add(v.ID, clock(v.Last), strconv.FormatUint(v.Messages, 10), strconv.Itoa(v.Distinct.Hour), strconv.Itoa(v.Distinct.Day),
			from, c.level(v), c.decision(v.Decision), cut(v.Subject, subjectCells))
	}
	if err := t.write(c.out); err != nil {
		return err
	}
	if beyond := list.Total - len(list.Campaigns); beyond > 0 {
		_, err := fmt.Fprintln(c.out, c.say("more campaigns", beyond))
		return err
	}
	return nil
}

// level says how far a campaign came, and whether several accounts sent it to many.
func (c *client) level(v *web.Campaign) string {
	text := v.Label.In(c.lang)
	if v.Hijack {
		text += ", " + c.say("several accounts")
	}
	return text
}

// decision says what a person decided, and until when.
func (c *client) decision(d *web.CampaignDecision) string {
	if d == nil {
		return ""
	}
	text := d.Label.In(c.lang)
	if !d.Until.IsZero() {
		text += " " + c.say("until", clock(d.Until))
	}
	if d.Over {
		text += " (" + c.say("over") + ")"
	}
	return text
}

// printCampaign shows one campaign in parts, of which only those with something in them appear.
func (c *client) printCampaign(v *web.CampaignDetail) error {
	var head table
	reach := c.say("reach", v.Distinct.Day, v.Distinct.Hour)
	for _, line := range [][2]string{
		{"id", v.ID}, {"subject", v.Subject}, {"first seen", clock(v.First)}, {"last", clock(v.Last)},
		{"messages", strconv.FormatUint(v.Messages, 10)}, {"count", reach}, {"level", c.level(&v.Campaign)},
	} {
		head.add(c.say(line[0]), line[1])
	}
	if d := v.Decision; d != nil {
		head.add(c.say("decision"), c.decision(d))
		head.add(c.say("who"), d.By)
		head.add(c.say("since"), clock(d.At))
	}
	head.add(c.say("waiting"), strconv.Itoa(v.Waiting))
	if err := c.writeParts(&head, c.campaignSenders(v.Senders), c.campaignHours(v.Hours)); err != nil {
		return err
	}
	for i := range v.Samples {
		if err := c.printSample(&v.Samples[i], i == 0); err != nil {
			return err
		}
	}
	return nil
}

func (c *client) campaignSenders(list []web.CampaignSender) *table {
	var t table
	t.add(c.headings("identity", "first seen", "last", "messages", "in 1 h", "in 24 h")...)
	for i := range list {
		s := &list[i]
		t.add(s.Identity, clock(s.First), clock(s.Last), strconv.FormatUint(s.Messages, 10), strconv.Itoa(s.Distinct.Hour), strconv.Itoa(s.Distinct.Day))
	}
	return &t
}

func (c *client) campaignHours(list []web.CampaignHour) *table {
	var t table
	t.add(c.headings("hour", "messages", "count")...)
	for _, h := range list[max(0, len(list)-hoursShown):] {
		t.add(clock(h.Start), strconv.FormatUint(uint64(h.Messages), 10), strconv.FormatUint(uint64(h.Recipients), 10))
	}
	return &t
}
