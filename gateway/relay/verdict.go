package relay

import (
	"context"
	"mime"
	"slices"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// obey does what the rules say with a message that they do not refuse. Another upstream than those that
// were asked for the recipients cannot answer at once: what is routed goes through the journal.
func (s *session) obey(ctx context.Context, m *message) error {
	v := &m.verdict
	m.trace += fields(v.Tags)
	switch {
	case v.Action == policy.Hold || v.Action == policy.Approval || v.Action == policy.Discard:
		return s.keep(ctx, m, "")
	case v.Upstream != "":
		return s.keep(ctx, m, "a rule sends it over the upstream "+v.Upstream)
	}
	return s.pass(ctx, m)
}

// refuses reports whether a verdict is an answer 4xx or 5xx.
func refuses(v policy.Verdict) bool { return v.Action == policy.Reject || v.Action == policy.Defer }

// later moves the end of a hold.
func later(v policy.Verdict, by time.Duration) policy.Verdict {
	if v.Action == policy.Hold {
		v.Until, v.Shown = v.Until.Add(by), v.Shown.Add(by)
	}
	isHold := func(f policy.Finding) bool { return f.Kind == "hold" } // for how long it can be taken back in any case
	if slices.ContainsFunc(v.Findings, isHold) {
		v.Findings = slices.Clone(v.Findings)
	}
	for i := range v.Findings {
		if f := &v.Findings[i]; isHold(*f) {
			f.Next = f.Next.Add(by)
		}
	}
	return v
}

// tooLate is what becomes of a verdict that would keep a message back when all of it but the final dot
// has gone to the upstream: the client is asked to come again.
func tooLate(v policy.Verdict) policy.Verdict {
	v.Action, v.Code, v.Status = policy.Defer, 451, "4.7.28"
	if v.Text.EN == "" {
		v.Text = policy.Label{
			EN: "The message needs to be looked at before it may leave, try again later",
			ZH: "该邮件需审核后才能发出，请稍后重试",
		}
	}
	return v
}

// refuse answers with a verdict that refuses, and keeps the fact.
func (s *session) refuse(ctx context.Context, m *message) error {
	v := m.verdict
	d := denied(v)
	s.note(ctx, m, policy.Event{
		Kind: policy.Refused, Rule: v.Rule, Reason: v.Reason, Reply: replyOf(d.answer).String(), Findings: v.Findings,
	})
	return d
}

// accepted is the event that makes the message ours.
func (m *message) accepted() policy.Event {
	return policy.Event{Kind: policy.Accepted, Charge: m.verdict.Charge, Findings: m.verdict.Findings}
}

// deciding picks the findings that made the verdict; all of them stand in the first event.
func deciding(all []policy.Finding) (some []policy.Finding) {
	for i := range all {
		if all[i].Decided {
			some = append(some, all[i])
		}
	}
	return some
}

// fields writes what rules add to a header. What is not printable ASCII is encoded (RFC 2047), so that a
// value never ends its line; what is no name is left out.
func fields(tags []policy.Field) string {
	var b strings.Builder
	for _, t := range tags {
		if t.Name == "" || strings.ContainsFunc(t.Name, func(r rune) bool { return notInName(r) || r == ':' }) {
			continue
		}
		b.WriteString(t.Name + ": " + mime.QEncoding.Encode("utf-8", t.Value) + "\r\n")
	}
	return b.String()
}
