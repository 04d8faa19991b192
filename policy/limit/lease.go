package limit

import (
	"math"
	"time"
)

// open puts a holding at the end of the list of leases.
func (c *Counters) open(h *holding, lease int64) {
	c.leases.Lock()
	defer c.leases.Unlock()
	h.lease, h.forget = lease, max(h.forget, lease)
	h.element = c.leases.open.PushBack(h)
	if c.leases.open.Len() == 1 {
		c.nextLease.Store(lease)
	}
}

// close takes a holding from the list of leases, if it is there.
func (c *Counters) close(h *holding) {
	c.leases.Lock()
	defer c.leases.Unlock()
	if h.element != nil {
		c.leases.open.Remove(h.element)
		h.lease, h.element = 0, nil
	}
}

// expire gives back every reservation whose lease has run out.
func (c *Counters) expire(ms int64) { c.dropOpen(ms, ms) }

// ReleaseReserved gives back every reservation that was not committed, after a restart.
func (c *Counters) ReleaseReserved(now time.Time) { c.dropOpen(math.MaxInt64, now.UnixMilli()) }

// dropOpen gives back the reservations with a lease until then.
func (c *Counters) dropOpen(until, ms int64) {
	for next := c.nextLease.Load(); next != 0 && next <= until; next = c.nextLease.Load() {
		if h := c.overdue(until); h != nil {
			c.drop(h, until, ms)
		}
	}
}

// overdue gives the oldest reservation if its lease has run out, and sets the time of the next look.
func (c *Counters) overdue(until int64) *holding {
	c.leases.Lock()
	defer c.leases.Unlock()
	e := c.leases.open.Front()
	if e == nil {
		c.nextLease.Store(0)
		return nil
	}
	h := e.Value.(*holding)
	c.nextLease.Store(h.lease)
	if h.lease > until {
		return nil
	}
	return h
}

// drop gives a reservation back if it is still open and its lease over.
func (c *Counters) drop(h *holding, until, ms int64) {
	_, set := c.lockHolding(c.idBit(h.first[0]), func() *holding { return h })
	defer c.unlock(set)
	if h.lease > 0 && h.lease <= until {
		c.giveBack(h, ms)
	}
}
