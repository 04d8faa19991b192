package store

import (
	"fmt"
	"time"

	"github.com/sendgate/sendgate/policy"
	"go.uber.org/zap"
)

// Config says where the journal lies and how long it remembers.
type Config struct {
	// Dir is the data directory. It is made when missing, with mode 0700.
	Dir string `yaml:"dir"`
	// EncryptionKeyFile names a file with 16, 24 or 32 octets, raw or in hex: everything but the file
	// names is then encrypted at rest (AES-CTR). It cannot be switched on later.
	EncryptionKeyFile string `yaml:"encryption_key_file"`
	// EventsFor is how long messages and their events are kept, BodiesFor how long a body is kept
	// after the last recipient reached an end.
	EventsFor time.Duration `yaml:"events_for"`
	BodiesFor time.Duration `yaml:"bodies_for"`
	// MaxSize is what the journal may take on disk, in MiB; 0 has no bound. Above it the oldest bodies of mail that is
	// done with are deleted before their time, then the oldest messages with their events; what sendgate still has to
	// act on never, and no message of the last 24 hours. See retentionbound.go.
	MaxSize int64 `yaml:"max_size_mib"`
	// MinFree is the free space, in MiB, below which nothing is accepted. The store keeps more when
	// the engine may need more for its memory tables and for compaction: from 192 MiB for an empty
	// journal to some 500 for a big one under load.
	MinFree int64 `yaml:"min_free_mib"`

	// Node names this machine in events; Now is the clock; Log takes the engine's own messages.
	Node string           `yaml:"-"`
	Now  func() time.Time `yaml:"-"`
	Log  *zap.Logger      `yaml:"-"`
	// Took is told how long each change took from [Store.Commit] until it was durable; nil tells nobody. It
	// must be quick and safe for concurrent use.
	Took func(time.Duration) `yaml:"-"`
}

// minMaxSize is what the engine needs in any case, in MiB, with some mail.
const minMaxSize = 512

// DefaultConfig keeps events for 90 days and bodies for 72 hours.
func DefaultConfig() Config {
	return Config{
		Dir:       "/var/lib/sendgate",
		EventsFor: 90 * 24 * time.Hour,
		BodiesFor: 72 * time.Hour,
		MinFree:   512,
	}
}

// Validate reports every fault at once, as [policy.Faults].
func (c *Config) Validate() error {
	var faults policy.Faults
	if c.Dir == "" {
		faults.Add("dir", nil, "name the directory for the journal, such as /var/lib/sendgate")
	}
	if c.EventsFor < 24*time.Hour {
		faults.Add("events_for", c.EventsFor, "must be at least 24h: a recall needs them")
	}
	if c.BodiesFor < 0 || c.BodiesFor > c.EventsFor {
		faults.Add("bodies_for", c.BodiesFor, "must be between 0s and events_for (%v)", c.EventsFor)
	}
	if c.MaxSize != 0 && c.MaxSize < minMaxSize {
		faults.Add("max_size_mib", fmt.Sprint(c.MaxSize), "must be 0 for no bound, or at least %d", minMaxSize)
	}
	if c.MinFree < 64 {
		faults.Add("min_free_mib", fmt.Sprint(c.MinFree), "must be at least 64")
	}
	return faults.Err()
}
