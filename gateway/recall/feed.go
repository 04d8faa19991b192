package recall

import (
	"context"
	"fmt"
	"iter"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// page is how many recalls are read at a time.
const page = 100

// recorded gives the ids of what was recorded as requested, newest first, from below one of them on.
func (e *Engine) recorded(ctx context.Context, before policy.ID) iter.Seq2[policy.ID, error] {
	return func(yield func(policy.ID, error) bool) {
		for {
			ids, err := e.Journal.Records(ctx, policy.RecallRequested, page, before)
			if err != nil {
				yield(policy.ID{}, fmt.Errorf("list recalls: %w", err))
				return
			}
			for _, id := range ids {
				if !yield(id, nil) {
					return
				}
			}
			if len(ids) < page {
				return
			}
			before = ids[len(ids)-1]
		}
	}
}

// listen lets jobs know what happens to their messages, until ctx ends.
func (e *Engine) listen(ctx context.Context) error {
	for {
		r, err := e.Feed.Next(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the journal: %w", err)
		}
		e.hear(&r)
	}
}

// news reports whether a kind of event may change what can be done for a recipient.
func news(k policy.Kind) bool {
	switch k {
	case policy.Released, policy.Approved: // what Postfix's helper was not there for: from now on the journal alone decides
		return true
	case policy.DeliveredMailbox, policy.RelayedRemote, policy.HandedOver, policy.Queued, policy.Deferred, policy.Expanded, policy.Bounced,
		policy.Expired, policy.AsyncBounced, policy.Blocked, policy.NeverQueued, policy.Unknown, policy.Dequeued:
		return true
	}
	return false
}

// hear passes on what was committed. A recall that nobody follows any more is taken up again when its message
// has been delivered after all.
func (e *Engine) hear(r *store.Record) {
	e.mu.Lock()
	var jobs []*job
	var asleep []policy.ID
	for id := range e.watched[r.Message] {
		if j := e.jobs[id]; j != nil {
			jobs = append(jobs, j)
		} else {
			asleep = append(asleep, id)
		}
	}
	e.mu.Unlock()
	for _, id := range asleep {
		if final(r.Events) {
			if j := e.wake(id); j != nil {
				jobs = append(jobs, j)
			}
		}
	}
	for _, j := range jobs {
		j.hear(r)
	}
}

// final reports whether one of the events says where a message came to.
func final(events []policy.Event) bool {
	for i := range events {
		switch events[i].Kind {
		case policy.DeliveredMailbox, policy.RelayedRemote, policy.Bounced, policy.AsyncBounced, policy.Expired:
			return true
		}
	}
	return false
}

// wake follows a job that had ended, for a while: to read it takes as long as it is large.
func (e *Engine) wake(id policy.ID) *job {
	j, err := e.load(id)
	if err == nil {
		err = e.fold(j)
	}
	if err != nil {
		e.Log.Error("a recall cannot be taken up again", zap.Stringer("recall", id), zap.Error(err))
		return nil
	}
	j.woken = e.now()
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.enrol(j)
}

// hear marks the rows that an event is about.
func (j *job) hear(r *store.Record) {
	j.mu.Lock()
	defer j.mu.Unlock()
	p := j.of[r.Message]
	for i := range r.Events {
		if p != nil && news(r.Events[i].Kind) {
			p.hear(&r.Events[i])
			j.rouse()
		}
	}
}

func (p *part) hear(ev *policy.Event) {
	switch {
	case ev.Member != "":
		p.members[ev.Member.Key()] = true
	case ev.Recipients == nil:
		p.all = true
		for i := range p.known {
			p.dirty[i] = true
		}
	}
	for _, i := range ev.Recipients {
		p.dirty[i] = true
	}
}
