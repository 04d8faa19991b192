package gateway

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sendgate/sendgate/gateway/hold"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/guard"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
)

// A releaser lets go what a limit has held.
type releaser interface {
	ReleaseAdmitted(ctx context.Context, id policy.ID, charge *policy.Charge, findings []policy.Finding) error
}

// flows lets go what fits, again and again, until ctx ends. It does not keep the journal from being
// followed.
func (l *limits) flows(ctx context.Context, r releaser) {
	tick := time.NewTicker(flowPause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			l.flow(ctx, r)
		}
	}
}

// flow lets go what fits now, and once more what the journal did not take before.
func (l *limits) flow(ctx context.Context, r releaser) {
	again := l.unsent
	l.unsent = nil
	var group errgroup.Group
	group.SetLimit(flowCommits)
	var mu sync.Mutex
	for _, a := range append(again, l.Flow(l.now(), max(flowMost-len(again), 0))...) {
		a, goes := l.Going(a.ID)
		if !goes {
			continue // an event has said what became of it
		}
		group.Go(func() error {
			if l.letGo(ctx, r, &a) {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			l.unsent = append(l.unsent, a)
			return nil
		})
	}
	_ = group.Wait() // none fails
}

// letGo is false when it is to be tried again. Until then the message keeps what it took: if the
// scheduler lets it go first, it does so with the same charge.
func (l *limits) letGo(ctx context.Context, r releaser, a *guard.Admitted) bool {
	err := r.ReleaseAdmitted(ctx, a.ID, a.Charge, a.Findings)
	switch {
	case err == nil, errors.Is(err, hold.ErrNotHeld): // the event of who was quicker comes, or has come
		return true
	case errors.Is(err, store.ErrNotFound):
		l.Forget(l.now(), a.ID)
		return true
	}
	if ctx.Err() == nil {
		l.log.Info("a message that fits its limit again does not go yet", zap.Stringer("id", a.ID), zap.Error(err))
	}
	return false
}

// Admit tells the scheduler whether a message may go whose hold is over. What flow is about to let go goes
// at once, with the same charge.
func (l *limits) Admit(_ context.Context, m *store.Message) (policy.Verdict, bool) {
	if a, ok := l.Going(m.ID); ok {
		return policy.Verdict{Charge: a.Charge, Findings: a.Findings}, true
	}
	until, f, waits := l.Waits(m.ID)
	if !waits {
		return policy.Verdict{}, true
	}
	return policy.Verdict{Action: policy.Hold, Until: until, Shown: until, Rule: f.Rule, Findings: []policy.Finding{f}}, false
}
