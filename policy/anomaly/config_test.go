package anomaly

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestDefaultConfigIsValid(t *testing.T) {
	cfg := DefaultConfig()
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
}

func TestFaults(t *testing.T) {
	for _, tt := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.Stages.Log = 0 }, "stages.log: 0: must be at least 1"},
		{func(c *Config) { c.Stages.Hold = 2 }, "stages.hold: 2: must not be below the stage before (4)"},
		{func(c *Config) { c.Weights = map[Code]int{"rain": 1} }, "weights.rain: 1: is not a reason"},
		{func(c *Config) { c.Weights = map[Code]int{Recent: 1} }, "weights.recent: 1: is not a reason"},
		{func(c *Config) { c.Weights = map[Code]int{Order: -1} }, "weights.order: -1: must not be negative"},
		{func(c *Config) { c.Deviations = 0 }, "deviations: 0: must be at least 1"},
		{func(c *Config) { c.Hour = 0 }, "hour: 0: must be at least 1"},
		{func(c *Config) { c.Networks.Hour = 16 }, "networks.hour: 16: must be below 16: so many networks are remembered"},
		{func(c *Config) { c.Ramp.Grow = -1 }, "ramp.grow: -1: must not be negative"},
		{func(c *Config) { c.Ramp.Most = 9 }, "ramp.most: 9: must not be below ramp.day (50)"},
		{func(c *Config) { c.Suspension.Automatic = 11 }, "suspension.automatic: 11: must be between 0 and 10"},
		{func(c *Config) { c.Suspension.For = time.Second }, "suspension.for: 1s: must be at least 1m0s"},
		{func(c *Config) { c.Suspension.Always = []string{"postmaster"} }, "suspension.always[0]: postmaster: is not an address"},
		{func(c *Config) { c.Field = "X Y" }, "field: X Y: must be the name of a header field, such as X-Sendgate-Anomaly, or empty"},
		{func(c *Config) { c.Review.OnExpiry = "delete" }, "review.on_expiry: delete: must be return or release"},
		{func(c *Config) { c.Review.Expires = 0 }, "review.expires: 0s: must be at least 1m0s"},
		{func(c *Config) { c.Pace = Pacing{Every: 1, Burst: 0} }, "pace.burst: 0: must be at least 1\npace.every: 1ns: must be at least 1s"},
		{func(c *Config) { c.Calm, c.Learning = 0, 0 }, "learning: 0s: must be at least 24h0m0s\ncalm: 0s: must be at least 1m0s"},
	} {
		cfg := DefaultConfig()
		tt.change(&cfg)
		if err := cfg.Validate(); err == nil || err.Error() != tt.want {
			t.Errorf("%v, want %s", err, tt.want)
		}
		if _, err := New(cfg, nil); err == nil {
			t.Errorf("%s: New takes it", tt.want)
		}
	}
}

func TestWeightsAreReplaced(t *testing.T) {
	d := settled(t, func(c *Config) { c.Weights = map[Code]int{VolumeHour: 0, Strangers: 9} })
	v := d.look(d.mail(30))
	if v.reason(VolumeHour) != nil || v.reason(Strangers).Weight != 9 {
		t.Errorf("%s", v.codes())
	}
	if v.Stage != Tag {
		t.Errorf("circumstance alone: %v", v.Stage)
	}
}

func TestNames(t *testing.T) {
	var names []string
	for s := Pass; s <= Suspend; s++ {
		names = append(names, s.String())
	}
	if got := strings.Join(names, " "); got != "pass log tag pace hold suspend" {
		t.Error(got)
	}
	for code := range defaultWeights {
		l := label(code, Numbers{Seen: 7, Limit: 5, Of: 9})
		if l.EN == "" || l.ZH == "" || l == label(Suspended, Numbers{}) {
			t.Errorf("%s has no words: %v", code, l)
		}
	}
	if z := fmt.Sprint(Numbers{Seen: 10, Usual: 4, Spread: 2}.Z(), Numbers{Seen: 10}.Z()); z != "3 0" {
		t.Error(z)
	}
}
