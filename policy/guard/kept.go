package guard

import (
	"maps"
	"slices"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/limit"
)

// notedMost is how long a message is noted that nobody has accepted since the decision.
const notedMost = time.Hour

// A kept message is one that a limit keeps back, for room or for a person, from the decision until the
// event is observed that lets it go or ends it. It counts when it goes, whoever lets it go.
type kept struct {
	sender   string
	line     policy.Finding // that decided
	asks     []limit.Demand // of the moment of the decision: it cannot be measured again
	since    time.Time
	earliest time.Time      // the end of its usual hold: until then it can be taken back
	noted    time.Time      // of the decision, until the journal has the message
	queued   bool           // it waits for room
	going    *Admitted      // Flow has let it go
	gone     map[int]bool   // recipients from whom it was taken back
	lost     []limit.Amount // what they asked
}

// keptBy gives what keeps a message back by these findings, or nil.
func keptBy(findings []policy.Finding) *kept {
	k := &kept{}
	decided := false
	for i := range findings {
		switch f := &findings[i]; {
		case f.Kind == "hold":
			k.earliest = f.Next
		case f.Decided && (f.Kind == "limit" || f.Kind == "failure") && (f.Action == policy.Hold || f.Action == policy.Approval):
			k.line, decided = *f, true
		}
	}
	if !decided {
		return nil
	}
	for i := range findings {
		if f := &findings[i]; f.Kind == "limit" && f.Action != policy.Pace && f.Window > 0 && f.Asked > 0 {
			k.asks = append(k.asks, limit.Demand{
				Rule: f.Rule, Key: f.Key, Window: f.Window, Limit: f.Limit, Amount: f.Asked, Hard: keepsBack(f.Action), Shadow: f.Shadow,
			})
		}
	}
	return k
}

// note remembers a message that a limit will hold, so that nobody lets it go before its event was observed.
func (g *Guard) note(now time.Time, id policy.ID, sender string, findings []policy.Finding) {
	k := keptBy(findings)
	k.sender, k.since, k.noted = sender, now, now
	g.mu.Lock()
	defer g.mu.Unlock()
	g.kept[id] = k
}

// dropNoted forgets what was never accepted nor refused.
func (g *Guard) dropNoted(now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if since := now.Sub(g.swept); since >= 0 && since < time.Minute {
		return
	}
	g.swept = now
	for id, k := range g.kept {
		if !k.noted.IsZero() && now.Sub(k.noted) > notedMost {
			delete(g.kept, id)
		}
	}
}

// keep takes up by an event what keeps a message back. What is known of it stays, for the first event has
// all findings. It is nil when no limit does.
func (g *Guard) keep(id policy.ID, sender string, ev *policy.Event) *kept {
	found := keptBy(ev.Findings)
	if found == nil {
		return nil
	}
	found.sender, found.since = sender, ev.Time
	k := g.kept[id]
	if k == nil {
		k = found
		g.kept[id] = k
	}
	if !found.earliest.IsZero() {
		k.earliest = found.earliest // counted from the end of the message
	}
	k.noted = time.Time{}
	return k
}

// await remembers a message that is accepted and takes nothing yet.
func (g *Guard) await(id policy.ID, sender string, ev *policy.Event) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.keep(id, sender, ev)
}

// wait puts a message that a limit holds into its queue. One whose end a person has set leaves it: it goes
// then, and counts.
func (g *Guard) wait(now time.Time, id policy.ID, sender string, ev *policy.Event) {
	g.mu.Lock()
	k := g.keep(id, sender, ev)
	if k == nil {
		k = g.kept[id]
		g.mu.Unlock()
		if k != nil && ev.Kind == policy.HoldChanged {
			g.dequeue(now, id)
		}
		return
	}
	if k.going != nil || k.line.Action != policy.Hold {
		g.mu.Unlock()
		return
	}
	g.mu.Unlock()
	g.enqueue(id)
}

// entry is what stands in the queue for a message.
func (k *kept) entry(id policy.ID) (limit.Entry, limit.Line) {
	l := limit.Line{
		Rule: k.line.Rule, Key: k.line.Key, Window: k.line.Window, Asked: k.line.Asked, Limit: k.line.Limit, Next: k.line.Next, Hard: true,
	}
	return limit.Entry{ID: id, Sender: k.sender, Since: k.since, Demands: k.demands()}, l
}

// dequeue takes a message out of its queue that is still kept, and gives back what Flow took for it.
func (g *Guard) dequeue(now time.Time, id policy.ID) {
	g.mu.Lock()
	taken := false
	if k := g.kept[id]; k != nil {
		k.queued, taken, k.going = false, k.going != nil, nil
	}
	g.mu.Unlock()
	g.waiting.Remove(id)
	if taken {
		g.counters.Release(now, id)
	}
}

// admitted notes that a message goes; false when it is not kept any more.
func (g *Guard) admitted(a *Admitted) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	k := g.kept[a.ID]
	if k == nil || !k.queued {
		return false
	}
	k.queued, k.going = false, a
	return true
}

// Going gives what Flow has let go, until that is observed. Whoever is first lets it go with this charge.
func (g *Guard) Going(id policy.ID) (Admitted, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if k := g.kept[id]; k != nil && k.going != nil {
		return *k.going, true
	}
	return Admitted{}, false
}

// Keeps reports whether a message waits for room or for a person. Of one that does not, an event that lets
// it go changes nothing, unless it brings a charge or the rule of an approval that nobody gave.
func (g *Guard) Keeps(id policy.ID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.kept[id] != nil || g.reviews[id]
}

// early reports whether the usual hold of a message is not over.
func (g *Guard) early(now time.Time, id policy.ID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	k := g.kept[id]
	return k != nil && now.Before(k.earliest)
}

// leave forgets a message, and gives what was known of it: nil when no limit kept it back.
func (g *Guard) leave(id policy.ID) *kept {
	g.mu.Lock()
	k := g.kept[id]
	delete(g.kept, id)
	g.mu.Unlock()
	if k != nil {
		g.waiting.Remove(id)
	}
	return k
}

// demands is what is left to ask.
func (k *kept) demands() []limit.Demand {
	asks := slices.Clone(k.asks)
	for i := range asks {
		for _, a := range k.lost {
			if asks[i].Rule == a.Rule && asks[i].Key == a.Key {
				asks[i].Amount = max(asks[i].Amount-a.Units, 0)
			}
		}
	}
	return asks
}

// takenBack notes recipients from whom a message was taken back that is still kept, and lets the rest
// queue anew; ended when nobody is left.
func (g *Guard) takenBack(now time.Time, id policy.ID, e *policy.Envelope, ev *policy.Event) (known, ended bool) {
	g.mu.Lock()
	k := g.kept[id]
	if k == nil {
		g.mu.Unlock()
		return false, false
	}
	if k.gone == nil {
		k.gone = map[int]bool{}
	}
	for _, i := range ev.Recipients {
		k.gone[i] = true
	}
	gone := slices.Sorted(maps.Keys(k.gone))
	g.mu.Unlock()
	if len(gone) >= len(e.Recipients) {
		return true, true
	}
	lost := g.amountsOf(id, e, ev.Time, gone)
	g.mu.Lock()
	k.lost = lost
	waits := k.queued || k.going != nil
	g.mu.Unlock()
	if waits {
		g.dequeue(now, id)
		g.enqueue(id)
	}
	return true, false
}

// enqueue puts a message into its queue.
func (g *Guard) enqueue(id policy.ID) {
	g.mu.Lock()
	k := g.kept[id]
	if k == nil {
		g.mu.Unlock()
		return
	}
	k.queued = true
	entry, line := k.entry(id)
	g.mu.Unlock()
	g.waiting.Add(entry, line)
}
