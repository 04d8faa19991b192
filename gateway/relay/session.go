package relay

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/sendgate/sendgate/gateway/relay/upstream"
	"github.com/sendgate/sendgate/policy"
	contents "github.com/sendgate/sendgate/policy/content"
)

// A session is a client's dialogue from EHLO to its end. It belongs to go-smtp's goroutine of the
// connection; during BDAT also to the one that runs Data, for which Reset and end wait.
type session struct {
	relay      *Relay
	settings   *Settings
	wire       *wire
	peer       *peer
	server     *smtp.Server
	helo       string
	limit      int64 // octets of a message; 0 is none
	mechanisms []string
	login      string
	trusted    bool // by its network
	exchange   *exchange
	probes     map[string]*probe // by upstream

	ctx    context.Context
	cancel context.CancelFunc

	mu        sync.Mutex
	mail      *transaction // nil outside
	ended     bool
	abort     context.CancelFunc // of the message that is being received
	receiving sync.WaitGroup     // it
	chunks    *io.PipeReader     // that it comes from, when it comes by BDAT
}

// offerTimeout is how long EHLO waits for an upstream's.
const offerTimeout = 5 * time.Second

// newSession answers EHLO: the server offers what the upstream offers at this moment.
func newSession(r *Relay, settings *Settings, c *smtp.Conn, w *wire, p *peer) *session {
	s := &session{
		relay: r, settings: settings, wire: w, peer: p, server: c.Server(),
		helo:   contents.Cut(strings.ToValidUTF8(c.Hostname(), "?"), maxHelo),
		probes: map[string]*probe{},
	}
	s.ctx, s.cancel = context.WithCancel(p.conn.Context())
	s.trusted = p.client.IsValid() && slices.ContainsFunc(settings.Config.Networks,
		func(n netip.Prefix) bool { return n.Contains(p.client) })
	offer := r.offer(s.ctx, settings.Router.Route(""))
	s.limit = smaller(settings.Config.MaxMessageBytes, offer.Size)
	s.mechanisms = readable(offer.Auth)
	s.server.EnableSMTPUTF8 = offer.SMTPUTF8
	s.server.EnableDSN = offer.DSN
	s.server.EnableREQUIRETLS = offer.RequireTLS && w.secure
	s.server.MaxMessageBytes = s.limit
	if s.server.EnableREQUIRETLS {
		w.extend("REQUIRETLS")
	}
	return s
}

// offer asks an upstream what it offers; of one that is away, what it last did.
func (r *Relay) offer(ctx context.Context, up *upstream.Upstream) upstream.Capabilities {
	ctx, cancel := context.WithTimeout(ctx, offerTimeout)
	defer cancel()
	offer, err := up.Capabilities(ctx)
	if err != nil {
		return r.absences.last(up.Name())
	}
	r.absences.met(up.Name(), offer)
	return offer
}

// smaller gives the smaller of two limits, where 0 is none.
func smaller(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// Mail begins a transaction. The upstream is asked when the first recipient is known.
func (s *session) Mail(from string, o *smtp.MailOptions) error {
	s.endExchange()
	if s.mail != nil {
		return s.answer("MAIL", s.mail, errNested)
	}
	var sender policy.Address
	if from != "" {
		var err error
		if sender, err = mailbox(from); err != nil {
			return s.answer("MAIL", nil, errBadSender)
		}
	}
	t := newTransaction(s, sender, o)
	return s.answer("MAIL", t, s.begin(t))
}

func (s *session) begin(t *transaction) error {
	switch e := &t.envelope; {
	case !s.trusted && s.login == "":
		return errRelayDenied
	case !e.Sender.IsASCII() && !e.UTF8:
		return errNeedsUTF8
	case !s.owns(e.Sender):
		return errNotOwner
	}
	if v := s.decide(policy.Submission{Stage: policy.StageMail, Envelope: &t.envelope}); refuses(v) {
		return denied(v)
	}
	s.setMail(t)
	s.peer.conn.Busy()
	return nil
}

// owns reports whether the client may use a sender address. Who did not authenticate is known by
// that address alone: it must be somebody's.
func (s *session) owns(sender policy.Address) bool {
	if s.settings.Config.Senders != SendersOwn {
		return true
	}
	d := s.settings.Directory
	if s.login == "" {
		return d.Find(sender.Key()) != nil
	}
	return d.Owns(d.Canonical(s.login, "", ""), sender)
}

// Rcpt gives the upstream's answer for a recipient.
func (s *session) Rcpt(to string, o *smtp.RcptOptions) error {
	s.endExchange()
	if s.wire.bare {
		to = "postmaster"
	}
	return s.answer("RCPT", s.mail, s.add(to, o))
}

func (s *session) add(to string, o *smtp.RcptOptions) error {
	t := s.mail
	if t == nil {
		return errInternal
	}
	recipient, err := newRecipient(to, o)
	if err != nil {
		return err
	}
	if !recipient.Address.IsASCII() && !t.envelope.UTF8 {
		return errNeedsUTF8
	}
	// The rules look at this recipient alone: at ten thousand, all of them each time would be
	// quadratic. All together are decided on at the end of the header.
	one := t.envelope
	one.Recipients = []policy.Recipient{recipient}
	v := s.decide(policy.Submission{Stage: policy.StageRcpt, Envelope: &one, Already: len(t.envelope.Recipients)})
	if refuses(v) {
		return denied(v)
	}
	up := s.settings.Router.Route(recipient.Address)
	if v.Action != policy.Discard { // sendgate's own address need not exist at the upstream
		if err := s.admitted(t, up, recipient); err != nil {
			return err
		}
	}
	t.add(recipient, up)
	// The library's limit is off by one (quirk test TestQuirkSizeLimit); content has the right one.
	s.server.MaxMessageBytes = 0
	return nil
}

// admitted asks the upstream about a recipient, whose answer is then ours.
func (s *session) admitted(t *transaction, up *upstream.Upstream, r policy.Recipient) error {
	reply, err := s.ask(t, up, r)
	switch {
	case errors.Is(err, upstream.ErrUnsafe):
		return errBadRecipient
	case err != nil:
		// Away. The client is trusted or has proved who it is: the message can wait here.
	case !reply.Positive():
		return passOn(reply)
	default:
		s.wire.sayInstead(wholeAnswer(reply))
	}
	return nil
}

// decide asks the rules.
func (s *session) decide(about policy.Submission) policy.Verdict {
	about.Time, about.Trusted = s.relay.clock(), s.trusted || s.login != ""
	return s.settings.Engine.Decide(s.ctx, about)
}

// answer is where every answer leaves a session.
func (s *session) answer(at string, t *transaction, err error) error {
	out := smtpError(err)
	var answer *smtp.SMTPError
	if errors.As(out, &answer) && answer.Code >= 400 {
		s.relay.metrics.refuse(answer.Code)
		s.logRefused(at, t, answer, err)
	}
	return out
}

// Reset ends the transaction.
func (s *session) Reset() {
	s.endExchange()
	s.endData()
	s.setMail(nil)
	s.server.MaxMessageBytes = s.limit
	s.peer.conn.Idle(func() { s.wire.hangUp(answerLeaving) })
}

// endData waits for the message that is being received, and calls it off if it has not ended: that is
// RSET between two chunks. go-smtp does not wait for its own goroutine, which could then give the
// answer for this message to the next one; closing the pipe is the last that it does.
func (s *session) endData() {
	s.mu.Lock()
	abort, chunks := s.abort, s.chunks
	s.chunks = nil
	s.mu.Unlock()
	if abort != nil {
		abort()
	}
	s.receiving.Wait()
	for chunks != nil {
		if _, err := chunks.Read(nil); err == io.ErrClosedPipe {
			return
		}
		runtime.Gosched()
	}
}

func (s *session) setMail(t *transaction) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mail = t
}

// Logout is told by the library, perhaps while Data runs.
func (s *session) Logout() error {
	s.cancel()
	return nil
}

// end waits for what is still running and closes the connections to the upstreams.
func (s *session) end() {
	s.cancel()
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	s.receiving.Wait()
	s.endExchange()
	for _, p := range s.probes {
		p.close()
	}
}
