package alert

import (
	"context"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/sendgate/sendgate/policy"
)

// tell delivers notices as they come up, and does what is due.
func (d *Desk) tell(ctx context.Context) {
	t := time.NewTicker(tick)
	defer t.Stop()
	last := d.now()
	for ctx.Err() == nil {
		select {
		case <-t.C:
		case <-d.wake:
		case <-ctx.Done():
		}
		if d.advance() || d.now().Sub(last) >= keepEvery || ctx.Err() != nil {
			d.keepOrLog()
			last = d.now()
		}
		if d.deliver(ctx) {
			d.keepOrLog()
		}
	}
	d.keepOrLog()
}

func (d *Desk) keepOrLog() {
	if err := d.keep(); err != nil {
		d.log.Error("alerts could not be kept", zap.Error(err))
	}
}

// advance does what is due; it reports whether there is something new to deliver.
func (d *Desk) advance() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.book.advance(d.now())
	d.dirty = d.dirty || d.book.changed
	d.book.changed = false
	return slices.ContainsFunc(d.book.outbox, func(p parcel) bool { return p.failed.IsZero() })
}

// deliver hands on what is in the outbox. What fails stays there. It reports whether anything was tried.
func (d *Desk) deliver(ctx context.Context) (tried bool) {
	for _, p := range d.ready() {
		if ctx.Err() != nil {
			return tried
		}
		err := d.hand(ctx, p)
		d.mu.Lock()
		d.done(p, err)
		d.mu.Unlock()
		tried = true
	}
	return tried
}

// ready gives the parcels that are to be tried now.
func (d *Desk) ready() (list []parcel) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range d.book.outbox {
		if p.failed.IsZero() || d.now().Sub(p.failed) >= again {
			list = append(list, p)
		}
	}
	return list
}

func (d *Desk) hand(ctx context.Context, p parcel) error {
	switch p.To {
	case Hooks:
		d.post.Hook(p.Notice)
		return nil
	case Admins:
		d.mu.Lock()
		admins := d.book.settings.Admins
		d.mu.Unlock()
		if len(admins) == 0 {
			return nil
		}
		return d.post.Mail(ctx, p.ID, admins, p.Notice)
	}
	return d.post.Mail(ctx, p.ID, []policy.Address{policy.Address(p.To)}, p.Notice)
}

// done takes a parcel out of the outbox that was delivered or is given up.
func (d *Desk) done(p parcel, err error) {
	receiver := p.To
	if receiver != Admins && receiver != Hooks {
		receiver = "sender"
	}
	for i := range d.book.outbox {
		q := &d.book.outbox[i]
		if q.ID != p.ID {
			continue
		}
		now := d.now()
		if err != nil && now.Sub(p.Notice.Time) < giveUp {
			q.failed = now
			d.log.Warn("notice could not be written", zap.String("to", receiver), zap.Duration("again_in", again), zap.Error(err))
			return
		}
		outcome := "sent"
		if err != nil {
			outcome = "failed"
			d.log.Error("notice given up", zap.String("to", receiver), zap.String("incident", p.Notice.Incident), zap.Error(err))
		}
		d.notices.WithLabelValues(receiver, outcome).Inc()
		d.book.outbox = append(d.book.outbox[:i], d.book.outbox[i+1:]...)
		d.dirty = true
		return
	}
}
