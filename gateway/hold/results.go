package hold

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// A result is what recipients with the same outcome share.
type result struct {
	outcome Outcome
	until   time.Time
	expired bool
}

// results turns outcomes into events, one for all recipients that fared alike.
func (s *Scheduler) results(m *store.Message, recipients []store.Recipient, outcomes []Outcome) []policy.Event {
	ages, now := s.ages(m, recipients), s.now()
	type trial struct {
		attempts int
		age      time.Duration
	}
	next := map[trial]time.Time{} // what failed together stays together
	at := map[result]int{}
	var events []policy.Event
	for i, o := range outcomes {
		r := &recipients[i]
		key := result{outcome: o}
		if o.Kind == policy.Deferred {
			if key.expired = s.cfg.Retry.expired(ages[i]); !key.expired {
				t := trial{r.Attempts, ages[i]}
				if next[t].IsZero() {
					next[t] = s.cfg.Retry.next(now, t.age, t.attempts, rand.Float64())
				}
				key.until = next[t]
			}
		}
		if _, known := at[key]; !known {
			at[key] = len(events)
			events = append(events, s.event(key, s.eventTime(recipients)))
		}
		e := &events[at[key]]
		e.Recipients = append(e.Recipients, r.Index)
	}
	return events
}

func (s *Scheduler) event(r result, now time.Time) policy.Event {
	o := &r.outcome
	e := policy.Event{
		Kind: o.Kind, Time: now, Actor: actor, Until: r.until, Reply: o.Reply, Evidence: o.Evidence,
		QueueID: o.QueueID, Upstream: o.Upstream, MayBeDuplicate: o.MayBeDuplicate,
	}
	if r.expired {
		e.Kind = policy.Expired
		e.Reason = fmt.Sprintf("4.4.7 not delivered within %v", s.cfg.Retry.ExpireAfter)
	}
	return e
}

// eventTime is now, but not before what is known of the recipients: a wall clock that was set back
// must not make an observation look late and be passed over.
func (s *Scheduler) eventTime(recipients []store.Recipient) time.Time {
	now := s.now()
	for i := range recipients {
		if since := recipients[i].Since; since.After(now) {
			now = since
		}
	}
	return now
}

// A notice is about to be written to the sender.
type notice struct {
	about      string // "failed", "delayed" or "relayed"
	send       func(context.Context, store.Message, []store.Recipient) (policy.ID, []int, error)
	recipients []store.Recipient
}

// notices says what the sender may have to be told after an attempt.
func (s *Scheduler) notices(m *store.Message, after []store.Recipient, outcomes []Outcome) []notice {
	failed := notice{about: "failed", send: s.bouncer.Failed}
	delayed := notice{about: "delayed", send: s.bouncer.Delayed}
	relayed := notice{about: "relayed", send: s.bouncer.Relayed}
	ages := s.ages(m, after)
	for i := range after {
		r := &after[i]
		switch {
		case r.State == policy.StateBounced, r.State == policy.StateExpired:
			failed.recipients = append(failed.recipients, *r)
		case s.cfg.Retry.noticeDue(r, ages[i]):
			delayed.recipients = append(delayed.recipients, *r)
		case r.Due.IsZero() && !outcomes[i].ReportsSuccess && slices.Contains(r.Notify, "SUCCESS"):
			relayed.recipients = append(relayed.recipients, *r)
		}
	}
	return slices.DeleteFunc([]notice{failed, delayed, relayed}, func(n notice) bool { return len(n.recipients) == 0 })
}

// write writes the notice and gives the event that tells of it; nil when nobody wanted it.
func (n *notice) write(ctx context.Context, m *store.Message, now time.Time) (*policy.Event, error) {
	id, told, err := n.send(ctx, *m, n.recipients)
	if err != nil || len(told) == 0 {
		return nil, err
	}
	return &policy.Event{
		Kind: policy.Notified, Time: now, Actor: actor, Recipients: told, Reason: n.about, Evidence: id.String(),
	}, nil
}
