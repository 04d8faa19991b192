package relay

import (
	"context"
	"errors"
	"fmt"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// hold takes a message and keeps it back. The time counts from the end of the message, however
// long it took to arrive.
func (s *session) hold(ctx context.Context, m *message, v policy.Verdict) error {
	size, err := s.spool(ctx, m, func() []policy.Event {
		late := s.relay.clock().Sub(m.decided)
		v.Until, v.Shown = v.Until.Add(late), v.Shown.Add(late)
		return []policy.Event{{Kind: policy.Accepted}, {Kind: policy.Held, Until: v.Until, Rule: v.Rule}}
	})
	if err != nil {
		return err
	}
	s.relay.metrics.took("held", size)
	s.logHeld(m.transaction, v)
	return refusal(250, "2.0.0", fmt.Sprintf("Held as %s, recall until %s", m.id, recallTime(v.Shown, s.relay.clock())))
}

// queue takes a message that is to leave at once but cannot be handed through.
func (s *session) queue(ctx context.Context, m *message, reason string) error {
	size, err := s.spool(ctx, m, func() []policy.Event {
		return []policy.Event{{Kind: policy.Accepted}, {Kind: policy.Released, Until: s.relay.clock(), Reason: reason}}
	})
	if err != nil {
		return err
	}
	s.relay.metrics.took("queued", size)
	s.logAccepted(m.transaction, reason)
	return refusal(250, "2.0.0", "Queued as "+m.id.String())
}

// spool writes a message to the journal; when it returns nil the message is durable and ours.
func (s *session) spool(ctx context.Context, m *message, events func() []policy.Event) (size int64, err error) {
	body := s.relay.journal.NewBody(m.id)
	if err := m.writeTo(body); err != nil {
		body.Discard()
		return 0, s.spoolError(err)
	}
	m.envelope.Size = body.Size()
	change := store.Change{Message: m.id, Envelope: &m.envelope, Body: body, Events: events()}
	for i := range change.Events {
		change.Events[i].Time, change.Events[i].Actor = s.relay.clock(), actor
	}
	// Whether the client is still there makes no difference to a commit under way.
	if _, err := s.relay.journal.Commit(context.WithoutCancel(ctx), change); err != nil {
		body.Discard()
		return 0, s.spoolError(err)
	}
	return m.envelope.Size, nil
}

// spoolError tells the operator of a failure that is neither the client's nor the message's.
func (s *session) spoolError(err error) error {
	var broken *receiveError
	if !errors.As(err, &broken) && !isAnswer(err) {
		s.relay.log.Error("cannot keep a message", zap.Error(err))
	}
	return err
}
