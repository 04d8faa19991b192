package milter

import (
	"context"
	"fmt"
	"time"

	gomilter "github.com/emersion/go-milter"
	"github.com/sendgate/sendgate/policy"
)

// obey does what the rules say.
func (s *session) obey(ctx context.Context, t *transaction, v policy.Verdict, m *gomilter.Modifier) reply {
	switch v.Action {
	case policy.Discard:
		return s.swallow(ctx, t, v)
	case policy.Reject, policy.Defer:
		return s.refuse(ctx, t, replyTo(v), v)
	case policy.Approval:
		return s.await(ctx, t, v, m)
	case policy.Hold:
		return s.hold(ctx, t, v, m)
	}
	if v.Upstream != "" { // Postfix knows one way only
		v.Until = t.envelope.Received.Add(policy.MaxHold)
		return s.hold(ctx, t, v, m)
	}
	return s.pass(ctx, t, v, m)
}

// hold lets Postfix hold a message until its time has come.
func (s *session) hold(ctx context.Context, t *transaction, v policy.Verdict, m *gomilter.Modifier) reply {
	refusal, ok := s.keep(ctx, t, v, m, policy.Event{Kind: policy.Held, Until: v.Until, Rule: v.Rule, Findings: deciding(v.Findings)},
		"holds until "+v.Until.UTC().Format(time.RFC3339))
	if ok {
		s.milter.metrics.saw("held")
		s.logHeld(t, v)
	}
	return refusal
}

// await lets Postfix hold a message until somebody approves it.
func (s *session) await(ctx context.Context, t *transaction, v policy.Verdict, m *gomilter.Modifier) reply {
	refusal, ok := s.keep(ctx, t, v, m, policy.Event{
		Kind: policy.ApprovalRequested, Until: v.Until, Rule: v.Rule, Reason: v.Reason,
		Findings: append(deciding(v.Findings), policy.Finding{Rule: v.Rule, Kind: "approval", Action: v.Expiry, Next: v.Until}),
	}, "waits for approval")
	if ok {
		s.milter.metrics.saw("approval")
		s.logAwaits(t, v)
	}
	return refusal
}

// keep lets Postfix hold a message, once the journal knows of it. reason is for those who look at
// Postfix's queue.
func (s *session) keep(ctx context.Context, t *transaction, v policy.Verdict, m *gomilter.Modifier, why policy.Event, reason string) (refusal reply, ok bool) {
	switch {
	case t.envelope.QueueID == "":
		return s.undecided(t, errNoQueueID), false
	case !s.terms.quarantines():
		return s.undecided(t, errNoQuarantine), false
	}
	s.addFields(t, v.Tags, m)
	if _, err := s.milter.journal.Commit(ctx, s.change(t, accepted(v), why)); err != nil {
		return s.undecided(t, fmt.Errorf("keep a held message: %w", err)), false
	}
	// Postfix cuts the reason to 100 octets. Nothing is sent before the answer, so it cannot fail.
	_ = m.Quarantine(fmt.Sprintf("sendgate %s %s", t.id, reason))
	return reply{}, true
}

// swallow ends a message that was an instruction for sendgate itself: its client is told that it was accepted,
// and it goes nowhere.
func (s *session) swallow(ctx context.Context, t *transaction, v policy.Verdict) reply {
	canceled := policy.Event{Kind: policy.Canceled, Rule: v.Rule, Reason: v.Reason}
	if _, err := s.milter.journal.Commit(ctx, s.change(t, accepted(v), canceled)); err != nil {
		return s.undecided(t, fmt.Errorf("take an instruction: %w", err))
	}
	s.milter.metrics.saw("discarded")
	s.logDiscarded(t, v)
	return replyDiscard
}

// accepted is the first event of a message that goes on or is held.
func accepted(v policy.Verdict) policy.Event {
	return policy.Event{Kind: policy.Accepted, Charge: v.Charge, Findings: v.Findings}
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
