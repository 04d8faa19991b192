package limit

import (
	"math"
	"testing"
	"time"
)

func boost(n int64) Grant {
	return Grant{
		Rule: "hourly", Key: "anna", Boost: true, Amount: n, Given: noon, Until: noon.Add(6 * time.Hour),
		Reason: "invoice run", Author: "carl",
	}
}

func override(n int64) Grant {
	g := boost(n)
	g.Boost = false
	return g
}

func TestGrants(t *testing.T) {
	other, later := boost(50), override(7)
	other.Rule = "daily"
	later.Given, later.Until = noon.Add(time.Minute), noon.Add(time.Hour)
	second := boost(5)
	second.Author = "dora"
	tests := []struct {
		name   string
		grants []Grant
		at     time.Time
		limit  int64
		source Source
	}{
		{"none", nil, noon, 10, FromRule},
		{"boost adds", []Grant{boost(5)}, noon, 15, FromBoost},
		{"boosts add up", []Grant{boost(5), second}, noon, 20, FromBoost},
		{"the same boost again, from the journal", []Grant{boost(5), boost(5)}, noon, 15, FromBoost},
		{"override replaces", []Grant{override(3)}, noon, 3, FromOverride},
		{"override to nothing", []Grant{override(0)}, noon, 0, FromOverride},
		{"a later override replaces an earlier one", []Grant{override(3), later}, noon.Add(time.Minute), 7, FromOverride},
		{"boost on top of an override", []Grant{boost(5), override(30)}, noon, 35, FromBoost},
		{"until it expires", []Grant{boost(5)}, noon.Add(6 * time.Hour), 10, FromRule},
		{"until just before", []Grant{boost(5)}, noon.Add(6*time.Hour - time.Second), 15, FromBoost},
		{"of another rule", []Grant{other}, noon, 10, FromRule},
		{"without an overflow", []Grant{boost(math.MaxInt64), second}, noon, math.MaxInt64, FromBoost},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := New(DefaultConfig())
			for _, g := range tt.grants {
				if err := c.Grant(g); err != nil {
					t.Fatal(err)
				}
			}
			l := c.Test(tt.at, []Demand{hourly("anna", 1)}).Lines[0]
			if l.Limit != tt.limit || l.Source != tt.source {
				t.Errorf("limit %d from %s, want %d from %s", l.Limit, l.Source, tt.limit, tt.source)
			}
			if l := c.Test(tt.at, []Demand{hourly("ben", 1)}).Lines[0]; l.Limit != 10 {
				t.Errorf("another key has the limit %d", l.Limit)
			}
		})
	}
}

func TestGrantsAreListedAndRevoked(t *testing.T) {
	c := New(DefaultConfig())
	for _, g := range []Grant{boost(5), override(3)} {
		if err := c.Grant(g); err != nil {
			t.Fatal(err)
		}
	}
	if got := c.Grants(noon, "anna"); len(got) != 2 || got[0] != boost(5) || got[1] != override(3) {
		t.Errorf("got %+v", got)
	}
	if got := c.Grants(noon.Add(6*time.Hour), "anna"); len(got) != 0 {
		t.Errorf("expired, but %+v", got)
	}
	c.Revoke("daily", "anna")
	if got := c.Grants(noon, "anna"); len(got) != 2 {
		t.Errorf("another rule was revoked, but %+v", got)
	}
	c.Revoke("hourly", "anna")
	c.Revoke("hourly", "nobody")
	if got := c.Grants(noon, "anna"); len(got) != 0 {
		t.Errorf("revoked, but %+v", got)
	}
}

func TestGrantIsChecked(t *testing.T) {
	tests := []struct {
		want string
		edit func(*Grant)
	}{
		{"a grant needs a rule and a key", func(g *Grant) { g.Rule = "" }},
		{"a grant needs a rule and a key", func(g *Grant) { g.Key = "" }},
		{"a grant needs a positive amount", func(g *Grant) { g.Amount = 0 }},
		{"a grant needs a positive amount", func(g *Grant) { g.Boost, g.Amount = false, -1 }},
		{"a grant has to end after it begins", func(g *Grant) { g.Until = g.Given }},
		{"a grant needs a reason and an author", func(g *Grant) { g.Reason = "" }},
		{"a grant needs a reason and an author", func(g *Grant) { g.Author = "" }},
	}
	for _, tt := range tests {
		g := boost(5)
		tt.edit(&g)
		if err := New(DefaultConfig()).Grant(g); err == nil || err.Error() != tt.want {
			t.Errorf("got %v, want %s", err, tt.want)
		}
	}
}

func TestUsageAndNear(t *testing.T) {
	c := New(DefaultConfig())
	c.Take(noon, id(1), Fingerprint{}, []Demand{hourly("anna", 9), daily("anna", 9)})
	c.Take(noon, id(2), Fingerprint{}, []Demand{hourly("ben", 8)})
	c.Take(noon, id(3), Fingerprint{}, []Demand{hourly("carl", 7), {Rule: "gone", Key: "carl", Window: time.Hour, Limit: 1, Amount: 1}})
	limits := func(rule, key string) (Demand, bool) {
		switch rule {
		case "hourly":
			return hourly(key, 0), true
		case "daily":
			return daily(key, 0), true
		}
		return Demand{}, false
	}
	if err := c.Grant(Grant{Rule: "hourly", Key: "ben", Amount: 8, Given: noon, Until: noon.Add(time.Hour), Reason: "r", Author: "a"}); err != nil {
		t.Fatal(err)
	}
	near := c.Near(noon, 0.8, limits, 10)
	if len(near) != 2 || near[0].Key != "ben" || near[1].Key != "anna" || near[1].Rule != "hourly" {
		t.Fatalf("near: %+v", near)
	}
	if l := near[0]; l.Used != 8 || l.Limit != 8 || l.Source != FromOverride || l.Fits || l.Next != noon.Add(61*time.Minute) || !l.Warn {
		t.Errorf("ben: %+v", l)
	}
	if got := c.Near(noon, 0.8, limits, 1); len(got) != 1 || got[0].Key != "ben" {
		t.Errorf("the first: %+v", got)
	}
	if got := c.Usage(noon, "anna", limits); len(got) != 2 || got[0].Used != 9 || got[1].Limit != 100 {
		t.Errorf("anna: %+v", got)
	}
	if got := c.Usage(noon, "carl", limits); len(got) != 1 || got[0].Warn {
		t.Errorf("carl: %+v", got)
	}
	if got := c.Usage(noon, "nobody", limits); got != nil {
		t.Errorf("nobody: %+v", got)
	}
	if got := c.Usage(noon.Add(3*time.Hour), "ben", limits); got != nil {
		t.Errorf("later: %+v", got)
	}
}
