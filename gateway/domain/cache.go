package domain

import (
	"container/list"
	"time"
)

// Bounds of the time for which an answer is used, whatever its records say. What is refused is asked
// for again sooner: a domain may be new.
const (
	minKept      = 30 * time.Second
	maxKept      = time.Hour
	maxKeptNone  = 15 * time.Minute
	keptUnknown  = 30 * time.Second
	keptStale    = 24 * time.Hour // beyond its time, while it cannot be renewed
	staleRetryIn = 30 * time.Second
)

// kept says for how long a finding is used.
func (f finding) kept() time.Duration {
	switch {
	case f.state == Unknown:
		return keptUnknown
	case f.state.refused():
		return min(max(f.ttl, minKept), maxKeptNone)
	}
	return min(max(f.ttl, minKept), maxKept)
}

// An entry is an answer in the cache.
type entry struct {
	answer Answer
	fresh  time.Time // until then it is given at once
	stale  time.Time // until then it is given when there is nothing better
}

// cache keeps the answers that were asked for last. It has no lock of its own.
type cache struct {
	entries int
	byName  map[string]*list.Element
	order   *list.List // of *entry, the last used first
}

func newCache(entries int) *cache {
	return &cache{entries: entries, byName: map[string]*list.Element{}, order: list.New()}
}

// get gives what is stored for a domain, or nil.
func (c *cache) get(domain string) *entry {
	e := c.byName[domain]
	if e == nil {
		return nil
	}
	c.order.MoveToFront(e)
	return e.Value.(*entry)
}

// put stores an answer and forgets the one that was used longest ago.
func (c *cache) put(e *entry) {
	if old := c.byName[e.answer.Domain]; old != nil {
		old.Value = e
		c.order.MoveToFront(old)
		return
	}
	c.byName[e.answer.Domain] = c.order.PushFront(e)
	if c.order.Len() > c.entries {
		last := c.order.Remove(c.order.Back()).(*entry)
		delete(c.byName, last.answer.Domain)
	}
}
