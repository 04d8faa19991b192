package relay

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// keep takes a message into the journal. What becomes of it there the rules may say as late as at its
// end; reason is why it is not handed through if they do not keep it back.
func (s *session) keep(ctx context.Context, m *message, reason string) error {
	if err := s.spool(ctx, m, reason); err != nil {
		return err
	}
	v, size := m.verdict, m.envelope.Size
	switch v.Action {
	case policy.Discard:
		return s.swallowed(m)
	case policy.Hold:
		s.relay.metrics.took("held", size)
		s.logHeld(m.transaction, v)
		text := fmt.Sprintf("Held as %s, recall until %s", m.id, recallTime(v.Shown, s.relay.clock()))
		if exceeds(v) { // the sender is to know that it is not the usual hold
			text = with(text, v.Text.EN)
		}
		return refusal(250, "2.0.0", text)
	case policy.Approval:
		s.relay.metrics.took("approval", size)
		s.logAwaits(m.transaction, v)
		return refusal(250, "2.0.0", with("Waits for approval as "+m.id.String(), v.Text.EN))
	}
	s.relay.metrics.took("queued", size)
	s.logAccepted(m.transaction, reason)
	return refusal(250, "2.0.0", "Queued as "+m.id.String())
}

// spool writes a message to the journal; when it returns nil the message is durable and ours.
func (s *session) spool(ctx context.Context, m *message, reason string) error {
	body := s.relay.journal.NewBody(m.id)
	if err := m.writeTo(body); err != nil {
		body.Discard()
		return s.spoolError(err)
	}
	m.envelope.Size = body.Size()
	if err := s.review(m); err != nil {
		body.Discard()
		return err
	}
	if refuses(m.verdict) {
		body.Discard()
		return s.refuse(ctx, m)
	}
	if m.verdict.Action == policy.Discard {
		body.Discard()
		return s.swallow(ctx, m)
	}
	m.envelope.Route = m.verdict.Upstream
	change := store.Change{Message: m.id, Envelope: &m.envelope, Body: body, Events: []policy.Event{m.accepted(), s.next(m, reason)}}
	for i := range change.Events {
		change.Events[i].Time, change.Events[i].Actor = s.relay.clock(), actor
	}
	// Whether the client is still there makes no difference to a commit under way.
	if _, err := s.relay.journal.Commit(context.WithoutCancel(ctx), change); err != nil {
		body.Discard()
		return s.spoolError(err)
	}
	return nil
}

// next is the event that says what is to be done with a message in the journal. The end of an approval
// need not be exact.
func (s *session) next(m *message, reason string) policy.Event {
	v := m.verdict
	switch v.Action {
	case policy.Hold:
		return policy.Event{Kind: policy.Held, Until: v.Until, Rule: v.Rule, Findings: deciding(v.Findings)}
	case policy.Approval:
		return policy.Event{
			Kind: policy.ApprovalRequested, Until: v.Until, Rule: v.Rule, Reason: v.Reason,
			Findings: append(deciding(v.Findings), policy.Finding{Rule: v.Rule, Kind: "approval", Action: v.Expiry, Next: v.Until}),
		}
	}
	return policy.Event{Kind: policy.Released, Until: s.relay.clock(), Reason: reason}
}

// spoolError tells the operator of a failure that is neither the client's nor the message's.
func (s *session) spoolError(err error) error {
	var broken *receiveError
	if !errors.As(err, &broken) && !isAnswer(err) {
		s.relay.log.Error("cannot keep a message", zap.Error(err))
	}
	return err
}

// with adds why to an answer.
func with(text, why string) string {
	if why == "" {
		return text
	}
	return text + "; " + why
}

// exceeds reports whether a message is held because something was exceeded.
func exceeds(v policy.Verdict) bool {
	return slices.ContainsFunc(v.Findings, func(f policy.Finding) bool { return f.Decided && f.Exceeded })
}
