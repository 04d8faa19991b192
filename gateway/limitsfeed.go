package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// catchUp observes what the journal has.
func (l *limits) catchUp(ctx context.Context) error {
	last := l.store.LastBatch()
	for {
		r, ok, err := l.feed.NextUpTo(ctx, last)
		if err = errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		if !ok {
			l.seen, l.begun = last, last
			return nil
		}
		l.observe(&r)
	}
}

// observe takes up one record.
func (l *limits) observe(r *store.Record) {
	l.seen, l.begun = r.Batch-1, r.Batch // there may be more of this batch
	if l.tail > 0 && uncharged(r.Events) {
		l.recollect(r.Message)
	}
	l.takeUp(r, l.Observe)
}

// uncharged reports whether a message goes and has taken nothing with that: if it waited, it counts now.
func uncharged(events []policy.Event) bool {
	return slices.ContainsFunc(events, func(e policy.Event) bool {
		return (e.Kind == policy.Released || e.Kind == policy.Approved) && e.Charge == nil
	})
}

// recollect takes up what happened to a message before the snapshot, which does not have what waits.
func (l *limits) recollect(id policy.ID) {
	records, err := l.store.Timeline(id)
	if err != nil {
		l.log.Error("a message that was let go may not have been counted", zap.Stringer("id", id), zap.Error(err))
		return
	}
	for i := range records {
		if records[i].Batch <= l.tail {
			l.takeUp(&records[i], l.Recollect)
		}
	}
}

// takeUp hands a record to the rules. Most are of no interest, and cost no look at the message.
func (l *limits) takeUp(r *store.Record, observe func(time.Time, policy.ID, *policy.Envelope, policy.Event)) {
	if !l.ofInterest(r) {
		return
	}
	e, err := l.envelope(r)
	if err != nil {
		l.log.Error("an event was not counted", zap.Stringer("id", r.Message), zap.Error(err))
		return
	}
	if e != nil {
		l.past.observe(e, r.Events)
	}
	for _, ev := range r.Events {
		observe(l.now(), r.Message, e, ev)
	}
}

// envelope gives that of the message with its recipients: a new message comes with it. It is nil when the
// record is about no message.
func (l *limits) envelope(r *store.Record) (*policy.Envelope, error) {
	if r.Envelope != nil {
		return r.Envelope, nil
	}
	e, err := l.store.Envelope(r.Message)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return e, err
}

// ofInterest reports whether an event of a record means anything to the rules. The end of a usual hold does
// not, and is what happens to nearly every message.
func (l *limits) ofInterest(r *store.Record) bool {
	return interesting(r.Events) || slices.ContainsFunc(r.Events, isReleased) && l.Keeps(r.Message)
}

func isReleased(e policy.Event) bool { return e.Kind == policy.Released }

// interesting reports whether events mean anything to the rules, whatever message they are about.
func interesting(events []policy.Event) bool {
	for i := range events {
		switch e := &events[i]; e.Kind {
		case policy.Accepted, policy.Offered, policy.Canceled, policy.Blocked, policy.NeverQueued, policy.Refused,
			policy.Suspended, policy.Unsuspended, policy.Boosted, policy.Overridden, policy.UsageReset, policy.CampaignDecided,
			policy.Bounced, policy.AsyncBounced, policy.Login:
			return true
		case policy.Released:
			if e.Charge != nil || e.Rule != "" {
				return true
			}
		case policy.Held, policy.HoldChanged, policy.Approved:
			if e.Charge != nil || len(e.Findings) > 0 || e.Kind != policy.Held {
				return true
			}
		}
	}
	return false
}

// findWaiting puts back into its queue what a limit holds, and remembers what waits for a person: it
// counts when it goes.
func (l *limits) findWaiting(ctx context.Context) error {
	var held []policy.ID
	note := func(id policy.ID) bool {
		held = append(held, id)
		return true
	}
	err := l.store.InState(ctx, policy.StateHeld, note)
	if err == nil {
		err = l.store.InState(ctx, policy.StateApprovalPending, note)
	}
	for _, id := range held {
		if err != nil {
			break
		}
		var records []store.Record
		if records, err = l.store.Timeline(id); err == nil {
			for i := range records {
				l.takeUp(&records[i], l.Recollect)
			}
		}
	}
	if err != nil {
		return fmt.Errorf("find the mail that waits for limits: %w", err)
	}
	return nil
}

// run follows the journal, lets go what fits, and saves the memory, until ctx ends.
func (l *limits) run(ctx context.Context, r releaser) error {
	records := make(chan store.Record)
	failed := make(chan error, 1)
	go func() {
		defer close(records)
		for {
			record, err := l.feed.Next(ctx)
			if err != nil {
				failed <- err
				return
			}
			select {
			case records <- record:
			case <-ctx.Done():
				failed <- nil
				return
			}
		}
	}()
	whileFollowed, end := context.WithCancel(ctx)
	flows := make(chan struct{})
	go func() { defer close(flows); l.flows(whileFollowed, r) }()
	written := make(chan struct{})
	go func() { defer close(written); l.writeBars(whileFollowed) }()
	err := l.follow(ctx, records, failed)
	end()
	<-flows
	<-written
	l.saveOrLog()
	return err
}

// follow observes what is read, and saves the memory.
func (l *limits) follow(ctx context.Context, records <-chan store.Record, failed <-chan error) error {
	save := time.NewTicker(savePause)
	defer save.Stop()
	for {
		select {
		case record, ok := <-records:
			if !ok {
				err := <-failed
				if ctx.Err() != nil || errors.Is(err, store.ErrClosed) {
					return nil
				}
				return fmt.Errorf("follow the journal for the limits: %w", err)
			}
			l.observe(&record)
		case ask := <-l.asks:
			ask()
		case <-save.C:
			l.saveOrLog()
		}
	}
}
