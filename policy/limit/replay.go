package limit

import (
	"time"

	"github.com/sendgate/sendgate/policy"
)

// Replay repeats from the journal what a message took. What is known already is only committed.
func (c *Counters) Replay(now time.Time, id policy.ID, t Taken) {
	if t.First == (policy.ID{}) {
		t.First = id
	}
	set := c.idBit(id) | c.idBit(t.First) | c.retryBit(t.Retry)
	asks := make([]ask, len(t.Amounts))
	for i, a := range t.Amounts {
		asks[i] = ask{rule: c.rules.id(a.Rule), bit: c.bit(a.Key)}
		set |= asks[i].bit
	}
	h, set := c.lockHolding(set, func() *holding { return c.named(id, t) })
	defer c.unlock(set)
	c.sweep(c.shard(c.idBit(id)), now.UnixMilli())
	if h != nil {
		c.join(h, id, t.At)
		c.close(h)
		return
	}
	counted := t.Retry != (Fingerprint{}) && now.UnixMilli() < t.At+retryTime.Milliseconds()
	for i, a := range t.Amounts {
		counted = c.replay(now.UnixMilli(), t.At, &asks[i], a) || counted
	}
	if counted {
		c.remember(id, t, asks, 0)
	}
}

// named gives the holding of a message from the journal, if it is known.
func (c *Counters) named(id policy.ID, t Taken) *holding {
	if h := c.message(id); h != nil {
		return h
	}
	for _, h := range []*holding{c.message(t.First), c.retried(t.Retry, t.At)} {
		if h != nil && h.first[0] == t.First {
			return h
		}
	}
	return nil
}

// replay counts one amount, and reports false when its window has passed.
func (c *Counters) replay(now, at int64, a *ask, amount Amount) bool {
	width := subWidth(amount.Window)
	if at+span(width) <= now || amount.Window <= 0 || amount.Units <= 0 {
		return false
	}
	a.width, a.amount, a.subject = width, min(amount.Units, MaxAmount), c.subject(amount.Key)
	if a.subject.resetAt(a.rule) >= at {
		return true
	}
	w := a.subject.window(a.rule, width)
	if w.width != width {
		w.rebucket(at, width)
	}
	w.add(at, a.amount)
	return true
}
