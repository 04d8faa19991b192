package guard

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/limit"
)

// message decides on a whole message.
func (g *Guard) message(ctx context.Context, all *settings, s *policy.Submission, f *facts) policy.Verdict {
	for i := range s.Envelope.Recipients { // where nobody asked at RCPT
		v := g.barred(all, s.Time, s.Envelope.Identity, s.Envelope.Recipients[i].Address)
		switch {
		case v.Action == policy.Pass:
		case all.lifted():
			return g.measured(ctx, all, s, f).And(v)
		default:
			return v
		}
	}
	return g.measured(ctx, all, s, f)
}

// measured holds a message against the limits.
func (g *Guard) measured(ctx context.Context, all *settings, s *policy.Submission, f *facts) policy.Verdict {
	base := all.hold.Decide(ctx, *s)
	var room asked
	demands, rules, failed := g.measure(&room, all, s, f)
	if v, ok := failure(all, s, failed); ok {
		return v
	}
	r := g.take(&room, s.Time, s.ID, fingerprint(s, f), demands, rules)
	findings := findingsOf(&r, rules)
	if r.Fits {
		base.Findings = findings
		return g.passes(all, s, f, base, &r, rules)
	}
	i := strictest(&r, rules)
	findings[i].Decided = true
	v := g.keepBack(s, base, &r.Lines[i], rules[i])
	if base.Action == policy.Hold { // how long it can be taken back in any case
		findings = append(findings, policy.Finding{Rule: base.Rule, Kind: "hold", Decided: true, Action: policy.Hold, Next: base.Until, Detail: base.Text})
	}
	v.Findings = findings
	if v.Action == policy.Hold {
		g.note(s.Time, s.ID, s.Envelope.Identity, findings)
	}
	return v
}

// failure is the verdict where a rule could not be applied and does not fail open.
func failure(all *settings, s *policy.Submission, failed []*policy.LimitRule) (v policy.Verdict, ok bool) {
	for _, l := range failed {
		if all.shadow(l, s.Time) || l.OnError == policy.FailOpen {
			continue
		}
		v = policy.Verdict{Rule: l.Name, Text: failureText(), Reason: "the limit " + l.Name + " cannot be applied: on_error is " + l.OnError}
		if l.OnError == policy.FailClosed {
			v.Action, v.Code, v.Status = policy.Defer, 451, "4.3.0"
			return v, true
		}
		v.Action, v.Until, v.Expiry, ok = policy.Approval, s.Time.Add(l.ApprovalExpires), policy.Reject, true
		if l.OnExpiry == policy.ExpiryRelease {
			v.Expiry = policy.Pass
		}
		v.Shown = v.Until
		v.Findings = []policy.Finding{{Rule: l.Name, Kind: "failure", Decided: true, Action: policy.Approval, Detail: v.Text}}
	}
	return v, ok
}

// take takes what a message asks, unless one that has waited longer has a claim.
func (g *Guard) take(in *asked, now time.Time, id policy.ID, retry limit.Fingerprint, demands []limit.Demand, rules []*policy.LimitRule) limit.Result {
	line, claimed := g.waiting.Blocks(demands)
	if claimed {
		line, claimed = g.waiting.Blocks(queueing(demands, rules))
	}
	if !claimed {
		return g.counters.TakeInto(&limit.Room{Lines: in.lines[:], Amounts: in.amounts[:]}, now, id, retry, demands)
	}
	r := g.counters.Test(now, demands)
	for i := range r.Lines {
		if l := &r.Lines[i]; l.Rule == line.Rule && l.Key == line.Key {
			l.Fits, r.Fits = false, false
			if l.Next.Before(now) {
				l.Next = now
			}
		}
	}
	return r
}

// queueing gives the demands of limits that hold: of no other can a message wait for its turn.
func queueing(demands []limit.Demand, rules []*policy.LimitRule) (list []limit.Demand) {
	for i := range demands {
		if rules[i].Action == policy.Hold {
			list = append(list, demands[i])
		}
	}
	return list
}

// fingerprint recognises a client's retry: the same sender, Message-ID, body and recipients. Where the
// body is not known yet it is a weak one.
func fingerprint(s *policy.Submission, f *facts) limit.Fingerprint {
	e := s.Envelope
	if e.MessageID == "" {
		return limit.Fingerprint{}
	}
	b := make([]byte, 0, 512)
	for _, part := range []string{e.Identity, e.Sender.String(), e.MessageID} {
		b = append(append(b, part...), 0)
	}
	b = append(hex.AppendEncode(b, s.Digest[:]), 0)
	b = append(append(b, e.Subject...), 0)
	keys := f.keysOf(e)
	if !slices.IsSorted(keys) {
		keys = slices.Sorted(slices.Values(keys))
	}
	for i, key := range keys {
		if i > 0 {
			b = append(b, 0)
		}
		b = append(b, key...)
	}
	sum := sha256.Sum256(b)
	return limit.NewFingerprint(sum, s.Digest != [16]byte{})
}

// findingsOf gives one finding for each line.
func findingsOf(r *limit.Result, rules []*policy.LimitRule) []policy.Finding {
	findings := make([]policy.Finding, len(r.Lines), len(r.Lines)+1)
	for i := range r.Lines {
		findings[i] = finding(&r.Lines[i], rules[i])
	}
	return findings
}

func finding(l *limit.Line, rule *policy.LimitRule) policy.Finding {
	f := policy.Finding{
		Rule: l.Rule, Kind: "limit", Unit: rule.Unit, Key: l.Key, Window: l.Window, Asked: l.Asked, Used: l.Used, Limit: l.Limit,
		Source: string(l.Source), Exceeded: !l.Fits, Shadow: l.Shadow, Warn: l.Crossed, Action: rule.Action,
	}
	if !l.Fits && !l.Never {
		f.Next = l.Next
	}
	return f
}

// strictest gives the line that decides: the strictest action, of equals the one that keeps back longest.
func strictest(r *limit.Result, rules []*policy.LimitRule) int {
	best := -1
	for i := range r.Lines {
		l := &r.Lines[i]
		if l.Fits || !l.Hard || l.Shadow {
			continue
		}
		if best < 0 || severity(l, rules[i]) > severity(&r.Lines[best], rules[best]) ||
			severity(l, rules[i]) == severity(&r.Lines[best], rules[best]) && l.Next.After(r.Lines[best].Next) {
			best = i
		}
	}
	return best
}

func severity(l *limit.Line, rule *policy.LimitRule) int {
	switch rule.Action {
	case policy.Reject:
		return 4
	case policy.Defer:
		if l.Never {
			return 4
		}
		return 3
	case policy.Approval:
		return 2
	}
	if l.Never {
		return 4 // it would never be let go
	}
	return 1
}

// keepBack is the verdict of an exceeded limit.
func (g *Guard) keepBack(s *policy.Submission, base policy.Verdict, l *limit.Line, rule *policy.LimitRule) policy.Verdict {
	f := finding(l, rule)
	ref := reference(s.ID)
	v := policy.Verdict{
		Rule: rule.Name, Shadow: base.Shadow, Text: sentence(f, ref),
		Reason: fmt.Sprintf("limit %s: %s", rule.Name, f.Text().EN),
	}
	switch severity(l, rule) {
	case 4:
		v.Action, v.Code, v.Status = policy.Reject, 550, "5.5.3"
		if rule.Action == policy.Reject && l.Window != 0 && !l.Never {
			v.Status = "5.7.1"
		}
	case 3:
		v.Action, v.Code, v.Status = policy.Defer, 451, "4.7.1"
	case 2:
		v.Action, v.Until, v.Expiry = policy.Approval, s.Time.Add(rule.ApprovalExpires), policy.Reject
		if rule.OnExpiry == policy.ExpiryRelease {
			v.Expiry = policy.Pass
		}
	default:
		v.Action, v.Until = policy.Hold, l.Next
		if v.Until.Before(base.Until) {
			v.Until = base.Until
		}
	}
	if v.Action == policy.Reject && rule.Action == policy.Reject || v.Action == policy.Defer {
		if rule.Code != 0 {
			v.Code = rule.Code
		}
		if rule.Status != "" {
			v.Status = rule.Status
		}
	}
	v.Shown = v.Until
	return v
}

// passes is the verdict of a message that no limit keeps back. It may still be held, paced, tagged or
// routed.
func (g *Guard) passes(all *settings, s *policy.Submission, f *facts, base policy.Verdict, r *limit.Result, rules []*policy.LimitRule) policy.Verdict {
	v := base
	v.Charge = chargeOf(r.Taken)
	for i := range r.Lines {
		if r.Lines[i].Fits || r.Lines[i].Shadow {
			continue
		}
		switch rule := rules[i]; rule.Action {
		case policy.Route:
			v.Upstream = rule.Upstream
		case policy.Tag:
			name, value, _ := strings.Cut(rule.Field, ":")
			v.Tags = append(v.Tags, policy.Field{Name: name, Value: strings.TrimSpace(value)})
		}
	}
	if r.RetryOf == s.ID || r.RetryOf == (policy.ID{}) {
		g.pace(all, s, f, &v)
	}
	return v
}

// pace moves the end of the hold to the next slots of the paces that match.
func (g *Guard) pace(all *settings, s *policy.Submission, f *facts, v *policy.Verdict) {
	groups := f.groupsOf(all, s.Envelope)
	for i := range all.Config.Limits {
		l := &all.Config.Limits[i]
		if l.Action != policy.Pace || !all.matchers[i].Matches(s, groups) {
			continue
		}
		rate := limit.Rate{Every: time.Duration(l.Per) / time.Duration(l.Limit), Burst: l.Burst}
		for _, share := range g.shares(nil, all, s, i, f) {
			shadow := all.shadow(l, s.Time)
			if shadow { // it takes slots all the same, to say what it would do
				share.key = "shadow:" + share.key
			}
			p := g.counters.Pace(s.Time, l.Name, share.key, rate, share.amount)
			late := p.At.After(s.Time)
			v.Findings = append(v.Findings, policy.Finding{
				Rule: l.Name, Kind: "limit", Unit: l.Unit, Key: share.key, Window: time.Duration(l.Per), Asked: share.amount, Limit: l.Limit,
				Exceeded: late, Shadow: shadow, Action: policy.Pace, Next: p.At, Decided: late && !shadow && p.At.After(v.Until),
				Detail: paceText(p.At, late),
			})
			if shadow {
				continue
			}
			if v.Charge != nil {
				v.Charge.Paces = append(v.Charge.Paces, policy.Paced{Rule: p.Rule, Key: p.Key, At: p.At, TAT: p.TAT})
			}
			if late && p.At.After(v.Until) {
				v.Action, v.Rule, v.Until, v.Shown = policy.Hold, l.Name, p.At, p.At
				v.Text = paceText(p.At, true)
			}
		}
	}
}

func chargeOf(t limit.Taken) *policy.Charge {
	amounts := append(make([]policy.Amount, 0, len(t.Amounts)), t.Amounts...) // those may lie in a Room
	return &policy.Charge{At: t.At, Retry: t.Retry, First: t.First, Amounts: amounts}
}

func takenOf(c *policy.Charge) limit.Taken {
	return limit.Taken{At: c.At, Retry: c.Retry, First: c.First, Amounts: c.Amounts}
}
