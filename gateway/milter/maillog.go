package milter

import (
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// The verbs of the mail log: one line for each decision. Neither subjects nor bodies, neither
// recipients nor credentials stand there.

func (s *session) logHeld(t *transaction, v policy.Verdict) {
	s.milter.log.Info("held", append(s.facts(t), zap.String("rule", v.Rule), zap.Time("until", v.Until),
		zap.Strings("shadow", v.Shadow))...)
}

func (s *session) logAwaits(t *transaction, v policy.Verdict) {
	s.milter.log.Info("approval_requested", append(s.facts(t), zap.String("rule", v.Rule), zap.String("reason", v.Reason),
		zap.Time("until", v.Until), zap.Strings("shadow", v.Shadow))...)
}

func (s *session) logPassed(t *transaction, v policy.Verdict) {
	s.milter.log.Info("passed", append(s.facts(t), zap.String("rule", v.Rule), zap.Strings("shadow", v.Shadow))...)
}

func (s *session) logDiscarded(t *transaction, v policy.Verdict) {
	s.milter.log.Info("discarded", append(s.facts(t), zap.String("rule", v.Rule), zap.String("reason", v.Reason))...)
}

// logReturned is about a message that came back.
func (s *session) logReturned(t *transaction) { s.milter.log.Info("returned", s.facts(t)...) }

func (s *session) logRefused(at string, t *transaction, r reply, reason string) {
	s.milter.log.Info("refused", append(s.facts(t), zap.String("at", at), zap.Stringer("reply", r),
		zap.String("reason", reason))...)
}

// logUndecided says which way on_error went.
func (s *session) logUndecided(t *transaction, way OnError, err error) {
	s.milter.log.Error("undecided", append(s.facts(t), zap.String("on_error", string(way)), zap.Error(err))...)
}

// noteLost is about mail that passed: it is on its way, but the journal does not know of it.
func (m *Milter) noteLost(c store.Change, err error) {
	m.metrics.lost.Inc()
	m.log.Error("a message passed unrecorded", zap.Stringer("id", c.Message), zap.Error(err))
}

func (s *session) facts(t *transaction) []zap.Field {
	fields := make([]zap.Field, 0, 12)
	fields = append(fields, zap.Stringer("client", s.client), zap.String("daemon", s.daemon))
	if t == nil {
		return fields
	}
	if t.id != (policy.ID{}) {
		fields = append(fields, zap.Stringer("id", t.id))
	}
	e := &t.envelope
	return append(fields, zap.String("queue_id", e.QueueID), zap.Stringer("sender", e.Sender),
		zap.Int("recipients", len(e.Recipients)), zap.String("login", e.Login))
}
