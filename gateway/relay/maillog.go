package relay

import (
	"github.com/emersion/go-smtp"
	"github.com/sendgate/sendgate/policy"
	"go.uber.org/zap"
)

// The verbs of the mail log: one line for each decision. Neither subjects nor bodies, neither
// recipients nor credentials stand there.

func (s *session) logHeld(id policy.ID, e *policy.Envelope, v policy.Verdict) {
	s.relay.log.Info("held", append(s.facts(id, e), zap.String("rule", v.Rule), zap.Time("until", v.Until),
		zap.Strings("shadow", v.Shadow))...)
}

func (s *session) logAccepted(id policy.ID, e *policy.Envelope, reason string) {
	s.relay.log.Info("accepted", append(s.facts(id, e), zap.String("reason", reason))...)
}

func (s *session) logPassed(id policy.ID, e *policy.Envelope, event policy.Event) {
	s.relay.log.Info("passed", append(s.facts(id, e), zap.String("outcome", string(event.Kind)),
		zap.String("upstream", event.Upstream), zap.String("queue_id", event.QueueID), zap.String("reply", event.Reply))...)
}

// idNone stands for a message that has no id yet.
var idNone policy.ID

func (s *session) logRefused(at string, answer *smtp.SMTPError, e *policy.Envelope, reason string) {
	s.relay.log.Info("refused", append(s.facts(idNone, e), zap.String("at", at), zap.Int("code", answer.Code),
		zap.String("text", answer.Message), zap.String("reason", reason))...)
}

func (s *session) facts(id policy.ID, e *policy.Envelope) []zap.Field {
	fields := make([]zap.Field, 0, 12)
	if id != idNone {
		fields = append(fields, zap.Stringer("id", id))
	}
	if e != nil {
		fields = append(fields, zap.Stringer("sender", e.Sender), zap.Int("recipients", len(e.Recipients)),
			zap.Int64("size", e.Size))
	}
	return append(fields, zap.Stringer("client", s.peer.client), zap.String("login", s.login))
}
