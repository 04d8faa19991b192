package limit

import (
	"container/list"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"math/bits"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// Config bounds the memory of messages.
type Config struct {
	// Lease is how long a reservation waits for Commit.
	Lease time.Duration `yaml:"lease"`
	// Messages is how many messages are remembered for refunds and retries; the oldest are forgotten first.
	Messages int `yaml:"messages"`
}

// DefaultConfig remembers half a million messages.
func DefaultConfig() Config { return Config{Lease: 10 * time.Minute, Messages: 500_000} }

// Validate reports a configuration that cannot work.
func (c Config) Validate() error {
	if c.Lease <= 0 {
		return errors.New("lease must be positive")
	}
	if c.Messages < shards {
		return fmt.Errorf("messages must be at least %d", shards)
	}
	return nil
}

// retryTime is how long a retry is recognised.
const retryTime = 24 * time.Hour

// A weak fingerprint is recognised for weakTime, and shared by weakMost messages.
const (
	weakTime = 10 * time.Minute
	weakMost = 4
)

// shards is 64, so that a set of them is one word.
const shards = 64

// Counters hold the windows and paces of every key and what each message took.
type Counters struct {
	cfg    Config
	seed   maphash.Seed
	rules  ruleNames
	shards [shards]shard

	leases struct { // locked last
		sync.Mutex
		open list.List // *holding that are not committed, the oldest first
	}
	nextLease atomic.Int64 // when the first of them runs out, in ms; 0 when there is none

	snapshot sync.Mutex // one at a time
}

// A shard is a part of the keys, of the messages and of the fingerprints.
type shard struct {
	sync.Mutex
	subjects map[string]*subject
	index    uint32     // of the shard
	roster   []*subject // the same as subjects, see ref
	free     []uint32   // places without a subject
	serial   uint32     // of the newest subject
	messages map[policy.ID]*holding
	retries  map[Fingerprint]*holding
	sweepAt  int64 // ms
	// sweepAbove is how many messages there may be before an early sweep is worth its time.
	sweepAbove int
	pending    bool    // a snapshot has still to encode it
	all        *roster // at its moment
	saved      []byte
	failed     error // of encoding
}

// New gives empty counters.
func New(cfg Config) *Counters { return newCounters(cfg, 0, 0) }

// newCounters makes room for a number of keys and messages.
func newCounters(cfg Config, keys, messages int) *Counters {
	c := &Counters{cfg: cfg, seed: maphash.MakeSeed()}
	for i := range c.shards {
		c.shards[i] = shard{
			subjects: make(map[string]*subject, keys/shards),
			messages: make(map[policy.ID]*holding, messages/shards),
			retries:  make(map[Fingerprint]*holding, messages/shards),
			index:    uint32(i),
		}
	}
	return c
}

// bit names the shard of a key, as a set.
func (c *Counters) bit(key string) uint64 { return 1 << (maphash.String(c.seed, key) % shards) }

func (c *Counters) idBit(id policy.ID) uint64 { return 1 << (maphash.Bytes(c.seed, id[:]) % shards) }

func (c *Counters) retryBit(f Fingerprint) uint64 {
	if f == (Fingerprint{}) {
		return 0
	}
	return 1 << (maphash.Bytes(c.seed, f[:]) % shards)
}

func (c *Counters) shard(bit uint64) *shard { return &c.shards[bits.TrailingZeros64(bit)] }

// lock locks a set of shards in ascending order, and lets a running snapshot have them as they were.
func (c *Counters) lock(set uint64) {
	for rest := set; rest != 0; rest &= rest - 1 {
		s := c.shard(rest)
		s.Lock()
		if s.pending {
			s.save()
		}
	}
}

func (c *Counters) unlock(set uint64) {
	for ; set != 0; set &= set - 1 {
		c.shard(set).Unlock()
	}
}

// subject gives the subject of a key, and makes it. Its shard is locked.
func (c *Counters) subject(key string) *subject {
	sh := c.shard(c.bit(key))
	s := sh.subjects[key]
	if s == nil {
		s = sh.add(key)
	}
	return s
}

// ruleNames gives rules small numbers. Reading takes no lock.
type ruleNames struct {
	mu    sync.Mutex
	ids   atomic.Pointer[map[string]uint32]
	names atomic.Pointer[[]string]
}

// id gives the number of a rule, and makes one.
func (r *ruleNames) id(name string) uint32 {
	if ids := r.ids.Load(); ids != nil {
		if id, ok := (*ids)[name]; ok {
			return id
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	ids := map[string]uint32{}
	if old := r.ids.Load(); old != nil {
		if id, ok := (*old)[name]; ok {
			return id
		}
		ids = maps.Clone(*old)
	}
	id := uint32(len(ids))
	name = strings.Clone(name)
	ids[name] = id
	names := append(slices.Clone(r.list()), name)
	r.names.Store(&names)
	r.ids.Store(&ids)
	return id
}

func (r *ruleNames) list() []string {
	if names := r.names.Load(); names != nil {
		return *names
	}
	return nil
}

func (r *ruleNames) name(id uint32) string { return r.list()[id] }
