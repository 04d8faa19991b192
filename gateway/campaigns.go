package gateway

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sendgate/sendgate/gateway/hold"
	"github.com/sendgate/sendgate/gateway/web"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/content"
	"github.com/sendgate/sendgate/policy/guard"
	"github.com/sendgate/sendgate/policy/similar"
	"github.com/sendgate/sendgate/store"
)

// seedName is the name under which the secret seed of the signatures is kept.
const seedName = "similar seed"

// withSeed gives the thresholds with the seed of this installation, made at the first start. Without it
// nothing is compared.
func withSeed(c similar.Config, journal *store.Store) (similar.Config, error) {
	if !c.Enabled {
		c.Seed = [16]byte{}
		return c, nil
	}
	kept, err := journal.Kept(seedName)
	if err != nil {
		return c, fmt.Errorf("read the seed of the signatures: %w", err)
	}
	if copy(c.Seed[:], kept) == len(c.Seed) {
		return c, nil
	}
	if _, err := rand.Read(c.Seed[:]); err != nil {
		return c, fmt.Errorf("make a seed for the signatures: %w", err)
	}
	if err := journal.Keep(seedName, c.Seed[:]); err != nil {
		return c, fmt.Errorf("keep the seed of the signatures: %w", err)
	}
	return c, nil
}

// campaignsAPI is what the API sees of near-duplicates.
type campaignsAPI struct {
	*limits
	holder holder
}

// List gives the campaigns with so many messages or more, or a decision.
func (c campaignsAPI) List(least int) []similar.Campaign {
	return c.Campaigns(c.now(), uint64(max(least, 1)))
}

// Get gives one of them.
func (c campaignsAPI) Get(id policy.ID) (similar.Campaign, error) {
	return c.Campaign(c.now(), id)
}

// Text reads a message that stands for others, with what was known of it when it was compared.
func (c campaignsAPI) Text(_ context.Context, id policy.ID) (string, similar.Hints, error) {
	m, err := c.store.Message(id)
	if err != nil {
		return "", similar.Hints{}, err
	}
	rows, err := c.store.Recipients(id)
	if err != nil {
		return "", similar.Hints{}, err
	}
	body, err := c.store.Body(id)
	if err != nil {
		return "", similar.Hints{}, err
	}
	defer body.Close()
	read, err := content.Read(body, content.DefaultLimits(), c.now)
	if err != nil {
		return "", similar.Hints{}, err
	}
	e := m.Envelope
	for i := range rows {
		e.Recipients = append(e.Recipients, rows[i].Recipient)
	}
	return read.Text, guard.Hints(&e, &read), nil
}

// Waiting gives the messages of a campaign that wait for a person.
func (c campaignsAPI) Waiting(ctx context.Context, id policy.ID) ([]policy.ID, error) {
	var pending, waiting []policy.ID
	err := c.store.InState(ctx, policy.StateApprovalPending, func(m policy.ID) bool {
		pending = append(pending, m)
		return true
	})
	if err != nil {
		return nil, err
	}
	for _, m := range pending {
		records, err := c.store.Timeline(m)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(records, func(r store.Record) bool { return asksAbout(r.Events, id.String()) }) {
			waiting = append(waiting, m)
		}
	}
	return waiting, nil
}

// asksAbout reports whether events ask for approval because of a campaign.
func asksAbout(events []policy.Event, campaign string) bool {
	return slices.ContainsFunc(events, func(e policy.Event) bool {
		return e.Kind == policy.ApprovalRequested && slices.ContainsFunc(e.Findings, func(f policy.Finding) bool { return f.Key == campaign })
	})
}

// Decide puts in force what a person says about a campaign, and does it to what waits: approve, allow and
// slow let it go, cancel takes it back, and return tells the senders, too. It gives the number of messages.
func (c campaignsAPI) Decide(ctx context.Context, id policy.ID, what string, until time.Time, reason, actor string) (int, error) {
	if _, err := c.Get(id); err != nil {
		return 0, err
	}
	rule := what
	if what == "return" {
		rule = "cancel"
	}
	err := c.act(ctx, policy.Event{Kind: policy.CampaignDecided, Actor: actor, Subject: id.String(), Rule: rule, Until: until, Reason: reason})
	if err != nil || what == "withdraw" {
		return 0, err
	}
	waiting, err := c.Waiting(ctx, id)
	if err != nil {
		return 0, err
	}
	messages := 0
	for _, m := range waiting {
		done, err := c.decideOne(ctx, m, what, reason, actor)
		var gone *web.Refusal
		switch {
		case err == nil && done:
			messages++
		case err == nil, errors.As(err, &gone), errors.Is(err, hold.ErrInFlight), errors.Is(err, store.ErrNotFound): // somebody was quicker, or it waits on
		default:
			return messages, err
		}
	}
	return messages, nil
}

// decideOne does to a message what was decided on its campaign. It is not done where nothing could be taken back, as
// while Postfix holds the message and its helper is away.
func (c campaignsAPI) decideOne(ctx context.Context, id policy.ID, what, reason, actor string) (done bool, err error) {
	var outcomes []web.Outcome
	switch what {
	case "cancel":
		outcomes, err = c.holder.Cancel(ctx, id, nil, reason, actor)
	case "return":
		outcomes, _, err = c.holder.Return(ctx, id, nil, reason, actor)
	default:
		return true, c.holder.Approve(ctx, id, actor)
	}
	return slices.ContainsFunc(outcomes, func(o web.Outcome) bool { return o.Code.Status() == policy.RecallSuccess }), err
}
