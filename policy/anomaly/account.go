package anomaly

import (
	"hash/fnv"
	"slices"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// minDays is on how many days an account must have sent before there is a baseline.
const minDays = 5

// lately is how many messages and bounces are remembered to know one again.
const lately = 16

const secondsOfDay = 24 * 60 * 60

// An account is what is known of one identity. Times are seconds since 1970.
type account struct {
	_           struct{} `cbor:",toarray"`
	First, Last int64
	// Woke is when it began to be new, or 0; Idle how many days it was silent before.
	Woke int64
	Idle uint16
	// Vouched: a person said that it is innocent; it is never new again.
	Vouched bool
	// Heard counts mail to those who have written to it, since it is new.
	Heard uint16

	Baseline baseline
	Window   window
	Tainted  int64 // the day that teaches nothing, since 1970
	Habits   habits

	Networks, Agents sightings
	Sequence         sequence

	Stage   Stage // reached by its score, at StageAt
	StageAt int64
	Barred  bar
	Lately  [lately]uint32 // hashes of what was told
	Next    uint8
}

func newAccount(now time.Time) *account {
	return &account{First: now.Unix(), Last: now.Unix(), Window: window{At: now.Unix() / slotSeconds}, Tainted: -1}
}

// turn moves the windows on to a time; the days that are over become baseline.
func (a *account) turn(now time.Time) { a.Window.turn(now.Unix(), a.digest) }

// digest learns a day.
func (a *account) digest(day int64) {
	teach := day != a.Tainted
	a.Habits.digest(teach)
	if !teach || !slices.ContainsFunc(a.Window.Hours[:], func(h hourly) bool { return h.External > 0 }) {
		return
	}
	weekday := time.Weekday((day + 4) % 7) // 1970 began on a Thursday
	a.Baseline.learn(weekday, &a.Window.Hours, int(max(day-a.First/secondsOfDay, 0)/7))
}

// mature reports whether there is a baseline.
func (a *account) mature(now time.Time, cfg *Config) bool {
	return now.Unix()-a.First >= int64(cfg.Learning/time.Second) && a.Baseline.Days >= minDays
}

// woke says since when the account is new, with a message at a time; 0 means that it is not.
func (a *account) woke(now time.Time, r *Ramp) (since int64, idle int) {
	silent := now.Unix() - a.Last
	if silent >= int64(r.Idle/time.Second) {
		return now.Unix(), int(silent / secondsOfDay)
	}
	if a.Vouched || a.Woke == 0 || now.Unix()-a.Woke >= int64(r.For/time.Second) {
		return 0, 0
	}
	return a.Woke, int(a.Idle)
}

// told reports whether something was told before, and remembers it.
func (a *account) told(id policy.ID, of string) bool {
	if id == (policy.ID{}) {
		return false
	}
	h := fnv.New32a()
	h.Write(id[:])
	h.Write([]byte(of))
	sum := max(h.Sum32(), 1)
	if slices.Contains(a.Lately[:], sum) {
		return true
	}
	a.Lately[a.Next%lately] = sum
	a.Next++
	return false
}

// count enters a message in the windows.
func (a *account) count(f *Facts, free func(policy.Address) bool) {
	w := &a.Window
	w.add(external, len(f.External)) // before the strangers
	w.addUnheard(len(f.External) - f.heard())
	n, atFree := f.Strangers(), 0
	for i := range f.External {
		if f.External[i].Stranger && free(f.External[i].Address) {
			atFree++
		}
	}
	w.add(strangers, n)
	w.add(freeMail, atFree)
	if f.Bare && n > 0 {
		w.add(bare, 1)
	}
	a.Sequence.follow(f.External)
	saturate(&a.Heard, f.heard())
	if !f.Held {
		a.Habits.count(f, n, atFree)
	}
}

// forgive empties what counts against the account.
func (a *account) forgive() {
	a.Window.clear()
	a.Sequence, a.Habits.Today, a.Stage, a.StageAt = sequence{}, sorts{}, Pass, 0
}

// minute is a time as sightings keep it.
func minute(t time.Time) uint32 { return uint32(max(t.Unix()/60, 0)) }
