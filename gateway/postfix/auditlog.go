package postfix

import (
	"go.uber.org/zap"
)

// An auditLog names everything that is done, by whom and to which messages. Its logger carries the
// caller.
type auditLog struct{ log *zap.Logger }

// acted writes a line for each outcome of a request.
func (l auditLog) acted(v verb, results []Result) {
	ids := map[Outcome][]string{}
	var order []Outcome
	for i := range results {
		o := results[i].Outcome
		if ids[o] == nil {
			order = append(order, o)
		}
		ids[o] = append(ids[o], results[i].ID)
	}
	for _, o := range order {
		l.log.Info(string(o), zap.String("verb", string(v)), zap.Int("messages", len(ids[o])),
			zap.Strings("queue_ids", ids[o]))
	}
	for i := range results {
		if results[i].Outcome == Failed {
			l.log.Error("cannot "+string(v), zap.String("queue_id", results[i].ID), zap.String("reason", results[i].Text))
		}
	}
}

func (l auditLog) listed(messages int) {
	l.log.Info("listed", zap.String("verb", string(verbList)), zap.Int("messages", messages))
}

func (l auditLog) refused(err error) { l.log.Warn("refused", zap.Error(err)) }

// trouble is for the operator: something could not be done.
func (l auditLog) trouble(v verb, err error) { l.log.Error("cannot "+string(v), zap.Error(err)) }
