package web

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/guard"
	"github.com/sendgate/sendgate/policy/limit"
	"github.com/sendgate/sendgate/store"
)

// Bounds of the list of senders.
const (
	nearFraction = 0.8 // of a limit, from which on a sender is listed without being asked for
	nearMost     = 1000
	nearAll      = 20000 // windows looked through for a sender who is asked for
)

// A Suspension keeps an identity from sending to other organisations.
type Suspension struct {
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until,omitzero" doc:"absent: until somebody ends it"`
	Reason string    `json:"reason"`
	Author string    `json:"author"`
	// Of one that the account brought on itself:
	Automatic bool      `json:"automatic,omitempty" doc:"nobody suspended the account: its mail was not like it"`
	Nth       int       `json:"nth,omitempty" doc:"with automatic: how often that has happened lately; each lasts twice as long, until one waits for a person"`
	Findings  []Finding `json:"findings,omitempty" doc:"with automatic: what was noticed, first in one sentence, then each reason with its numbers"`
}

func suspensionView(s guard.Suspension) *Suspension {
	v := &Suspension{Since: s.Since.UTC(), Until: s.Until.UTC(), Reason: s.Reason, Author: s.Author, Automatic: s.Automatic(), Nth: s.Nth}
	for i := range s.Findings {
		v.Findings = append(v.Findings, findingView(&s.Findings[i]))
	}
	return v
}

// A Grant changes a limit for one sender until it expires.
type Grant struct {
	Rule   string    `json:"rule"`
	Boost  bool      `json:"boost" doc:"amount is added to the limit; else it is the limit"`
	Amount int64     `json:"amount"`
	Given  time.Time `json:"given"`
	Until  time.Time `json:"until"`
	Reason string    `json:"reason"`
	Author string    `json:"author"`
}

func grantViews(grants []limit.Grant) []Grant {
	views := make([]Grant, len(grants))
	for i, g := range grants {
		views[i] = Grant{
			Rule: g.Rule, Boost: g.Boost, Amount: g.Amount, Given: g.Given.UTC(), Until: g.Until.UTC(), Reason: g.Reason, Author: g.Author,
		}
	}
	return views
}

// A Sender is a line of the list of senders.
type Sender struct {
	Identity   string      `json:"identity" doc:"whom mail is counted for"`
	Suspension *Suspension `json:"suspension,omitempty" doc:"absent when there is none"`
	Grants     []Grant     `json:"grants" nullable:"false" doc:"boosts and overrides in force"`
	Usage      []Usage     `json:"usage" nullable:"false" doc:"limits near their end, the fullest first; all that count when q is given"`
}

// A SenderList lists senders: the suspended first, then those nearest to a limit.
type SenderList struct {
	Senders []Sender `json:"senders" nullable:"false"`
}

type listSendersInput struct {
	Q     string `query:"q" maxLength:"320" doc:"a part of the identity; without it those who are suspended, have a grant or are near a limit"`
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"50"`
}

type listSendersOutput struct{ Body SenderList }

func (s *Server) listSenders(ctx context.Context, in *listSendersInput) (*listSendersOutput, error) {
	senders := s.gather(ctx, strings.ToLower(strings.TrimSpace(in.Q)))
	slices.SortFunc(senders, func(a, b *Sender) int {
		return cmp.Or(bySuspension(a, b), cmp.Compare(b.fullest(), a.fullest()), cmp.Compare(a.Identity, b.Identity))
	})
	out := &listSendersOutput{SenderList{Senders: []Sender{}}}
	for _, v := range senders[:min(in.Limit, len(senders))] {
		out.Body.Senders = append(out.Body.Senders, *v)
	}
	return out, nil
}

func bySuspension(a, b *Sender) int {
	switch {
	case (a.Suspension == nil) == (b.Suspension == nil):
		return 0
	case a.Suspension != nil:
		return -1
	}
	return 1
}

func (v *Sender) fullest() (most int64) {
	for i := range v.Usage {
		most = max(most, v.Usage[i].Percent)
	}
	return most
}

// gather collects the senders that a lower-case part of an identity names, with everything about them.
func (s *Server) gather(ctx context.Context, part string) []*Sender {
	senders := map[string]*Sender{}
	of := func(identity string) *Sender {
		if keyKind(identity) != policy.ByIdentity || !strings.Contains(strings.ToLower(identity), part) || !s.seesSender(ctx, identity) {
			return nil
		}
		if senders[identity] == nil {
			senders[identity] = &Sender{Identity: identity, Grants: []Grant{}, Usage: []Usage{}}
		}
		return senders[identity]
	}
	for _, one := range s.limits.Suspensions() {
		if v := of(one.Identity); v != nil {
			v.Suspension = suspensionView(one)
		}
	}
	for _, g := range s.limits.Grants("") {
		if v := of(g.Key); v != nil {
			v.Grants = append(v.Grants, grantViews([]limit.Grant{g})...)
		}
	}
	fraction, most := nearFraction, nearMost
	if part != "" {
		fraction, most = 0, nearAll
	}
	for _, f := range s.limits.Near(fraction, most) {
		if v := of(f.Key); v != nil {
			v.Usage = append(v.Usage, usageView(&f))
		}
	}
	return slices.Collect(maps.Values(senders))
}

// A SenderDetail is everything known of one sender.
type SenderDetail struct {
	Identity   string         `json:"identity" doc:"whom mail is counted for"`
	Suspension *Suspension    `json:"suspension,omitempty" doc:"absent when there is none"`
	Usage      []Usage        `json:"usage" nullable:"false" doc:"limits under which something counts, with where each limit comes from"`
	Grants     []Grant        `json:"grants" nullable:"false" doc:"boosts and overrides in force"`
	Messages   SenderMessages `json:"messages"`
}

// SenderMessages are those of the last 24 hours.
type SenderMessages struct {
	Since  time.Time    `json:"since"`
	Total  int          `json:"total"`
	States []StateCount `json:"states" nullable:"false" doc:"messages in each state that occurs"`
	Hours  []SenderHour `json:"hours" nullable:"false" doc:"the same by the hour, oldest first"`
	More   bool         `json:"more" doc:"there are more than were counted"`
}

// A SenderHour is what was sent in one hour.
type SenderHour struct {
	Start      time.Time `json:"start"`
	Messages   int       `json:"messages"`
	Recipients int       `json:"recipients"`
}

// A StateCount is a state with the number of messages that are in it.
type StateCount struct {
	State    policy.State `json:"state" doc:"as state of a message"`
	Label    policy.Label `json:"label"`
	Messages int          `json:"messages"`
}

type senderInput struct {
	Identity string `path:"identity" maxLength:"1000" doc:"the identity, or another key of a limit, with URL escapes (%40 for @, %23 for #)"`
}

type senderOutput struct{ Body *SenderDetail }

func (s *Server) getSender(ctx context.Context, in *senderInput) (*senderOutput, error) {
	return s.senderAnswer(ctx, in.Identity)
}

// senderAnswer gives a sender as it is now.
func (s *Server) senderAnswer(ctx context.Context, identity string) (*senderOutput, error) {
	v := &SenderDetail{
		Identity: identity, Usage: usageViews(s.limits.Usage(identity)), Grants: grantViews(s.limits.Grants(identity)),
	}
	if one, ok := s.limits.Suspension(identity); ok {
		v.Suspension = suspensionView(one)
	}
	var err error
	if v.Messages, err = s.messagesOf(ctx, identity); err != nil {
		return nil, s.fail("count messages of a sender", err)
	}
	return &senderOutput{v}, nil
}

// messagesOf counts the messages of the last 24 hours. The index knows envelope senders, not identities:
// what is sent with another address than that of the identity is not found.
func (s *Server) messagesOf(ctx context.Context, identity string) (SenderMessages, error) {
	v := SenderMessages{Since: s.now().Add(-day).UTC(), States: []StateCount{}, Hours: []SenderHour{}}
	address, _, _ := strings.Cut(identity, "#")
	if address == "" || strings.ContainsAny(address, "\" \t\r\n\u3000") || keyKind(identity) != policy.ByIdentity {
		return v, nil
	}
	q, err := store.ParseQuery("from:"+address+" after:"+v.Since.Format(time.RFC3339), s.now())
	if err != nil {
		return v, err
	}
	page, err := s.search(ctx, q, store.MaxPage, "")
	if errors.Is(err, store.ErrTooBroad) {
		v.More = true
		return v, nil
	}
	if err != nil {
		return v, err
	}
	v.More = page.Next != ""
	v.Hours = hoursSince(v.Since, s.now())
	counts := map[policy.State]int{}
	for i := range page.Messages {
		if m := &page.Messages[i]; m.Envelope.Identity == identity {
			counts[m.State()]++
			v.Total++
			hour := &v.Hours[max(0, min(len(v.Hours)-1, int(m.Envelope.Received.Sub(v.Hours[0].Start)/time.Hour)))]
			hour.Messages, hour.Recipients = hour.Messages+1, hour.Recipients+m.Counted()
		}
	}
	for _, state := range append(slices.Clone(policy.States), policy.StateMixed) {
		if n := counts[state]; n > 0 {
			v.States = append(v.States, StateCount{state, stateLabel(state), n})
		}
	}
	return v, nil
}

// hoursSince gives the hours from a time to another, with nothing in them.
func hoursSince(from, to time.Time) (hours []SenderHour) {
	for at := from.UTC().Truncate(time.Hour); !at.After(to); at = at.Add(time.Hour) {
		hours = append(hours, SenderHour{Start: at})
	}
	return hours
}

// stateLabel names the state of a message.
func stateLabel(state policy.State) policy.Label {
	switch state {
	case policy.StateMixed:
		return policy.Label{EN: "Partly delivered", ZH: "部分投递"}
	case policy.StateHeld:
		return policy.Label{EN: "Held", ZH: "暂缓发送"}
	case policy.StateApprovalPending:
		return policy.Label{EN: "Waits for approval", ZH: "等待审批"}
	}
	return state.Label()
}
