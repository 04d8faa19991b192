package anomaly

import (
	"fmt"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
)

func TestLevels(t *testing.T) {
	for _, x := range []float64{0.07, 0.25, 1, 3, 17, 400, 3000} {
		if got := value(quantise(x)); math.Abs(got-x) > x*0.023 {
			t.Errorf("%v becomes %v", x, got)
		}
	}
	for _, x := range []float64{0, -1, 0.01, math.NaN()} {
		if quantise(x) != 0 {
			t.Errorf("%v becomes %v", x, value(quantise(x)))
		}
	}
	if v := value(quantise(math.Inf(1))); v < 3500 {
		t.Errorf("infinity becomes %v", v)
	}
	for l := range 256 {
		if quantise(value(level(l))) != level(l) {
			t.Errorf("level %d does not stay", l)
		}
	}
}

// TestCellsConverge: the steps of a level are small enough to follow a mean up and down.
func TestCellsConverge(t *testing.T) {
	var c cell
	for range 30 {
		c = c.learn(12, 3, cellWeight)
	}
	if e, s := c.external().Mean, c.strangers().Mean; math.Abs(float64(e)-12) > 1 || math.Abs(float64(s)-3) > 0.3 {
		t.Errorf("up: %v %v", e, s)
	}
	for range 60 {
		c = c.learn(0, 0, cellWeight)
	}
	if c.external().Mean != 0 {
		t.Errorf("down: %v", c.external().Mean)
	}
}

// TestMoments compares with the mean and variance of the values themselves, equally weighted.
func TestMoments(t *testing.T) {
	var m moment
	values := []float64{4, 7, 5, 9, 6, 5, 8, 4}
	sum, squares := 0.0, 0.0
	for i, x := range values {
		m.learn(x, 1/float64(i+1))
		sum, squares = sum+x, squares+x*x
	}
	n := float64(len(values))
	mean := sum / n
	if math.Abs(float64(m.Mean)-mean) > 1e-5 || math.Abs(float64(m.Variance)-(squares/n-mean*mean)) > 1e-5 {
		t.Errorf("%+v", m)
	}
}

func TestWindow(t *testing.T) {
	var closed []int64
	w := window{At: monday.Unix() / slotSeconds}
	turn := func(after time.Duration) {
		w.turn(monday.Add(after).Unix(), func(day int64) { closed = append(closed, day-monday.Unix()/secondsOfDay) })
	}
	turn(23*time.Hour + 58*time.Minute)
	w.add(strangers, 5)
	if w.hour(strangers) != 5 || w.sum(strangers, minutes10) != 5 {
		t.Error("now")
	}
	turn(24*time.Hour + 10*time.Minute)
	if w.hour(strangers) != 5 || w.sum(strangers, minutes10) != 0 || w.day().strangers != 5 {
		t.Error("a quarter of an hour later")
	}
	turn(24*time.Hour + 54*time.Minute)
	if w.hour(strangers) != 5 {
		t.Error("59 minutes later")
	}
	turn(24*time.Hour + 55*time.Minute)
	if w.hour(strangers) != 0 || w.day().strangers != 5 {
		t.Error("an hour later")
	}
	turn(46*time.Hour + 59*time.Minute)
	if w.day().strangers != 5 {
		t.Error("23 hours later")
	}
	turn(20 * time.Hour) // backwards
	turn(47 * time.Hour)
	if w.day().strangers != 0 {
		t.Error("24 hours later")
	}
	turn(400 * time.Hour)
	if fmt.Sprint(closed) != "[0 1]" {
		t.Errorf("days that ended: %v", closed)
	}
	w.add(strangers, 1<<20)
	if w.hour(strangers) != math.MaxUint16 {
		t.Error("counts overflow")
	}
}

func TestPrefix(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.77": "192.0.2.0/24", "::ffff:192.0.2.77": "192.0.2.0/24", "2001:db8:1:2::3": "2001:db8:1::/48", "fe80::1%eth0": "fe80::/48",
	} {
		if got := Prefix(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: %s", address, got)
		}
	}
	if Prefix(netip.Addr{}) != "" {
		t.Error("no address has a network")
	}
}

func TestSightingsMakeRoom(t *testing.T) {
	var list sightings
	for day := range uint32(3) {
		list.see(1, 0, day*minutesOfDay, true, 4)
	}
	for i := range uint32(10) {
		list.see(100+i, 0, 5*minutesOfDay+i, true, 4)
	}
	if len(list) != 4 || list.find(1) == nil || !list.find(1).familiar() || list.find(109) == nil || list.find(106) != nil {
		t.Errorf("%+v", list)
	}
}

func TestSequence(t *testing.T) {
	for _, tt := range []struct {
		addresses string
		want      int
	}{
		{"a@x b@x c@x d@x", 4},
		{"a@x b@x b@x c@x", 3},
		{"d@x c@x b@x a@x", 1},
		{"z@a.example y@b.example x@c.example", 3},
		{"aaron@one aaron@two abby@one", 3},
		{"abcdefgh1@x abcdefgh2@x", 1}, // told apart by eight letters
	} {
		var s sequence
		for _, a := range strings.Fields(tt.addresses) {
			s.follow([]Recipient{{Address: policy.Address(a), Stranger: true}, {Address: "k@known.example"}})
		}
		if s.run() != tt.want {
			t.Errorf("%s: %d", tt.addresses, s.run())
		}
	}
}

func TestFailureOf(t *testing.T) {
	for reply, want := range map[string]Failure{
		"550 5.1.1 <x@y.example>: Recipient address rejected": NoSuchUser,
		"550-5.1.1 The email account that you tried to reach": NoSuchUser,
		"556 5.1.10 recipient domain takes no mail":           NoSuchUser,
		"550 No such user here":                               NoSuchUser,
		"550 用户不存在":                                           NoSuchUser,
		"552 5.2.2 mailbox full":                              Returned,
		"554 5.7.1 blocked, see 15.1.1.2":                     Returned,
		"550 5.1.12 something":                                Returned,
		"":                                                    Returned,
	} {
		if got := FailureOf(reply); got != want {
			t.Errorf("%q: %d", reply, got)
		}
	}
}

func FuzzFailureOf(f *testing.F) {
	f.Add("550 5.1.1 no")
	f.Fuzz(func(t *testing.T, reply string) {
		if FailureOf(reply+" 5.1.1 ") != NoSuchUser {
			t.Errorf("%q hides the status", reply)
		}
	})
}
