package gateway

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sendgate/sendgate/gateway/domain"
	"github.com/sendgate/sendgate/policy"
)

// bypassRule stands in events of mail that the rules would have kept back, and is the kind of their finding.
const bypassRule = "bypass"

// watching is the rules while they are bypassed: they look, count and tell, and what they say to hold, pace, put
// up for approval or refuse passes. Two things stay: a suspended account remains suspended, unless the bypass
// says otherwise, for that is how somebody else would use it; and a recipient in a domain that does not exist is
// refused as ever, which saves a bounce. That limits count what they would have kept back is
// guard.Settings.Bypassed, and that they count what a suspension would have refused is guard.Settings.Lifted.
type watching struct {
	policy.Engine
	bypass *bypass
}

// Decide asks the rules.
func (w watching) Decide(ctx context.Context, s policy.Submission) policy.Verdict {
	v := w.Engine.Decide(ctx, s)
	p, on := w.bypass.state()
	if !on || stays(&v, p.suspensions) {
		return v
	}
	if v.Action == policy.Pass && !slices.ContainsFunc(v.Findings, wouldKeep) {
		return v
	}
	said := policy.Finding{Rule: bypassRule, Kind: bypassRule, Decided: true, Action: policy.Pass, Next: p.until, Detail: bypassed(&v)}
	findings := slices.Clone(v.Findings)
	for i := range findings {
		findings[i].Decided = false
	}
	return policy.Verdict{Rule: bypassRule, Shadow: v.Shadow, Tags: v.Tags, Charge: v.Charge, Findings: append(findings, said)}
}

// wouldKeep reports whether a limit only tells, and would have kept the message back.
func wouldKeep(f policy.Finding) bool {
	if !f.Exceeded {
		return false
	}
	switch f.Action {
	case policy.Hold, policy.Pace, policy.Approval, policy.Defer, policy.Reject:
		return true
	}
	return false
}

// stays reports whether a verdict holds although the rules are bypassed. A suspension that an account has just
// brought on itself is a refusal of the rule anomaly.
func stays(v *policy.Verdict, lifted bool) bool {
	refused := v.Action == policy.Reject || v.Action == policy.Defer
	return refused && (v.Rule == domain.RuleName || !lifted && (v.Rule == "suspended" || v.Rule == "anomaly"))
}

// bypassed says what would have become of a message.
func bypassed(v *policy.Verdict) policy.Label {
	l := policy.Label{EN: "the rules are bypassed; it would have been ", ZH: "规则已旁路；否则该邮件将"}
	at := v.Until.Local().Format(time.TimeOnly)
	switch v.Action {
	case policy.Hold:
		l.EN, l.ZH = l.EN+"held until "+at, l.ZH+"暂缓至 "+at
	case policy.Approval:
		l.EN, l.ZH = l.EN+"put up for approval", l.ZH+"等待审批"
	case policy.Reject, policy.Defer:
		reply := fmt.Sprintf("%d %s", v.Code, v.Status)
		l.EN, l.ZH = l.EN+"refused ("+reply+")", l.ZH+"被拒收（"+reply+"）"
	default:
		l.EN, l.ZH = l.EN+"kept back", l.ZH+"被限制"
	}
	if name := strings.Join(keepers(v), ", "); name != "" {
		l.EN, l.ZH = l.EN+" by "+name, l.ZH+"，规则："+name
	}
	return l
}

// keepers names the rules that would have kept a message back.
func keepers(v *policy.Verdict) (names []string) {
	if v.Rule != "" {
		names = append(names, v.Rule)
	}
	for _, f := range v.Findings {
		if wouldKeep(f) && !slices.Contains(names, f.Rule) {
			names = append(names, f.Rule)
		}
	}
	return names
}

// bypassBegan is the sentence of the notice.
func bypassBegan(p *bypassing) policy.Label {
	at := p.until.Local().Format("2006-01-02 15:04")
	l := policy.Label{
		EN: "Until " + at + " nothing is held, slowed down or refused by rules; they go on counting. " + p.author + ": " + p.reason,
		ZH: "至 " + at + " 规则不再暂缓、限速或拒收邮件，仅继续计数。" + p.author + "：" + p.reason,
	}
	if p.suspensions {
		l.EN += " (suspended accounts may send, too)"
		l.ZH += "（被暂停的账号也可发送）"
	}
	return l
}

// bypassOver is that of its end.
func bypassOver(p *bypassing, at time.Time, actor string) policy.Label {
	lasted := at.Sub(p.since).Round(time.Second).String()
	switch actor {
	case restoreActor:
		return policy.Label{
			EN: "They were bypassed until " + p.until.Local().Format("2006-01-02 15:04") + " in the backup from which this store was restored. A restore does not bring that back.",
			ZH: "本存储由备份恢复，备份中规则处于旁路状态（至 " + p.until.Local().Format("2006-01-02 15:04") + "）。恢复后旁路不再生效。",
		}
	case bypassActor:
		return policy.Label{EN: "The time was over; the rules were bypassed for " + lasted + ".", ZH: "已到期，规则共旁路 " + lasted + "。"}
	}
	return policy.Label{EN: "Ended by " + actor + "; the rules were bypassed for " + lasted + ".", ZH: "由 " + actor + " 结束，规则共旁路 " + lasted + "。"}
}
