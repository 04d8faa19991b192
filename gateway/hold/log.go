package hold

import (
	"slices"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// maxLogged bounds the recipients that one line names.
const maxLogged = 20

// A mailLog writes the mail log: one line for each decision or change of state, all of its verbs here.
type mailLog struct{ log *zap.Logger }

// verbs of the results of an attempt.
var verbs = map[policy.Kind]string{
	policy.HandedOver: "delivered", policy.DeliveredMailbox: "delivered", policy.RelayedRemote: "delivered",
	policy.Deferred: "deferred", policy.Bounced: "bounced", policy.Expired: "expired", policy.Notified: "notified",
	policy.Blocked: "blocked", policy.Queued: "let_go", policy.NeverQueued: "never_queued", policy.Unknown: "unknown",
}

func message(m *store.Message, more ...zap.Field) []zap.Field {
	fields := []zap.Field{
		zap.Stringer("id", m.ID), zap.Stringer("sender", m.Envelope.Sender),
	}
	if m.Envelope.QueueID != "" {
		fields = append(fields, zap.String("queue_id", m.Envelope.QueueID))
	}
	return append(fields, more...)
}

// letGo writes "released" or "approved".
func (l mailLog) letGo(m *store.Message, e *policy.Event) {
	l.log.Info(string(e.Kind), message(m, zap.String("actor", e.Actor))...)
}

func (l mailLog) holdChanged(m *store.Message, until time.Time, who string) {
	l.log.Info("hold_changed", message(m, zap.Time("until", until), zap.String("actor", who))...)
}

func (l mailLog) canceled(m *store.Message, recipients []store.Recipient, reason, who string) {
	l.log.Info("canceled", message(m, addresses(recipients, nil), zap.String("reason", reason), zap.String("actor", who))...)
}

func (l mailLog) pulledBack(m *store.Message, recipients []store.Recipient, e *policy.Event) {
	l.log.Info("pulled_back", message(m, addresses(recipients, nil), zap.String("batch", e.Subject), zap.String("reason", e.Reason))...)
}

func (l mailLog) resent(m *store.Message, recipients []store.Recipient, reason, who string) {
	l.log.Info("resent", message(m, addresses(recipients, nil), zap.String("reason", reason), zap.String("actor", who))...)
}

func (l mailLog) unknown(m *store.Message, reason string) {
	l.log.Warn("unknown", message(m, zap.String("reason", reason))...)
}

// results writes a line for each event of an attempt.
func (l mailLog) results(m *store.Message, recipients []store.Recipient, events []policy.Event) {
	for i := range events {
		e := &events[i]
		fields := message(m, addresses(recipients, e.Recipients))
		for _, f := range [][2]string{
			{"upstream", e.Upstream}, {"next_queue_id", e.QueueID}, {"reply", e.Reply}, {"reason", e.Reason},
		} {
			if f[1] != "" {
				fields = append(fields, zap.String(f[0], f[1]))
			}
		}
		if !e.Until.IsZero() {
			fields = append(fields, zap.Time("until", e.Until))
		}
		if e.MayBeDuplicate {
			fields = append(fields, zap.Bool("may_be_duplicate", true))
		}
		l.log.Info(verbs[e.Kind], fields...)
	}
}

// addresses names recipients: those with an index in only, all when it is nil.
func addresses(recipients []store.Recipient, only []int) zap.Field {
	var named []string
	for i := range recipients {
		if only != nil && !slices.Contains(only, recipients[i].Index) {
			continue
		}
		if named = append(named, recipients[i].Address.String()); len(named) == maxLogged {
			named = append(named, "...")
			break
		}
	}
	return zap.Strings("recipients", named)
}

// trouble is for the operator: something could not be done.
func (l mailLog) trouble(id policy.ID, what string, err error) {
	l.log.Error("cannot "+what, zap.Stringer("id", id), zap.Error(err))
}
