package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sendgate/sendgate/gateway/hold"
	"github.com/sendgate/sendgate/gateway/postfix"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/guard"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
)

const (
	// pullPause is when a message is asked for again that could not be pulled back.
	pullPause = 2 * time.Second
	// pullAtOnce is how many messages are pulled back at a time: the journal and the helper batch them.
	pullAtOnce = 64
	// pullAge is how old a message may be that is looked for in a queue: what lies longer was never tracked.
	pullAge = 10 * 24 * time.Hour
	// pullSuspensions is how many of the newest suspensions are looked through at the start.
	pullSuspensions = 1000
)

// A pullback puts up for approval what a suspended account has still held or queued for other organisations,
// all of it as one batch, whose id is that of the suspension in the journal. While the suspension is in
// force, what turns up later is pulled back, too: a message that was being accepted at that moment, or one
// whose delivery was under way and failed. What a person has approved stays approved.
type pullback struct {
	journal   *store.Store
	feed      *store.Subscription
	scheduler puller
	keeper    puller // nil without the milter
	cfg       hold.PullBackConfig
	external  func(policy.Address) bool // whom suspended accounts must not write to
	inForce   func(identity string) (guard.Suspension, bool)
	now       func() time.Time
	log       *zap.Logger

	open map[string]*incident // by identity; of run only
}

// A puller puts one message up for approval; hold.Scheduler is one, and postfix.Keeper.
type puller interface {
	PullBack(ctx context.Context, id policy.ID, concerns func(policy.Address) bool, request policy.Event) (recipients int, err error)
}

// run follows the journal until ctx ends.
func (p *pullback) run(ctx context.Context) error {
	p.open = map[string]*incident{}
	if p.cfg.After == hold.PullBackNever {
		return nil
	}
	records, failed := make(chan store.Record), make(chan error, 1)
	go func() {
		defer close(records)
		for {
			r, err := p.feed.Next(ctx)
			if err != nil {
				failed <- err
				return
			}
			select {
			case records <- r:
			case <-ctx.Done():
				failed <- nil
				return
			}
		}
	}()
	p.resume(ctx)
	tick := time.NewTicker(pullPause)
	defer tick.Stop()
	for {
		select {
		case r, ok := <-records:
			if !ok {
				if err := <-failed; ctx.Err() == nil && !errors.Is(err, store.ErrClosed) {
					return fmt.Errorf("follow the journal for suspensions: %w", err)
				}
				return nil
			}
			p.observe(ctx, &r)
		case <-tick.C:
			p.retry(ctx)
		}
	}
}

// resume goes on with the suspensions that are in force when the process starts.
func (p *pullback) resume(ctx context.Context) {
	ids, err := p.journal.Records(ctx, policy.Suspended, pullSuspensions, policy.ID{})
	for _, id := range ids {
		if err != nil {
			break
		}
		var records []store.Record
		if records, err = p.journal.Timeline(id); err != nil {
			break
		}
		for i := range records {
			for _, e := range records[i].Events {
				if s, ok := p.inForce(e.Subject); e.Kind == policy.Suspended && ok && s.Since.Equal(e.Time) {
					p.begin(ctx, id, e)
				}
			}
		}
	}
	if err != nil && ctx.Err() == nil {
		p.log.Error("mail of suspended senders may not have been pulled back", zap.Error(err))
	}
}

// observe takes up one record. Without a suspension in force it costs next to nothing.
func (p *pullback) observe(ctx context.Context, r *store.Record) {
	turned := false
	for _, e := range r.Events {
		switch e.Kind {
		case policy.Suspended:
			p.begin(ctx, r.Message, e)
		case policy.Unsuspended:
			delete(p.open, e.Subject)
		case policy.Accepted, policy.Held, policy.HoldChanged, policy.Deferred, policy.Queued, policy.Resent:
			turned = len(p.open) > 0
		}
	}
	if !turned {
		return
	}
	m, err := p.journal.Message(r.Message)
	if err != nil {
		return // it is no message's, or the journal fails for everybody
	}
	if in := p.open[m.Envelope.Identity]; in != nil && in.lasts(p.now()) {
		p.pull(ctx, in, []policy.ID{r.Message})
	}
}

// begin pulls back what there is when a suspension begins.
func (p *pullback) begin(ctx context.Context, batch policy.ID, e policy.Event) {
	if p.cfg.After == hold.PullBackAnomaly && !(&guard.Suspension{Author: e.Actor}).Automatic() {
		if in := p.open[e.Subject]; in != nil { // a person makes it longer, or shorter
			in.event.Until = e.Until
		}
		return
	}
	in := &incident{batch: batch, event: e, again: map[policy.ID]bool{}}
	if !in.lasts(p.now()) {
		return
	}
	p.open[e.Subject] = in
	found, err := p.find(ctx, e.Subject)
	if err != nil && ctx.Err() == nil {
		p.log.Error("mail of a suspended sender may not have been pulled back", zap.String("identity", e.Subject), zap.Error(err))
	}
	p.pull(ctx, in, found)
	p.log.Info(pulledKind, zap.String("identity", e.Subject), zap.Stringer("batch", batch), zap.Int("messages", in.messages),
		zap.Int("had_left", in.late), zap.Int("to_come", len(in.again)))
}

// find gives the messages of an identity that may wait somewhere.
func (p *pullback) find(ctx context.Context, identity string) (found []policy.ID, err error) {
	oldest := policy.ID{}
	_ = oldest.SetTime(uint64(p.now().Add(-pullAge).UnixMilli())) // fails after the year 10889
	for _, state := range []policy.State{policy.StateHeld, policy.StateApprovalPending, policy.StateQueued, policy.StateDeferred} {
		queued := state == policy.StateQueued || state == policy.StateDeferred
		var broken error
		err := p.journal.InState(ctx, state, func(id policy.ID) bool {
			if queued && id.Compare(oldest) < 0 {
				return true
			}
			m, err := p.journal.Message(id)
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				broken = err
				return false
			}
			if m.Envelope.Identity == identity && m.Envelope.Front != policy.Internal && !slices.Contains(found, id) {
				found = append(found, id)
			}
			return true
		})
		if err = errors.Join(err, broken); err != nil {
			return found, err
		}
	}
	return found, nil
}

// pull pulls messages back, and notes what has to be asked for again.
func (p *pullback) pull(ctx context.Context, in *incident, ids []policy.ID) {
	var group errgroup.Group
	group.SetLimit(pullAtOnce)
	for _, id := range ids {
		group.Go(func() error {
			n, err := p.one(ctx, in, id)
			in.note(id, n, err)
			if err != nil && !errors.Is(err, hold.ErrInFlight) && !errors.Is(err, postfix.ErrNotFound) && ctx.Err() == nil {
				p.log.Warn("a message of a suspended sender could not be pulled back yet", zap.Stringer("id", id), zap.Error(err))
			}
			return nil
		})
	}
	_ = group.Wait() // none fails
}

// one pulls a message back, from where it is.
func (p *pullback) one(ctx context.Context, in *incident, id policy.ID) (recipients int, err error) {
	m, err := p.journal.Message(id)
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	from := p.scheduler
	if m.Envelope.Front == policy.Milter && m.States[policy.StateHeld]+m.States[policy.StateApprovalPending] == 0 {
		if from = p.keeper; p.keeper == nil {
			return 0, nil
		}
	}
	return from.PullBack(ctx, id, p.external, in.request(p.now().Add(p.cfg.Expires)))
}

// retry asks again for what could not be pulled back.
func (p *pullback) retry(ctx context.Context) {
	for identity, in := range p.open {
		if !in.lasts(p.now()) {
			delete(p.open, identity)
			continue
		}
		ids := make([]policy.ID, 0, len(in.again))
		for id := range in.again {
			ids = append(ids, id)
		}
		p.pull(ctx, in, ids)
	}
}

// barred reports whether suspended accounts must not write to an address: neither colleagues nor who can help
// them.
func (g *Gateway) barred(a policy.Address) bool {
	cfg := g.loaded()
	return !g.bypass.lifts() && !cfg.Policy.IsInternal(a) && !slices.ContainsFunc(cfg.Anomaly.Suspension.Always, func(desk string) bool {
		return policy.Address(desk).Key() == a.Key()
	})
}

// openPullback builds what pulls mail back; the scheduler and the keeper are there already.
func (g *Gateway) openPullback(cfg *Config) {
	g.pullback = &pullback{
		journal: g.store, feed: g.store.Subscribe(0), scheduler: g.scheduler, cfg: cfg.Delivery.PullBack, external: g.barred,
		inForce: func(identity string) (guard.Suspension, bool) { return g.limits.Suspended(time.Now(), identity) },
		now:     time.Now, log: g.log.Named("mail"),
	}
	if g.keeper != nil {
		g.pullback.keeper = g.keeper
	}
}
