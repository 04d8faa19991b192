package relay

import (
	"errors"
	"slices"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/sendgate/sendgate/gateway/relay/upstream"
	"github.com/sendgate/sendgate/policy"
	"go.uber.org/zap"
)

const (
	maxAuthFailures = 3           // on one connection
	authPause       = time.Second // after the first failure; it grows by as much with each
)

var errExchangeEnded = errors.New("the client gave the authentication up")

// AuthMechanisms are those of the upstream's whose login can be read.
func (s *session) AuthMechanisms() []string { return s.mechanisms }

// Auth begins an authentication, which the upstream decides on.
func (s *session) Auth(mechanism string) (sasl.Server, error) {
	s.endExchange()
	if s.mail != nil {
		return nil, s.answer("AUTH", nil, errAuthInMail)
	}
	if !slices.Contains(s.mechanisms, mechanism) {
		return nil, s.answer("AUTH", nil, smtp.ErrAuthUnknownMechanism)
	}
	s.exchange = &exchange{
		session: s, mechanism: mechanism,
		challenges: make(chan []byte), responses: make(chan []byte),
		abandoned: make(chan struct{}), outcome: make(chan outcome, 1),
	}
	return s.exchange, nil
}

// endExchange calls off an authentication that the client left in the middle.
func (s *session) endExchange() {
	if s.exchange != nil {
		s.exchange.abandon()
		s.exchange = nil
	}
}

// An exchange carries the messages of an authentication between client and upstream, unread but for
// the login. go-smtp calls Next for each of the client's; upstream.Conn.Auth, in a goroutine of its
// own, calls the sasl.Client made of the channels for each of the upstream's.
type exchange struct {
	session   *session
	mechanism string
	login     string
	running   bool
	ended     bool

	challenges chan []byte // from the upstream
	responses  chan []byte // from the client
	abandoned  chan struct{}
	outcome    chan outcome
}

type outcome struct {
	reply upstream.Reply
	err   error
}

// Next takes a message of the client; nil stands for none, at the beginning.
func (e *exchange) Next(response []byte) (challenge []byte, done bool, err error) {
	if response != nil && e.login == "" {
		if e.login = loginOf(e.mechanism, response); e.login == "" {
			e.abandon()
			return nil, true, e.session.authFailed(errAuthUnnamed)
		}
	}
	if e.running {
		select {
		case e.responses <- response:
		case o := <-e.outcome:
			return nil, true, e.finish(o)
		}
	} else if err := e.start(response); err != nil {
		return nil, true, e.session.answer("AUTH", nil, err)
	}
	select {
	case challenge := <-e.challenges:
		return challenge, false, nil
	case o := <-e.outcome:
		return nil, true, e.finish(o)
	}
}

// start begins the exchange with the upstream.
func (e *exchange) start(initial []byte) error {
	s := e.session
	p, _, err := s.probe(s.settings.Router.Route(""), nil)
	if err == nil && p.mail != nil {
		p.mail = nil
		if err = p.conn.Reset(s.ctx); err != nil { // gone meanwhile
			s.dropProbe(p)
			p, _, err = s.probe(p.up, nil)
		}
	}
	if err != nil {
		return errAuthAway
	}
	e.running = true
	go func() {
		reply, err := p.conn.Auth(s.ctx, e.mechanism, &relayed{e, initial})
		e.outcome <- outcome{reply, err}
	}()
	return nil
}

// finish takes the upstream's last word.
func (e *exchange) finish(o outcome) error {
	e.running, e.ended = false, true
	s := e.session
	up := s.settings.Router.Route("")
	switch {
	case o.err != nil || o.reply.Code == 421:
		if p := s.probes[up.Name()]; p != nil {
			s.dropProbe(p)
		}
		s.relay.log.Warn("authentication without an answer", zap.String("upstream", up.Name()), zap.Error(o.err))
		return s.answer("AUTH", nil, errAuthAway)
	case !o.reply.Positive():
		answer := passOn(o.reply)
		if answer.Code >= 500 { // else the password was not looked at
			e.tell(s.settings.Directory.Canonical(e.login, "", s.clientText()), o.reply.String())
		}
		return s.authFailed(answer)
	}
	identity := s.settings.Directory.Canonical(e.login, "", s.clientText())
	if d := s.suspended(identity); d != nil {
		if p := s.probes[up.Name()]; p != nil { // it is signed in there
			s.dropProbe(p)
		}
		return s.answer("AUTH", nil, d)
	}
	e.tell(identity, "")
	s.login = e.login
	for name, p := range s.probes {
		if name != up.Name() {
			s.dropProbe(p) // it does not know of the login
		}
	}
	s.wire.sayInstead(wholeAnswer(o.reply))
	s.logAuthenticated(e.mechanism)
	return nil
}

// tell says how a sign-in ended, to who wants to know.
func (e *exchange) tell(identity, refusal string) {
	if s := e.session; s.settings.SignedIn != nil {
		s.settings.SignedIn(policy.SignIn{Identity: identity, Client: s.peer.client, Mechanism: e.mechanism, Program: s.helo, Reply: refusal})
	}
}

// suspended gives the answer to somebody whose password is right, where those who are suspended must not
// sign in; nil when this one may. A stranger who has only guessed learns nothing.
func (s *session) suspended(identity string) *denial {
	if s.settings.Config.SuspendedAuth != SuspendedRefuse || s.settings.Suspended == nil {
		return nil
	}
	text, ok := s.settings.Suspended(identity)
	if !ok {
		return nil
	}
	return &denial{refusal(525, "5.7.13", text.EN), "suspended", identity + " is suspended"} // RFC 5248
}

// abandon ends the exchange with the upstream ("*") and waits for that.
func (e *exchange) abandon() {
	if e.ended {
		return
	}
	e.ended = true
	close(e.abandoned)
	if e.running {
		<-e.outcome
	}
}

// authFailed delays the answer to a failed authentication; after some of them the client has to go.
func (s *session) authFailed(answer *smtp.SMTPError) error {
	if answer.Code < 500 {
		return s.answer("AUTH", nil, answer)
	}
	s.peer.authFailures++
	s.relay.pause(s.ctx, time.Duration(s.peer.authFailures)*authPause)
	if s.peer.authFailures >= maxAuthFailures {
		s.wire.leave()
		return s.answer("AUTH", nil, errAuthTooMany)
	}
	return s.answer("AUTH", nil, answer)
}

// relayed is the client's side of an exchange as the upstream's connection sees it.
type relayed struct {
	exchange *exchange
	initial  []byte
}

// Start gives the client's initial response, nil if there was none.
func (r *relayed) Start() (mechanism string, initial []byte, err error) {
	return r.exchange.mechanism, r.initial, nil
}

// Next hands a challenge to the client and waits for what it says.
func (r *relayed) Next(challenge []byte) ([]byte, error) {
	select {
	case r.exchange.challenges <- challenge:
	case <-r.exchange.abandoned:
		return nil, errExchangeEnded
	}
	select {
	case response := <-r.exchange.responses:
		return response, nil
	case <-r.exchange.abandoned:
		return nil, errExchangeEnded
	}
}
