package relay

import (
	"errors"

	"github.com/emersion/go-smtp"
	"github.com/sendgate/sendgate/policy"
	"go.uber.org/zap"
)

// The verbs of the mail log: one line for each decision. Neither subjects nor bodies, neither
// recipients nor credentials stand there, unless an upstream repeats an address in its answer.

func (s *session) logHeld(t *transaction, v policy.Verdict) {
	s.relay.log.Info("held", append(s.facts(t), zap.String("rule", v.Rule), zap.Time("until", v.Until),
		zap.Strings("shadow", v.Shadow))...)
}

func (s *session) logAwaits(t *transaction, v policy.Verdict) {
	s.relay.log.Info("approval_requested", append(s.facts(t), zap.String("rule", v.Rule), zap.String("reason", v.Reason),
		zap.Time("until", v.Until), zap.Strings("shadow", v.Shadow))...)
}

func (s *session) logDiscarded(t *transaction, v policy.Verdict) {
	s.relay.log.Info("discarded", append(s.facts(t), zap.String("rule", v.Rule), zap.String("reason", v.Reason))...)
}

func (s *session) logAccepted(t *transaction, reason string) {
	s.relay.log.Info("accepted", append(s.facts(t), zap.String("reason", reason))...)
}

func (s *session) logPassed(t *transaction, e policy.Event) {
	s.relay.log.Info("passed", append(s.facts(t), zap.String("outcome", string(e.Kind)),
		zap.String("upstream", e.Upstream), zap.String("queue_id", e.QueueID), zap.String("reply", e.Reply))...)
}

func (s *session) logRefused(at string, t *transaction, answer *smtp.SMTPError, err error) {
	fields := append(s.facts(t), zap.String("at", at), zap.Stringer("reply", replyOf(answer)))
	var d *denial
	if errors.As(err, &d) {
		fields = append(fields, zap.String("rule", d.rule), zap.String("reason", d.reason))
	}
	s.relay.log.Info("refused", fields...)
}

func (s *session) logAuthenticated(mechanism string) {
	s.relay.log.Info("authenticated", append(s.facts(nil), zap.String("mechanism", mechanism))...)
}

// facts are in every line, as far as they are known.
func (s *session) facts(t *transaction) []zap.Field {
	fields := make([]zap.Field, 0, 12)
	if t != nil && t.id != (policy.ID{}) {
		fields = append(fields, zap.Stringer("id", t.id))
	}
	if t != nil {
		fields = append(fields, zap.Stringer("sender", t.envelope.Sender), zap.Int("recipients", len(t.envelope.Recipients)),
			zap.Int64("size", t.envelope.Size))
	}
	return append(fields, zap.Stringer("client", s.peer.client), zap.String("login", s.login))
}
