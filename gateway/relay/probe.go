package relay

import (
	"errors"
	"fmt"

	"github.com/sendgate/sendgate/gateway/relay/upstream"
	"github.com/sendgate/sendgate/policy"
	"go.uber.org/zap"
)

// A probe is a session's own connection to an upstream. Recipients are asked for on it, AUTH passes
// through it, and mail that is not held leaves by it.
type probe struct {
	up    *upstream.Upstream
	conn  *upstream.Conn
	mail  *transaction // the one that is open there
	told  int          // its recipients that were accepted there
	mails int          // transactions since the last message
}

// maxProbed transactions without a message are asked on one connection: Postfix slows a client
// down that resets more often (smtpd_junk_command_limit, 100).
const maxProbed = 50

var errAway = errors.New("the upstream is away")

func (p *probe) close() { p.conn.Quit() }

// probe gives the session's connection to an upstream. fresh tells that it was opened just now.
func (s *session) probe(up *upstream.Upstream, t *transaction) (p *probe, fresh bool, err error) {
	if p := s.probes[up.Name()]; p != nil && p.up == up {
		if p.mail == t || p.mails < maxProbed {
			return p, false, nil
		}
		s.dropProbe(p)
	}
	if s.relay.absences.away(up.Name(), s.relay.clock()) {
		return nil, false, errAway
	}
	conn, err := up.Probe(s.ctx, upstream.Client{
		Addr: s.peer.client, Port: s.peer.port, Helo: s.helo, Login: s.login,
		Protocol: protocolName(s.wire.extended, s.wire.secure, s.login != "", false),
	})
	if err != nil {
		s.missed(up, err)
		return nil, false, err
	}
	p = &probe{up: up, conn: conn}
	s.probes[up.Name()] = p
	return p, true, nil
}

// missed notes that an upstream cannot be reached, unless it is we who left.
func (s *session) missed(up *upstream.Upstream, err error) {
	if s.ctx.Err() != nil {
		return
	}
	s.relay.absences.missed(up.Name(), s.relay.clock())
	s.relay.log.Warn("upstream away", zap.String("upstream", up.Name()), zap.Error(err))
}

func (s *session) dropProbe(p *probe) {
	p.close()
	delete(s.probes, p.up.Name())
}

// ask gives the upstream's answer for a recipient, from the cache when it was good some minutes
// ago. An error says that there is no answer to be had, except upstream.ErrUnsafe.
func (s *session) ask(t *transaction, up *upstream.Upstream, r policy.Recipient) (upstream.Reply, error) {
	if reply, ok := t.refused[up.Name()]; ok {
		return reply, nil
	}
	key := s.cacheKey(t, up, r.Address)
	if reply, ok := s.relay.answers.get(key, s.relay.clock()); ok {
		return reply, nil
	}
	for {
		p, fresh, err := s.probe(up, t)
		if err != nil {
			return upstream.Reply{}, err
		}
		reply, err := s.askOn(p, t, r)
		switch {
		case errors.Is(err, upstream.ErrUnsafe):
			return reply, err
		case err == nil:
			if ttl := s.settings.Config.RecipientCache; ttl > 0 && reply.Positive() {
				s.relay.answers.put(key, reply, s.relay.clock().Add(ttl))
			}
			return reply, nil
		}
		s.dropProbe(p)
		if fresh || s.ctx.Err() != nil {
			s.missed(up, err)
			return upstream.Reply{}, err
		}
	}
}

// askOn says RCPT to the upstream, and before the first one MAIL.
func (s *session) askOn(p *probe, t *transaction, r policy.Recipient) (upstream.Reply, error) {
	var reply upstream.Reply
	var err error
	if p.mail == t {
		reply, err = p.conn.Rcpt(s.ctx, r)
	} else {
		reply, err = s.open(p, t, r)
	}
	if err == nil && reply.Code == 421 {
		return reply, fmt.Errorf("%s is closing: %s", p.up.Name(), reply)
	}
	if err == nil && reply.Positive() && p.mail == t {
		p.told++
	}
	return reply, err
}

// open says MAIL and the first RCPT. When the sender is refused, that is the answer for this and
// for every recipient.
func (s *session) open(p *probe, t *transaction, r policy.Recipient) (upstream.Reply, error) {
	p.mail, p.told = nil, 0
	p.mails++
	mail, replies, err := p.conn.MailRcpt(s.ctx, t.envelope.Sender, t.options(), []policy.Recipient{r})
	if err != nil {
		return upstream.Reply{}, err
	}
	if !mail.Positive() {
		t.refused[p.up.Name()] = mail
		return mail, nil
	}
	p.mail = t
	return replies[0], nil
}

func (s *session) cacheKey(t *transaction, up *upstream.Upstream, recipient policy.Address) answerKey {
	return answerKey{up.Name(), s.login, t.envelope.Sender, recipient}
}
