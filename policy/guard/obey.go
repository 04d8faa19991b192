package guard

import (
	"strconv"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/anomaly"
	"github.com/sendgate/sendgate/policy/limit"
)

// actions are what follows from each stage.
var actions = [...]policy.Action{
	anomaly.Pass: policy.Pass, anomaly.Log: policy.Log, anomaly.Tag: policy.Tag, anomaly.Pace: policy.Pace, anomaly.Hold: policy.Approval,
	anomaly.Suspend: policy.Defer,
}

// obey makes a verdict of what the watch says. In shadow, and in the trial, it only says so.
func (g *Guard) obey(all *settings, s *policy.Submission, w *anomaly.Verdict) policy.Verdict {
	if w.Stage == anomaly.Pass {
		return policy.Verdict{}
	}
	shadow := all.Anomaly.Shadow || s.Time.Before(all.Trial)
	if w.Stage == anomaly.Suspend && w.Suspend == nil { // it is suspended already
		return g.suspendedNow(all, s)
	}
	v := policy.Verdict{Findings: reasons(all, s, w, shadow)}
	if shadow {
		return v
	}
	if name := all.Anomaly.Field; name != "" && w.Stage >= anomaly.Tag {
		v.Tags = []policy.Field{{Name: name, Value: tagOf(w)}}
	}
	f := &v.Findings[0]
	f.Decided = w.Stage >= anomaly.Pace
	switch w.Stage {
	case anomaly.Pace:
		g.slow(all, s, &v)
	case anomaly.Hold:
		review := &all.Anomaly.Review
		v.Action, v.Until, v.Expiry = policy.Approval, s.Time.Add(review.Expires), policy.Reject
		if review.OnExpiry == policy.ExpiryRelease {
			v.Expiry = policy.Pass
		}
		v.Shown, v.Text = v.Until, withReference(reviewText(all.Contact), s.ID)
	case anomaly.Suspend:
		g.sentence(all, s, w, &v)
	}
	if v.Action != policy.Pass {
		v.Rule, v.Reason = anomalyRule, "account "+s.Envelope.Identity+": "+f.Detail.EN
	}
	return v
}

// slow gives a message its slot in the pace of its account.
func (g *Guard) slow(all *settings, s *policy.Submission, v *policy.Verdict) {
	rate := limit.Rate{Every: all.Anomaly.Pace.Every, Burst: int64(all.Anomaly.Pace.Burst)}
	p := g.counters.Pace(s.Time, anomalyRule, s.Envelope.Identity, rate, 1)
	v.Charge = &policy.Charge{At: s.Time.UnixMilli(), First: s.ID, Paces: []policy.Paced{{Rule: p.Rule, Key: p.Key, At: p.At, TAT: p.TAT}}}
	f := &v.Findings[0]
	f.Next, f.Decided = p.At, p.At.After(s.Time)
	if f.Decided {
		v.Action, v.Until, v.Shown, v.Text = policy.Hold, p.At, p.At, paceText(p.At, true)
	}
}

// sentence suspends the account and refuses the message that was too much. From here on the account is
// suspended; that it is written down, too, is for who was given the event.
func (g *Guard) sentence(all *settings, s *policy.Submission, w *anomaly.Verdict, v *policy.Verdict) {
	f := &v.Findings[0]
	ev := policy.Event{
		Kind: policy.Suspended, Time: s.Time.UTC().Truncate(time.Microsecond), Actor: anomalyRule, Rule: anomalyRule, Subject: s.Envelope.Identity,
		Until: w.Suspend.Until.UTC().Truncate(time.Microsecond), Amount: int64(w.Suspend.Nth), Reason: f.Detail.EN,
	}
	if w.Suspend.Until.IsZero() {
		ev.Until = time.Time{}
	}
	bar := g.refusal(all, &Suspension{Identity: ev.Subject, Since: ev.Time, Until: ev.Until, Reason: ev.Reason, Author: ev.Actor})
	v.Action, v.Code, v.Status, v.Text = bar.Action, bar.Code, bar.Status, withReference(bar.Text, s.ID)
	f.Action, f.Next = v.Action, ev.Until
	ev.Findings = v.Findings
	if !g.bar(&ev) {
		return // another message was quicker
	}
	g.judged(&ev)
	if all.Suspend != nil {
		all.Suspend(ev)
	}
}

// suspendedNow refuses a message whose account was suspended since its recipients were taken.
func (g *Guard) suspendedNow(all *settings, s *policy.Submission) policy.Verdict {
	if one, ok := g.Suspended(s.Time, s.Envelope.Identity); ok {
		return g.refusal(all, &one)
	}
	return policy.Verdict{}
}

// reasons gives one finding for the whole, and one for each reason with its numbers.
func reasons(all *settings, s *policy.Submission, w *anomaly.Verdict, shadow bool) []policy.Finding {
	list := make([]policy.Finding, 1, 1+len(w.Reasons))
	list[0] = policy.Finding{
		Rule: anomalyRule, Kind: anomalyRule, Key: s.Envelope.Identity, Source: w.Stage.String(), Used: int64(w.Score), Limit: int64(all.Anomaly.Stages.From(w.Stage)),
		Exceeded: w.Stage >= anomaly.Pace, Warn: w.Stage == anomaly.Tag, Shadow: shadow, Action: actions[w.Stage], Detail: conductText(w),
	}
	for i := range w.Reasons {
		r := &w.Reasons[i]
		list = append(list, policy.Finding{
			Rule: anomalyRule, Kind: anomalyRule, Key: s.Envelope.Identity, Source: string(r.Code), Window: r.Numbers.Window,
			Asked: int64(r.Numbers.Seen + 0.5), Used: int64(r.Weight), Limit: int64(r.Numbers.Limit + 0.5), Shadow: shadow, Action: policy.Log, Detail: r.Text,
		})
	}
	return list
}

// tagOf is the value of the header field.
func tagOf(w *anomaly.Verdict) string {
	codes := make([]string, len(w.Reasons))
	for i := range w.Reasons {
		codes[i] = string(w.Reasons[i].Code)
	}
	return w.Stage.String() + "; score=" + strconv.Itoa(w.Score) + "; reasons=" + strings.Join(codes, ",")
}
