package limit

import "time"

// A Rate is a pace: one unit per Every, and up to Burst units at once.
type Rate struct {
	Every time.Duration
	Burst int64
}

// Next gives the time at which n units may go and the theoretical arrival time after them, by the
// virtual scheduling algorithm (ITU-T I.371, Annex A) with the tolerance (Burst-1)*Every. tat is the
// theoretical arrival time so far. More units than the burst go as one when nothing is owed, and are
// owed afterwards.
func (r Rate) Next(tat, now time.Time, n int64) (at, after time.Time) {
	every, burst := max(r.Every, 0), max(r.Burst, 1)
	if every > 0 {
		n = min(n, int64(maxOwed/every))
		burst = min(burst, int64(maxOwed/every))
	}
	if tat.Before(now) {
		tat = now
	}
	at = tat.Add(every * time.Duration(min(n, burst)-burst))
	if at.Before(now) {
		at = now
	}
	after = tat.Add(every * time.Duration(n))
	if most := now.Add(maxOwed); after.After(most) {
		after = most
	}
	return at, after
}

// maxOwed bounds what a key can owe, and keeps products of times and units from overflowing.
const maxOwed = 10 * 365 * 24 * time.Hour

// Paced is a slot that Pace gave to a message. It belongs into the message's event.
type Paced struct {
	Rule string    `cbor:"1,keyasint"`
	Key  string    `cbor:"2,keyasint"`
	At   time.Time `cbor:"3,keyasint"` // when it may go
	TAT  time.Time `cbor:"4,keyasint"` // the theoretical arrival time after it
}

// A pace is the theoretical arrival time of one key under one rule.
type pace struct {
	rule uint32
	tat  int64 // Unix nanoseconds
}

// Pace gives n units of a key the next slot, and remembers it. With n = 0 it only looks when the next
// unit may go.
func (c *Counters) Pace(now time.Time, rule, key string, r Rate, n int64) Paced {
	bit, id := c.bit(key), c.rules.id(rule)
	c.lock(bit)
	defer c.unlock(bit)
	if n == 0 {
		var tat time.Time
		if s := c.shard(bit).subjects[key]; s != nil {
			tat = s.tat(id)
		}
		at, _ := r.Next(tat, now, 1)
		return Paced{rule, key, at, tat}
	}
	s := c.subject(key)
	at, tat := r.Next(s.tat(id), now, n)
	s.pace(id, tat)
	return Paced{rule, key, at, tat}
}

// ReplayPace repeats a slot from the journal.
func (c *Counters) ReplayPace(p Paced) {
	bit, id := c.bit(p.Key), c.rules.id(p.Rule)
	c.lock(bit)
	defer c.unlock(bit)
	if s := c.subject(p.Key); p.TAT.After(s.tat(id)) {
		s.pace(id, p.TAT)
	}
}

func (s *subject) tat(rule uint32) time.Time {
	if s.more != nil {
		for _, p := range s.more.paces {
			if p.rule == rule {
				return time.Unix(0, p.tat).UTC()
			}
		}
	}
	return time.Time{}
}

func (s *subject) pace(rule uint32, tat time.Time) {
	m := s.extra()
	for i := range m.paces {
		if m.paces[i].rule == rule {
			m.paces[i].tat = tat.UnixNano()
			return
		}
	}
	m.paces = append(m.paces, pace{rule, tat.UnixNano()})
}
