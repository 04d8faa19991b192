package relay

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// A message is the content of a transaction on its way from the client.
type message struct {
	*transaction
	trace   string // our own Received line, and what the rules add
	verdict policy.Verdict
	header  *header
	body    *bufio.Reader
	content *content
	reading *reading // nil where nobody asks for content
	decided time.Time
	offered bool // the journal knows of it
}

// bodyBuffer is the piece in which a message is moved.
const bodyBuffer = 32 << 10

var bodyBuffers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, bodyBuffer) }}

// Data receives a message. What it returns is the answer; go-smtp drains the rest.
func (s *session) Data(r io.Reader) error {
	ctx, done, ok := s.beginData(r)
	if !ok {
		return s.answer("DATA", nil, errInternal)
	}
	defer done()
	body := bodyBuffers.Get().(*bufio.Reader)
	defer func() {
		body.Reset(nil)
		bodyBuffers.Put(body)
	}()
	m := &message{transaction: s.mail, content: &content{r: r, max: s.limit, bare: s.swallowedCR(r)}, body: body}
	m.body.Reset(m.content)
	err := s.take(ctx, m)
	s.hangUpAfter(err)
	return s.answer("DATA", m.transaction, err)
}

// swallowedCR tells whether go-smtp's reader of DATA left out a bare CR. Chunks are read as they are.
func (s *session) swallowedCR(r io.Reader) func() bool {
	if _, chunked := r.(*io.PipeReader); chunked {
		return nil
	}
	return func() bool { return s.wire.end.swallowed }
}

// beginData says that a message is being received. It must be ended by done.
func (s *session) beginData(r io.Reader) (ctx context.Context, done func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.mail == nil {
		return nil, nil, false
	}
	s.receiving.Add(1)
	s.chunks, _ = r.(*io.PipeReader)
	ctx, s.abort = context.WithCancel(s.ctx)
	return ctx, func() {
		s.mu.Lock()
		s.abort()
		s.abort = nil
		s.mu.Unlock()
		s.receiving.Done()
	}, true
}

// hangUpAfter closes the connection when a message did not come to its end. go-smtp would go on and
// take what is left of it for commands (quirk test TestQuirkTimeoutInData). RSET between chunks is
// no such end.
func (s *session) hangUpAfter(err error) {
	var broken *receiveError
	if !errors.As(err, &broken) || errors.Is(err, smtp.ErrDataReset) {
		return
	}
	lastWord := ""
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		lastWord = answerTimeout
	}
	s.wire.hangUp(lastWord)
}

// take reads the header, decides, and lets the message go where it belongs.
func (s *session) take(ctx context.Context, m *message) error {
	var err error
	if m.header, err = readHeader(m.body); err != nil {
		return err
	}
	if m.header.Count("Received") > s.settings.Config.MaxReceived {
		return errLoop
	}
	if err := s.stranger(m.header); err != nil {
		return err
	}
	m.decided = s.relay.clock()
	m.id = s.relay.journal.NewID()
	e := &m.envelope
	e.Received = m.decided
	e.Subject, e.From, e.MessageID = m.header.First("Subject"), m.header.First("From"), m.header.First("Message-ID")
	e.References = policy.References(m.header.Written("In-Reply-To"), m.header.Written("References"))
	if s.settings.Config.ReceivedHeader {
		m.trace = received(e, s.relay.hostname, m.id)
	}
	m.verdict = s.decide(policy.Submission{Envelope: e, ID: m.id, Header: m.header.Values})
	if refuses(m.verdict) {
		return s.refuse(ctx, m)
	}
	m.reading = s.read(m)
	seen := s.observe(m)
	if err = s.obey(ctx, m); !positive(err) && !errors.Is(err, errLostAtEnd) {
		s.settings.Engine.Forget(s.relay.clock(), m.id)
	}
	if seen != nil && positive(err) {
		s.settings.Reports(append(m.header.raw[:len(m.header.raw):len(m.header.raw)], seen.octets...))
	}
	return err
}

// positive reports whether the answer says that the message was accepted.
func positive(answer error) bool {
	var a *smtp.SMTPError
	return answer == nil || errors.As(answer, &a) && a.Code < 300
}

// observe keeps the beginning of a message from the null sender, which may be a delivery status
// notification, while it is read.
func (s *session) observe(m *message) *beginning {
	if s.settings.Reports == nil || m.envelope.Sender != "" {
		return nil
	}
	b := &beginning{}
	m.body = bufio.NewReaderSize(io.TeeReader(m.body, b), 4<<10)
	return b
}

// A beginning keeps the first octets of what is written to it.
type beginning struct{ octets []byte }

// maxBeginning is enough for the parts of a notification that matter.
const maxBeginning = 256 << 10

// Write never fails.
func (b *beginning) Write(p []byte) (int, error) {
	b.octets = append(b.octets, p[:min(len(p), maxBeginning-len(b.octets))]...)
	return len(p), nil
}

// writeTo moves the message: our lines, the header, the body. All but our lines is read for the rules.
// An error of w comes back as it is, one of the client's as content gives it.
func (m *message) writeTo(w io.Writer) error {
	if _, err := io.WriteString(w, m.trace); err != nil {
		return err
	}
	if m.reading != nil {
		w = io.MultiWriter(w, m.reading)
	}
	if _, err := w.Write(m.header.raw); err != nil {
		return err
	}
	_, err := m.body.WriteTo(w)
	return err
}

// note adds to the journal what is not worth refusing a message for when it fails.
func (s *session) note(ctx context.Context, m *message, e policy.Event) {
	e.Time, e.Actor = s.relay.clock(), actor
	c := store.Change{Message: m.id, Events: []policy.Event{e}}
	if e.Kind == policy.Refused && !m.offered {
		c.Envelope = &m.envelope
	}
	if _, err := s.relay.journal.Commit(context.WithoutCancel(ctx), c); err != nil {
		s.relay.log.Error("an event was not kept", zap.Stringer("id", m.id), zap.String("kind", string(e.Kind)), zap.Error(err))
	}
}

// actor is who acts in the events of the front.
const actor = "smtp"
