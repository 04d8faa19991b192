package similar

import (
	"slices"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// A booking is a message to be counted.
type booking struct {
	now       time.Time
	id        policy.ID
	sender    string
	signature *Signature
	hashes    []uint64
}

func (b *booking) at() int64 { return b.now.UnixMilli() }

// enter counts a message in the campaigns that were found for it, or in a new one.
func (x *Index) enter(b booking, f found) {
	x.order = append(x.order, counted{ID: b.id, At: b.at()})
	if f.text.campaign == nil && f.full.campaign == nil {
		c := &campaign{ID: b.id, Number: x.next, First: b.at(), Last: b.at()}
		x.next++
		x.campaigns[c.ID], x.numbers[c.Number] = c, c
		x.sample(b, c, 1)
		x.count(b, c, false)
		return
	}
	if c := f.text.campaign; c != nil {
		if widens(f, b.signature) {
			x.sample(b, c, f.text.Jaccard)
		}
		x.count(b, c, false)
	}
	if c := f.full.campaign; c != nil && c != f.text.campaign {
		x.sample(b, c, f.full.Jaccard)
		x.count(b, c, true)
	}
}

// widens reports a message that makes its campaign recognise more. One whose full text belongs to
// another campaign does not: that one shall have all of its kind.
func widens(f found, sig *Signature) bool {
	switch f.full.campaign {
	case nil:
		return f.text.Jaccard < joinedBelow || sig.full != nil
	case f.text.campaign:
		return f.text.Jaccard < joinedBelow
	}
	return false
}

// sample keeps a message that widens what its campaign recognises, while there is room.
func (x *Index) sample(b booking, c *campaign, similarity float64) {
	if len(c.Samples) >= maxSamples {
		return
	}
	s := sample{ID: b.id, Sender: b.sender, At: b.at(), Similarity: similarity, Signature: *b.signature}
	s.Signature.shingles = nil
	c.Samples = append(c.Samples, s)
	x.index(c, &s.Signature)
}

// index makes a sample findable by others.
func (x *Index) index(c *campaign, sig *Signature) {
	if sig.units >= exactUnits && x.exact[sig.exact] == nil {
		x.exact[sig.exact] = c
	}
	if !sig.short() && sig.features >= minFeatures {
		keys := sig.text.keys(x.hash)
		x.bands.insert(&keys, c.Number)
	}
}

// count enters a message in one campaign.
func (x *Index) count(b booking, c *campaign, full bool) {
	m, evicted := c.join(b.sender, b.at())
	if evicted != nil {
		x.unlead(evicted.Sender, c)
	}
	m.add(take{ID: b.id, At: b.at(), Full: full, Hashes: b.hashes})
	c.record(b.at(), len(b.hashes))
	x.taken[b.id] = taken{append(x.taken[b.id].campaigns, c), b.sender}
	x.lead(b.sender, c)
	x.age(c)
}

// lead puts a campaign in front of its sender's.
func (x *Index) lead(name string, c *campaign) {
	s := x.senders[name]
	if s == nil {
		s = &sender{}
		x.senders[name] = s
	}
	if i := slices.Index(s.leaders, c); i >= 0 {
		copy(s.leaders[1:i+1], s.leaders[:i])
		s.leaders[0] = c
		return
	}
	if len(s.leaders) >= maxLeaders {
		s.leaders = s.leaders[:maxLeaders-1]
	}
	s.leaders = slices.Insert(s.leaders, 0, c)
}

func (x *Index) unlead(name string, c *campaign) {
	s := x.senders[name]
	if s == nil {
		return
	}
	s.leaders = slices.DeleteFunc(s.leaders, func(l *campaign) bool { return l == c })
	if len(s.leaders) == 0 {
		delete(x.senders, name)
	}
}

// learn offers shingles to the sender's learner and to his domain's.
func (x *Index) learn(now time.Time, sender string, prints []uint32) {
	if len(prints) == 0 {
		return
	}
	for _, key := range []string{sender, domainKey(sender)} {
		if key == noDomain {
			continue
		}
		l := x.learners[key]
		if l == nil {
			l = &learner{}
			x.learners[key] = l
		}
		l.add(now, prints)
	}
}

// undo takes a sender's message out of a campaign.
func (c *campaign) undo(id policy.ID, sender string) bool {
	m := c.member(sender)
	if m == nil {
		return false
	}
	k, ok := m.undo(id)
	if ok {
		c.unrecord(k.At, len(k.Hashes))
	}
	return ok
}
