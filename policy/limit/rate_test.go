package limit

import (
	"testing"
	"time"
)

func TestRate(t *testing.T) {
	now := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	after := func(s float64) time.Time { return now.Add(time.Duration(s * float64(time.Second))) }
	r := Rate{Every: 2 * time.Second, Burst: 3}
	tests := []struct {
		name     string
		rate     Rate
		tat      time.Time
		n        int64
		at, tat2 time.Time
	}{
		{"nothing owed goes at once", r, time.Time{}, 1, now, after(2)},
		{"within the burst goes at once", r, after(4), 1, now, after(6)},
		{"above the burst waits for its slot", r, after(6), 1, after(2), after(8)},
		{"several units wait for all of them", r, after(2), 3, after(2), after(8)},
		{"more than the burst go when nothing is owed", r, now, 10, now, after(20)},
		{"and not before", r, after(1), 10, after(1), after(21)},
		{"without a burst one after the other", Rate{Every: time.Second}, after(1), 1, after(1), after(2)},
		{"no pace", Rate{}, time.Time{}, 5, now, now},
		{"an absurd number is bounded", Rate{Every: time.Hour, Burst: 1 << 62}, time.Time{}, 1 << 62, now, now.Add(maxOwed)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			at, tat := tt.rate.Next(tt.tat, now, tt.n)
			if !at.Equal(tt.at) || !tat.Equal(tt.tat2) {
				t.Errorf("at %v, then %v; want %v, %v", at.Sub(now), tat.Sub(now), tt.at.Sub(now), tt.tat2.Sub(now))
			}
		})
	}
}

func TestPace(t *testing.T) {
	c := New(DefaultConfig())
	now := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	r := Rate{Every: 2 * time.Second, Burst: 30} // 30 a minute
	var last Paced
	for range 60 {
		last = c.Pace(now, "pace", "anna", r, 1)
	}
	if got := last.At.Sub(now); got != time.Minute {
		t.Errorf("the 60th goes after %v, want 1m", got)
	}
	if got := c.Pace(now, "pace", "anna", r, 0).At.Sub(now); got != 62*time.Second {
		t.Errorf("the next would go after %v, want 62s", got)
	}
	if got := c.Pace(now, "pace", "anna", r, 0).At.Sub(now); got != 62*time.Second {
		t.Errorf("looking took a slot: %v", got)
	}
	if got := c.Pace(now, "pace", "ben", r, 0).At; !got.Equal(now) {
		t.Errorf("another key waits until %v", got)
	}
	d := New(DefaultConfig())
	d.ReplayPace(last)
	d.ReplayPace(Paced{Rule: "pace", Key: "anna", TAT: now}) // an older one changes nothing
	if got := d.Pace(now, "pace", "anna", r, 0).At.Sub(now); got != 62*time.Second {
		t.Errorf("after the replay %v, want 62s", got)
	}
	d.Reset(now, "pace", "anna")
	if got := d.Pace(now, "pace", "anna", r, 0).At; !got.Equal(now) {
		t.Errorf("after a reset it waits until %v", got)
	}
}
