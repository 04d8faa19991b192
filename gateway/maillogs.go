package gateway

import (
	"context"

	"github.com/sendgate/sendgate/gateway/maillog"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// A mailLog is the mail log with its feed.
type mailLog struct {
	*maillog.Log
	feed  *store.Subscription
	voice *zap.Logger // for fronts and timers: what they say of mail goes there
	log   *zap.Logger
}

func openMailLog(cfg *Config, journal *store.Store, known *facts, log *zap.Logger) (*mailLog, error) {
	l, err := maillog.New(cfg.Log.Mail, cfg.Hostname, journal, known, log)
	if err != nil {
		return nil, err
	}
	feed, err := subscribeFrom(journal, l.Begin())
	if err != nil {
		return nil, err
	}
	return &mailLog{l, feed, log.WithOptions(zap.WrapCore(l.Tap)), log}, nil
}

// run writes lines until ctx ends. Whatever happens to the mail log, mail goes on.
func (l *mailLog) run(ctx context.Context) error {
	if err := l.Run(ctx, l.feed); err != nil {
		l.log.Error("there is no mail log until the next start; what is missing is written then", zap.Error(err))
	}
	return nil
}

// ReopenLogs opens files again that were rotated away.
func (g *Gateway) ReopenLogs() { g.mailLog.Reopen() }
