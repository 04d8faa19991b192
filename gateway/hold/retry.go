package hold

import (
	"math"
	"slices"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// pause is how long to wait after a failed attempt when there were so many before it: growing by
// Factor, bounded by Max, moved by the jitter. chance is a random number in [0, 1).
func (c *RetryConfig) pause(attempts int, chance float64) time.Duration {
	p := float64(c.First) * math.Pow(c.Factor, float64(attempts))
	p = min(p, float64(c.Max))
	share := float64(c.JitterPercent) / 100
	return time.Duration(p * (1 + share*(2*chance-1)))
}

// next is the time of the next attempt; the last one is made when the message expires.
func (c *RetryConfig) next(now time.Time, age time.Duration, attempts int, chance float64) time.Time {
	return now.Add(min(c.pause(attempts, chance), max(c.ExpireAfter-age, 0)))
}

// expired reports whether the attempt just made was the last. Times in the journal are rounded: an
// attempt a moment before the end is the one made at the end.
func (c *RetryConfig) expired(age time.Duration) bool { return age >= c.ExpireAfter-time.Second }

// noticeDue reports whether the sender is to be told now that a recipient is delayed (RFC 3461 4.1).
func (c *RetryConfig) noticeDue(r *store.Recipient, age time.Duration) bool {
	if c.DelayNoticeAfter == 0 || age < c.DelayNoticeAfter || r.Delayed || r.State != policy.StateDeferred {
		return false
	}
	return slices.Contains(r.Notify, "DELAY") || r.Notify == nil && c.DelayNoticeUnasked
}
