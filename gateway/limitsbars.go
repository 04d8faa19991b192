package gateway

import (
	"context"
	"sync"
	"time"

	"github.com/sendgate/sendgate/policy"
	"go.uber.org/zap"
)

const (
	// barPause is when a suspension is written once more that the journal did not take.
	barPause = time.Second
	// barLast is how long that is tried for the last time.
	barLast = 5 * time.Second
)

// Bars are suspensions that accounts brought on themselves and that the journal does not have yet. They are in
// force already, so that one that is lost with a crash comes back with the next message of its account.
type bars struct {
	mu   sync.Mutex
	list []policy.Event
	wake chan struct{} // of one
}

// add never waits: it is called while a message is decided on.
func (b *bars) add(e policy.Event) {
	b.mu.Lock()
	b.list = append(b.list, e)
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b *bars) take() (list []policy.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	list, b.list = b.list, nil
	return list
}

// writeBars commits suspensions until ctx ends, and what is left then.
func (l *limits) writeBars(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			last, end := context.WithTimeout(context.WithoutCancel(ctx), barLast)
			defer end()
			for _, e := range l.bars.take() {
				l.writeBar(last, e)
			}
			return
		case <-l.bars.wake:
		}
		failed := false
		for _, e := range l.bars.take() {
			if !l.writeBar(ctx, e) {
				l.bars.add(e)
				failed = true
			}
		}
		if failed {
			select {
			case <-ctx.Done():
			case <-time.After(barPause):
			}
		}
	}
}

// writeBar is false when it is to be tried again.
func (l *limits) writeBar(ctx context.Context, e policy.Event) bool {
	if err := l.act(ctx, e); err != nil {
		l.log.Error("a suspension is in force and not in the journal yet", zap.String("identity", e.Subject), zap.Error(err))
		return false
	}
	l.log.Warn("suspended", zap.String("identity", e.Subject), zap.Int64("nth", e.Amount), zap.Time("until", e.Until), zap.String("reason", e.Reason))
	return true
}
