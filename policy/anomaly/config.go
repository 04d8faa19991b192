package anomaly

import (
	"slices"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// Config says what is unusual and what follows from it.
//
// Enabled, Shadow, Field, Pace and Review are for who carries out what the Watch says; it does not look at them.
type Config struct {
	// Enabled compares what a sender does with what he used to do.
	Enabled bool `yaml:"enabled"`
	// Shadow only says what would follow.
	Shadow bool   `yaml:"shadow"`
	Stages Stages `yaml:"stages"`
	// Field names the header field that is added from stage tag on; empty adds none.
	Field  string `yaml:"field"`
	Pace   Pacing `yaml:"pace"`
	Review Review `yaml:"review"`
	// Weights replaces what reasons add to the score, by the name of the reason; 0 switches one off.
	Weights map[Code]int `yaml:"weights"`
	// Deviations is the z from which on a count is unusual.
	Deviations float64 `yaml:"deviations"`
	// Hour, Day and Week are the numbers of strangers below which volume is never unusual.
	Hour int `yaml:"hour"`
	Day  int `yaml:"day"`
	Week int `yaml:"week"`
	// External is the same for external recipients of all kinds in an hour.
	External int `yaml:"external"`
	// Learning is how long an account, and the Watch itself, is observed before there is a baseline.
	Learning time.Duration `yaml:"learning"`
	Bounces  Bounces       `yaml:"bounces"`
	Networks Networks      `yaml:"networks"`
	Ramp     Ramp          `yaml:"ramp"`
	// SameText is the number of strangers with one text from which on it is a reason.
	SameText int `yaml:"same_text"`
	// Calm is how long a stage stays after its score was reached for the last time.
	Calm       time.Duration `yaml:"calm"`
	Suspension Suspensions   `yaml:"suspension"`
	// Services are the groups whose accounts write to strangers as their work: they are only logged.
	Services []string `yaml:"services"`
	// FreeMail are the domains where anybody may have an address.
	FreeMail []string `yaml:"free_mail"`
	// Identities bounds how many accounts are known.
	Identities int `yaml:"identities"`
}

// Pacing is how fast the mail of an account goes at stage pace.
type Pacing struct {
	Every time.Duration `yaml:"every"` // a message
	Burst int           `yaml:"burst"` // so many at once
}

// Review is how long mail waits for a person at stage hold, and what becomes of it then:
// [policy.ExpiryReturn] or [policy.ExpiryRelease].
type Review struct {
	// Expires is how long mail waits for a person; OnExpiry says what becomes of it then: return or release.
	Expires  time.Duration `yaml:"expires"`
	OnExpiry string        `yaml:"on_expiry"`
}

// Bounces says when too much comes back.
type Bounces struct {
	Hour    int `yaml:"hour"`    // hard bounces in an hour
	Percent int `yaml:"percent"` // or of the recipients of a day,
	Of      int `yaml:"of"`      // where there were so many
	Unknown int `yaml:"unknown"` // unknown users in 10 minutes, and Percent of the hour's recipients
}

// Networks says how many networks and countries one person signs in from within an hour.
type Networks struct {
	Hour      int `yaml:"hour"`      // more than so many
	Countries int `yaml:"countries"` // more than so many
}

// Ramp bounds what new accounts send, and those that were long silent.
type Ramp struct {
	Day  int           `yaml:"day"`  // external recipients that have not written to the account
	For  time.Duration `yaml:"for"`  // how long an account is new
	Idle time.Duration `yaml:"idle"` // after what silence it is new again
	// Grow is added to Day for each message to somebody who has written to the account, Most is where
	// that ends.
	Grow int `yaml:"grow"`
	Most int `yaml:"most"`
}

// Suspensions says how long an account is barred.
type Suspensions struct {
	For       time.Duration `yaml:"for"`       // the first; each further one twice as long
	Automatic int           `yaml:"automatic"` // so many end by themselves, the next waits for a person
	Memory    time.Duration `yaml:"memory"`    // how long a suspension counts as an earlier one
	// Always are addresses that a suspended account may write to, as is everything internal: at most
	// Hourly recipients.
	Always []string `yaml:"always"`
	Hourly int      `yaml:"hourly"`
}

// DefaultConfig has the numbers that services publish or were measured with "bench hijack": bounces are
// those of UwUMail, Heimdal and cPanel, networks those of geoip-policyd, suspensions those of UwUMail,
// Heimdal and SpamExperts.
func DefaultConfig() Config {
	return Config{
		Enabled: true, Pace: Pacing{Every: 20 * time.Second, Burst: 1},
		Review:     Review{Expires: 72 * time.Hour, OnExpiry: policy.ExpiryReturn},
		Stages:     Stages{Log: 1, Tag: 3, Pace: 4, Hold: 5, Suspend: 8},
		Deviations: 4, Hour: 30, Day: 48, Week: 100, External: 100, Learning: 14 * 24 * time.Hour,
		Bounces:  Bounces{Hour: 25, Percent: 20, Of: 25, Unknown: 5},
		Networks: Networks{Hour: 10, Countries: 3},
		Ramp:     Ramp{Day: 50, For: 7 * 24 * time.Hour, Idle: 60 * 24 * time.Hour, Grow: 2, Most: 300},
		SameText: 20, Calm: time.Hour,
		Suspension: Suspensions{For: time.Hour, Automatic: 3, Memory: 30 * 24 * time.Hour, Hourly: 20},
		FreeMail: []string{
			"gmail.com", "googlemail.com", "yahoo.com", "hotmail.com", "outlook.com", "live.com", "msn.com", "icloud.com", "me.com",
			"aol.com", "gmx.net", "gmx.de", "gmx.com", "web.de", "mail.ru", "yandex.ru", "proton.me", "protonmail.com", "zoho.com",
			"qq.com", "163.com", "126.com", "yeah.net", "sina.com", "sohu.com", "139.com", "189.cn", "foxmail.com", "aliyun.com",
		},
		Identities: 200_000,
	}
}

// Validate reports every fault at once, as [policy.Faults].
func (c *Config) Validate() error {
	var faults policy.Faults
	stages := c.Stages.list()
	for i, from := range stages {
		key := "stages." + stageNames[Log+Stage(i)]
		if from < 1 {
			faults.Add(key, from, "must be at least 1")
		} else if i > 0 && from < stages[i-1] {
			faults.Add(key, from, "must not be below the stage before (%d)", stages[i-1])
		}
	}
	for code, weight := range c.Weights {
		if _, ok := defaultWeights[code]; !ok {
			faults.Add("weights."+string(code), weight, "is not a reason")
		} else if weight < 0 {
			faults.Add("weights."+string(code), weight, "must not be negative")
		}
	}
	if c.Deviations < 1 {
		faults.Add("deviations", c.Deviations, "must be at least 1")
	}
	if !isField(c.Field) {
		faults.Add("field", c.Field, "must be the name of a header field, such as X-Sendgate-Anomaly, or empty")
	}
	if e := c.Review.OnExpiry; e != policy.ExpiryReturn && e != policy.ExpiryRelease {
		faults.Add("review.on_expiry", e, "must be %s or %s", policy.ExpiryReturn, policy.ExpiryRelease)
	}
	c.counts(&faults)
	c.times(&faults)
	for i, a := range c.Suspension.Always {
		if address, err := policy.ParseAddress(a); err != nil || address.Domain() == "" {
			faults.Add("suspension.always["+itoa(i)+"]", a, "is not an address")
		}
	}
	return faults.Err()
}

// isField reports whether a name is that of a field (RFC 5322 3.6.8), or empty.
func isField(name string) bool {
	return !strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == ':' || r > '~' })
}

// counts checks what has to be at least 1.
func (c *Config) counts(faults *policy.Faults) {
	for _, n := range []struct {
		key   string
		value int
	}{
		{"hour", c.Hour}, {"day", c.Day}, {"week", c.Week}, {"external", c.External}, {"same_text", c.SameText}, {"identities", c.Identities},
		{"bounces.hour", c.Bounces.Hour}, {"bounces.percent", c.Bounces.Percent}, {"bounces.of", c.Bounces.Of},
		{"bounces.unknown", c.Bounces.Unknown}, {"networks.hour", c.Networks.Hour}, {"networks.countries", c.Networks.Countries},
		{"ramp.day", c.Ramp.Day}, {"suspension.hourly", c.Suspension.Hourly},
		{"pace.burst", c.Pace.Burst},
	} {
		if n.value < 1 {
			faults.Add(n.key, n.value, "must be at least 1")
		}
	}
	if c.Networks.Hour >= maxNetworks {
		faults.Add("networks.hour", c.Networks.Hour, "must be below %d: so many networks are remembered", maxNetworks)
	}
	if c.Ramp.Grow < 0 {
		faults.Add("ramp.grow", c.Ramp.Grow, "must not be negative")
	}
	if c.Ramp.Most < c.Ramp.Day {
		faults.Add("ramp.most", c.Ramp.Most, "must not be below ramp.day (%d)", c.Ramp.Day)
	}
	if c.Suspension.Automatic < 0 || c.Suspension.Automatic > maxAutomatic {
		faults.Add("suspension.automatic", c.Suspension.Automatic, "must be between 0 and %d", maxAutomatic)
	}
}

// times checks durations.
func (c *Config) times(faults *policy.Faults) {
	for _, d := range []struct {
		key         string
		value, from time.Duration
	}{
		{"learning", c.Learning, 24 * time.Hour}, {"calm", c.Calm, time.Minute}, {"ramp.for", c.Ramp.For, 0},
		{"ramp.idle", c.Ramp.Idle, 24 * time.Hour}, {"suspension.for", c.Suspension.For, time.Minute},
		{"suspension.memory", c.Suspension.Memory, time.Hour}, {"pace.every", c.Pace.Every, time.Second},
		{"review.expires", c.Review.Expires, time.Minute},
	} {
		if d.value < d.from {
			faults.Add(d.key, d.value, "must be at least %v", d.from)
		}
	}
}

// weight gives what a reason adds to the score.
func (c *Config) weight(code Code) int {
	if w, ok := c.Weights[code]; ok {
		return w
	}
	return defaultWeights[code]
}

// service reports whether one of the groups writes to strangers as its work.
func (c *Config) service(groups []string) bool {
	return slices.ContainsFunc(groups, func(g string) bool { return slices.Contains(c.Services, g) })
}
