package hold

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestDefaultsAreValid(t *testing.T) {
	c := DefaultConfig()
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

func TestFaultsAreReportedAtOnce(t *testing.T) {
	c := Config{
		Retry: RetryConfig{
			First: time.Millisecond, Factor: 0.5, JitterPercent: 51, DelayNoticeAfter: time.Hour,
			ExpireAfter: time.Microsecond,
		},
		Workers: 0, CatchUp: 0, LongestHold: time.Minute,
	}
	want := []string{
		"retry.first: 1ms: must be at least 1s",
		"retry.factor: 0.5: must be between 1 and 10",
		"retry.max: 0s: must be at least retry.first (1ms)",
		"retry.jitter_percent: 51: must be between 0 and 50",
		"retry.expire_after: 1µs: must be at least retry.first (1ms)",
		"retry.delay_notice_after: 1h0m0s: must be shorter than retry.expire_after (1µs), or 0 for none",
		"workers: 0: must be between 1 and 1000",
		"catch_up: 0: must be at least 1 message per second",
		"longest_hold: 1m0s: must be between 15m0s and 720h",
		"pull_back.after: : must be anomaly, any or never",
		"pull_back.expires: 0s: must be between 1h and 720h",
	}
	err := c.Validate()
	if err == nil {
		t.Fatal("no fault found")
	}
	if got := strings.Split(err.Error(), "\n"); !slices.Equal(got, want) {
		t.Errorf("faults:\n%s", strings.Join(got, "\n"))
	}
}
