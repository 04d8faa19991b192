package limit

import (
	"math/rand/v2"
	"testing"
	"time"
)

func at(s string) int64 {
	t, err := time.Parse("2006-01-02 15:04:05", "2026-03-02 "+s)
	if err != nil {
		panic(err)
	}
	return t.UnixMilli()
}

func TestWindowEdges(t *testing.T) {
	type take struct {
		at string
		n  int64
	}
	tests := []struct {
		name  string
		width time.Duration
		takes []take
		at    string
		used  int64
		limit int64
		ask   int64
		free  string
	}{
		{"empty window is free at once", time.Hour, nil, "10:00:00", 0, 10, 10, "10:00:00"},
		{"counts in its own sub-window", time.Hour, []take{{"10:00:00", 3}}, "10:00:59", 3, 10, 7, "10:00:59"},
		{"counts for the whole hour", time.Hour, []take{{"10:00:30", 3}}, "11:00:30", 3, 3, 1, "11:01:00"},
		{"counts until its minute ends an hour later", time.Hour, []take{{"10:00:00", 3}}, "11:00:59", 3, 3, 1, "11:01:00"},
		{"is over then", time.Hour, []take{{"10:00:59", 3}}, "11:01:00", 0, 3, 3, "11:01:00"},
		{"the oldest leaves first", time.Hour, []take{{"10:00:00", 5}, {"10:10:00", 5}}, "10:20:00", 10, 10, 5, "11:01:00"},
		{"two have to leave", time.Hour, []take{{"10:00:00", 5}, {"10:10:00", 5}}, "10:20:00", 10, 10, 6, "11:11:00"},
		{"partly free", time.Hour, []take{{"10:00:00", 5}, {"10:10:00", 3}}, "10:20:00", 8, 10, 3, "11:01:00"},
		{"a minute has seconds", time.Minute, []take{{"10:00:00", 5}}, "10:01:00", 5, 5, 1, "10:01:01"},
		{"a day has 24 minutes", 24 * time.Hour, []take{{"00:00:10", 5}}, "23:59:59", 5, 9, 4, "23:59:59"},
		{"one late take sorts in", time.Hour, []take{{"10:10:00", 5}, {"10:05:00", 4}}, "11:06:00", 5, 5, 5, "11:11:00"},
		{"one that is over when it comes", time.Hour, []take{{"12:10:00", 5}, {"10:05:00", 4}}, "12:10:00", 5, 5, 5, "13:11:00"},
		{"time ahead of ours counts", time.Hour, []take{{"10:30:00", 5}}, "10:00:00", 5, 5, 5, "11:31:00"},
		{"usage above a lowered limit", time.Hour, []take{{"10:00:00", 5}, {"10:10:00", 5}}, "10:20:00", 10, 4, 1, "11:11:00"},
		{"half an hour", 30 * time.Minute, []take{{"10:00:00", 5}}, "10:30:29", 5, 5, 1, "10:30:30"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := window{width: subWidth(tt.width)}
			for _, k := range tt.takes {
				w.add(at(k.at), k.n)
			}
			if got := w.used(at(tt.at)); got != tt.used {
				t.Errorf("used %d, want %d", got, tt.used)
			}
			if got := w.free(at(tt.at), tt.limit, tt.ask); got != at(tt.free) {
				t.Errorf("free at %v, want %s", fromMS(got), tt.free)
			}
		})
	}
}

// What was taken is in no interval as long as the window more than the limit, and the free time that
// is named is the first at which it fits.
func TestWindowNeverExceedsAndFreeIsExact(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, length := range []time.Duration{time.Minute, time.Hour, 7 * time.Minute} {
		const limit = 20
		w := window{width: subWidth(length)}
		now := at("10:00:00")
		type taken struct{ at, n int64 }
		var log []taken
		for range 20_000 {
			now += rnd.Int64N(length.Milliseconds() / 10)
			n := 1 + rnd.Int64N(6)
			free := w.free(now, limit, n)
			if fits := w.used(now)+n <= limit; fits != (free == now) {
				t.Fatalf("fits %v, but free in %d ms", fits, free-now)
			}
			if free > now {
				if w.used(free-1)+n <= limit || w.used(free)+n > limit {
					t.Fatalf("free at %d is not the first moment", free)
				}
				if free > now+span(w.width) {
					t.Fatalf("waits %d ms, more than the window and a sub-window", free-now)
				}
				continue
			}
			w.add(now, n)
			log = append(log, taken{now, n})
			sum := int64(0)
			for i := len(log) - 1; i >= 0 && log[i].at > now-length.Milliseconds(); i-- {
				sum += log[i].n
			}
			if sum > limit {
				t.Fatalf("%d in one window", sum)
			}
		}
		if len(log) < 1000 {
			t.Fatalf("only %d takes", len(log))
		}
	}
}

func TestWindowGivesBack(t *testing.T) {
	tests := []struct {
		name string
		at   string
		n    int64
		used int64
	}{
		{"all of its sub-window", "10:00:00", 5, 3},
		{"part of it", "10:00:00", 2, 6},
		{"another moment of its sub-window", "10:00:59", 5, 3},
		{"more than is there takes from later ones", "10:00:00", 6, 2},
		{"nothing after the newest", "10:30:00", 5, 8},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := window{width: subWidth(time.Hour)}
			w.add(at("10:00:00"), 5)
			w.add(at("10:10:00"), 3)
			w.giveBack(at(tt.at), tt.n)
			if got := w.used(at("10:20:00")); got != tt.used {
				t.Errorf("used %d, want %d", got, tt.used)
			}
			sum := int64(0)
			for _, s := range w.slots {
				if s.amount() == 0 {
					t.Error("an empty slot is kept")
				}
				sum += s.amount()
			}
			if sum != w.total {
				t.Errorf("total %d, slots %d", w.total, sum)
			}
		})
	}
}

func TestWindowSettles(t *testing.T) {
	hour := func() window {
		w := window{width: subWidth(time.Hour)}
		w.add(at("10:00:10"), 5)
		w.add(at("10:30:10"), 3)
		return w
	}
	tests := []struct {
		name   string
		now    string
		length time.Duration
		at     string
		used   int64
	}{
		{"same width, same content", "10:40:00", time.Hour, "10:40:00", 8},
		{"hour to day keeps all", "10:40:00", 24 * time.Hour, "10:40:00", 8},
		{"hour to day ages as a day", "10:40:00", 24 * time.Hour, "23:00:00", 8},
		{"hour to ten minutes forgets what is older", "10:40:00", 10 * time.Minute, "10:40:00", 3},
		{"hour to a minute forgets all", "10:40:00", time.Minute, "10:40:00", 0},
		{"clock a little back: nothing moves", "09:45:00", time.Hour, "11:10:00", 3},
		{"clock back by more than the window: it counts from now", "08:00:00", time.Hour, "09:00:30", 8},
		{"and is over after that", "08:00:00", time.Hour, "09:01:00", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := hour()
			w.settle(at(tt.now), subWidth(tt.length))
			if got := w.used(at(tt.at)); got != tt.used {
				t.Errorf("used %d, want %d", got, tt.used)
			}
		})
	}
}

func TestWindowIsSmall(t *testing.T) {
	w := window{width: subWidth(time.Minute)}
	now := at("10:00:00")
	for range 200_000 { // beyond what 16 bits of a sub-window's number can tell apart
		w.add(now, 1)
		now += 500
		if len(w.slots) > Subs+1 {
			t.Fatalf("%d slots", len(w.slots))
		}
	}
	if got := w.used(now); got < 119 || got > 122 {
		t.Errorf("used %d in a minute of two per second", got)
	}
	w.add(now+100*24*3600*1000, 1)
	if len(w.slots) != 1 || w.total != 1 {
		t.Errorf("after a long pause: %d slots, total %d", len(w.slots), w.total)
	}
	w.add(now+100*24*3600*1000, maxSlot)
	if w.total != maxSlot {
		t.Errorf("a sub-window is full at %d, not %d", int64(maxSlot), w.total)
	}
}

func TestSubWidth(t *testing.T) {
	tests := map[time.Duration]uint32{
		time.Minute: 1000, time.Hour: 60_000, 24 * time.Hour: 1_440_000, 90 * time.Second: 1500,
		time.Millisecond: 1, time.Second: 17, 1 << 62: 1<<32 - 1,
	}
	for d, want := range tests {
		if got := subWidth(d); got != want {
			t.Errorf("%v: %d ms, want %d", d, got, want)
		}
	}
}
