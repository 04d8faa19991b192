package limit

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"
)

// CorrespondentsConfig bounds the memory of correspondents. The ones that were seen longest ago are
// forgotten first.
type CorrespondentsConfig struct {
	PerIdentity int           `yaml:"per_identity"`
	Total       int           `yaml:"total"`
	Age         time.Duration `yaml:"age"` // how long one is remembered
}

// DefaultCorrespondentsConfig remembers 10,000 for each identity and 5 million in all, for two years.
func DefaultCorrespondentsConfig() CorrespondentsConfig {
	return CorrespondentsConfig{PerIdentity: 10_000, Total: 5_000_000, Age: 2 * 365 * 24 * time.Hour}
}

// Validate reports a configuration that cannot work.
func (c CorrespondentsConfig) Validate() error {
	if c.PerIdentity < 1 || c.Total < shards || c.Age < time.Hour {
		return fmt.Errorf("correspondents: per_identity at least 1, total at least %d, age at least 1h", shards)
	}
	return nil
}

// Correspondents know whom each identity has written to and heard from. Addresses are kept as 8 octets
// of their SHA-256. The caller gives identities and addresses in their canonical form.
type Correspondents struct {
	cfg    CorrespondentsConfig
	seed   maphash.Seed
	shards [shards]circle
}

// A circle is a part of the identities.
type circle struct {
	sync.Mutex
	known map[string][]correspondent // ascending by hash
	total int
}

// A correspondent is one address in 12 octets.
type correspondent struct {
	high, low uint32 // of the hash
	seen      uint32 // hours since 1970, twice shifted; the bits are sent and heard
}

const (
	sentBit  = 1
	heardBit = 2
)

// A Relation is what is known of an address.
type Relation struct {
	Sent  bool // the identity has written to it
	Heard bool // it has written to the identity
}

// NewCorrespondents gives an empty memory.
func NewCorrespondents(cfg CorrespondentsConfig) *Correspondents {
	c := &Correspondents{cfg: cfg, seed: maphash.MakeSeed()}
	for i := range c.shards {
		c.shards[i].known = map[string][]correspondent{}
	}
	return c
}

func hash(address string) uint64 {
	sum := sha256.Sum256([]byte(address))
	return binary.BigEndian.Uint64(sum[:])
}

func (c correspondent) hash() uint64 { return uint64(c.high)<<32 | uint64(c.low) }

func (c *Correspondents) circle(identity string) *circle {
	return &c.shards[maphash.String(c.seed, identity)%shards]
}

func search(list []correspondent, h uint64) (int, bool) {
	i := sort.Search(len(list), func(i int) bool { return list[i].hash() >= h })
	return i, i < len(list) && list[i].hash() == h
}

// Relations tells what is known of each address.
func (c *Correspondents) Relations(identity string, addresses []string) []Relation {
	s := c.circle(identity)
	s.Lock()
	defer s.Unlock()
	list := s.known[identity]
	relations := make([]Relation, len(addresses))
	for i, a := range addresses {
		if at, ok := search(list, hash(a)); ok {
			relations[i] = Relation{list[at].seen&sentBit != 0, list[at].seen&heardBit != 0}
		}
	}
	return relations
}

// Learn notes that the identity wrote to a recipient. Learning twice changes nothing, so that it can be
// repeated from the journal and imported from old logs in any order.
func (c *Correspondents) Learn(identity, recipient string, at time.Time) {
	c.learn(identity, hash(recipient), at, sentBit)
}

// Heard notes that a sender wrote to the identity.
func (c *Correspondents) Heard(identity, sender string, at time.Time) {
	c.learn(identity, hash(sender), at, heardBit)
}

func (c *Correspondents) learn(identity string, h uint64, at time.Time, bit uint32) {
	s := c.circle(identity)
	s.Lock()
	defer s.Unlock()
	list, seen := s.known[identity], hours(at)<<2|bit
	i, ok := search(list, h)
	if ok {
		list[i].seen = max(list[i].seen>>2, seen>>2)<<2 | (list[i].seen|seen)&3
		return
	}
	if list == nil {
		identity = strings.Clone(identity)
	}
	s.known[identity] = slices.Insert(list, i, correspondent{uint32(h >> 32), uint32(h), seen})
	s.total++
	if len(s.known[identity]) > c.cfg.PerIdentity {
		s.forget([]string{identity}, len(s.known[identity])-c.cfg.PerIdentity*7/8)
	}
	if most := c.cfg.Total / shards; s.total > most {
		s.forget(nil, s.total-most*7/8)
	}
}

func hours(t time.Time) uint32 { return uint32(min(max(t.Unix()/3600, 0), 1<<30-1)) }

// forget drops about n correspondents of some identities, or of all: those seen longest ago.
func (s *circle) forget(identities []string, n int) {
	if identities == nil {
		for identity := range s.known {
			identities = append(identities, identity)
		}
	}
	var seen []uint32
	for _, identity := range identities {
		for _, k := range s.known[identity] {
			seen = append(seen, k.seen>>2)
		}
	}
	slices.Sort(seen)
	last := seen[n-1]
	for _, k := range seen[:n] { // of those seen in the last hour, only as many as are left to drop
		if k < last {
			n--
		}
	}
	for _, identity := range identities {
		s.drop(identity, func(k correspondent) bool {
			if k.seen>>2 == last && n > 0 {
				n--
				return true
			}
			return k.seen>>2 < last
		})
	}
}

// drop removes some correspondents of an identity.
func (s *circle) drop(identity string, over func(correspondent) bool) {
	list := s.known[identity]
	kept := slices.DeleteFunc(list, over)
	s.total -= len(list) - len(kept)
	if len(kept) == 0 {
		delete(s.known, identity)
	} else {
		s.known[identity] = kept
	}
}

// Sweep forgets whom nobody has seen for the configured time. Once a day is often enough.
func (c *Correspondents) Sweep(now time.Time) {
	oldest := hours(now.Add(-c.cfg.Age))
	for i := range c.shards {
		s := &c.shards[i]
		s.Lock()
		for identity := range s.known {
			s.drop(identity, func(k correspondent) bool { return k.seen>>2 < oldest })
		}
		s.Unlock()
	}
}

// Len is how many correspondents are known in all.
func (c *Correspondents) Len() int {
	n := 0
	for i := range c.shards {
		c.shards[i].Lock()
		n += c.shards[i].total
		c.shards[i].Unlock()
	}
	return n
}
