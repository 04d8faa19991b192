package webhook

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sendgate/sendgate/policy"
)

func TestEachEventIsPosted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger()
		l.add(policy.Held, 1) // before the subscriber is there
		f := follow(t, l, answers(func(int) int { return 0 }), subscriber())
		l.add(policy.Held, 1, 2)
		l.add(policy.Suspended, 0)
		synctest.Wait()
		f.stop()
		got := f.ids()
		slices.Sort(got)
		if !slices.Equal(got, []string{"2.0.0", "3.0.0", "4.0.0"}) {
			t.Errorf("%q", got)
		}
		if s := f.status(); s.State != Well || s.Behind != 0 || s.Lag != 0 || s.Delivered != 3 || s.Host != "crm.example" {
			t.Errorf("%+v", s)
		}
	})
}

func TestOnlyTheKindsThatAreWanted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger()
		f := follow(t, l, answers(func(int) int { return 0 }), subscriber(policy.Bounced))
		l.add(policy.Held, 1, 2, 3)
		l.add(policy.Bounced, 2)
		l.add(policy.Held, 4)
		synctest.Wait()
		f.stop()
		if got := f.ids(); !slices.Equal(got, []string{"4.0.0"}) || f.status().Behind != 0 {
			t.Errorf("%q, %+v", got, f.status())
		}
	})
}

// TestOrder has a receiver that fails now and then: whatever happens, no event of a message comes before one that is older.
func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger()
		r := answers(func(n int) int {
			if n%3 == 1 {
				return 503
			}
			return 0
		})
		f := follow(t, l, r, subscriber())
		for i := range 100 {
			l.add(policy.Queued, 1+i%7, 1+i%3, 1)
		}
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		f.stop()
		taken, last := map[string]bool{}, map[string]string{}
		for n, p := range r.posts() {
			if n%3 == 1 {
				continue
			}
			var e Event
			if err := json.Unmarshal(p.body, &e); err != nil {
				t.Fatal(err)
			}
			taken[e.ID] = true
			if before := last[e.Timeline]; len(before) > len(e.ID) || len(before) == len(e.ID) && before > e.ID {
				t.Errorf("of %s %s came after %s", e.Timeline, e.ID, before)
			}
			last[e.Timeline] = e.ID
		}
		if len(taken) != 300 || f.status().State != Well {
			t.Errorf("%d taken, %+v", len(taken), f.status())
		}
	})
}

func TestARestartGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger()
		r := answers(func(int) int { return 0 })
		f := follow(t, l, r, subscriber())
		l.add(policy.Held, 1, 2)
		synctest.Wait()
		f.stop()
		l.add(policy.Held, 3, 4) // while it is down
		f = follow(t, l, r, subscriber())
		synctest.Wait()
		f.stop()
		got := f.ids()
		slices.Sort(got)
		if !slices.Equal(got, []string{"1.0.0", "2.0.0", "3.0.0", "4.0.0"}) {
			t.Errorf("%q", got)
		}
	})
}

func TestSkipGivesUpWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger()
		down := true
		var mu sync.Mutex
		r := answers(func(int) int {
			mu.Lock()
			defer mu.Unlock()
			if down {
				return 500
			}
			return 0
		})
		f := follow(t, l, r, subscriber())
		l.add(policy.Held, 1, 2, 3)
		time.Sleep(time.Hour)
		before := len(r.posts())
		mu.Lock()
		down = false
		mu.Unlock()
		if err := f.Resume("crm", true); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		l.add(policy.Held, 4)
		synctest.Wait()
		f.stop()
		if got := f.ids()[before:]; !slices.Equal(got, []string{"4.0.0"}) || f.status().Behind != 0 || f.status().State != Well {
			t.Errorf("%q, %+v", got, f.status())
		}
	})
}

func TestResumeTriesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger()
		f := follow(t, l, answers(func(n int) int { return 500 * min(1, 9/(n+1)) }), subscriber()) // nine failures
		l.add(policy.Held, 1)
		time.Sleep(8*time.Minute + 20*time.Second) // inside of the ninth pause
		if f.status().State != Failing {
			t.Errorf("%+v", f.status())
		}
		if err := f.Resume("crm", false); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if f.status().State != Well {
			t.Errorf("%+v after %d posts", f.status(), len(f.receiver.posts()))
		}
		f.stop()
	})
}

// TestWhatIsGivenUpDuringATry fails no more, whatever becomes of that try.
func TestWhatIsGivenUpDuringATry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger()
		silence := func(n int) (int, http.Header, string) { return 500 * (1 - min(n, 1)), nil, "" } // from the second try on
		f := follow(t, l, &receiver{reply: silence}, subscriber())
		l.add(policy.Held, 1)
		time.Sleep(streamPause + time.Second) // within the second try
		if err := f.Resume("crm", true); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		if s := f.status(); s.State != Well || s.Behind != 0 || s.Retries != 0 || !s.NextTry.IsZero() {
			t.Errorf("%+v", s)
		}
		f.stop()
	})
}

func TestMetricsOfSubscribers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger()
		f := follow(t, l, answers(func(n int) int { return 410 * min(n, 1) }), subscriber())
		l.add(policy.Held, 1)
		synctest.Wait()
		l.add(policy.Held, 1)
		time.Sleep(time.Minute)
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(f.Collectors()...)
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		f.stop()
		var got []string
		for _, family := range families {
			for _, m := range family.GetMetric() {
				got = append(got, fmt.Sprint(family.GetName(), " ", len(m.GetLabel()), " ", m.GetCounter().GetValue()+m.GetGauge().GetValue()))
			}
		}
		if want := []string{"sendgate_webhook_disabled 1 1", "sendgate_webhook_events_total 2 1", "sendgate_webhook_events_total 2 1", "sendgate_webhook_lag_seconds 1 60"}; !slices.Equal(got, want) {
			t.Errorf("%q", got)
		}
	})
}

// TestACrashBeforeTheFirstAnswer has a receiver that is silent when the process is killed: its event comes after the
// next start, though there was no place before.
func TestACrashBeforeTheFirstAnswer(t *testing.T) {
	for _, before := range []int{0, 3} {
		synctest.Test(t, func(t *testing.T) {
			l := newLedger()
			for range before {
				l.add(policy.Held, 9)
			}
			f := follow(t, l, answers(func(int) int { return 0 }), subscriber())
			l.mu.Lock()
			kept := maps.Clone(l.kept) // what is on disk at that moment
			l.mu.Unlock()
			f.stop()
			l.add(policy.Held, 1)
			l.kept = kept
			f = follow(t, l, answers(func(int) int { return 0 }), subscriber())
			synctest.Wait()
			f.stop()
			if got, want := f.ids(), []string{fmt.Sprintf("%d.0.0", before+1)}; !slices.Equal(got, want) {
				t.Errorf("after %d batches %q, not %q", before, got, want)
			}
		})
	}
}

// TestThePlaceIsKeptWhenNothingComes has a burst, and then a quiet night: a crash in the morning repeats nothing.
func TestThePlaceIsKeptWhenNothingComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger()
		f := follow(t, l, answers(func(int) int { return 0 }), subscriber())
		for range 5 {
			l.add(policy.Held, 1)
			synctest.Wait()
		}
		time.Sleep(keepPlace + time.Second)
		synctest.Wait()
		l.mu.Lock()
		got := string(l.kept[keptUnder+"crm"])
		l.mu.Unlock()
		if got != `{"batch":5,"position":0}` {
			t.Errorf("kept %s", got)
		}
		f.stop()
	})
}
