package similar

import (
	"time"

	"github.com/sendgate/sendgate/policy"
)

// Config says when near-duplicates matter, and bounds the memory.
type Config struct {
	// Enabled reads what mail says; it costs time for each message.
	Enabled bool `yaml:"enabled"`
	// Seed is secret and belongs to the installation: who knows it can aim words at the sketch.
	// Signatures and snapshots of another seed are worthless.
	Seed [16]byte `yaml:"-"`
	// Notice, Slow, Review and Alert count distinct external recipients of one sender's campaign.
	Notice Threshold `yaml:"notice"`
	Slow   Threshold `yaml:"slow"`
	Review Threshold `yaml:"review"`
	Alert  Threshold `yaml:"alert"`
	// Template is the hourly number of recipients from which mail that says nothing but what its
	// sender always says is held for review.
	Template int `yaml:"template"`
	// Spread is the hijack alarm: the same text from so many senders to so many recipients each.
	Spread Spread `yaml:"spread"`
	// Keep is how long a campaign that was noticed or decided on stays known without new mail.
	Keep time.Duration `yaml:"keep"`
	// Campaigns bounds how many texts are known, about 1.2 KB of memory each; the oldest go first.
	Campaigns int `yaml:"campaigns"`
}

// A Threshold is reached by either number; 0 is not looked at.
type Threshold struct {
	Hour int `yaml:"hour"` // recipients in the last hour
	Day  int `yaml:"day"`  // recipients in the last 24 hours
}

// Spread says how far one text reaches before several accounts are taken for hijacked.
type Spread struct {
	// Senders is how many accounts have to send the same text for an alarm.
	Senders    int `yaml:"senders"`
	Recipients int `yaml:"recipients"` // of each of them, in 24 hours
}

// DefaultConfig has no seed yet. Slow and Review, Template and Spread are the numbers that were
// measured; Notice is four fifths of Slow, Alert is what others stop bulk mail at.
func DefaultConfig() Config {
	return Config{
		Enabled: true,
		Notice:  Threshold{Hour: 16, Day: 40}, Slow: Threshold{Hour: 20, Day: 50},
		Review: Threshold{Day: 100}, Alert: Threshold{Day: 200},
		Template: 200, Spread: Spread{Senders: 3, Recipients: 10},
		Keep: 30 * 24 * time.Hour, Campaigns: 200_000,
	}
}

// Validate reports every fault at once, as [policy.Faults].
func (c *Config) Validate() error {
	var faults policy.Faults
	steps := []struct {
		key string
		Threshold
	}{{"notice", c.Notice}, {"slow", c.Slow}, {"review", c.Review}, {"alert", c.Alert}}
	for i, s := range steps {
		notNegative(&faults, s.key+".hour", s.Hour)
		notNegative(&faults, s.key+".day", s.Day)
		if i > 0 && s.Day > 0 && s.Day < steps[i-1].Day {
			faults.Add(s.key+".day", s.Day, "must not be below %s.day (%d)", steps[i-1].key, steps[i-1].Day)
		}
	}
	notNegative(&faults, "template", c.Template)
	if c.Spread.Senders < 2 {
		faults.Add("spread.senders", c.Spread.Senders, "must be at least 2: one sender is no spread")
	}
	if c.Spread.Recipients < 1 {
		faults.Add("spread.recipients", c.Spread.Recipients, "must be at least 1")
	}
	if c.Keep < window {
		faults.Add("keep", c.Keep, "must be at least 24h: that is how far counting reaches")
	}
	if c.Campaigns < 100 {
		faults.Add("campaigns", c.Campaigns, "must be at least 100")
	}
	return faults.Err()
}

func notNegative(faults *policy.Faults, key string, n int) {
	if n < 0 {
		faults.Add(key, n, "must not be negative")
	}
}
