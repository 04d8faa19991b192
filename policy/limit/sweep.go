package limit

import (
	"slices"
	"time"
)

// sweepEvery is how often a shard drops what is over. It happens within an operation on the shard.
const sweepEvery = 10 * time.Minute

// sweepSlack is how much the clocks of two callers may differ without one sweeping what the other needs.
const sweepSlack = time.Minute

// sweep drops what no answer depends on any more. The shard is locked.
func (c *Counters) sweep(s *shard, ms int64) {
	most, due := c.cfg.Messages/shards, ms >= s.sweepAt
	if !due && max(len(s.messages), len(s.retries)) <= max(most, s.sweepAbove) {
		return
	}
	over := ms - sweepSlack.Milliseconds()
	if due { // too many messages are no reason to look at every subject
		s.sweepSubjects(over)
		s.sweepAt = ms + sweepEvery.Milliseconds()
	}
	for id, h := range s.messages {
		if h.lease == 0 && h.forget <= over {
			delete(s.messages, id)
		}
	}
	for f, h := range s.retries {
		if !h.reusable(over) {
			delete(s.retries, f)
		}
	}
	evict(s.messages, most)
	evict(s.retries, most)
	s.sweepAbove = max(len(s.messages), len(s.retries)) * 5 / 4 // open reservations stay
}

func (s *shard) sweepSubjects(over int64) {
	for _, subject := range s.subjects {
		if !subject.sweep(over) {
			s.remove(subject)
		}
	}
}

// evict forgets the oldest quarter of committed messages, and more if need be, when there are too many.
func evict[K comparable](m map[K]*holding, most int) {
	if len(m) <= most {
		return
	}
	ages := make([]int64, 0, len(m))
	for _, h := range m {
		ages = append(ages, h.at)
	}
	slices.Sort(ages)
	limit := ages[len(m)-most*3/4-1]
	for k, h := range m {
		if h.at <= limit && h.lease == 0 {
			delete(m, k)
		}
	}
}
