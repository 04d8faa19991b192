package limit

import (
	"container/list"
	"slices"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// A holding is what a message and its retries took. Whoever changes it has locked every shard in mask;
// one of them is enough for reading.
type holding struct {
	first   [1]policy.ID // the message that took it
	ids     []policy.ID  // all that share it and were not released
	at      int64        // ms
	lease   int64        // until when it waits for Commit, in ms; 0 once committed
	forget  int64        // when everything has left its window
	mask    uint64
	items   []item
	refunds []string // keys of the refunds that were made
	element *list.Element
}

// An item is an amount in one window.
type item struct {
	subject ref
	rule    uint32
	amount  int64
}

// remember keeps what a message took. In the journal the first attempt can be another one.
func (c *Counters) remember(id policy.ID, t Taken, asks []ask, lease int64) {
	h := &holding{
		first: [1]policy.ID{t.First}, at: t.At, lease: lease, forget: lease,
		mask:  c.idBit(id) | c.idBit(t.First) | c.retryBit(t.Retry),
		items: make([]item, 0, len(t.Amounts)),
	}
	if h.ids = h.first[:]; id != t.First {
		h.ids = []policy.ID{id}
	}
	for _, a := range asks {
		if a.width == 0 || a.amount == 0 {
			continue
		}
		h.items = append(h.items, item{a.subject.ref, a.rule, a.amount})
		h.mask |= a.bit
		h.forget = max(h.forget, t.At+span(a.width))
	}
	c.shard(c.idBit(id)).messages[id] = h
	if t.Retry != (Fingerprint{}) {
		retries := c.shard(c.retryBit(t.Retry)).retries
		if old := retries[t.Retry]; old == nil || old.at <= h.at || len(old.ids) == 0 {
			retries[t.Retry] = h
		}
	}
	if lease > 0 {
		c.open(h, lease)
	}
}

// taken is what is left of a holding, for the journal.
func (c *Counters) taken(h *holding, retry Fingerprint) Taken {
	t := Taken{At: h.at, Retry: retry, First: h.first[0]}
	for _, it := range h.items {
		s := c.find(it.subject)
		if s == nil {
			continue
		}
		if w := s.find(it.rule); w != nil {
			window := time.Duration(w.width) * Subs * time.Millisecond
			t.Amounts = append(t.Amounts, Amount{Rule: c.rules.name(it.rule), Key: s.key, Window: window, Units: it.amount})
		}
	}
	return t
}

// lockHolding locks a set of shards and finds a holding in them. The set that it returns is locked and
// has every shard of the holding.
func (c *Counters) lockHolding(set uint64, find func() *holding) (*holding, uint64) {
	for {
		c.lock(set)
		h := find()
		if h == nil || h.mask&^set == 0 {
			return h, set
		}
		mask := h.mask
		c.unlock(set)
		set |= mask
	}
}

// message gives what a message holds. Its shard is locked.
func (c *Counters) message(id policy.ID) *holding { return c.shard(c.idBit(id)).messages[id] }

// shared gives what a retry may share, or nil.
func (c *Counters) shared(f Fingerprint, ms int64) *holding {
	h := c.retried(f, ms)
	if h != nil && f.weak() && (ms >= h.at+weakTime.Milliseconds() || len(h.ids) >= weakMost) {
		return nil
	}
	return h
}

// retried gives what the first attempt of a retry took, or nil.
func (c *Counters) retried(f Fingerprint, ms int64) *holding {
	if f == (Fingerprint{}) {
		return nil
	}
	if h := c.shard(c.retryBit(f)).retries[f]; h != nil && h.reusable(ms) {
		return h
	}
	return nil
}

// lockMessage locks what a message holds.
func (c *Counters) lockMessage(id policy.ID) (*holding, uint64) {
	return c.lockHolding(c.idBit(id), func() *holding { return c.message(id) })
}

// reusable reports whether a retry may share the holding.
func (h *holding) reusable(ms int64) bool {
	return len(h.ids) > 0 && len(h.refunds) == 0 && ms < h.at+retryTime.Milliseconds()
}

// join lets one more message share a holding, and renews its lease.
func (c *Counters) join(h *holding, id policy.ID, ms int64) {
	if !slices.Contains(h.ids, id) {
		h.ids = append(h.ids, id)
		h.mask |= c.idBit(id)
	}
	c.shard(c.idBit(id)).messages[id] = h
	if h.lease > 0 {
		c.close(h)
		c.open(h, ms+c.cfg.Lease.Milliseconds())
	}
}

// Commit makes what a message took permanent. It is false when the lease ran out meanwhile, or the
// message is unknown: Replay what it took then.
func (c *Counters) Commit(id policy.ID) bool {
	h, set := c.lockMessage(id)
	defer c.unlock(set)
	if h == nil {
		return false
	}
	c.close(h)
	return true
}

// Release gives back everything that a message took; of a shared reservation, when the last message
// is released. It is false when the message is not remembered.
func (c *Counters) Release(now time.Time, id policy.ID) bool {
	h, set := c.lockMessage(id)
	defer c.unlock(set)
	if h == nil {
		return false
	}
	delete(c.shard(c.idBit(id)).messages, id)
	h.ids = slices.DeleteFunc(slices.Clone(h.ids), func(other policy.ID) bool { return other == id })
	if len(h.ids) == 0 {
		c.giveBack(h, now.UnixMilli())
	}
	return true
}

// giveBack returns all that is left of a holding and ends it.
func (c *Counters) giveBack(h *holding, ms int64) {
	for _, id := range h.ids {
		delete(c.shard(c.idBit(id)).messages, id)
	}
	for _, it := range h.items {
		if s := c.find(it.subject); s != nil {
			s.giveBack(it.rule, h.at, it.amount, ms)
		}
	}
	h.ids, h.items = nil, nil
	c.close(h)
}

// Refund gives back a part of what a message took: of each amount, at most what is left of it. The key
// names the refund: a second one with the same key does nothing. It is false then, when the message is
// not remembered, and when a retry shares what it took, for that was sent nevertheless.
func (c *Counters) Refund(now time.Time, id policy.ID, key string, amounts []Amount) bool {
	h, set := c.lockMessage(id)
	defer c.unlock(set)
	if h == nil || len(h.ids) > 1 || slices.Contains(h.refunds, key) {
		return false
	}
	h.refunds = append(h.refunds, key)
	for _, a := range amounts {
		c.refund(h, c.rules.id(a.Rule), a.Key, max(a.Units, 0), now.UnixMilli())
	}
	return true
}

func (c *Counters) refund(h *holding, rule uint32, key string, units, ms int64) {
	for i := range h.items {
		it := &h.items[i]
		if s := c.find(it.subject); it.rule == rule && s != nil && s.key == key {
			n := min(units, it.amount)
			s.giveBack(rule, h.at, n, ms)
			it.amount -= n
			units -= n
		}
	}
}
