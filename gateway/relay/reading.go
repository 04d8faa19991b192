package relay

import (
	"context"
	"fmt"
	"io"
	"runtime/debug"

	"github.com/sendgate/sendgate/policy"
	contents "github.com/sendgate/sendgate/policy/content"
	"go.uber.org/zap"
)

// An extractor reads a message that is written to it ([contents.Extractor]).
type extractor interface {
	io.Writer
	Close() contents.Content
}

// A reading is what the rules will see of a message's content, read while the message passes by. It
// never gets in the message's way: where the extractor panics there is no content.
type reading struct {
	extractor extractor // nil after a panic
	log       *zap.Logger
	id        policy.ID
	head      *beginning // nil where nobody asks for it
}

// read begins a reading; it is nil where nobody asks for content. The null sender's mail is left alone.
func (s *session) read(m *message) *reading {
	if !s.settings.Content || m.envelope.Sender == "" {
		return nil
	}
	r := &reading{extractor: s.relay.extract(), log: s.relay.log, id: m.id}
	if e := &m.envelope; s.settings.Head != nil && s.settings.Head(e.Recipients, e.Subject) {
		r.head = &beginning{}
	}
	return r
}

// Write takes everything and never fails.
func (r *reading) Write(p []byte) (int, error) {
	r.guard(func() { r.extractor.Write(p) })
	if r.head != nil {
		return r.head.Write(p)
	}
	return len(p), nil
}

// content ends the reading; nil is no content.
func (r *reading) content() (got *contents.Content) {
	r.guard(func() {
		c := r.extractor.Close()
		got = &c
	})
	return got
}

// guard ends the reading at a panic.
func (r *reading) guard(do func()) {
	if r.extractor == nil {
		return
	}
	defer func() {
		if v := recover(); v != nil {
			r.extractor = nil
			r.log.Error("panic while reading a message; the rules do not see its content",
				zap.Stringer("id", r.id), zap.Any("value", v), zap.ByteString("stack", debug.Stack()))
		}
	}()
	do()
}

// review asks the rules again about a message that has come to its end, now with its content, and puts
// both verdicts together. What the first one holds counts from here, however long the message took to
// arrive. An error is about the rules; a verdict may still refuse.
func (s *session) review(m *message) error {
	m.verdict = later(m.verdict, s.relay.clock().Sub(m.decided))
	if m.reading == nil {
		return nil
	}
	c := m.reading.content()
	if c == nil {
		return nil
	}
	v, err := s.decideContent(m, c)
	if err != nil {
		s.relay.log.Error("panic in a rule about content", zap.Stringer("id", m.id), zap.Error(err))
		return err
	}
	m.verdict = m.verdict.And(v)
	return nil
}

// decideContent turns a panic of the rules into an error: the library's answer to one (421 and the end
// of the connection) would leave behind what was kept of the message so far.
func (s *session) decideContent(m *message, c *contents.Content) (v policy.Verdict, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v\n%s", p, debug.Stack())
		}
	}()
	asked := policy.Submission{Stage: policy.StageContent, Envelope: &m.envelope, ID: m.id, Header: m.header.Values, Content: c}
	if h := m.reading.head; h != nil {
		asked.Head = h.octets
	}
	return s.decide(asked), nil
}

// confirm is the last step before the final dot of a message that is handed through: the rules see its
// content, and the journal learns that it is offered. What they want kept back cannot be any more. What was
// an instruction for sendgate ends here; the answer for that is an error, too.
func (s *session) confirm(ctx context.Context, m *message) error {
	if err := s.review(m); err != nil {
		return err
	}
	if m.verdict.Action == policy.Hold || m.verdict.Action == policy.Approval {
		m.verdict = tooLate(m.verdict)
	}
	switch {
	case refuses(m.verdict):
		return s.refuse(ctx, m)
	case m.verdict.Action == policy.Discard:
		if err := s.swallow(ctx, m); err != nil {
			return err
		}
		return s.swallowed(m)
	}
	return s.commitOffer(ctx, m)
}
