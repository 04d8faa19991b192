package relay

import (
	"context"
	"errors"
	"fmt"

	"github.com/sendgate/sendgate/gateway/relay/upstream"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// pass hands a message that is not held through to the upstream, whose final answer is ours. Where
// one answer cannot speak for all recipients, the message goes through the journal.
func (s *session) pass(ctx context.Context, m *message) error {
	up := m.only()
	if up == nil {
		return s.keep(ctx, m, "recipients go to several upstreams")
	}
	if up.Config().Protocol == upstream.LMTP {
		return s.keep(ctx, m, "an LMTP upstream answers for each recipient")
	}
	p, err := s.offer(ctx, m, up)
	switch {
	case errors.Is(err, errRecipientRefused):
		return s.keep(ctx, m, "an accepted recipient is now refused")
	case err != nil:
		return err
	}
	return s.handThrough(ctx, m, p)
}

// errRecipientRefused says that the upstream takes some of the accepted recipients, not all.
var errRecipientRefused = errors.New("a recipient is refused")

// offer opens the transaction at the upstream, unless that was done while the recipients were asked
// for.
func (s *session) offer(ctx context.Context, m *message, up *upstream.Upstream) (*probe, error) {
	for {
		p, fresh, err := s.probe(up, m.transaction)
		if err != nil {
			return nil, errUpstreamAway
		}
		if p.mail == m.transaction && p.told == len(m.envelope.Recipients) {
			return p, nil
		}
		p.mail, p.told = nil, 0
		mail, replies, err := p.conn.MailRcpt(ctx, m.envelope.Sender, m.options(), m.envelope.Recipients)
		if err == nil {
			return p, s.settle(m, p, mail, replies)
		}
		s.dropProbe(p)
		if fresh || ctx.Err() != nil {
			s.missed(up, err)
			return nil, errUpstreamAway
		}
	}
}

// settle looks at the upstream's answers to MAIL and all RCPT. That of a recipient can differ from what
// the client was told: it came from the cache, or the upstream was away.
func (s *session) settle(m *message, p *probe, mail upstream.Reply, replies []upstream.Reply) error {
	if !mail.Positive() {
		return passOn(mail)
	}
	refused := 0
	for i, r := range replies {
		if !r.Positive() {
			s.relay.answers.drop(s.cacheKey(m.transaction, p.up, m.envelope.Recipients[i].Address))
			refused++
		}
	}
	switch refused {
	case 0:
		return nil
	case len(replies):
		return passOn(replies[0]) // one answer is enough for all
	}
	return errRecipientRefused
}

// handThrough sends the content. Before the final dot the rules have seen it and the journal knows that
// it was offered, after it what the upstream said.
func (s *session) handThrough(ctx context.Context, m *message, p *probe) error {
	p.mail = nil
	data, reply, err := p.conn.Data(ctx)
	switch {
	case err != nil || reply.Code == 421:
		s.dropProbe(p)
		return errUpstreamAway
	case data == nil:
		return passOn(reply)
	}
	counted := &counter{w: data}
	if err := m.writeTo(counted); err != nil {
		data.Abort()
		s.dropProbe(p)
		return s.interrupted(data, err)
	}
	m.envelope.Size = counted.n
	if err := s.confirm(ctx, m); err != nil {
		data.Abort()
		s.dropProbe(p)
		return err
	}
	replies, err := data.Commit()
	p.mails = 0
	if err != nil {
		s.dropProbe(p)
		return s.inDoubt(ctx, m, data, err)
	}
	return s.concluded(ctx, m, p, replies[0])
}

// interrupted gives the answer for a message that did not reach its end.
func (s *session) interrupted(data *upstream.Data, err error) error {
	var broken *receiveError
	if errors.As(err, &broken) || isAnswer(err) {
		return err
	}
	if early, ok := data.Early(); ok {
		return passOn(early)
	}
	s.relay.log.Warn("upstream lost inside a message", zap.Error(err))
	return errUpstreamAway
}

// commitOffer says in the journal that a message is about to be handed through.
func (s *session) commitOffer(ctx context.Context, m *message) error {
	now := s.relay.clock()
	_, err := s.relay.journal.Commit(context.WithoutCancel(ctx), store.Change{
		Message:  m.id,
		Envelope: &m.envelope,
		Events: []policy.Event{{
			Kind: policy.Offered, Time: now, Until: now, Actor: actor, Charge: m.verdict.Charge, Findings: m.verdict.Findings,
		}},
	})
	if err != nil {
		return s.spoolError(fmt.Errorf("note an offer: %w", err))
	}
	m.offered = true
	return nil
}

// inDoubt is the end of a message that the upstream did not answer.
func (s *session) inDoubt(ctx context.Context, m *message, data *upstream.Data, err error) error {
	if errors.Is(err, upstream.ErrInDoubt) {
		s.note(ctx, m, policy.Event{Kind: policy.Unknown, Reason: err.Error()})
		return errLostAtEnd
	}
	answer := errUpstreamAway
	if early, ok := data.Early(); ok {
		answer = passOn(early)
	}
	s.note(ctx, m, policy.Event{Kind: policy.Refused, Reason: err.Error(), Reply: replyOf(answer).String()})
	return answer
}

// concluded keeps the upstream's answer and passes it on.
func (s *session) concluded(ctx context.Context, m *message, p *probe, reply upstream.Reply) error {
	event := policy.Event{
		Kind:     policy.Refused,
		Reply:    reply.String(),
		Evidence: reply.String(),
		QueueID:  reply.QueueID(),
		Upstream: p.up.Name() + " " + p.conn.Server(),
	}
	if reply.Positive() {
		event.Kind = meaning(p.up.Config().AcceptsFor)
		s.relay.metrics.took("passed", m.envelope.Size)
		s.logPassed(m.transaction, event)
	}
	if reply.Code == 421 {
		s.dropProbe(p)
	}
	s.note(ctx, m, event)
	return passOn(reply)
}

// meaning is what an upstream's 250 says of a recipient.
func meaning(acceptsFor string) policy.Kind {
	switch acceptsFor {
	case upstream.ForMailbox:
		return policy.DeliveredMailbox
	case upstream.ForRemote:
		return policy.RelayedRemote
	}
	return policy.HandedOver
}
