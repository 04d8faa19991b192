package relay

import (
	"context"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// swallow ends a message that was an instruction for sendgate itself: it is accepted and goes nowhere. Its
// body is not kept, so that nobody sends it again.
func (s *session) swallow(ctx context.Context, m *message) error {
	v, now := m.verdict, s.relay.clock()
	accepted := m.accepted()
	accepted.Time, accepted.Actor = now, actor
	_, err := s.relay.journal.Commit(context.WithoutCancel(ctx), store.Change{Message: m.id, Envelope: &m.envelope, Events: []policy.Event{
		accepted,
		{Kind: policy.Canceled, Time: now, Actor: actor, Rule: v.Rule, Reason: v.Reason},
	}})
	if err != nil {
		return s.spoolError(err)
	}
	return nil
}

// swallowed gives the answer for what swallow has ended.
func (s *session) swallowed(m *message) error {
	s.relay.metrics.took("discarded", m.envelope.Size)
	s.logDiscarded(m.transaction, m.verdict)
	return refusal(250, "2.0.0", with("Taken as "+m.id.String(), m.verdict.Text.EN))
}
