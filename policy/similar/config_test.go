package similar

import (
	"strings"
	"testing"
	"time"
)

func TestConfigFaults(t *testing.T) {
	good := DefaultConfig()
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	bad := Config{
		Notice: Threshold{Hour: -1, Day: 60}, Slow: Threshold{Hour: 20, Day: 50}, Review: Threshold{Day: -5}, Template: -1,
		Spread: Spread{Senders: 1}, Keep: time.Hour, Campaigns: 5,
	}
	err := bad.Validate()
	for _, want := range []string{
		"notice.hour: -1: must not be negative",
		"slow.day: 50: must not be below notice.day (60)",
		"review.day: -5: must not be negative",
		"template: -1: must not be negative",
		"spread.senders: 1: must be at least 2: one sender is no spread",
		"spread.recipients: 0: must be at least 1",
		"keep: 1h0m0s: must be at least 24h: that is how far counting reaches",
		"campaigns: 5: must be at least 100",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in %v", want, err)
		}
	}
	if _, err := New(bad); err == nil {
		t.Error("an index with a bad configuration")
	}
	if _, err := New(good); err == nil || err.Error() != "similarity needs a secret seed" {
		t.Errorf("%v", err)
	}
}

func TestLevelNames(t *testing.T) {
	for l, want := range map[Level]string{Silent: "none", Notice: "notice", Slow: "slow", Review: "review", Alert: "alert", 9: "alert"} {
		if l.String() != want {
			t.Errorf("%d: %s", l, l)
		}
	}
}
