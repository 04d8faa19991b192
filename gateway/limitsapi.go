package gateway

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sendgate/sendgate/gateway/web"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/guard"
	"github.com/sendgate/sendgate/policy/limit"
	"github.com/sendgate/sendgate/store"
)

// limitsAPI is what the API sees of the rules. Identities may come to it in any spelling.
type limitsAPI struct {
	*limits
	config func() Config // as last loaded
}

// Hold gives the hold that is in effect and the rules for it.
func (l limitsAPI) Hold() (policy.HoldConfig, []policy.Rule) {
	c := l.config()
	return c.Policy.Hold, c.Policy.Rules
}

// Rules are the limits that are in effect.
func (l limitsAPI) Rules() []policy.LimitRule { c := l.config(); return c.Policy.Limits }

// Trial is until when limits only tell.
func (l limitsAPI) Trial() time.Time { return l.trial }

// Usage tells what has counted for a key under each limit.
func (l limitsAPI) Usage(key string) []policy.Finding { return l.Guard.Usage(l.now(), l.Key(key)) }

// Near lists what is used to a fraction of its limit or more.
func (l limitsAPI) Near(fraction float64, n int) []policy.Finding {
	return l.Guard.Near(l.now(), fraction, n)
}

// Grants lists the boosts and overrides that are in force.
func (l limitsAPI) Grants(key string) []limit.Grant { return l.Guard.Grants(l.now(), l.Key(key)) }

// Suspension gives the one that is in force.
func (l limitsAPI) Suspension(identity string) (guard.Suspension, bool) {
	return l.Suspended(l.now(), l.Key(identity))
}

// Suspensions lists all that are in force.
func (l limitsAPI) Suspensions() []guard.Suspension { return l.Guard.Suspensions(l.now()) }

// Boost puts a boost or an override in force.
func (l limitsAPI) Boost(ctx context.Context, g limit.Grant) error {
	kind := policy.Overridden
	g.Key = l.Key(g.Key)
	if g.Boost {
		kind = policy.Boosted
	}
	for _, rule := range l.rulesOf(g.Rule) {
		one := g
		one.Rule = rule
		if err := one.Validate(); err != nil {
			return &web.Refusal{Code: "invalid_grant", Detail: err.Error()}
		}
		err := l.act(ctx, policy.Event{
			Kind: kind, Time: g.Given, Actor: g.Author, Subject: g.Key, Rule: rule, Amount: g.Amount, Until: g.Until, Reason: g.Reason,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// rulesOf gives the rule, or with "" every limit that counts for identities.
func (l limitsAPI) rulesOf(rule string) []string {
	if rule != "" {
		return []string{rule}
	}
	var all []string
	for _, r := range l.Rules() {
		if r.Key == policy.ByIdentity && r.Per != 0 && r.Action != policy.Pace {
			all = append(all, r.Name)
		}
	}
	return all
}

// Revoke ends boosts and overrides of a rule, or of all.
func (l limitsAPI) Revoke(ctx context.Context, key, rule, reason, actor string) error {
	rules := []string{rule}
	key = l.Key(key)
	if rule == "" {
		rules = nil
		for _, g := range l.Grants(key) {
			rules = append(rules, g.Rule)
		}
		slices.Sort(rules)
		rules = slices.Compact(rules)
	}
	for _, r := range rules {
		if err := l.act(ctx, policy.Event{Kind: policy.Overridden, Actor: actor, Subject: key, Rule: r, Reason: reason}); err != nil {
			return err
		}
	}
	return nil
}

// Reset forgets what was counted.
func (l limitsAPI) Reset(ctx context.Context, key, rule, reason, actor string) error {
	return l.act(ctx, policy.Event{Kind: policy.UsageReset, Actor: actor, Subject: l.Key(key), Rule: rule, Reason: reason})
}

// Suspend keeps an identity from sending to others.
func (l limitsAPI) Suspend(ctx context.Context, identity string, until time.Time, reason, actor string) error {
	return l.act(ctx, policy.Event{Kind: policy.Suspended, Actor: actor, Subject: l.Key(identity), Until: until, Reason: reason})
}

// Unsuspend ends a suspension. history is guard.Forget, guard.Keep or empty.
func (l limitsAPI) Unsuspend(ctx context.Context, identity, history, reason, actor string) error {
	return l.act(ctx, policy.Event{Kind: policy.Unsuspended, Actor: actor, Subject: l.Key(identity), Rule: history, Reason: reason})
}

// act commits what a person did and puts it in force; the feed brings it once more.
func (l *limits) act(ctx context.Context, e policy.Event) error {
	if e.Time.IsZero() {
		e.Time = l.now()
	}
	e.Time = e.Time.UTC().Truncate(time.Microsecond) // as the journal gives it back
	if !e.Until.IsZero() {
		e.Until = e.Until.UTC().Truncate(time.Microsecond)
	}
	if _, err := l.store.Commit(ctx, store.Change{Message: l.store.NewID(), Events: []policy.Event{e}}); err != nil {
		return fmt.Errorf("record what was done: %w", err)
	}
	l.Observe(l.now(), policy.ID{}, nil, e)
	return nil
}

// maxExamples is how many messages a back-test names for each limit.
const maxExamples = 10

// Test applies limits to the mail since a time, as if they had been in force: each message as it came,
// none of them waiting for room.
func (l limitsAPI) Test(ctx context.Context, rules []policy.LimitRule, since time.Time) (web.BackTest, error) {
	directory, err := policy.NewDirectory(l.config().Identities)
	if err != nil {
		return web.BackTest{}, err
	}
	t := newBackTest(l.config(), rules, directory)
	err = l.store.Each(ctx, since, func(m *store.Message, rows policy.Rows) bool {
		t.add(m, rows)
		return true
	})
	return t.result(since), err
}

// A backTest is a guard of its own over mail of the past.
type backTest struct {
	guard      *guard.Guard
	rules      []policy.LimitRule
	found      map[string]*web.BackTestRule
	senders    map[string]map[string]bool
	messages   int
	recipients int
}

func newBackTest(cfg Config, rules []policy.LimitRule, directory *policy.Directory) *backTest {
	t := &backTest{rules: slices.Clone(rules), found: map[string]*web.BackTestRule{}, senders: map[string]map[string]bool{}}
	for i := range t.rules {
		r := &t.rules[i]
		t.found[r.Name] = &web.BackTestRule{Name: r.Name, Examples: []web.BackTestExample{}}
		t.senders[r.Name] = map[string]bool{}
		r.Shadow = false
	}
	c := cfg.Policy
	c.Limits, c.Rules, c.Hold.Default = t.rules, nil, 0
	t.guard = guard.New(guard.Settings{Config: c, Directory: directory})
	return t
}

// add decides on one message. One that a limit would have held counts when it was sent.
func (t *backTest) add(m *store.Message, rows policy.Rows) {
	e := &m.Envelope
	if e.Front == policy.Internal || e.Direction == policy.Inbound || m.States[policy.StateBlocked] == m.Counted() {
		return
	}
	for i := range rows {
		if rows[i].Group == 0 && rows[i].Attempt == 0 {
			e.Recipients = append(e.Recipients, rows[i].Recipient)
		}
	}
	t.messages++
	t.recipients += len(e.Recipients)
	v := t.guard.Decide(context.Background(), policy.Submission{Time: e.Received, Envelope: e, ID: m.ID, Trusted: true})
	for _, f := range v.Findings {
		if f.Exceeded {
			t.exceeded(m, f)
		}
	}
	accepted := policy.Event{Kind: policy.Accepted, Time: e.Received, Charge: v.Charge}
	if v.Charge == nil && v.Action != policy.Reject && v.Action != policy.Defer {
		accepted = policy.Event{Kind: policy.Approved, Time: e.Received} // it would have gone later
	}
	t.guard.Observe(e.Received, m.ID, e, accepted)
}

func (t *backTest) exceeded(m *store.Message, f policy.Finding) {
	r := t.found[f.Rule]
	if r == nil {
		return
	}
	r.Exceeded++
	switch f.Action {
	case policy.Hold, policy.Approval, policy.Pace:
		r.Held++
	case policy.Reject, policy.Defer:
		r.Refused++
	}
	t.senders[f.Rule][m.Envelope.Identity] = true
	if len(r.Examples) < maxExamples {
		r.Examples = append(r.Examples, web.BackTestExample{
			ID: m.ID.String(), Identity: m.Envelope.Identity, Subject: m.Envelope.Subject, Time: m.Envelope.Received, Text: f.Text(),
		})
	}
}

func (t *backTest) result(since time.Time) web.BackTest {
	b := web.BackTest{Since: since, Messages: t.messages, Recipients: t.recipients, Rules: []web.BackTestRule{}}
	for _, r := range t.rules {
		found := t.found[r.Name]
		found.Senders = len(slices.Collect(maps.Keys(t.senders[r.Name])))
		b.Rules = append(b.Rules, *found)
	}
	return b
}
