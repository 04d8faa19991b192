package limit

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func id(n int) policy.ID {
	var i policy.ID
	binary.BigEndian.PutUint64(i[8:], uint64(n))
	return i
}

func fingerprint(n int) (f Fingerprint) {
	binary.BigEndian.PutUint64(f[:], uint64(n))
	return f
}

// hourly asks n of a hard limit of 10 an hour.
func hourly(key string, n int64) Demand {
	return Demand{Rule: "hourly", Key: key, Window: time.Hour, Limit: 10, Amount: n, WarnAt: 80, Hard: true}
}

func daily(key string, n int64) Demand {
	return Demand{Rule: "daily", Key: key, Window: 24 * time.Hour, Limit: 100, Amount: n, Hard: true}
}

func used(t *testing.T, c *Counters, now time.Time, d Demand) int64 {
	t.Helper()
	return c.Test(now, []Demand{d}).Lines[0].Used
}

func TestTake(t *testing.T) {
	soft, shadow, message := hourly("anna", 5), hourly("anna", 5), hourly("anna", 5)
	soft.Hard, shadow.Shadow = false, true
	message.Window, message.Rule = 0, "per message"
	large, huge := message, hourly("anna", 11)
	large.Amount = 11
	ramp := hourly("anna", 4)
	ramp.Limit, ramp.Source = 3, FromRamp
	ramp.Rule = "ramp"
	shadowLarge := large
	shadowLarge.Shadow = true
	tests := []struct {
		name   string
		first  int64 // taken before, of anna's hourly limit
		ask    []Demand
		fits   bool
		line   int // of the answer, which has to be
		want   Line
		after  int64 // what anna's hourly limit has counted then
		daily  int64
		source Source
	}{
		{"first message", 0, []Demand{hourly("anna", 3)}, true, 0, Line{Limit: 10, Fits: true, Next: noon}, 3, 0, FromRule},
		{"exactly full", 7, []Demand{hourly("anna", 3)}, true, 0,
			Line{Used: 7, Limit: 10, Fits: true, Next: noon, Warn: true, Crossed: true}, 10, 0, FromRule},
		{"one too many", 8, []Demand{hourly("anna", 3)}, false, 0,
			Line{Used: 8, Limit: 10, Next: noon.Add(61 * time.Minute), Warn: true}, 8, 0, FromRule},
		{"larger than the limit never fits", 0, []Demand{huge}, false, 0,
			Line{Limit: 10, Never: true, Warn: true, Crossed: true}, 0, 0, FromRule},
		{"nothing asked fits into a full limit", 10, []Demand{hourly("anna", 0)}, true, 0,
			Line{Used: 10, Limit: 10, Fits: true, Next: noon, Warn: true}, 10, 0, FromRule},
		{"a negative amount is nothing", 10, []Demand{hourly("anna", -5)}, true, 0,
			Line{Used: 10, Limit: 10, Fits: true, Next: noon, Warn: true}, 10, 0, FromRule},
		{"another key", 10, []Demand{hourly("ben", 3)}, true, 0, Line{Limit: 10, Fits: true, Next: noon}, 10, 0, FromRule},
		{"none is taken when one does not fit", 8, []Demand{daily("anna", 3), hourly("anna", 3)}, false, 1,
			Line{Used: 8, Limit: 10, Next: noon.Add(61 * time.Minute), Warn: true}, 8, 0, FromRule},
		{"all are taken when all fit", 5, []Demand{daily("anna", 3), hourly("anna", 2)}, true, 1,
			Line{Used: 5, Limit: 10, Fits: true, Next: noon}, 7, 3, FromRule},
		{"a soft limit tells and counts", 8, []Demand{soft}, true, 0,
			Line{Used: 8, Limit: 10, Next: noon.Add(61 * time.Minute), Warn: true}, 13, 0, FromRule},
		{"a limit in shadow tells and counts", 8, []Demand{shadow}, true, 0,
			Line{Used: 8, Limit: 10, Next: noon.Add(61 * time.Minute), Warn: true}, 13, 0, FromRule},
		{"shadow counts nothing when another refuses", 8, []Demand{shadow, large}, false, 1,
			Line{Limit: 10, Never: true, Warn: true, Crossed: true}, 8, 0, FromRule},
		{"per message counts nothing", 8, []Demand{message}, true, 0, Line{Limit: 10, Fits: true, Next: noon}, 8, 0, FromRule},
		{"per message never fits", 0, []Demand{large}, false, 0,
			Line{Limit: 10, Never: true, Warn: true, Crossed: true}, 0, 0, FromRule},
		{"per message in shadow", 0, []Demand{shadowLarge}, true, 0,
			Line{Limit: 10, Never: true, Warn: true, Crossed: true}, 0, 0, FromRule},
		{"the same limit twice is one sum", 4, []Demand{hourly("anna", 3), hourly("anna", 3)}, true, 1,
			Line{Used: 7, Limit: 10, Fits: true, Next: noon, Warn: true, Crossed: true}, 10, 0, FromRule},
		{"the sum does not fit", 5, []Demand{hourly("anna", 3), hourly("anna", 3)}, false, 1,
			Line{Used: 8, Limit: 10, Next: noon.Add(61 * time.Minute), Warn: true}, 5, 0, FromRule},
		{"the sum never fits", 0, []Demand{hourly("anna", 6), hourly("anna", 6)}, false, 1,
			Line{Used: 6, Limit: 10, Never: true, Warn: true, Crossed: true}, 0, 0, FromRule},
		{"the source that is handed in is told", 0, []Demand{ramp}, false, 0,
			Line{Limit: 3, Never: true, Warn: true, Crossed: true}, 0, 0, FromRamp},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := New(DefaultConfig())
			if tt.first > 0 && !c.Take(noon, id(1), Fingerprint{}, []Demand{hourly("anna", tt.first)}).Fits {
				t.Fatal("the first message does not fit")
			}
			test := c.Test(noon, tt.ask)
			r := c.Take(noon, id(2), Fingerprint{}, tt.ask)
			if test.Fits != r.Fits || test.Lines[tt.line] != r.Lines[tt.line] {
				t.Errorf("Test said %+v", test)
			}
			d := tt.ask[tt.line]
			tt.want.Rule, tt.want.Key, tt.want.Window, tt.want.Asked = d.Rule, d.Key, d.Window, d.Amount
			tt.want.Hard, tt.want.Shadow, tt.want.Source = d.Hard, d.Shadow, tt.source
			if r.Fits != tt.fits || r.Lines[tt.line] != tt.want {
				t.Errorf("fits %v\n got %+v\nwant %+v", r.Fits, r.Lines[tt.line], tt.want)
			}
			if got := used(t, c, noon, hourly("anna", 1)); got != tt.after {
				t.Errorf("hourly %d, want %d", got, tt.after)
			}
			if got := used(t, c, noon, daily("anna", 1)); got != tt.daily {
				t.Errorf("daily %d, want %d", got, tt.daily)
			}
			if blocking := r.Blocking(); (blocking == nil) != tt.fits {
				t.Errorf("blocking %+v", blocking)
			}
		})
	}
}

func TestBlockingIsTheLongest(t *testing.T) {
	hard := func(rule string, next time.Time, never bool) Line {
		return Line{Rule: rule, Hard: true, Next: next, Never: never}
	}
	r := Result{Lines: []Line{
		{Rule: "soft", Never: true}, hard("short", noon, false), hard("long", noon.Add(1), false),
		{Rule: "fits", Hard: true, Fits: true}, {Rule: "shadow", Hard: true, Shadow: true, Never: true},
	}}
	if got := r.Blocking().Rule; got != "long" {
		t.Errorf("blocking is %s", got)
	}
	r.Lines = append(r.Lines, hard("never", time.Time{}, true), hard("later", noon.Add(2), false))
	if got := r.Blocking().Rule; got != "never" {
		t.Errorf("blocking is %s", got)
	}
}

// What happens to a message afterwards.
func TestReservation(t *testing.T) {
	minutes := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Minute) }
	refund := []Amount{{Rule: "hourly", Key: "anna", Units: 2}}
	tests := []struct {
		name string
		do   func(t *testing.T, c *Counters)
		at   time.Time
		used int64
	}{
		{"reserved counts", func(t *testing.T, c *Counters) {}, minutes(9), 4},
		{"the lease runs out", func(t *testing.T, c *Counters) {}, minutes(10), 0},
		{"committed stays", func(t *testing.T, c *Counters) { ok(t, c.Commit(id(1))) }, minutes(30), 4},
		{"committed twice stays", func(t *testing.T, c *Counters) { ok(t, c.Commit(id(1))); ok(t, c.Commit(id(1))) }, minutes(30), 4},
		{"commit after the lease tells", func(t *testing.T, c *Counters) {
			c.Test(minutes(11), nil)
			ok(t, !c.Commit(id(1)))
		}, minutes(11), 0},
		{"release gives back", func(t *testing.T, c *Counters) { ok(t, c.Release(noon, id(1))) }, minutes(1), 0},
		{"release twice gives back once", func(t *testing.T, c *Counters) {
			ok(t, c.Take(noon, id(2), Fingerprint{}, []Demand{hourly("anna", 3)}).Fits)
			ok(t, c.Release(noon, id(1)))
			ok(t, !c.Release(noon, id(1)))
		}, minutes(1), 3},
		{"release long after commit", func(t *testing.T, c *Counters) {
			ok(t, c.Commit(id(1)))
			ok(t, c.Take(minutes(40), id(2), Fingerprint{}, []Demand{hourly("anna", 3)}).Fits)
			ok(t, c.Release(noon, id(1)))
		}, minutes(41), 3},
		{"release when its window is over", func(t *testing.T, c *Counters) {
			ok(t, c.Commit(id(1)))
			ok(t, c.Take(minutes(70), id(2), Fingerprint{}, []Demand{hourly("anna", 3)}).Fits)
			c.Release(minutes(70), id(1))
		}, minutes(71), 3},
		{"partly, long after commit", func(t *testing.T, c *Counters) {
			ok(t, c.Commit(id(1)))
			ok(t, c.Refund(noon, id(1), "a", refund))
		}, minutes(30), 2},
		{"partly, the same key twice", func(t *testing.T, c *Counters) {
			ok(t, c.Commit(id(1)))
			ok(t, c.Refund(noon, id(1), "a", refund))
			ok(t, !c.Refund(noon, id(1), "a", refund))
		}, minutes(30), 2},
		{"no more than it took", func(t *testing.T, c *Counters) {
			ok(t, c.Commit(id(1)))
			ok(t, c.Take(noon, id(2), Fingerprint{}, []Demand{hourly("anna", 3)}).Fits)
			ok(t, c.Refund(noon, id(1), "a", []Amount{{Rule: "hourly", Key: "anna", Units: 99}, {Rule: "hourly", Key: "ben", Units: 1}}))
			ok(t, c.Refund(noon, id(1), "b", refund))
		}, minutes(1), 3},
		{"a part, then the rest", func(t *testing.T, c *Counters) {
			ok(t, c.Commit(id(1)))
			ok(t, c.Take(noon, id(2), Fingerprint{}, []Demand{hourly("anna", 3)}).Fits)
			ok(t, c.Refund(noon, id(1), "a", refund))
			ok(t, c.Release(noon, id(1)))
		}, minutes(1), 3},
		{"unknown message", func(t *testing.T, c *Counters) {
			ok(t, !c.Release(noon, id(9)) && !c.Commit(id(9)) && !c.Refund(noon, id(9), "a", refund))
		}, minutes(1), 4},
		{"taken twice counts once", func(t *testing.T, c *Counters) {
			r := c.Take(noon, id(1), Fingerprint{}, []Demand{hourly("anna", 4)})
			ok(t, r.Fits && r.RetryOf == id(1))
			ok(t, r.Taken.Amounts[0] == Amount{Rule: "hourly", Key: "anna", Window: time.Hour, Units: 4})
		}, minutes(1), 4},
		{"reset empties, release after it gives nothing", func(t *testing.T, c *Counters) {
			ok(t, c.Commit(id(1)))
			c.Reset(noon.Add(time.Second), "hourly", "anna")
			ok(t, c.Take(noon.Add(2*time.Second), id(2), Fingerprint{}, []Demand{hourly("anna", 3)}).Fits)
			ok(t, c.Release(noon, id(1)))
			c.Reset(noon.Add(time.Second), "hourly", "anna") // the same one again, from the journal
		}, minutes(1), 3},
		{"reset of all rules", func(t *testing.T, c *Counters) { c.Reset(noon, "", "anna") }, minutes(1), 0},
		{"reset of another rule", func(t *testing.T, c *Counters) { c.Reset(noon, "daily", "anna") }, minutes(1), 4},
		{"shorter window after the fact", func(t *testing.T, c *Counters) {
			d := hourly("anna", 1)
			d.Window = 30 * time.Minute
			ok(t, used(t, c, minutes(5), d) == 4)
			ok(t, c.Release(noon, id(1)))
		}, minutes(5), 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := New(DefaultConfig())
			ok(t, c.Take(noon, id(1), Fingerprint{}, []Demand{hourly("anna", 4)}).Fits)
			tt.do(t, c)
			if got := used(t, c, tt.at, hourly("anna", 1)); got != tt.used {
				t.Errorf("used %d, want %d", got, tt.used)
			}
		})
	}
}

func ok(t *testing.T, condition bool) {
	t.Helper()
	if !condition {
		t.Fatal("not so")
	}
}

func TestRetry(t *testing.T) {
	ask := []Demand{hourly("anna", 4)}
	tests := []struct {
		name string
		do   func(t *testing.T, c *Counters)
		at   time.Duration
		of   policy.ID // whose reservation message 2 shares
		used int64
	}{
		{"after the answer was lost", func(t *testing.T, c *Counters) { ok(t, c.Commit(id(1))) }, time.Minute, id(1), 4},
		{"while the first is decided", func(t *testing.T, c *Counters) {}, time.Minute, id(1), 4},
		{"after the first was refused", func(t *testing.T, c *Counters) { ok(t, c.Release(noon, id(1))) }, time.Minute, policy.ID{}, 4},
		{"after the lease ran out", func(t *testing.T, c *Counters) {}, 11 * time.Minute, policy.ID{}, 4},
		{"after the window", func(t *testing.T, c *Counters) { ok(t, c.Commit(id(1))) }, 23 * time.Hour, id(1), 0},
		{"after a day", func(t *testing.T, c *Counters) { ok(t, c.Commit(id(1))) }, 24 * time.Hour, policy.ID{}, 4},
		{"after a part was given back", func(t *testing.T, c *Counters) {
			ok(t, c.Commit(id(1)))
			ok(t, c.Refund(noon, id(1), "a", []Amount{{Rule: "hourly", Key: "anna", Units: 1}}))
		}, time.Minute, policy.ID{}, 7},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := New(DefaultConfig())
			ok(t, c.Take(noon, id(1), fingerprint(7), ask).Fits)
			tt.do(t, c)
			now := noon.Add(tt.at)
			r := c.Take(now, id(2), fingerprint(7), ask)
			if !r.Fits || r.RetryOf != tt.of {
				t.Errorf("fits %v, retry of %v", r.Fits, r.RetryOf)
			}
			if got := used(t, c, now, hourly("anna", 1)); got != tt.used {
				t.Errorf("used %d, want %d", got, tt.used)
			}
		})
	}
}

func TestSharedReservation(t *testing.T) {
	c := New(DefaultConfig())
	ask := []Demand{hourly("anna", 4)}
	c.Take(noon, id(1), fingerprint(7), ask)
	c.Take(noon.Add(9*time.Minute), id(2), fingerprint(7), ask)
	if got := used(t, c, noon.Add(18*time.Minute), ask[0]); got != 4 {
		t.Errorf("the retry did not renew the lease: %d", got)
	}
	ok(t, c.Release(noon, id(1)))
	if got := used(t, c, noon, ask[0]); got != 4 {
		t.Errorf("the retry still counts, but used is %d", got)
	}
	ok(t, c.Commit(id(2)))
	c.Take(noon, id(3), fingerprint(7), ask)
	ok(t, !c.Refund(noon, id(2), "a", []Amount{{Rule: "hourly", Key: "anna", Units: 1}}))
	ok(t, c.Release(noon, id(2)))
	ok(t, c.Release(noon, id(3)))
	if got := used(t, c, noon, ask[0]); got != 0 {
		t.Errorf("all were released, but used is %d", got)
	}
	if r := c.Take(noon, id(4), fingerprint(7), ask); r.RetryOf != (policy.ID{}) {
		t.Errorf("shares a released reservation of %v", r.RetryOf)
	}
}

func TestEditedLimitKeepsUsage(t *testing.T) {
	c := New(DefaultConfig())
	c.Take(noon, id(1), Fingerprint{}, []Demand{hourly("anna", 8)})
	d := hourly("anna", 4)
	d.Limit = 12
	if r := c.Test(noon, []Demand{d}); !r.Fits || r.Lines[0].Used != 8 {
		t.Errorf("after raising the limit: %+v", r.Lines[0])
	}
	d.Limit = 5
	if l := c.Test(noon, []Demand{d}).Lines[0]; l.Fits || l.Never || l.Used != 8 || l.Next != noon.Add(61*time.Minute) {
		t.Errorf("after lowering the limit: %+v", l)
	}
}

func TestWhen(t *testing.T) {
	c := New(DefaultConfig())
	c.Take(noon, id(1), Fingerprint{}, []Demand{hourly("anna", 8)})
	tests := []struct {
		name   string
		amount int64
		ahead  int64
		at     time.Duration
		ok     bool
	}{
		{"fits now", 2, 0, 0, true},
		{"fits when the first leaves", 3, 0, 61 * time.Minute, true},
		{"behind somebody who fits", 1, 1, 0, true},
		{"behind somebody who waits", 5, 5, 61 * time.Minute, true},
		{"in the second window", 5, 6, time.Hour, true},
		{"in the third window", 9, 16, 2*time.Hour + 61*time.Minute, true},
		{"never", 11, 0, 0, false},
		{"nothing asked", 0, 50, 0, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			at, ok := c.When(noon, hourly("anna", tt.amount), tt.ahead)
			if ok != tt.ok || ok && at != noon.Add(tt.at) {
				t.Errorf("%v %v, want %v %v", at.Sub(noon), ok, tt.at, tt.ok)
			}
		})
	}
}

func TestMessagesAreBounded(t *testing.T) {
	cfg := Config{Lease: time.Minute, Messages: 64 * 10}
	c := New(cfg)
	const n = 20_000
	for i := range n {
		c.Take(noon.Add(time.Duration(i)), id(i), fingerprint(i+1), []Demand{daily("anna", 0), hourly("x", 0)})
		c.Commit(id(i))
	}
	messages, retries := 0, 0
	for i := range c.shards {
		messages += len(c.shards[i].messages)
		retries += len(c.shards[i].retries)
	}
	if messages > 64*13 || retries > 64*13 || messages < 64*5 {
		t.Errorf("%d messages, %d retries are remembered", messages, retries)
	}
	if !c.Release(noon, id(n-1)) {
		t.Error("the last one is forgotten")
	}
	if c.Release(noon, id(0)) {
		t.Error("the first one is remembered")
	}
}

func TestSweepDropsWhatIsOver(t *testing.T) {
	c := New(DefaultConfig())
	for i := range 5000 {
		c.Take(noon, id(i), fingerprint(i+1), []Demand{hourly(id(i).String(), 1)})
		c.Commit(id(i))
	}
	c.Pace(noon, "pace", "anna", Rate{time.Second, 1}, 5)
	later := noon.Add(25 * time.Hour)
	for i := range 1000 {
		c.Take(later, id(10_000+i), Fingerprint{}, []Demand{hourly("late", 0)})
	}
	for i := range c.shards {
		s := &c.shards[i]
		if len(s.subjects) > 0 || len(s.retries) > 0 {
			t.Errorf("shard %d keeps %d subjects, %d retries", i, len(s.subjects), len(s.retries))
		}
		for id := range s.messages {
			if id[14] < 0x20 {
				t.Errorf("message %v is kept", id)
			}
		}
	}
}

func TestConfig(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	for want, cfg := range map[string]Config{
		"lease must be positive":       {Messages: 100},
		"messages must be at least 64": {Lease: time.Second, Messages: 1},
	} {
		if err := cfg.Validate(); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestAWeakFingerprintIsForAFew(t *testing.T) {
	body, none := NewFingerprint([32]byte{1, 15: 0xff}, true), NewFingerprint([32]byte{1, 15: 0x7f}, false)
	for name, tt := range map[string]struct {
		f     Fingerprint
		times []time.Duration
		used  int64
	}{
		"with the body, all share":     {body, make([]time.Duration, 9), 1},
		"without it, four share":       {none, make([]time.Duration, 9), 3},
		"without it, for ten minutes":  {none, []time.Duration{0, 9 * time.Minute, 10 * time.Minute, 19 * time.Minute}, 2},
		"with the body, for the whole": {body, []time.Duration{0, 9 * time.Minute, 10 * time.Minute, 19 * time.Minute}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			c, journal := New(DefaultConfig()), New(DefaultConfig())
			at := noon
			for i, after := range tt.times {
				at = noon.Add(after)
				r := c.Take(at, id(i+1), tt.f, []Demand{hourly("anna", 1)})
				c.Commit(id(i + 1))
				journal.Replay(at, id(i+1), r.Taken)
			}
			for what, c := range map[string]*Counters{"live": c, "replayed": journal} {
				if got := c.Test(at, []Demand{hourly("anna", 1)}).Lines[0].Used; got != tt.used {
					t.Errorf("%s: used %d, want %d", what, got, tt.used)
				}
			}
		})
	}
}
