package guard

import (
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/content"
	"github.com/sendgate/sendgate/policy/limit"
	"github.com/sendgate/sendgate/policy/similar"
)

// similarRule is the rule in the verdicts about near-duplicates.
const similarRule = "similar"

// slowRate is the pace of a campaign that is to be slow.
var slowRate = limit.Rate{Every: 10 * time.Second, Burst: 1}

const (
	// campaignExpires is how long mail of a campaign waits for a person; then it goes back to its sender.
	campaignExpires = 72 * time.Hour
	// maxFresh bounds the signatures that wait for their messages to be accepted.
	maxFresh = 10_000
)

// fresh are signatures as they were made: what the journal keeps of them teaches nothing.
type fresh struct {
	by    map[policy.ID]similar.Signature
	order []policy.ID
}

func (f *fresh) add(id policy.ID, s similar.Signature) {
	if f.by == nil {
		f.by = map[policy.ID]similar.Signature{}
	}
	f.by[id] = s
	if f.order = append(f.order, id); len(f.order) > maxFresh {
		delete(f.by, f.order[0])
		f.order = f.order[1:]
	}
}

func (f *fresh) take(id policy.ID) (similar.Signature, bool) {
	s, ok := f.by[id]
	delete(f.by, id)
	return s, ok
}

// content decides on what a message says. The zero verdict with a charge lets it pass. m tells what it is like, nil
// when it was compared with nothing.
func (g *Guard) content(all *settings, s *policy.Submission, f *facts) (v policy.Verdict, m *similar.Match) {
	if g.index == nil || s.Content == nil {
		return policy.Verdict{}, nil
	}
	defer func() {
		if recover() != nil { // a text that breaks a rule must not stop mail
			v, m = policy.Verdict{}, nil
		}
	}()
	e := s.Envelope
	strangers := g.strangers(all, e, f)
	to := make([]policy.Address, len(strangers))
	for i, j := range strangers {
		to[i] = e.Recipients[j].Address
	}
	sig := g.index.Signature(s.Content.Text, Hints(e, s.Content))
	octets, err := sig.MarshalBinary()
	if err != nil {
		return policy.Verdict{}, nil
	}
	g.mu.Lock()
	g.fresh.add(s.ID, sig)
	g.mu.Unlock()
	v.Charge = &policy.Charge{At: s.Time.UnixMilli(), First: s.ID, Signature: octets, Strangers: strangers}
	if len(to) == 0 { // colleagues and correspondents: it counts for nobody, and waits for nobody
		return v, nil
	}
	match := g.index.Look(s.Time, e.Identity, sig, to)
	if match.Level == similar.Silent {
		return v, &match
	}
	return g.campaign(all, s, v, match, len(strangers)), &match
}

// campaign is the verdict on a message of a campaign.
func (g *Guard) campaign(all *settings, s *policy.Submission, v policy.Verdict, m similar.Match, strangers int) policy.Verdict {
	campaign := m.Campaign
	if campaign == (policy.ID{}) { // one message to many: it will be its first
		campaign = s.ID
	}
	f := policy.Finding{
		Rule: similarRule, Kind: similarRule, Unit: policy.ExternalRecipients, Key: campaign.String(), Source: m.Level.String(), Window: 24 * time.Hour,
		Asked: int64(strangers), Used: int64(m.Distinct.Day - strangers), Exceeded: m.Level > similar.Notice, Warn: m.Level == similar.Notice,
		Shadow: s.Time.Before(all.Trial), Detail: m.Reason,
	}
	if m.Hijack {
		f.Source = "hijack"
	}
	switch {
	case m.Decision.Kind == similar.Canceled:
		f.Action = policy.Reject
	case m.Level >= similar.Review:
		f.Action = policy.Approval
	case m.Level == similar.Slow:
		f.Action = policy.Pace
	default:
		f.Action = policy.Log
	}
	f.Decided = !f.Shadow && f.Exceeded
	v.Findings = []policy.Finding{f}
	if !f.Decided {
		return v
	}
	v.Rule, v.Text = similarRule, withReference(m.Reason, s.ID)
	v.Reason = "campaign " + f.Key + ": " + m.Reason.EN
	switch f.Action {
	case policy.Reject:
		v.Action, v.Code, v.Status = policy.Reject, 550, "5.7.28"
	case policy.Approval:
		v.Action, v.Until, v.Expiry = policy.Approval, s.Time.Add(campaignExpires), policy.Reject
	case policy.Pace:
		p := g.counters.Pace(s.Time, similarRule, f.Key, slowRate, 1)
		v.Charge.Paces = []policy.Paced{{Rule: p.Rule, Key: p.Key, At: p.At, TAT: p.TAT}}
		v.Action, v.Until = policy.Hold, p.At
	}
	v.Shown = v.Until
	return v
}

func withReference(l policy.Label, id policy.ID) policy.Label {
	return policy.Label{EN: l.EN + " (ref " + id.String() + ")", ZH: l.ZH + "（编号 " + id.String() + "）"}
}

// strangers gives the recipients who count: external ones who have not written to the sender.
func (g *Guard) strangers(all *settings, e *policy.Envelope, f *facts) (indexes []int) {
	for i := range e.Recipients {
		if !f.isInternal(all, e, i) && !f.relation(g, e, i).Heard {
			indexes = append(indexes, i)
		}
	}
	return indexes
}

// Hints gathers what is known of a message besides its text.
func Hints(e *policy.Envelope, c *content.Content) similar.Hints {
	h := similar.Hints{
		Sender: e.Identity, Subject: c.Header.Get("Subject"), Reply: len(c.Header.Thread()) > 0,
	}
	for i := range e.Recipients {
		h.Names = append(h.Names, string(e.Recipients[i].Address))
	}
	for _, field := range []string{"To", "Cc"} {
		for _, a := range c.Header.Addresses(field) {
			h.Names = append(h.Names, a.Name)
		}
	}
	for _, a := range c.Attachments {
		if !a.Inline && a.Size >= similar.MinAttachment {
			h.Attachments = append(h.Attachments, a.SHA256)
		}
	}
	h.Hosts = hosts(c)
	return h
}

// hosts gives the registered domains of the links.
func hosts(c *content.Content) (list []string) {
	seen := map[string]bool{}
	for _, link := range c.Links {
		u, err := url.Parse(link)
		if err != nil || u.Hostname() == "" {
			continue
		}
		host := strings.ToLower(u.Hostname())
		if d, err := publicsuffix.EffectiveTLDPlusOne(host); err == nil {
			host = d
		}
		if !seen[host] {
			seen[host] = true
			list = append(list, host)
		}
	}
	return list
}

// count adds an accepted message to its campaign, and tells what it is like; nil when it was compared with nothing.
func (g *Guard) count(id policy.ID, e *policy.Envelope, ev policy.Event) *similar.Match {
	if g.index == nil || ev.Charge == nil || ev.Charge.Signature == nil {
		return nil
	}
	g.mu.Lock()
	sig, ok := g.fresh.take(id)
	g.mu.Unlock()
	if !ok && sig.UnmarshalBinary(ev.Charge.Signature) != nil {
		return nil // of another version or seed
	}
	var to []policy.Address
	for _, i := range ev.Charge.Strangers {
		if i >= 0 && i < len(e.Recipients) {
			to = append(to, e.Recipients[i].Address)
		}
	}
	m := g.index.Take(ev.Time, id, e.Identity, sig, to)
	if len(to) == 0 { // as nobody looked
		return nil
	}
	return &m
}

// decideCampaign takes up what a person said about a campaign.
func (g *Guard) decideCampaign(ev policy.Event) error {
	if g.index == nil {
		return nil
	}
	id, err := policy.ParseID(ev.Subject)
	if err != nil {
		return err
	}
	if err := g.saidOf(id, &ev); err != nil {
		return err
	}
	c, err := g.index.Campaign(ev.Time, id)
	if err == nil {
		g.pardon(&c)
	}
	return err
}

// saidOf passes on what a person said about a campaign.
func (g *Guard) saidOf(id policy.ID, ev *policy.Event) error {
	switch ev.Rule {
	case "approve":
		return g.index.Approve(id, ev.Actor, ev.Time)
	case "allow":
		return g.index.Allow(id, ev.Actor, ev.Time, ev.Until)
	case "slow":
		return g.index.Slow(id, ev.Actor, ev.Time)
	case "cancel":
		return g.index.Cancel(id, ev.Actor, ev.Time)
	}
	return g.index.Withdraw(id)
}

// pardon notes whose mail of a campaign a person lets pass.
func (g *Guard) pardon(c *similar.Campaign) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, of := range g.pardoned {
		delete(of, c.ID)
	}
	if !lenient(&c.Decision) {
		return
	}
	for _, sender := range c.Decision.Senders {
		if g.pardoned[sender] == nil {
			g.pardoned[sender] = map[policy.ID]time.Time{}
		}
		g.pardoned[sender][c.ID] = c.Decision.Until
	}
}

// pardons reports whether a person lets some text of the sender pass, to whomever it goes.
func (g *Guard) pardons(s *policy.Submission) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, until := range g.pardoned[s.Envelope.Identity] {
		if until.IsZero() || s.Time.Before(until) {
			return true
		}
	}
	return false
}

// Campaigns lists the near-duplicates with so many messages or more, or a decision.
func (g *Guard) Campaigns(now time.Time, messages uint64) []similar.Campaign {
	if g.index == nil {
		return nil
	}
	return g.index.Campaigns(now, messages)
}

// Campaign gives one of them, or [similar.ErrUnknown].
func (g *Guard) Campaign(now time.Time, id policy.ID) (similar.Campaign, error) {
	if g.index == nil {
		return similar.Campaign{}, similar.ErrUnknown
	}
	return g.index.Campaign(now, id)
}
