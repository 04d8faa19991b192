package limit

import (
	"bytes"
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// tenDemands is what ten rules ask for one message: most count for the identity.
func tenDemands(i int, identities []string) []Demand {
	who := identities[i%len(identities)]
	d := make([]Demand, 0, 10)
	for r, name := range tenRules {
		key := who
		switch r {
		case 7:
			key = "@corp.example"
		case 8:
			key = "@else.example"
		case 9:
			key = "gateway"
		}
		window := []time.Duration{time.Minute, time.Hour, 24 * time.Hour}[r%3]
		d = append(d, Demand{Rule: name, Key: key, Window: window, Limit: 1 << 40, Amount: 1, WarnAt: 80, Hard: true})
	}
	return d
}

var tenRules = []string{"pace", "external", "day", "internal", "strangers", "bytes", "visible", "domain", "destination", "all"}

func names(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("user%06d@corp.example", i)
	}
	return list
}

// BenchmarkTake is one decision of ten rules: taken, committed, remembered for refunds and retries.
func BenchmarkTake(b *testing.B) {
	for _, keys := range []int{100, 100_000} {
		b.Run(fmt.Sprintf("%d identities", keys), func(b *testing.B) {
			c, identities := New(DefaultConfig()), names(keys)
			demands := make([][]Demand, 4096)
			for i := range demands {
				demands[i] = tenDemands(i*7919, identities)
			}
			i, before := 0, cpu()
			b.ReportAllocs()
			for b.Loop() {
				if !c.Take(noon.Add(time.Duration(i)*50*time.Microsecond), id(i), fingerprint(i+1), demands[i%4096]).Fits {
					b.Fatal("does not fit")
				}
				c.Commit(id(i))
				i++
			}
			perCore(b, before, "decisions")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "decisions/s")
		})
	}
}

func BenchmarkTakeParallel(b *testing.B) {
	c, identities := New(DefaultConfig()), names(100_000)
	ids := make(chan int, 64)
	for i := range 64 {
		ids <- i
	}
	before := cpu()
	b.RunParallel(func(p *testing.PB) {
		base := <-ids
		demands := make([][]Demand, 4096)
		for i := range demands {
			demands[i] = tenDemands(i*7919+base, identities)
		}
		for i := 0; p.Next(); i++ {
			n := base<<32 | i
			c.Take(noon.Add(time.Duration(i)*50*time.Microsecond), id(n), fingerprint(n+1), demands[i%4096])
			c.Commit(id(n))
		}
	})
	perCore(b, before, "decisions")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "decisions/s")
}

// BenchmarkTest is the decision without taking, as at RCPT.
func BenchmarkTest(b *testing.B) {
	c, identities := New(DefaultConfig()), names(1000)
	d := tenDemands(1, identities)
	c.Take(noon, id(1), Fingerprint{}, d)
	b.ReportAllocs()
	before := cpu()
	for b.Loop() {
		c.Test(noon, d)
	}
	perCore(b, before, "decisions")
}

// cpu is the time that this process has used on all cores, for figures from a machine that is shared.
func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// perCore reports operations per second of CPU time.
func perCore(b *testing.B, before time.Duration, what string) {
	b.ReportMetric(float64(b.N)/(cpu()-before).Seconds(), what+"/cpu-s")
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkMemory says what an identity costs per rule: after one message, after 4, and in the worst
// case with mail in every sub-window; and what a remembered message of ten rules costs.
func BenchmarkMemory(b *testing.B) {
	for _, messages := range []int{1, 4, 61} {
		b.Run(fmt.Sprintf("%d messages", messages), func(b *testing.B) {
			const n = 10_000
			for b.Loop() {
				before := heap()
				c := New(DefaultConfig())
				for i, who := range names(n) {
					var w *window
					for m := range messages {
						s := c.subject(who)
						for r, name := range tenRules {
							w = s.window(c.rules.id(name), subWidth(time.Hour))
							w.add(noon.UnixMilli()+int64(m)*60_000, int64(i+r+1))
						}
					}
				}
				b.ReportMetric(float64(heap()-before)/n/10, "B/identity/rule")
				runtime.KeepAlive(c)
			}
		})
	}
	b.Run("remembered", func(b *testing.B) {
		const n = 100_000
		d := tenDemands(1, names(1))
		for b.Loop() {
			before := heap()
			c := New(DefaultConfig())
			for i := range n {
				c.Take(noon, id(i), fingerprint(i+1), d)
				c.Commit(id(i))
			}
			b.ReportMetric(float64(heap()-before)/n, "B/message")
			runtime.KeepAlive(c)
		}
	})
	b.Run("correspondents", func(b *testing.B) {
		const n = 1000
		list := make([]string, 1000)
		for i := range list {
			list[i] = fmt.Sprintf("r%d@else.example", i)
		}
		for b.Loop() {
			before := heap()
			c := NewCorrespondents(DefaultCorrespondentsConfig())
			for _, who := range names(n) {
				for _, r := range list {
					c.Learn(who, r, noon)
				}
			}
			b.ReportMetric(float64(heap()-before)/n/1000, "B/correspondent")
			runtime.KeepAlive(c)
		}
	})
}

// BenchmarkSnapshot writes and reads a million windows: a million identities with one rule each, and
// 100 thousand with ten rules.
func BenchmarkSnapshot(b *testing.B) {
	for _, shape := range [][2]int{{1_000_000, 1}, {100_000, 10}} {
		c := New(DefaultConfig())
		for i, who := range names(shape[0]) {
			s := c.subject(who)
			for r := range shape[1] {
				w := s.window(c.rules.id(tenRules[r]), subWidth(time.Hour))
				for m := range 3 {
					w.add(noon.UnixMilli()+int64(m)*600_000, int64(i%50+1))
				}
			}
		}
		name := fmt.Sprintf("%d identities %d rules", shape[0], shape[1])
		var buf bytes.Buffer
		b.Run("write "+name, func(b *testing.B) {
			before := cpu()
			for b.Loop() {
				buf.Reset()
				if err := c.Snapshot(&buf, 1); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(buf.Len())/1e6, "MB")
			b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s")
			b.ReportMetric((cpu()-before).Seconds()/float64(b.N), "cpu-s")
		})
		c = nil
		b.Run("read "+name, func(b *testing.B) {
			before := cpu()
			for b.Loop() {
				if _, _, err := Restore(bytes.NewReader(buf.Bytes()), DefaultConfig()); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s")
			b.ReportMetric((cpu()-before).Seconds()/float64(b.N), "cpu-s")
		})
	}
}

// BenchmarkReplay repeats the journal: messages of ten rules per second.
func BenchmarkReplay(b *testing.B) {
	c, identities := New(DefaultConfig()), names(10_000)
	taken := make([]Taken, 4096)
	for i := range taken {
		taken[i] = c.Take(noon, id(i), fingerprint(i+1), tenDemands(i, identities)).Taken
	}
	d := New(DefaultConfig())
	i, before := 0, cpu()
	for b.Loop() {
		t := taken[i%4096]
		t.First = id(i)
		t.Retry = Fingerprint{}
		d.Replay(noon, id(i), t)
		i++
	}
	perCore(b, before, "messages")
}

// BenchmarkNext is one pass over 20 thousand waiting messages of 100 senders of which none fits, and
// the plan of all.
func BenchmarkNext(b *testing.B) {
	d := newDesk()
	d.send(0, "z", shared(10))
	for i := range 20_000 {
		d.send(i+1, fmt.Sprint(i%100), shared(1+int64(i%5)))
	}
	b.Run("pass", func(b *testing.B) {
		for b.Loop() {
			d.next(time.Minute)
		}
	})
	b.Run("plan", func(b *testing.B) {
		for b.Loop() {
			d.w.Plan(d.when, d.now)
		}
	})
}
