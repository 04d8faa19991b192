package hold

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// attempt is the work of a lane: it tries once to deliver a message to one upstream. What came of it
// is committed by a goroutine of its own, so that the worker goes on and the journal batches many
// results into one write; maxSettling bounds them.
func (s *Scheduler) attempt(ctx context.Context, upstream string, t *task) {
	s.flights.begin(t.id)
	v, err := s.current(t)
	if err != nil {
		s.landed(t, 0, err)
		return
	}
	d := s.delivery(v, upstream, t)
	if len(d.Recipients) == 0 {
		s.landed(t, 0, nil)
		return
	}
	s.metrics.lag.Observe((s.clock() - t.at).Seconds())
	answered := s.sender.Deliver(ctx, d)
	if len(answered) == 0 {
		s.mu.Lock()
		t.pause = pauseAfterError
		s.mu.Unlock()
		s.landed(t, 0, nil)
		return
	}
	outcomes := complete(answered, len(d.Recipients))
	for i := range outcomes {
		if outcomes[i].sent() && s.suspect(t, &d.Recipients[i]) {
			outcomes[i].MayBeDuplicate = true
		}
	}
	s.settling <- struct{}{}
	s.settlers.Go(func() {
		ended, err := s.settle(ctx, &v.message, d.Recipients, outcomes)
		<-s.settling
		s.landed(t, ended, err)
	})
}

// landed ends an attempt in which so many recipients came to an end. An error means that the journal
// failed.
func (s *Scheduler) landed(t *task, ended int, err error) {
	s.flights.end(t.id)
	if err != nil {
		s.log.trouble(t.id, "deliver", err)
	}
	s.mu.Lock()
	t.lanes--
	t.left -= ended
	last, pause := t.lanes == 0, t.pause
	s.mu.Unlock()
	switch {
	case !last:
	case pause > 0:
		s.finishAt(t, pause)
	default:
		s.finish(t)
	}
}

// current gives what the journal knows of the message; nothing that matters can have changed since
// the snapshot, or Cancel would have dropped it.
func (s *Scheduler) current(t *task) (*snapshot, error) {
	s.mu.Lock()
	v := t.snapshot
	s.mu.Unlock()
	if v != nil {
		return v, nil
	}
	return s.read(t.id)
}

// delivery picks the recipients of one upstream that are due.
func (s *Scheduler) delivery(v *snapshot, upstream string, t *task) Delivery {
	id := v.message.ID
	d := Delivery{
		ID: id, Envelope: &v.message.Envelope, Upstream: upstream,
		Open: func() (io.ReadCloser, error) { return s.journal.BodyOf(&v.message) },
	}
	limit, counted := s.limit(&v.message), 0
	for i := range v.recipients {
		r := &v.recipients[i]
		if r.Counted() {
			counted++
		}
		if !deliverable(r, limit) || s.sender.Upstream(&v.message.Envelope, r.Address) != upstream {
			continue
		}
		d.Recipients = append(d.Recipients, *r)
		d.MayBeDuplicate = d.MayBeDuplicate || r.MayBeDuplicate || s.suspect(t, r)
	}
	d.Partial = len(d.Recipients) < counted
	return d
}

// suspect reports whether an attempt for the recipient may have been under way when the last process
// died: no record is written when an attempt begins.
func (s *Scheduler) suspect(t *task, r *store.Recipient) bool {
	return t.loaded && (r.State == policy.StateQueued || !r.Due.After(s.wall))
}

// sent reports whether the attempt may have sent the message. To let go twice what an MTA holds sends
// nothing twice.
func (o *Outcome) sent() bool {
	return o.Kind != policy.Queued && o.Kind != policy.NeverQueued && o.Kind != policy.Unknown
}

// complete gives exactly one outcome for each recipient, each of a kind that an attempt can have.
func complete(outcomes []Outcome, recipients int) []Outcome {
	all := make([]Outcome, recipients)
	copy(all, outcomes)
	for i := range all {
		switch all[i].Kind {
		case policy.HandedOver, policy.DeliveredMailbox, policy.RelayedRemote, policy.Queued, policy.Deferred, policy.Bounced,
			policy.NeverQueued, policy.Unknown:
		default:
			all[i].Kind = policy.Deferred
		}
	}
	return all
}

// settle writes the notices for the sender, then commits the results with what was notified. In
// this order a crash in between can repeat a notice, never lose one.
func (s *Scheduler) settle(ctx context.Context, m *store.Message, recipients []store.Recipient, outcomes []Outcome) (ended int, err error) {
	events := s.results(m, recipients, outcomes)
	after := apply(recipients, events)
	for _, n := range s.notices(m, after, outcomes) {
		err := s.persist(ctx, m.ID, func() error {
			e, err := n.write(ctx, m, s.eventTime(recipients))
			if e != nil {
				events = append(events, *e)
			}
			return err
		})
		if err != nil {
			return 0, fmt.Errorf("write notice: %w", err)
		}
	}
	err = s.persist(ctx, m.ID, func() error {
		_, err := s.journal.Commit(ctx, store.Change{Message: m.ID, Events: events, Patient: true})
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("commit results: %w", err)
	}
	s.metrics.count(outcomes)
	s.log.results(m, recipients, events)
	for i := range after {
		if after[i].Due.IsZero() {
			ended++
		}
	}
	return ended, nil
}

// apply gives the recipients as they are after the events.
func apply(recipients []store.Recipient, events []policy.Event) []store.Recipient {
	after := make([]store.Recipient, len(recipients))
	at := make(map[int]*store.Recipient, len(recipients))
	for i, r := range recipients {
		after[i] = r
		at[r.Index] = &after[i]
	}
	for _, e := range events {
		for _, i := range e.Recipients {
			at[i].Fate = at[i].Fate.Apply(e)
		}
	}
	return after
}

// persist repeats what failed because the journal could not write. Giving up would mean to deliver
// again what was delivered, so it ends only with ctx or the journal.
func (s *Scheduler) persist(ctx context.Context, id policy.ID, write func() error) error {
	for pause := time.Second; ; pause = min(2*pause, 30*time.Second) {
		err := write()
		if err == nil || errors.Is(err, store.ErrClosed) || ctx.Err() != nil {
			return err
		}
		s.log.trouble(id, "write to the journal, trying again", err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
	}
}
