package alert

import (
	"context"
	"errors"
	"sync"

	"go.uber.org/zap"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// Run takes up what the feed brings and tells people, until ctx ends or the feed fails. In the end
// everything is kept. Its error is that of the feed; the end of ctx is none.
func (d *Desk) Run(ctx context.Context, feed Feed) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var teller sync.WaitGroup
	teller.Go(func() { d.tell(ctx) })
	err := d.follow(ctx, feed)
	ended := ctx.Err() != nil
	cancel()
	teller.Wait()
	if ended {
		return nil
	}
	return err
}

// follow reads the feed.
func (d *Desk) follow(ctx context.Context, feed Feed) error {
	for {
		r, err := feed.Next(ctx)
		if err != nil {
			return err
		}
		d.observe(r)
	}
}

// observe takes up a record, unless it was taken up before.
func (d *Desk) observe(r store.Record) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r.Batch < d.batch || r.Batch == d.batch && r.Position <= d.position && r.Batch > 0 {
		return
	}
	d.batch, d.position, d.dirty = r.Batch, r.Position, true
	waited := d.waited(&r)
	if !waited && !anyTelling(r.Events) {
		return
	}
	var e *policy.Envelope
	var pending int
	switch m, err := d.journal.Message(r.Message); {
	case err == nil:
		e, pending = &m.Envelope, m.States[policy.StateApprovalPending]
	case !errors.Is(err, store.ErrNotFound): // what a person does is about no message
		d.log.Error("alert lost: its message cannot be read", zap.Stringer("id", r.Message), zap.Error(err))
		return
	}
	if waited && pending == 0 { // else it still waits for some recipients
		d.settle(&r, e)
	}
	for _, o := range d.people.Occurrences(r.Message, e, r.Events) {
		d.raise(o)
	}
}

func anyTelling(events []policy.Event) bool {
	for i := range events {
		if telling(&events[i]) {
			return true
		}
	}
	return false
}

// settles reports whether an event ends the wait for an approval, and whether the timer did it rather
// than a person.
func settles(ev *policy.Event) (ends, expired bool) {
	switch ev.Kind {
	case policy.Released, policy.Approved, policy.Canceled, policy.Blocked, policy.Bounced, policy.Expired, policy.NeverQueued:
		return true, ev.Actor == timer || ev.Kind == policy.Expired
	}
	return false, false
}

// timer is the actor of what happens by itself.
const timer = "hold"

// waited reports whether a record ends the wait of a message for an approval.
func (d *Desk) waited(r *store.Record) bool {
	for i := range r.Events {
		if ends, _ := settles(&r.Events[i]); ends {
			return d.book.awaits(r.Message) != nil
		}
	}
	return false
}

// settle takes a message that no longer waits out of its incident.
func (d *Desk) settle(r *store.Record, e *policy.Envelope) {
	in := d.book.awaits(r.Message)
	for i := range r.Events {
		ends, expired := settles(&r.Events[i])
		if !ends {
			continue
		}
		if expired {
			d.raise(d.people.expired(in, r.Message, e, r.Events[i].Kind, r.Events[i].Time))
		}
		d.book.decided(d.now(), in, r.Message)
		return
	}
}
