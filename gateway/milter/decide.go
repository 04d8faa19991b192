package milter

import (
	"context"
	"fmt"
	"mime"
	"slices"

	gomilter "github.com/emersion/go-milter"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// actor is who acts in the events of the front.
const actor = "smtp"

// begin takes MAIL.
func (s *session) begin(from string, m *gomilter.Modifier) reply {
	s.mail = s.newTransaction(from, m.Macros["{auth_authen}"], m.Macros["{mail_addr}"])
	s.mail.signedIn(m.Macros["{auth_type}"])
	s.note(m)
	if !s.asked(s.mail, gomilter.OptNoMailReply) {
		return reply{}
	}
	r := s.early("MAIL", policy.Submission{Stage: policy.StageMail, Envelope: &s.mail.envelope})
	if r.refuses() {
		s.mail = nil
		s.wire.Idle(nil)
	}
	return r
}

// recipient takes RCPT.
func (s *session) recipient(to string, m *gomilter.Modifier) reply {
	fallback := m.Macros["{rcpt_addr}"]
	s.note(m)
	t := s.mail
	if t == nil || !t.outbound() {
		s.overhear(t, to, fallback)
		return reply{}
	}
	address, err := s.address(to, fallback)
	if err != nil {
		t.failure = fmt.Errorf("recipient: %w", err)
		return reply{}
	}
	if s.asked(t, gomilter.OptNoRcptReply) {
		// The rules look at this recipient alone: at ten thousand, all of them each time would be
		// quadratic. All together are decided on at the end.
		one := t.envelope
		one.Recipients = []policy.Recipient{{Address: address}}
		about := policy.Submission{Stage: policy.StageRcpt, Envelope: &one, Already: len(t.envelope.Recipients)}
		if r := s.early("RCPT", about); r.refuses() {
			return r
		}
		if len(t.envelope.Recipients) >= t.settings.Config.MaxRecipients {
			s.milter.metrics.refuse(replyNoMore.code)
			return replyNoMore
		}
	}
	t.add(address)
	return reply{}
}

// asked reports whether the rules are to be asked before the end of the message: when they may
// refuse there and an answer is possible.
func (s *session) asked(t *transaction, silent gomilter.OptProtocol) bool {
	return t.outbound() && t.failure == nil && t.settings.Needs.Envelope && !s.terms.silent(silent)
}

// early asks the rules about what is known so far. Only a refusal counts.
func (s *session) early(at string, about policy.Submission) reply {
	ctx, cancel := context.WithTimeout(s.wire.Context(), decideTime)
	defer cancel()
	t := s.mail
	about.Time, about.Trusted = s.milter.clock(), true
	v := t.settings.Engine.Decide(ctx, about)
	if v.Action != policy.Reject && v.Action != policy.Defer {
		return reply{}
	}
	r := replyTo(v)
	s.milter.metrics.refuse(r.code)
	s.logRefused(at, t, r, v.Rule+": "+v.Reason)
	return r
}

// end decides on a message.
func (s *session) end(m *gomilter.Modifier) reply {
	s.note(m)
	t := s.mail
	if t == nil {
		return s.undecided(nil, errNoMessage)
	}
	if t.report != nil {
		t.settings.Reports(t.report.raw)
	}
	if !t.outbound() {
		t.tell(s.milter.clock())
		s.milter.metrics.saw("inbound")
		return reply{}
	}
	ctx, cancel := context.WithTimeout(s.wire.Context(), decideTime)
	defer cancel()
	t.complete(s.milter, s.terms.sizes())
	switch {
	case t.refusal.refuses():
		return t.refusal
	case t.tooMany:
		return s.refuse(ctx, t, replyTooMany, policy.Verdict{Rule: "max_recipients", Reason: "more recipients than one message may have"})
	case t.failure != nil:
		return s.undecided(t, t.failure)
	case s.returned(ctx, t):
		return reply{}
	}
	t.id, t.decided = s.milter.journal.NewID(), true
	return s.obey(ctx, t, t.settings.Engine.Decide(ctx, policy.Submission{
		Time: t.envelope.Received, Envelope: &t.envelope, ID: t.id, Digest: t.digest(), Trusted: true, Header: t.header.Values,
		Content: t.reading.content(), Head: t.reading.beginning(),
	}), m)
}

// refuse answers with a refusal and notes it.
func (s *session) refuse(ctx context.Context, t *transaction, r reply, v policy.Verdict) reply {
	if t.id == (policy.ID{}) {
		t.id = s.milter.journal.NewID()
	}
	s.milter.notes.add(ctx, s.change(t, policy.Event{
		Kind: policy.Refused, Rule: v.Rule, Reason: v.Reason, Reply: r.String(), Findings: v.Findings,
	}))
	s.milter.metrics.saw("refused")
	s.milter.metrics.refuse(r.code)
	s.logRefused("end of message", t, r, v.Rule+": "+v.Reason)
	return r
}

// pass lets a message go on at once.
func (s *session) pass(ctx context.Context, t *transaction, v policy.Verdict, m *gomilter.Modifier) reply {
	s.addFields(t, v.Tags, m)
	s.milter.notes.add(ctx, s.change(t,
		accepted(v),
		policy.Event{Kind: policy.Queued, Rule: v.Rule},
	))
	s.milter.metrics.saw("passed")
	s.logPassed(t, v)
	return reply{}
}

// change is the first one of a message.
func (s *session) change(t *transaction, events ...policy.Event) store.Change {
	for i := range events {
		e := &events[i]
		e.Time, e.Actor = t.envelope.Received, actor
		e.QueueID, e.Upstream = t.envelope.QueueID, s.host
	}
	return store.Change{Message: t.id, Envelope: &t.envelope, Events: events}
}

// addFields adds to the header what is configured. Nothing is sent before the answer, so it cannot
// fail.
func (s *session) addFields(t *transaction, tags []policy.Field, m *gomilter.Modifier) {
	if !s.terms.adds() {
		return
	}
	for _, f := range tags {
		if fieldName.MatchString(f.Name) {
			_ = m.AddHeader(f.Name, mime.QEncoding.Encode("utf-8", f.Value)) // RFC 2047
		}
	}
	if k := s.milter.keyed; k != nil {
		_ = m.AddHeader(k.name, k.value(t.id))
	}
	if e := &t.envelope; t.settings.Config.AddMessageID && e.MessageID == "" {
		e.MessageID = "<" + t.id.String() + "@" + s.milter.hostname + ">"
		_ = m.AddHeader("Message-ID", e.MessageID)
	}
}

// returned reports whether a message was here before, and links it to what is known of it. The id
// header is not believed from people, who could copy it to be neither held nor counted.
func (s *session) returned(ctx context.Context, t *transaction) bool {
	k := s.milter.keyed
	if k == nil || t.envelope.Login != "" {
		return false
	}
	id, ok := k.find(t.header.Values(k.name), t.envelope.Received)
	if !ok {
		return false
	}
	t.id = id
	s.milter.notes.add(ctx, store.Change{Message: id, Events: []policy.Event{{
		Kind:       policy.Queued,
		Time:       t.envelope.Received,
		Actor:      actor,
		Recipients: s.milter.same(id, t.envelope.Recipients),
		Reason:     "the message came back",
		Evidence:   fmt.Sprintf("%s: %s from client %s", k.name, k.value(id), addressText(s.client)),
		QueueID:    t.envelope.QueueID,
		Upstream:   s.host,
		Key:        "returned " + s.host + " " + t.envelope.QueueID,
	}}})
	s.milter.metrics.saw("returned")
	s.logReturned(t)
	return true
}

// same gives the indexes of the recipients that a message has had before; nil, all of them, when it
// has none of these or cannot be read.
func (m *Milter) same(id policy.ID, now []policy.Recipient) (indexes []int) {
	before, err := m.journal.Recipients(id)
	if err != nil {
		m.log.Debug("recipients of a message that came back", zap.Stringer("id", id), zap.Error(err))
		return nil
	}
	keys := make(map[string]bool, len(now))
	for _, r := range now {
		keys[r.Address.Key()] = true
	}
	for i := range before {
		if keys[before[i].Address.Key()] {
			indexes = append(indexes, before[i].Index)
		}
	}
	if len(indexes) == len(before) {
		return nil
	}
	return slices.Clip(indexes)
}

// undecided is the answer where we could not do our part. The message stays as it was.
func (s *session) undecided(t *transaction, err error) reply {
	s.wire.drop()
	settings := s.milter.settings.Load()
	if t != nil {
		settings = t.settings
	}
	if t != nil && !t.outbound() {
		return reply{}
	}
	if t != nil && t.decided {
		t.settings.Engine.Forget(s.milter.clock(), t.id)
	}
	s.milter.metrics.saw("undecided")
	s.logUndecided(t, settings.Config.OnError, err)
	if settings.Config.OnError == OnErrorAccept {
		return reply{}
	}
	r := replyError(err)
	s.milter.metrics.refuse(r.code)
	return r
}
