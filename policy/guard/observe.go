package guard

import (
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/limit"
)

// Observe takes up an event. e is the envelope of its message with its recipients, nil when the event
// is about none. Events may come twice, and those of before a restart come again.
func (g *Guard) Observe(now time.Time, id policy.ID, e *policy.Envelope, ev policy.Event) {
	g.observe(now, id, e, ev, false)
}

// Recollect takes up once more an event that was observed long ago, in this process or before a snapshot, for
// what a message waits for. What its account did then is not counted again.
func (g *Guard) Recollect(now time.Time, id policy.ID, e *policy.Envelope, ev policy.Event) {
	g.observe(now, id, e, ev, true)
}

func (g *Guard) observe(now time.Time, id policy.ID, e *policy.Envelope, ev policy.Event, again bool) {
	if e == nil {
		g.administer(now, ev)
		return
	}
	if !concerned(e) {
		return
	}
	switch ev.Kind {
	case policy.Accepted, policy.Offered:
		f := facts{visible: -1}
		g.charge(now, id, ev.Charge)
		if ev.Charge == nil || len(ev.Charge.Amounts) == 0 { // nothing was taken of a limit
			g.await(id, e.Identity, &ev)
		}
		g.underReview(id, &ev)
		if !again {
			g.behaved(id, e, &ev, &f, g.count(id, e, ev))
		}
		g.learn(e, ev.Time, &f)
	case policy.Released, policy.Approved, policy.Held, policy.HoldChanged, policy.Refused, policy.NeverQueued, policy.Canceled, policy.Blocked:
		g.settle(now, id, e, ev)
		if ended(&ev, e) {
			g.reviewed(id, e, &ev, again)
		}
	case policy.Bounced, policy.AsyncBounced:
		if !again {
			g.bounced(id, e, &ev)
		}
	}
}

// ended reports whether a message does not wait for a person after an event.
func ended(ev *policy.Event, e *policy.Envelope) bool {
	switch ev.Kind {
	case policy.Held, policy.HoldChanged:
		return false
	case policy.Canceled, policy.Blocked:
		return ev.Recipients == nil || len(ev.Recipients) >= len(e.Recipients)
	}
	return true
}

// settle takes up an event that a message may have waited for. Flow does not take for it meanwhile.
func (g *Guard) settle(now time.Time, id policy.ID, e *policy.Envelope, ev policy.Event) {
	g.flowing.Lock()
	defer g.flowing.Unlock()
	switch ev.Kind {
	case policy.Released, policy.Approved:
		g.charge(now, id, ev.Charge)
		g.letGo(now, id, e, ev)
	case policy.Held, policy.HoldChanged:
		g.wait(now, id, e.Identity, &ev)
	case policy.Refused, policy.NeverQueued:
		g.leave(id)
		g.undo(id)
		g.counters.Release(now, id)
	case policy.Canceled, policy.Blocked:
		g.refund(now, id, e, ev)
	}
}

// charge makes what a message took permanent.
func (g *Guard) charge(now time.Time, id policy.ID, c *policy.Charge) {
	if c == nil {
		return
	}
	if !g.counters.Commit(id) {
		g.counters.Replay(now, id, takenOf(c))
	}
	for _, p := range c.Paces {
		g.counters.ReplayPace(limit.Paced{Rule: p.Rule, Key: p.Key, At: p.At, TAT: p.TAT})
	}
}

// letGo takes a message out of its queue. When a person let it go it counts all the same.
func (g *Guard) letGo(now time.Time, id policy.ID, e *policy.Envelope, ev policy.Event) {
	k := g.leave(id)
	// A release with a rule is the end of an approval that nobody gave.
	if ev.Charge != nil || k == nil && ev.Kind != policy.Approved && ev.Rule == "" {
		return
	}
	var demands []limit.Demand
	if k != nil && len(k.asks) > 0 {
		demands = k.demands()
	} else {
		demands, _ = g.demands(g.settings.Load(), &policy.Submission{Time: ev.Time, Envelope: e, ID: id, Trusted: true})
	}
	t := limit.Taken{At: ev.Time.UnixMilli(), First: id}
	for _, d := range demands {
		if d.Window > 0 {
			t.Amounts = append(t.Amounts, limit.Amount{Rule: d.Rule, Key: d.Key, Window: d.Window, Units: d.Amount})
		}
	}
	g.counters.Replay(now, id, t)
}

// undo takes a message out of its campaign.
func (g *Guard) undo(id policy.ID) {
	if g.index != nil {
		g.index.Undo(id)
	}
}

// learn makes the recipients known to the sender.
func (g *Guard) learn(e *policy.Envelope, at time.Time, f *facts) {
	all := g.settings.Load()
	for i, key := range f.keysOf(e) {
		if !f.isInternal(all, e, i) {
			g.people.Learn(e.Identity, key, at)
		}
	}
}

// Learn makes a recipient known to a sender, as old logs tell it.
func (g *Guard) Learn(identity string, recipient policy.Address, at time.Time) {
	g.people.Learn(identity, recipient.Key(), at)
}

// refund gives back what recipients took to whom the message does not go.
func (g *Guard) refund(now time.Time, id policy.ID, e *policy.Envelope, ev policy.Event) {
	all := ev.Recipients == nil || len(ev.Recipients) >= len(e.Recipients)
	if !all {
		var known bool
		if known, all = g.takenBack(now, id, e, &ev); known && !all {
			return
		}
	}
	if all {
		g.leave(id)
		g.undo(id)
		g.counters.Release(now, id)
		return
	}
	g.counters.Refund(now, id, ev.Time.UTC().Format(time.RFC3339Nano), g.amountsOf(id, e, ev.Time, ev.Recipients))
}

// amountsOf is what some recipients of a message took. Whether one was known to the sender can no longer be
// told.
func (g *Guard) amountsOf(id policy.ID, e *policy.Envelope, at time.Time, recipients []int) (amounts []limit.Amount) {
	part := *e
	part.Recipients = nil
	for _, i := range recipients {
		if i >= 0 && i < len(e.Recipients) {
			part.Recipients = append(part.Recipients, e.Recipients[i])
		}
	}
	demands, rules := g.demands(g.settings.Load(), &policy.Submission{Time: at, Envelope: &part, ID: id, Trusted: true})
	for i, d := range demands {
		if !whole(rules[i].Unit) && rules[i].Unit != policy.FirstTimeRecipients {
			amounts = append(amounts, limit.Amount{Rule: d.Rule, Key: d.Key, Window: d.Window, Units: d.Amount})
		}
	}
	return amounts
}

// administer takes up what a person did.
func (g *Guard) administer(now time.Time, ev policy.Event) {
	switch ev.Kind {
	case policy.Suspended, policy.Unsuspended:
		g.suspend(ev)
		g.judged(&ev)
	case policy.Login:
		g.signIn(&ev)
	case policy.Boosted, policy.Overridden:
		if ev.Kind == policy.Overridden && ev.Amount == 0 {
			g.counters.Revoke(ev.Rule, ev.Subject)
			return
		}
		_ = g.counters.Grant(limit.Grant{ // it was checked when it was given
			Rule: ev.Rule, Key: ev.Subject, Boost: ev.Kind == policy.Boosted, Amount: ev.Amount,
			Given: ev.Time, Until: ev.Until, Reason: ev.Reason, Author: ev.Actor,
		})
	case policy.CampaignDecided:
		_ = g.decideCampaign(ev) // of a campaign that is forgotten by now
	case policy.UsageReset:
		g.counters.Reset(ev.Time, ev.Rule, ev.Subject)
	}
}

// suspend begins or ends a suspension, unless a newer event has said otherwise.
func (g *Guard) suspend(ev policy.Event) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if ev.Time.Before(g.suspended[ev.Subject].Since) {
		return
	}
	s := suspensionOf(&ev)
	if ev.Kind == policy.Unsuspended {
		s.Until = ev.Time // over, and remembered: an older event comes again after a restart
	}
	g.suspended[ev.Subject] = s
}
