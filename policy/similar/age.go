package similar

import (
	"container/list"
	"slices"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// expire forgets what is too old, and the oldest of what is too much.
func (x *Index) expire(now time.Time) {
	at := now.UnixMilli()
	x.expireTaken(at - window.Milliseconds())
	x.expireFront(x.plain, at-window.Milliseconds(), now)
	x.expireFront(x.notable, at-x.cfg.Keep.Milliseconds(), now)
	for len(x.campaigns) > x.cfg.Campaigns {
		if c := oldest(x.plain); c != nil {
			x.remove(c)
		} else {
			x.remove(oldest(x.notable))
		}
	}
	x.expireLearners(dayOf(now))
}

func (x *Index) expireTaken(since int64) {
	n := 0
	for n < len(x.order) && x.order[n].At <= since {
		delete(x.taken, x.order[n].ID)
		n++
	}
	x.order = x.order[n:]
}

func oldest(l *list.List) *campaign {
	if e := l.Front(); e != nil {
		return e.Value.(*campaign)
	}
	return nil
}

// expireFront removes campaigns whose last message is that old. What is allowed until later stays.
func (x *Index) expireFront(l *list.List, since int64, now time.Time) {
	for range l.Len() {
		c := oldest(l)
		if c.Last > since {
			return
		}
		if c.Decision.Kind == Allowed && now.Before(c.Decision.Until) {
			l.MoveToBack(c.place)
			continue
		}
		x.remove(c)
	}
}

// age puts a campaign behind all others of its sort.
func (x *Index) age(c *campaign) {
	if c.place != nil {
		x.listOf(c).Remove(c.place)
	}
	c.notable = c.Level > Silent || c.Hijack || c.Decision.Kind != Undecided
	c.place = x.listOf(c).PushBack(c)
}

func (x *Index) listOf(c *campaign) *list.List {
	if c.notable {
		return x.notable
	}
	return x.plain
}

// remove forgets a campaign wherever it is known.
func (x *Index) remove(c *campaign) {
	x.listOf(c).Remove(c.place)
	delete(x.campaigns, c.ID)
	delete(x.numbers, c.Number)
	for i := range c.Samples {
		sig := &c.Samples[i].Signature
		if x.exact[sig.exact] == c {
			delete(x.exact, sig.exact)
		}
		if !sig.short() && sig.features >= minFeatures {
			keys := sig.text.keys(x.hash)
			x.bands.remove(&keys, c.Number)
		}
	}
	for _, m := range c.Members {
		x.unlead(m.Sender, c)
		for _, k := range m.Takes {
			x.untake(k.ID, c)
		}
	}
}

// untake forgets that a message was counted in a campaign.
func (x *Index) untake(id policy.ID, c *campaign) {
	t := x.taken[id]
	t.campaigns = slices.DeleteFunc(t.campaigns, func(o *campaign) bool { return o == c })
	if x.taken[id] = t; len(t.campaigns) == 0 {
		delete(x.taken, id)
	}
}

// expireLearners forgets senders without mail, once a day.
func (x *Index) expireLearners(today int64) {
	if today == x.swept {
		return
	}
	x.swept = today
	for name, l := range x.learners {
		if today-l.Seen > learnKeep {
			delete(x.learners, name)
		}
	}
}
