package limit

import (
	"errors"
	"math"
	"slices"
	"strings"
	"time"
)

// A Grant changes the limit of one rule for one key until it expires.
type Grant struct {
	Rule   string    `cbor:"1,keyasint" json:"rule"`
	Key    string    `cbor:"2,keyasint" json:"key"`
	Boost  bool      `cbor:"3,keyasint,omitempty" json:"boost"` // Amount is added to the limit; else it is the limit
	Amount int64     `cbor:"4,keyasint" json:"amount"`
	Given  time.Time `cbor:"5,keyasint" json:"given"`
	Until  time.Time `cbor:"6,keyasint" json:"until"`
	Reason string    `cbor:"7,keyasint" json:"reason"`
	Author string    `cbor:"8,keyasint" json:"author"`
}

// grant is a Grant in memory. It is comparable, so that a repeated one is recognised.
type grant struct {
	rule         uint32
	boost        bool
	amount       int64
	given, until int64 // Unix milliseconds
	reason       string
	author       string
}

// Validate reports what is missing.
func (g Grant) Validate() error {
	switch {
	case g.Rule == "" || g.Key == "":
		return errors.New("a grant needs a rule and a key")
	case g.Amount < 0 || g.Boost && g.Amount == 0:
		return errors.New("a grant needs a positive amount")
	case !g.Until.After(g.Given):
		return errors.New("a grant has to end after it begins")
	case g.Reason == "" || g.Author == "":
		return errors.New("a grant needs a reason and an author")
	}
	return nil
}

// Grant puts an override or a boost in force. A later override replaces an earlier one; boosts add up.
func (c *Counters) Grant(g Grant) error {
	if err := g.Validate(); err != nil {
		return err
	}
	bit := c.bit(g.Key)
	rec := grant{
		rule: c.rules.id(g.Rule), boost: g.Boost, amount: g.Amount, given: g.Given.UnixMilli(),
		until: g.Until.UnixMilli(), reason: g.Reason, author: g.Author,
	}
	c.lock(bit)
	defer c.unlock(bit)
	c.subject(g.Key).grant(rec)
	return nil
}

func (s *subject) grant(g grant) {
	m := s.extra()
	if slices.Contains(m.grants, g) {
		return
	}
	if !g.boost {
		m.grants = slices.DeleteFunc(m.grants, func(old grant) bool { return old.rule == g.rule && !old.boost })
	}
	m.grants = append(m.grants, g)
}

// Revoke ends every override and boost of a rule for a key.
func (c *Counters) Revoke(rule, key string) {
	bit, id := c.bit(key), c.rules.id(rule)
	c.lock(bit)
	defer c.unlock(bit)
	if s := c.shard(bit).subjects[key]; s != nil && s.more != nil {
		s.more.grants = slices.DeleteFunc(s.more.grants, func(g grant) bool { return g.rule == id })
	}
}

// Reset forgets what was counted for a key under a rule, or under all with the empty rule.
func (c *Counters) Reset(at time.Time, rule, key string) {
	bit, id := c.bit(key), allRules
	if rule != "" {
		id = c.rules.id(rule)
	}
	c.lock(bit)
	defer c.unlock(bit)
	c.subject(key).reset(id, at.UnixMilli())
}

// Grants lists what is in force for a key.
func (c *Counters) Grants(now time.Time, key string) []Grant {
	bit := c.bit(key)
	c.lock(bit)
	defer c.unlock(bit)
	s := c.shard(bit).subjects[key]
	if s == nil || s.more == nil {
		return nil
	}
	var list []Grant
	for _, g := range s.more.grants {
		if g.until > now.UnixMilli() {
			list = append(list, c.grantOf(key, g))
		}
	}
	return list
}

func (c *Counters) grantOf(key string, g grant) Grant {
	return Grant{
		Rule: c.rules.name(g.rule), Key: key, Boost: g.boost, Amount: g.amount,
		Given: fromMS(g.given), Until: fromMS(g.until), Reason: g.reason, Author: g.author,
	}
}

// effective gives the limit that counts for a key: its override, or what the demand says, and every
// boost on top.
func (s *subject) effective(rule uint32, d *Demand, ms int64) (int64, Source) {
	limit, source := d.Limit, d.Source
	if source == "" {
		source = FromRule
	}
	if s == nil || s.more == nil {
		return limit, source
	}
	extra := int64(0)
	for _, g := range s.more.grants {
		switch {
		case g.rule != rule || g.until <= ms:
		case g.boost:
			extra += min(g.amount, math.MaxInt64-extra)
		default:
			limit, source = g.amount, FromOverride
		}
	}
	if extra > 0 {
		limit, source = limit+min(extra, math.MaxInt64-max(limit, 0)), FromBoost
	}
	return limit, source
}

func fromMS(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// AllGrants lists what is in force for any key, by key.
func (c *Counters) AllGrants(now time.Time) (list []Grant) {
	for i := range c.shards {
		c.lock(1 << i)
		for key, s := range c.shards[i].subjects {
			if s.more == nil {
				continue
			}
			for _, g := range s.more.grants {
				if g.until > now.UnixMilli() {
					list = append(list, c.grantOf(key, g))
				}
			}
		}
		c.unlock(1 << i)
	}
	slices.SortStableFunc(list, func(a, b Grant) int { return strings.Compare(a.Key, b.Key) })
	return list
}
