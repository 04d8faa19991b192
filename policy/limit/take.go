package limit

import (
	"slices"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// An ask is a demand with what was found for it.
type ask struct {
	rule    uint32
	width   uint32
	amount  int64 // not negative, bounded
	bit     uint64
	subject *subject // nil while there is none
	pending int64    // what earlier demands of the message take from the same window
}

// Take tests the demands of a message and, when every hard limit has room, takes all of them for it.
// The reservation is to be committed or released within the lease. A message that took before, or a
// retry of one, takes nothing again: [Result.RetryOf] is set.
func (c *Counters) Take(now time.Time, id policy.ID, retry Fingerprint, demands []Demand) Result {
	return c.TakeInto(&Room{}, now, id, retry, demands)
}

// A Room has place for what Take says, so that one who asks often need not allocate it.
type Room struct {
	Lines   []Line
	Amounts []Amount
}

// TakeInto is Take with a room. What it gives lies in there as far as it is large enough.
func (c *Counters) TakeInto(room *Room, now time.Time, id policy.ID, retry Fingerprint, demands []Demand) Result {
	ms := now.UnixMilli()
	c.expire(ms)
	var buf [16]ask
	asks, set := c.asks(buf[:0], demands)
	set |= c.idBit(id) | c.retryBit(retry)
	h, set := c.lockHolding(set, func() *holding {
		if h := c.message(id); h != nil {
			return h
		}
		return c.shared(retry, ms)
	})
	defer c.unlock(set)
	c.sweep(c.shard(c.idBit(id)), ms)
	if h != nil {
		c.join(h, id, ms)
		return c.again(ms, h, retry, demands, asks)
	}
	r := c.test(room.Lines, ms, demands, asks)
	if r.Fits {
		r.Taken = Taken{At: ms, Retry: retry, First: id, Amounts: c.take(room.Amounts, ms, demands, asks)}
		c.remember(id, r.Taken, asks, ms+c.cfg.Lease.Milliseconds())
	}
	return r
}

// again answers a message that took before: everything fits, nothing is asked.
func (c *Counters) again(ms int64, h *holding, retry Fingerprint, demands []Demand, asks []ask) Result {
	none := make([]Demand, len(demands))
	for i, d := range demands {
		d.Amount, asks[i].amount, asks[i].pending = 0, 0, 0
		none[i] = d
	}
	r := c.test(nil, ms, none, asks)
	r.RetryOf, r.Taken = h.first[0], c.taken(h, retry)
	return r
}

// Test tells what Take would say, and takes nothing. It does not know retries.
func (c *Counters) Test(now time.Time, demands []Demand) Result {
	ms := now.UnixMilli()
	c.expire(ms)
	var buf [16]ask
	asks, set := c.asks(buf[:0], demands)
	c.lock(set)
	defer c.unlock(set)
	return c.test(nil, ms, demands, asks)
}

// When estimates the time at which a demand fits after ahead units that come before it: exact while
// both fit into one window, else a whole limit per window. It is false when the demand never fits.
func (c *Counters) When(now time.Time, d Demand, ahead int64) (time.Time, bool) {
	l := c.Test(now, []Demand{d}).Lines[0]
	if l.Never {
		return time.Time{}, false
	}
	if ahead <= 0 || d.Window <= 0 || l.Asked == 0 {
		return l.Next, true
	}
	rounds := (ahead + l.Asked - 1) / l.Limit
	d.Amount = ahead + l.Asked - rounds*l.Limit
	l = c.Test(now, []Demand{d}).Lines[0]
	return l.Next.Add(time.Duration(rounds) * d.Window), true
}

// asks prepares demands, and gives the set of their shards.
func (c *Counters) asks(list []ask, demands []Demand) ([]ask, uint64) {
	var set uint64
	for i := range demands {
		d := &demands[i]
		a := ask{rule: c.rules.id(d.Rule), amount: min(max(d.Amount, 0), MaxAmount)}
		if d.Window > 0 {
			a.width = subWidth(d.Window)
		}
		if i > 0 && d.Key == demands[i-1].Key {
			a.bit = list[i-1].bit
		} else {
			a.bit = c.bit(d.Key)
		}
		set |= a.bit
		list = append(list, a)
	}
	for i := range list {
		list[i].pending = pending(list, demands, i)
	}
	return list, set
}

// pending is what the demands before i take from the same window.
func pending(list []ask, demands []Demand, i int) int64 {
	n, a := int64(0), &list[i]
	for j := range i {
		b := &list[j]
		if b.rule == a.rule && b.bit == a.bit && b.width > 0 && demands[j].Key == demands[i].Key {
			n += b.amount
		}
	}
	return n
}

// test compares every demand with its limit. The shards are locked.
func (c *Counters) test(room []Line, ms int64, demands []Demand, asks []ask) Result {
	r := Result{Fits: true, Lines: slices.Grow(room[:0], len(demands))[:len(demands)]}
	for i := range demands {
		d, a := &demands[i], &asks[i]
		if i > 0 && d.Key == demands[i-1].Key {
			a.subject = asks[i-1].subject
		} else {
			a.subject = c.shard(a.bit).subjects[d.Key]
		}
		l := &r.Lines[i]
		*l = a.line(ms, d)
		r.Fits = r.Fits && !l.blocks()
	}
	return r
}

// line compares one demand with its limit.
func (a *ask) line(ms int64, d *Demand) Line {
	l := Line{
		Rule: d.Rule, Key: d.Key, Window: d.Window, Asked: d.Amount, Hard: d.Hard, Shadow: d.Shadow,
		Used: a.pending, Next: fromMS(ms),
	}
	l.Limit, l.Source = a.subject.effective(a.rule, d, ms)
	var w *window
	if a.width > 0 && a.subject != nil {
		w = a.subject.find(a.rule)
	}
	if w != nil {
		w.settle(ms, a.width)
		l.Used += w.used(ms)
	}
	l.Fits = a.amount == 0 || l.Used <= l.Limit-a.amount
	if !l.Fits {
		l.Never = a.pending+a.amount > l.Limit
		l.Next = time.Time{}
		if !l.Never { // w is there, or it would fit
			l.Next = fromMS(w.free(ms, l.Limit, a.pending+a.amount))
		}
	}
	l.Warn = l.warns(d, l.Used+a.amount)
	l.Crossed = l.Warn && !l.warns(d, l.Used)
	return l
}

// warns reports whether an amount reaches the warning level.
func (l *Line) warns(d *Demand, n int64) bool {
	return d.WarnAt > 0 && float64(n)*100 >= float64(l.Limit)*float64(d.WarnAt)
}

// take counts every demand.
func (c *Counters) take(room []Amount, ms int64, demands []Demand, asks []ask) []Amount {
	amounts := slices.Grow(room[:0], len(demands))
	for i := range asks {
		d, a := &demands[i], &asks[i]
		if a.width == 0 || a.amount == 0 {
			continue
		}
		switch {
		case a.subject != nil: // test has found it
		case i > 0 && d.Key == demands[i-1].Key && asks[i-1].subject != nil:
			a.subject = asks[i-1].subject
		default:
			a.subject = c.subject(d.Key)
		}
		a.subject.window(a.rule, a.width).add(ms, a.amount)
		amounts = append(amounts, Amount{Rule: d.Rule, Key: d.Key, Window: d.Window, Units: a.amount})
	}
	return amounts
}
