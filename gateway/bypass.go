package gateway

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sendgate/sendgate/gateway/alert"
	"github.com/sendgate/sendgate/gateway/web"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

const (
	// bypassActor ends a bypass whose time is over.
	bypassActor = "timer"
	// restoreActor ends one that came back with a backup.
	restoreActor = "restore"
	// bypassRetry is when its end is written once more that the journal did not take.
	bypassRetry = 5 * time.Second
	// bypassRecords is how many of the newest bypasses are looked through at the start.
	bypassRecords = 5
)

// A bypassJournal is where the switch stands. [store.Store] is one.
type bypassJournal interface {
	NewID() policy.ID
	Commit(ctx context.Context, c store.Change) (revision uint64, err error)
	Records(ctx context.Context, kind policy.Kind, limit int, before policy.ID) ([]policy.ID, error)
	Timeline(id policy.ID) ([]store.Record, error)
	// Restored gives the last batch of the backup that this journal was made of, 0 for none.
	Restored() (batch uint64, err error)
}

// A bypass is the switch by which the rules hold and refuse nothing for a while. Its state is in the journal, in
// a timeline of its own, so that a restart changes nothing about it; its end is a time, so that nobody has to
// remember it. What the rules say all the same is in watching.
type bypass struct {
	journal bypassJournal
	raise   func(alert.Occurrence)
	now     func() time.Time
	log     *zap.Logger

	mu      sync.Mutex // who changes it
	current atomic.Pointer[bypassing]
	wake    chan struct{} // of one: the end has moved
}

// bypassing is a bypass that was begun and not ended yet. Its time may be over.
type bypassing struct {
	id          policy.ID // of its timeline
	since       time.Time
	until       time.Time
	ends        time.Time // the same by the clock that nobody sets: a clock that is set back prolongs nothing
	author      string
	reason      string
	suspensions bool
	restored    bool // it stood in a backup: who restores one wants the rules, unless he says otherwise
}

// over reports whether its time is over.
func (p *bypassing) over(now time.Time) bool {
	return p.restored || !now.Before(p.until) || !now.Before(p.ends)
}

// ender is who ends it when nobody else does.
func (p *bypassing) ender() string {
	if p.restored {
		return restoreActor
	}
	return bypassActor
}

// openBypass finds the bypass that the process before has left.
func openBypass(journal bypassJournal, raise func(alert.Occurrence), now func() time.Time, log *zap.Logger) (*bypass, error) {
	b := &bypass{journal: journal, raise: raise, now: now, log: log, wake: make(chan struct{}, 1)}
	ids, err := journal.Records(context.Background(), policy.BypassStarted, bypassRecords, policy.ID{})
	var backup uint64
	if err == nil {
		backup, err = journal.Restored()
	}
	for _, id := range ids {
		if err != nil {
			break
		}
		var left *bypassing
		if left, err = b.recall(id, backup); left != nil {
			b.current.Store(left)
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("find whether the rules are bypassed: %w", err)
	}
	if p, on := b.state(); on {
		log.Warn("the rules are bypassed since before the start", zap.Time("until", p.until), zap.String("actor", p.author), zap.String("reason", p.reason))
	}
	return b, nil
}

// recall reads a timeline; it is nil for one that has ended. What is not after the batch backup was restored.
func (b *bypass) recall(id policy.ID, backup uint64) (left *bypassing, err error) {
	records, err := b.journal.Timeline(id)
	if err != nil {
		return nil, err
	}
	for i := range records {
		for _, e := range records[i].Events {
			switch e.Kind {
			case policy.BypassStarted:
				since := e.Time
				if left != nil {
					since = left.since
				}
				now := b.now() // which may be before its begin
				left = &bypassing{
					id: id, since: since, until: e.Until, ends: now.Add(min(e.Until.Sub(now), e.Until.Sub(e.Time))), author: e.Actor, reason: e.Reason, suspensions: e.Rule == policy.BypassSuspensions,
					restored: records[i].Batch <= backup,
				}
			case policy.BypassEnded:
				left = nil
			}
		}
	}
	return left, nil
}

// state gives the bypass that is in force.
func (b *bypass) state() (bypassing, bool) {
	p := b.current.Load()
	if p == nil || p.over(b.now()) {
		return bypassing{}, false
	}
	return *p, true
}

// on is for the limits.
func (b *bypass) on() bool { _, on := b.state(); return on }

// lifts reports whether suspended accounts may send.
func (b *bypass) lifts() bool { p, on := b.state(); return on && p.suspensions }

// Bypass is the state for people.
func (b *bypass) Bypass() web.Bypass {
	p, on := b.state()
	return web.Bypass{On: on, Since: p.since, Until: p.until, Suspensions: p.suspensions, Author: p.author, Reason: p.reason}
}

// StartBypass bypasses the rules until a time, or moves that of a bypass that is in force.
func (b *bypass) StartBypass(ctx context.Context, until time.Time, suspensions bool, reason, actor string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	steady := b.now()
	now := steady.UTC().Truncate(time.Microsecond) // as the journal gives it back
	p := bypassing{
		id: b.journal.NewID(), since: now, until: until.UTC().Truncate(time.Microsecond), ends: steady.Add(until.Sub(steady)),
		author: actor, reason: reason, suspensions: suspensions,
	}
	if before, on := b.state(); on {
		p.id, p.since = before.id, before.since
	} else if before := b.current.Load(); before != nil {
		if err := b.conclude(ctx, before, before.ender(), ""); err != nil {
			return err
		}
	}
	e := policy.Event{Kind: policy.BypassStarted, Time: now, Actor: actor, Until: p.until, Reason: reason}
	if suspensions {
		e.Rule = policy.BypassSuspensions
	}
	if _, err := b.journal.Commit(ctx, store.Change{Message: p.id, Events: []policy.Event{e}}); err != nil {
		return fmt.Errorf("record the bypass: %w", err)
	}
	b.current.Store(&p)
	b.log.Warn("the rules are bypassed", zap.Time("until", p.until), zap.Bool("suspensions", suspensions), zap.String("actor", actor), zap.String("reason", reason))
	b.raise(alert.Occurrence{Kind: alert.Bypass, Subject: "gateway", Time: now, Until: p.until, Text: bypassBegan(&p)})
	select {
	case b.wake <- struct{}{}:
	default:
	}
	return nil
}

// EndBypass puts the rules in force again.
func (b *bypass) EndBypass(ctx context.Context, reason, actor string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.current.Load()
	if p == nil {
		return nil
	}
	return b.conclude(ctx, p, actor, reason)
}

// conclude writes down the end of a bypass.
func (b *bypass) conclude(ctx context.Context, p *bypassing, actor, reason string) error {
	at := b.now().UTC().Truncate(time.Microsecond)
	if p.until.Before(at) {
		at = p.until
	}
	if at.Before(p.since) { // the clock was set back
		at = p.since
	}
	_, err := b.journal.Commit(ctx, store.Change{Message: p.id, Events: []policy.Event{{Kind: policy.BypassEnded, Time: at, Actor: actor, Reason: reason}}})
	if err != nil {
		return fmt.Errorf("record the end of the bypass: %w", err)
	}
	b.current.Store(nil)
	b.log.Warn("the rules apply again", zap.String("actor", actor), zap.String("reason", reason))
	b.raise(alert.Occurrence{Kind: alert.Bypass, Subject: "gateway", Time: at, Ends: true})
	b.raise(alert.Occurrence{Kind: alert.BypassOver, Subject: "gateway", Time: at, Text: bypassOver(p, at, actor)})
	return nil
}

// run ends the bypass when its time is over, until ctx ends.
func (b *bypass) run(ctx context.Context) error {
	for {
		pause := bypassRetry
		p := b.current.Load()
		switch _, on := b.state(); {
		case p == nil:
			pause = web.MaxBypass
		case on:
			pause = min(max(p.until.Sub(b.now()), time.Millisecond), max(p.ends.Sub(b.now()), time.Millisecond), time.Minute) // the clock may be set
		default:
			if err := b.expire(ctx); err == nil {
				continue
			} else if ctx.Err() == nil && !errors.Is(err, store.ErrClosed) {
				b.log.Error("the rules apply again, which is not in the journal yet", zap.Error(err))
			}
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-b.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// expire ends a bypass unless somebody has begun it anew.
func (b *bypass) expire(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.current.Load()
	if _, on := b.state(); on || p == nil {
		return nil
	}
	return b.conclude(ctx, p, p.ender(), "")
}

// Collectors are the metrics of the switch.
func (b *bypass) Collectors() []prometheus.Collector {
	return []prometheus.Collector{prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "sendgate_bypass", Help: "1 while the rules are bypassed: nothing is held or refused by them.",
	}, func() float64 {
		if b.on() {
			return 1
		}
		return 0
	})}
}
