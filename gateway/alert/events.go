package alert

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// Occurrences gives what the events of one change say that people should know. e is the envelope of
// their message, nil when they are about none.
func (p People) Occurrences(id policy.ID, e *policy.Envelope, events []policy.Event) (list []Occurrence) {
	if e == nil {
		for i := range events {
			list = append(list, p.act(&events[i])...)
		}
		return list
	}
	if e.Direction == policy.Inbound || e.Front == policy.Internal || e.Sender == "" {
		return nil
	}
	base := Occurrence{Message: id, Sample: e.Subject, Mailbox: p.Mailbox(e)}
	until, expiry := approval(events)
	seen := map[key]bool{} // the same findings may stand in two events of a change
	for i := range events {
		ev := &events[i]
		for _, f := range ev.Findings {
			o, ok := base.of(e, ev, f)
			if o.Kind == ApprovalWaiting {
				o.Until, o.Expiry = until, expiry
			}
			if ok && !seen[o.key()] {
				seen[o.key()] = true
				list = append(list, o)
			}
		}
	}
	return list
}

// approval gives until when a message waits for a person, and what becomes of it then.
func approval(events []policy.Event) (until time.Time, expiry policy.Action) {
	expiry = policy.Reject // of what says nothing
	for i := range events {
		if events[i].Kind != policy.ApprovalRequested {
			continue
		}
		until = events[i].Until
		for _, f := range events[i].Findings {
			if f.Kind == "approval" {
				expiry = f.Action
			}
		}
	}
	return until, expiry
}

// telling reports whether there is anything in an event for Occurrences.
func telling(ev *policy.Event) bool {
	switch ev.Kind {
	case policy.Suspended, policy.Unsuspended, policy.Boosted, policy.Overridden:
		return true
	}
	return slices.ContainsFunc(ev.Findings, func(f policy.Finding) bool { return !f.Shadow && (f.Exceeded || f.Warn || f.Decided) })
}

// of completes an occurrence for a finding; ok is false when it is nothing to tell.
func (o Occurrence) of(e *policy.Envelope, ev *policy.Event, f policy.Finding) (_ Occurrence, ok bool) {
	if f.Shadow {
		return o, false
	}
	o.Subject, o.Rule, o.Window, o.Time, o.Finding, o.Outcome = f.Key, f.Rule, f.Window, ev.Time, f, f.Action
	if o.Subject == "" {
		o.Subject = e.Identity
	}
	switch {
	case f.Kind == "similar":
		o.Kind, o.Rule, o.Window, o.Text, o.Name = Campaign, "", 0, f.Text(), mailing(o.Sample, e.Identity)
		if f.Source == "hijack" {
			o.Kind, o.Severity = Hijack, Critical
		}
		return o, (f.Decided || f.Warn) && ev.Kind != policy.Released
	case f.Kind == "pulled_back":
		// of the account, not of the message: who has it may not be its owner
		o.Kind, o.Rule, o.Window, o.Until, o.Mailbox = PulledBack, f.Source, 0, f.Next, ""
		return o, f.Decided && ev.Kind != policy.Released
	case f.Kind == "restored":
		o.Kind, o.Rule, o.Window, o.Until, o.Mailbox = Restored, f.Source, 0, f.Next, ""
		return o, f.Decided
	case f.Decided && f.Action == policy.Approval:
		o.Kind = ApprovalWaiting
		return o, ev.Kind != policy.Released
	case f.Kind == "suspension":
		// of the account, not of the message: the owner was told when it began
		o.Kind, o.Rule, o.Window, o.Until, o.Mailbox = Suspended, "", 0, f.Next, ""
		return o, f.Decided
	case f.Kind == "domain":
		o.Kind, o.Subject = DomainRefused, e.Identity
		return o, f.Decided && f.Action == policy.Reject
	case f.Kind != "limit" || ev.Kind == policy.Released:
		return o, false // a message that is let go takes what it waited for
	case f.Exceeded:
		o.Kind = LimitExceeded
		return o, f.Decided && keepsBack(f.Action) || o.marked()
	}
	o.Kind = LimitWarning
	return o, f.Warn
}

// mailing names a campaign by the message with which its incident begins: nobody knows it by its id.
func mailing(subject, identity string) string {
	if subject = strings.TrimSpace(subject); subject == "" {
		return identity
	}
	return shorten(subject, maxRunes) + " (" + identity + ")"
}

func keepsBack(a policy.Action) bool {
	return a == policy.Hold || a == policy.Defer || a == policy.Reject
}

// marked reports whether an exceeded limit only marks messages, or sends them another way. Senders
// need not know.
func (o *Occurrence) marked() bool {
	switch o.Outcome {
	case policy.Tag, policy.Route, policy.Log:
		o.Mailbox = ""
		return true
	}
	return false
}

// act tells what a person or the gateway did about an identity.
func (p People) act(ev *policy.Event) []Occurrence {
	o := Occurrence{Subject: ev.Subject, Time: ev.Time, Until: ev.Until, Mailbox: p.MailboxOf(ev.Subject)}
	switch ev.Kind {
	case policy.Suspended:
		o.Kind, o.Text = Suspended, because(policy.Label{EN: "Suspended by " + ev.Actor, ZH: "由 " + ev.Actor + " 暂停"}, ev.Reason)
		if ev.Actor == anomaly {
			o.automatic(ev)
		}
		return []Occurrence{o}
	case policy.Unsuspended:
		over := o
		over.Kind, over.Ends = Suspended, true
		o.Kind, o.Text = Unsuspended, policy.Label{EN: "The suspension is over.", ZH: "暂停已解除。"}
		return []Occurrence{over, o}
	case policy.Boosted, policy.Overridden:
		o.Kind, o.Rule, o.Text = BoostGiven, ev.Rule, grant(ev)
		return []Occurrence{o}
	}
	return nil
}

// anomaly is who suspends accounts that behave as if somebody else used them, and the kind of the findings.
const anomaly = "anomaly"

// automatic tells of a suspension that nobody has decided on.
func (o *Occurrence) automatic(ev *policy.Event) {
	o.Severity, o.Text = Critical, policy.Label{EN: "Suspended automatically", ZH: "系统自动暂停"}
	o.Finding = policy.Finding{Kind: anomaly}
	if len(ev.Findings) == 0 || ev.Findings[0].Detail == (policy.Label{}) {
		return
	}
	detail := ev.Findings[0].Detail
	o.Text.EN += ". " + detail.EN
	o.Text.ZH += "。" + detail.ZH
}

func because(l policy.Label, reason string) policy.Label {
	if reason == "" {
		return l
	}
	return policy.Label{EN: l.EN + ": " + reason, ZH: l.ZH + "：" + reason}
}

// grant says how a limit was changed.
func grant(ev *policy.Event) policy.Label {
	var l policy.Label
	switch {
	case ev.Kind == policy.Boosted:
		l = policy.Label{EN: fmt.Sprintf("%d more under %s", ev.Amount, ev.Rule), ZH: fmt.Sprintf("%s 临时增加 %d", ev.Rule, ev.Amount)}
	case ev.Amount == 0:
		return policy.Label{EN: "As for everybody again under " + ev.Rule, ZH: ev.Rule + " 恢复为默认限额"}
	default:
		l = policy.Label{EN: fmt.Sprintf("%d under %s", ev.Amount, ev.Rule), ZH: fmt.Sprintf("%s 调整为 %d", ev.Rule, ev.Amount)}
	}
	if !ev.Until.IsZero() {
		at := ev.Until.Local().Format("2006-01-02 15:04")
		l.EN += " until " + at
		l.ZH += "，至 " + at
	}
	return l
}

// expired is a message on which nobody decided in time, of an incident in which it waited.
func (p People) expired(in *Incident, id policy.ID, e *policy.Envelope, kind policy.Kind, at time.Time) Occurrence {
	o := Occurrence{
		Kind: ApprovalExpired, Subject: in.Subject, Rule: in.Rule, Window: in.Window, Time: at,
		Finding: in.Finding, Message: id, Sample: e.Subject, Outcome: policy.Reject,
	}
	if kind == policy.Released || kind == policy.Approved {
		o.Outcome, o.Mailbox = policy.Pass, p.Mailbox(e) // what is returned comes back with a report
	}
	return o
}
