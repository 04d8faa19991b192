package anomaly

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/sendgate/sendgate/policy"
)

func TestLookChangesNothing(t *testing.T) {
	d := settled(t)
	for range 100 {
		d.look(d.mail(29))
	}
	if v := d.look(d.mail(1)); v.Stage != Pass {
		t.Errorf("%v%s", v.Stage, v.codes())
	}
	f := d.mail(1)
	f.Identity = "nobody"
	d.look(f)
	if d.w.Len() != 1 {
		t.Errorf("%d accounts", d.w.Len())
	}
}

// TestFailedSignIns: strangers cannot make anything happen to an account, nor make one known.
func TestFailedSignIns(t *testing.T) {
	d := settled(t)
	before := d.snapshot()
	for i := range 1000 {
		d.w.SignIn(d.now, fmt.Sprintf("user%d", i%3), abroad, false)
		d.w.SignIn(d.now, "ann", abroad, false)
	}
	if string(before) != string(d.snapshot()) {
		t.Error("failed sign-ins are remembered")
	}
}

// TestFamiliar: an intruder's network is not the account's own because he used it for a while.
func TestFamiliar(t *testing.T) {
	d := settled(t)
	from := func(held bool) Facts {
		f := d.known(1)
		f.Client, f.Held = abroad, held
		return f
	}
	see := func(when string, held, want bool) {
		t.Helper()
		if v := d.learn(from(held)); (v.reason(Network) != nil) != want {
			t.Errorf("%s: %v%s", when, v.Stage, v.codes())
		}
	}
	see("first", false, true)
	d.now = d.now.Add(14*time.Hour + time.Minute)
	see("the next day, too soon", false, true)
	d.now = d.now.Add(12 * time.Hour)
	see("a day later, held", true, true)
	see("a day later", false, true)
	see("then", false, false)
}

// TestHeldAndPacedDaysTeachNothing: who is stopped does not raise what is usual.
func TestHeldAndPacedDaysTeachNothing(t *testing.T) {
	d := settled(t)
	d.look(d.mail(1)) // Friday is learned
	usual := d.w.shard("ann").accounts["ann"].Baseline
	for range 10 {
		d.strangers(100)
		d.now = d.now.Truncate(24 * time.Hour).Add(34 * time.Hour)
	}
	if d.w.shard("ann").accounts["ann"].Baseline != usual {
		t.Error("the baseline moved")
	}
}

// TestOutliersTeachLittle: a single value counts as four deviations at most.
func TestOutliersTeachLittle(t *testing.T) {
	var m moment
	for range 30 {
		m.learn(1, 0.05)
	}
	m.learn(1000, 0.05)
	if m.Mean > 1.5 {
		t.Errorf("mean %v", m.Mean)
	}
}

// TestOrdinarySendersAreLeftAlone lives for half a year with weekly rhythms, busy months and holidays.
func TestOrdinarySendersAreLeftAlone(t *testing.T) {
	d := newDesk(t)
	r := rand.New(rand.NewPCG(11, 5))
	mail, stopped := 0, 0
	for day := range 180 {
		for user := range 20 {
			busy := 1 + user%5
			if d.now.Weekday() == time.Sunday || (day+user*9)%90 < 12 {
				continue
			}
			if day%30 > 27 {
				busy *= 3
			}
			for i := range busy * (2 + r.IntN(3)) {
				f := d.known(1 + r.IntN(3))
				f.Identity = fmt.Sprintf("user%d", user)
				f.External[0].Stranger = r.IntN(100) < 2*user
				f.Bare = r.IntN(50) == 0
				if r.IntN(20) == 0 {
					f.Client = abroad
				}
				v := d.w.Learn(d.now.Add(time.Duration(8*60+i*17)*time.Minute), f)
				mail++
				if v.Stage >= Pace {
					stopped++
				}
			}
		}
		d.now = d.now.Add(24 * time.Hour)
	}
	if stopped*10_000 > mail {
		t.Errorf("%d of %d messages", stopped, mail)
	}
}

// TestConcurrency is for the race detector.
func TestConcurrency(t *testing.T) {
	d := newDesk(t)
	var wait sync.WaitGroup
	for worker := range 4 {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for i := range 300 {
				now := monday.Add(time.Duration(i) * time.Hour)
				name := fmt.Sprintf("user%d", i%5)
				f := Facts{ID: policy.ID{0: byte(worker + 1), 8: byte(i), 9: byte(i >> 8)}, Identity: name, Client: office, Agent: "Mailer"}
				f.External = []Recipient{{Address: "x@y.example", Stranger: i%3 == 0}}
				d.w.Look(now, f)
				d.w.Learn(now, f)
				d.w.SignIn(now, name, abroad, true)
				d.w.Bounce(now, f.ID, name, Returned, "x@y.example")
				d.w.Standing(now, name)
				d.w.Bars(now, name, "x@y.example")
				if i%50 == worker {
					d.w.Suspended(now, name, now.Add(time.Minute), true)
					d.w.Release(now, name, false)
					d.snapshot()
				}
			}
		}()
	}
	wait.Wait()
	if d.w.Len() != 5 {
		t.Errorf("%d accounts", d.w.Len())
	}
}

// TestSize holds the number that the package comment gives.
func TestSize(t *testing.T) {
	d := newDesk(t)
	const accounts = 2000
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range accounts {
		f := d.mail(2)
		f.Identity = fmt.Sprintf("somebody%d@corp.example", i)
		for n := range 3 {
			f.Client = office.Next()
			f.Agent = strings.Repeat("x", n+1)
			f.ID = d.id()
			d.w.Learn(monday.Add(time.Duration(n)*30*time.Hour), f)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := int64(after.HeapAlloc-before.HeapAlloc) / accounts
	t.Logf("%d octets for an account, %d of them the structure", each, unsafe.Sizeof(account{}))
	if each > 2048 {
		t.Errorf("%d octets for an account", each)
	}
	if d.w.Len() != accounts {
		t.Errorf("%d accounts", d.w.Len())
	}
}

func TestTheOldestAreForgotten(t *testing.T) {
	d := newDesk(t, func(c *Config) { c.Identities = 10 * shards })
	d.w.Suspended(d.now, "barred", time.Time{}, false)
	for i := range 50 * shards {
		d.now = d.now.Add(time.Second)
		f := d.mail(1)
		f.Identity = fmt.Sprintf("user%d", i)
		d.learn(f)
	}
	if n := d.w.Len(); n > 10*shards || n < 7*shards {
		t.Errorf("%d accounts", n)
	}
	if !d.w.Standing(d.now, "barred").Suspended {
		t.Error("the suspended account was forgotten")
	}
	if d.w.shard(fmt.Sprintf("user%d", 50*shards-1)).accounts[fmt.Sprintf("user%d", 50*shards-1)] == nil {
		t.Error("the newest account was forgotten")
	}
}

func BenchmarkLookAndLearn(b *testing.B) {
	d := settled(b)
	f := d.known(2)
	f.External[0].Stranger = true
	for b.Loop() {
		d.now = d.now.Add(20 * time.Minute)
		f.ID = d.id()
		d.look(f)
		d.learn(f)
	}
}
