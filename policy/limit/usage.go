package limit

import (
	"cmp"
	"slices"
	"time"
)

// Limits gives the demand, with an amount of 0, by which a rule limits a key today; false when there is
// no such rule any more. It must not call the counters.
type Limits func(rule, key string) (Demand, bool)

// Usage lists every limit under which something counts for a key. Next is when one more unit fits;
// Warn is about what is used.
func (c *Counters) Usage(now time.Time, key string, limits Limits) []Line {
	c.expire(now.UnixMilli())
	bit := c.bit(key)
	c.lock(bit)
	defer c.unlock(bit)
	s := c.shard(bit).subjects[key]
	if s == nil {
		return nil
	}
	return c.usage(nil, now.UnixMilli(), s, limits)
}

// Near lists every window that is used to a fraction of its limit or more, the fullest first, at most n.
func (c *Counters) Near(now time.Time, fraction float64, limits Limits, n int) []Line {
	c.expire(now.UnixMilli())
	var near, all []Line
	for i := range c.shards {
		c.lock(1 << i)
		for _, s := range c.shards[i].subjects {
			all = c.usage(all[:0], now.UnixMilli(), s, limits)
			near = append(near, slices.DeleteFunc(all, func(l Line) bool { return l.fraction() < fraction })...)
		}
		c.unlock(1 << i)
	}
	slices.SortFunc(near, func(a, b Line) int {
		return cmp.Or(cmp.Compare(b.fraction(), a.fraction()), cmp.Compare(a.Key, b.Key), cmp.Compare(a.Rule, b.Rule))
	})
	return near[:min(n, len(near))]
}

func (l *Line) fraction() float64 { return float64(l.Used) / float64(max(l.Limit, 1)) }

// usage adds the lines of one subject.
func (c *Counters) usage(list []Line, ms int64, s *subject, limits Limits) []Line {
	for i := range s.windows {
		w := &s.windows[i]
		d, ok := limits(c.rules.name(w.rule), s.key)
		if !ok || d.Window <= 0 || w.used(ms) == 0 {
			continue
		}
		d.Rule, d.Key, d.Amount = c.rules.name(w.rule), s.key, 1
		a := ask{rule: w.rule, width: subWidth(d.Window), amount: 1, subject: s}
		l := a.line(ms, &d)
		l.Warn, l.Crossed = l.warns(&d, l.Used), false
		list = append(list, l)
	}
	return list
}
