package web

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/guard"
	"github.com/sendgate/sendgate/policy/limit"
)

// Limits is what the API sees of the rules and their memory, and how people change it. What a
// person does is in the journal and in force when the method returns. An error is inability;
// what the rules do not allow is a [Refusal].
type Limits interface {
	// Hold gives the hold that is in effect and the rules for it.
	Hold() (policy.HoldConfig, []policy.Rule)
	// Rules are the limits that are in effect.
	Rules() []policy.LimitRule
	// Trial is until when limits only tell.
	Trial() time.Time
	// Usage tells what has counted for a key under each limit.
	Usage(key string) []policy.Finding
	// Near lists what is used to a fraction of its limit or more, the fullest first, at most n.
	Near(fraction float64, n int) []policy.Finding
	// Grants lists the boosts and overrides that are in force for a key, or for all with "".
	Grants(key string) []limit.Grant
	// Suspension gives the one that is in force.
	Suspension(identity string) (guard.Suspension, bool)
	// Suspensions lists all that are in force.
	Suspensions() []guard.Suspension
	// Boost puts a boost or an override in force; without a rule, for every limit of the key.
	Boost(ctx context.Context, g limit.Grant) error
	// Revoke ends boosts and overrides of a rule, or of all with "".
	Revoke(ctx context.Context, key, rule, reason, actor string) error
	// Reset forgets what was counted under a rule, or under all with "".
	Reset(ctx context.Context, key, rule, reason, actor string) error
	// Suspend keeps an identity from sending to others until a time, or with the zero time until
	// somebody ends it.
	Suspend(ctx context.Context, identity string, until time.Time, reason, actor string) error
	// Unsuspend ends a suspension. history is guard.Forget, guard.Keep or empty.
	Unsuspend(ctx context.Context, identity, history, reason, actor string) error
	// Test finds out what limits would have done to the mail since a time. It ends with the context.
	Test(ctx context.Context, rules []policy.LimitRule, since time.Time) (BackTest, error)
}

// A Usage is what has counted for somebody under one limit.
type Usage struct {
	Key      string       `json:"key" doc:"whom it counts for: an identity, or from: a sender domain, to: a recipient domain, net: a network, gateway: everybody"`
	KeyKind  policy.Key   `json:"key_kind"`
	Identity string       `json:"identity,omitempty" doc:"the key, when it is one"`
	Rule     string       `json:"rule"`
	Unit     UnitName     `json:"unit"`
	Window   Span         `json:"window" doc:"of the last so much time" example:"1h"`
	Used     int64        `json:"used"`
	Limit    int64        `json:"limit" doc:"in force for this key"`
	Percent  int64        `json:"percent" doc:"used of the limit; above 100 when it was lowered"`
	Source   string       `json:"source" doc:"where the limit comes from: rule, override, boost, ramp"`
	NextFree time.Time    `json:"next_free,omitzero" doc:"when one more fits; absent when it does now"`
	Shadow   bool         `json:"shadow" doc:"the limit only tells"`
	Warn     bool         `json:"warn" doc:"the warning mark is crossed"`
	Text     policy.Label `json:"text"`
}

// keyKinds are the beginnings by which the keys of limits are told apart; an identity has none.
var keyKinds = map[string]policy.Key{
	"from": policy.BySenderDomain, "to": policy.ByRecipientDomain, "dest": policy.ByDestination, "net": policy.ByNetwork, "gateway": policy.ByGateway,
}

func keyKind(key string) policy.Key {
	if before, _, ok := strings.Cut(key, ":"); ok {
		if kind, known := keyKinds[before]; known {
			return kind
		}
	}
	return policy.ByIdentity
}

func usageView(f *policy.Finding) Usage {
	u := Usage{
		Key: f.Key, KeyKind: keyKind(f.Key), Rule: f.Rule, Unit: unitName(f.Unit, f.Limit), Window: Span(f.Window), Used: f.Used,
		Limit: f.Limit, Percent: percent(f.Used, f.Limit), Source: f.Source, Shadow: f.Shadow, Warn: f.Warn, Text: usageText(f),
	}
	if u.KeyKind == policy.ByIdentity {
		u.Identity = f.Key
	}
	if f.Exceeded {
		u.NextFree = f.Next.UTC()
	}
	return u
}

func percent(used, limit int64) int64 {
	return int64(100 * float64(used) / float64(max(limit, 1)))
}

// usageText is the sentence about what is used while no message asks for more.
func usageText(f *policy.Finding) policy.Label {
	unit, span := f.Unit.Label(f.Limit), Span(f.Window).Label()
	l := policy.Label{
		EN: fmt.Sprintf("%d of %d %s per %s used", f.Used, f.Limit, unit.EN, span.EN),
		ZH: fmt.Sprintf("每%s上限 %d %s，已用 %d", span.ZH, f.Limit, unit.ZH, f.Used),
	}
	if f.Exceeded && !f.Next.IsZero() {
		at := f.Next.Local().Format("15:04")
		l.EN += "; next free " + at
		l.ZH += "；" + at + " 起可发送"
	}
	return l
}

func usageViews(findings []policy.Finding) []Usage {
	views := make([]Usage, len(findings))
	for i := range findings {
		views[i] = usageView(&findings[i])
	}
	return views
}

// A UsageList lists who is near a limit.
type UsageList struct {
	Limits []Usage   `json:"limits" nullable:"false" doc:"the fullest first"`
	Trial  time.Time `json:"trial,omitzero" doc:"until then limits only tell; absent when it is over"`
}

type listLimitsInput struct {
	Near  int `query:"near" minimum:"0" maximum:"100" default:"80" doc:"percent of a limit from which on its usage is listed"`
	Limit int `query:"limit" minimum:"1" maximum:"1000" default:"50"`
}

type listLimitsOutput struct{ Body UsageList }

func (s *Server) listLimits(ctx context.Context, in *listLimitsInput) (*listLimitsOutput, error) {
	near := s.near(ctx, float64(in.Near)/100, in.Limit)
	return &listLimitsOutput{UsageList{Limits: usageViews(near), Trial: s.trial()}}, nil
}

// near lists what is used to a fraction of its limit, of those within reach.
func (s *Server) near(ctx context.Context, fraction float64, most int) []policy.Finding {
	if !whoIs(ctx).bounded() {
		return s.limits.Near(fraction, most)
	}
	near := seen(ctx, s.limits.Near(fraction, nearAll), func(ctx context.Context, f *policy.Finding) bool { return s.seesSender(ctx, f.Key) })
	return near[:min(most, len(near))]
}

// trial is until when limits only tell; zero when that is over.
func (s *Server) trial() time.Time {
	if t := s.limits.Trial(); t.After(s.now()) {
		return t.UTC()
	}
	return time.Time{}
}
