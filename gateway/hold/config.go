package hold

import (
	"time"

	"github.com/sendgate/sendgate/policy"
)

// Config says how mail is let go and how often delivery is tried.
type Config struct {
	Retry RetryConfig `yaml:"retry"`
	// Workers is how many messages are being delivered at a time to one upstream.
	Workers int `yaml:"workers"`
	// CatchUp spreads what became due while sendgate was down: so many messages per second.
	CatchUp int `yaml:"catch_up"`
	// LongestHold bounds what a person may ask for when holding a message longer, from that moment.
	LongestHold time.Duration  `yaml:"longest_hold"`
	PullBack    PullBackConfig `yaml:"pull_back"`
}

// PullBackConfig says what becomes of mail that waits, in a hold or in a queue, when its sender is suspended
// from sending to other organisations: it is put up for approval, all of it as one batch.
type PullBackConfig struct {
	// After says after which suspensions: those of the rules about hijacked accounts, any, or never.
	After PullBackAfter `yaml:"after"`
	// Expires is how long a person has to look at it; what nobody has approved then goes back to its sender.
	Expires time.Duration `yaml:"expires"`
}

// PullBackAfter says after which suspensions mail is pulled back.
type PullBackAfter string

// The values of PullBackConfig.After.
const (
	PullBackAnomaly PullBackAfter = "anomaly"
	PullBackAny     PullBackAfter = "any"
	PullBackNever   PullBackAfter = "never"
)

// RetryConfig says when a delivery that failed for now is tried again, and when it is given up.
type RetryConfig struct {
	// First is the pause after the first failure; each further one is Factor times as long, up to Max.
	First  time.Duration `yaml:"first"`
	Factor float64       `yaml:"factor"`
	Max    time.Duration `yaml:"max"`
	// JitterPercent moves each pause by up to this share, earlier or later, so that what failed
	// together does not come back together.
	JitterPercent int `yaml:"jitter_percent"`
	// ExpireAfter is the age at which a message that still fails goes back to its sender.
	ExpireAfter time.Duration `yaml:"expire_after"`
	// DelayNoticeAfter is the age at which the sender is told of a delay, when the message asked for
	// it (NOTIFY=DELAY); 0 switches delay notices off.
	DelayNoticeAfter time.Duration `yaml:"delay_notice_after"`
	// DelayNoticeUnasked tells also the senders of messages that came without NOTIFY.
	DelayNoticeUnasked bool `yaml:"delay_notice_unasked"`
}

// DefaultConfig tries again after 1 m, 2 m, 4 m, ... 1 h, for five days.
func DefaultConfig() Config {
	return Config{
		Retry: RetryConfig{
			First: time.Minute, Factor: 2, Max: time.Hour, JitterPercent: 20,
			ExpireAfter: 120 * time.Hour, DelayNoticeAfter: 4 * time.Hour,
		},
		Workers: 20, CatchUp: 50, LongestHold: 24 * time.Hour,
		PullBack: PullBackConfig{After: PullBackAnomaly, Expires: 72 * time.Hour},
	}
}

// Validate reports every fault at once, as [policy.Faults].
func (c *Config) Validate() error {
	var faults policy.Faults
	c.Retry.validate(&faults)
	if c.Workers < 1 || c.Workers > 1000 {
		faults.Add("workers", c.Workers, "must be between 1 and 1000")
	}
	if c.CatchUp < 1 {
		faults.Add("catch_up", c.CatchUp, "must be at least 1 message per second")
	}
	if c.LongestHold < policy.MaxHold || c.LongestHold > 30*24*time.Hour {
		faults.Add("longest_hold", c.LongestHold, "must be between %v and 720h", policy.MaxHold)
	}
	switch c.PullBack.After {
	case PullBackAnomaly, PullBackAny, PullBackNever:
	default:
		faults.Add("pull_back.after", string(c.PullBack.After), "must be anomaly, any or never")
	}
	if c.PullBack.Expires < time.Hour || c.PullBack.Expires > 30*24*time.Hour {
		faults.Add("pull_back.expires", c.PullBack.Expires, "must be between 1h and 720h")
	}
	return faults.Err()
}

func (c *RetryConfig) validate(faults *policy.Faults) {
	if c.First < time.Second {
		faults.Add("retry.first", c.First, "must be at least 1s")
	}
	if c.Factor < 1 || c.Factor > 10 {
		faults.Add("retry.factor", c.Factor, "must be between 1 and 10")
	}
	if c.Max < c.First {
		faults.Add("retry.max", c.Max, "must be at least retry.first (%v)", c.First)
	}
	if c.JitterPercent < 0 || c.JitterPercent > 50 {
		faults.Add("retry.jitter_percent", c.JitterPercent, "must be between 0 and 50")
	}
	if c.ExpireAfter < c.First {
		faults.Add("retry.expire_after", c.ExpireAfter, "must be at least retry.first (%v)", c.First)
	}
	if c.DelayNoticeAfter < 0 || c.DelayNoticeAfter >= c.ExpireAfter && c.DelayNoticeAfter > 0 {
		faults.Add("retry.delay_notice_after", c.DelayNoticeAfter,
			"must be shorter than retry.expire_after (%v), or 0 for none", c.ExpireAfter)
	}
}
