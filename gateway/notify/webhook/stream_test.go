package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// A ledger is a journal in memory with one record in each batch.
type ledger struct {
	mu      sync.Mutex
	records []store.Record
	grown   chan struct{}
	kept    map[string][]byte
	err     error
}

func newLedger() *ledger { return &ledger{kept: map[string][]byte{}, grown: make(chan struct{})} }

// add appends records, each with an event of this kind about the message of this number.
func (l *ledger) add(kind policy.Kind, messages ...int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range messages {
		l.records = append(l.records, store.Record{
			Batch: uint64(len(l.records) + 1), Message: ulid.ULID{15: byte(m)}, Events: []policy.Event{{Kind: kind, Time: time.Now()}},
		})
	}
	close(l.grown)
	l.grown = make(chan struct{})
}

func (l *ledger) Keep(name string, value []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.kept[name] = value
	}
	return l.err
}

func (l *ledger) Kept(name string) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.kept[name], l.err
}

func (l *ledger) LastBatch() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return uint64(len(l.records))
}

func (l *ledger) Follow(from uint64) (Feed, error) { return &reader{l, from - 1}, nil }

type reader struct {
	ledger *ledger
	seen   uint64
}

func (r *reader) NextUpTo(ctx context.Context, last uint64) (store.Record, bool, error) {
	for {
		r.ledger.mu.Lock()
		all, grown, err := r.ledger.records, r.ledger.grown, r.ledger.err
		r.ledger.mu.Unlock()
		switch {
		case err != nil:
			return store.Record{}, false, err
		case r.seen >= last:
			return store.Record{}, false, nil
		case r.seen < uint64(len(all)):
			r.seen++
			return all[r.seen-1], true, nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return store.Record{}, false, ctx.Err()
		}
	}
}

// someone knows every message.
type someone struct{ recipients int }

func (s someone) Envelope(r *store.Record) (*policy.Envelope, error) {
	if r.Message[15] == 0 {
		return nil, nil
	}
	return &policy.Envelope{Sender: "alice@corp.example", Identity: "alice", Front: policy.Relay, Subject: "secret plans"}, nil
}

func (s someone) Addresses(_ *store.Record, indexes []int, most int) (all []policy.Address, err error) {
	for i := range s.recipients {
		if (indexes == nil || slices.Contains(indexes, i)) && len(all) < most {
			all = append(all, policy.Address(fmt.Sprintf("u%d@x.example", i)))
		}
	}
	return all, nil
}

// A told is a subscriber in a bubble of synctest.
type told struct {
	*Subscribers
	ledger     *ledger
	receiver   *receiver
	mu         sync.Mutex
	conditions []string
	stop       func()
}

func subscriber(events ...policy.Kind) SubscriberConfig {
	var c SubscriberConfig
	c.SetDefaults()
	c.Name, c.URL, c.Events = "crm", "https://crm.example/hook?key=0123456789abcdef", events
	return c
}

// follow runs a subscriber.
func follow(t *testing.T, l *ledger, r *receiver, c SubscriberConfig) *told {
	t.Helper()
	log, _ := observed()
	f := &told{ledger: l, receiver: r}
	var err error
	f.Subscribers, err = newSubscribers([]SubscriberConfig{c}, "mx", l, someone{2}, func(c Condition) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.conditions = append(f.conditions, c.Webhook+" "+c.Host+" "+c.State+" "+c.Detail)
	}, r, log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- f.Run(ctx) }()
	synctest.Wait()
	f.stop = func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	return f
}

// ids are the events that were taken: those of the posts that were answered with 2xx.
func (f *told) ids() (all []string) {
	for _, p := range f.receiver.posts() {
		all = append(all, p.header.Get("X-Sendgate-Delivery"))
	}
	return all
}

// people are what people were told.
func (f *told) people() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.conditions)
}

func (f *told) status() Status { return f.Statuses()[0] }

// answers gives a receiver that answers by number of the request; 0 is 204.
func answers(by func(n int) int) *receiver {
	return &receiver{reply: func(n int) (int, http.Header, string) {
		if status := by(n); status != 0 {
			return status, nil, ""
		}
		return 204, nil, ""
	}}
}

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

// TestAwayForHours has more events than are ever in memory wait for a receiver.
func TestAwayForHours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger()
		back := time.Now().Add(5 * time.Hour)
		r := answers(func(int) int {
			if time.Now().Before(back) {
				return 502
			}
			return 0
		})
		f := follow(t, l, r, subscriber())
		for i := range 5 * chunkEvents {
			l.add(policy.Held, 1+i%50)
		}
		time.Sleep(4 * time.Hour)
		synctest.Wait()
		tries := len(r.posts())
		if s := f.status(); s.State != Failing || s.Lag < 3*time.Hour || s.Behind != 5*chunkEvents || s.Error != "HTTP status 502" || s.NextTry.IsZero() {
			t.Errorf("%+v", s)
		}
		if tries > 2*lanes*(10+4*12) { // of each round: those that are tried first, and what began meanwhile
			t.Errorf("%d requests to a receiver that is away", tries)
		}
		if want := []string{"crm crm.example failing HTTP status 502"}; !slices.Equal(f.people(), want) {
			t.Errorf("people were told %q", f.people())
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if s := f.status(); s.State != Well || s.Lag != 0 || s.Behind != 0 || s.Delivered != 5*chunkEvents {
			t.Errorf("when it is back: %+v", s)
		}
		f.stop()
		if len(f.people()) != 2 || f.people()[1] != "crm crm.example ok " {
			t.Errorf("people were told %q", f.people())
		}
	})
}

func TestBackOffOfEvents(t *testing.T) {
	for _, tt := range []struct {
		outcome string
		header  http.Header
		status  int
		want    string
	}{
		{"growing pauses", nil, 500, "1s 2s 4s 8s 16s 32s 1m4s 2m8s 4m16s 5m0s 5m0s"},
		{"a redirect is no success", http.Header{"Location": {"https://x.example"}}, 307, "1s 2s 4s 8s 16s 32s 1m4s 2m8s 4m16s 5m0s 5m0s"},
		{"nor is a refusal", nil, 404, "1s 2s 4s 8s 16s 32s 1m4s 2m8s 4m16s 5m0s 5m0s"},
		{"the receiver says when", http.Header{"Retry-After": {"90"}}, 429, "1m30s 1m30s 1m30s 1m30s 1m30s 1m30s 1m30s 2m8s 4m16s 5m0s 5m0s"},
		{"but not longer than an hour", http.Header{"Retry-After": {"86400"}}, 503, strings.Repeat("1h0m0s ", 10) + "1h0m0s"},
	} {
		t.Run(tt.outcome, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLedger()
				r := &receiver{reply: func(int) (int, http.Header, string) { return tt.status, tt.header, "" }}
				f := follow(t, l, r, subscriber())
				l.add(policy.Held, 1)
				time.Sleep(13 * time.Hour)
				f.stop()
				var waits []string
				for i, p := range r.posts()[:12] {
					if i > 0 {
						waits = append(waits, p.at.Sub(r.posts()[i-1].at).String())
					}
				}
				if got := strings.Join(waits, " "); got != tt.want {
					t.Errorf("waited %s", got)
				}
			})
		})
	}
}

func TestGoneDisablesUntilSomebodyResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger()
		r := answers(func(n int) int {
			if n == 1 {
				return 410
			}
			return 0
		})
		f := follow(t, l, r, subscriber())
		l.add(policy.Held, 1)
		synctest.Wait()
		l.add(policy.Held, 2)
		synctest.Wait()
		l.add(policy.Held, 3)
		time.Sleep(time.Hour)
		if s := f.status(); s.State != Disabled || s.Behind != 2 || s.Lag < time.Hour || len(r.posts()) != 2 {
			t.Errorf("%+v after %d posts", s, len(r.posts()))
		}
		f.stop()
		f = follow(t, l, r, subscriber()) // a restart does not change it
		time.Sleep(time.Hour)
		if f.status().State != Disabled || len(r.posts()) != 2 {
			t.Errorf("after a restart: %+v, %d posts", f.status(), len(r.posts()))
		}
		if err := f.Test(t.Context(), "crm"); err != nil || len(r.posts()) != 3 {
			t.Errorf("a test: %v, %d posts", err, len(r.posts()))
		}
		if err := f.Resume("crm", false); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if got := f.ids()[3:]; !slices.Equal(got, []string{"2.0.0", "3.0.0"}) && !slices.Equal(got, []string{"3.0.0", "2.0.0"}) || f.status().State != Well {
			t.Errorf("%q, %+v", got, f.status())
		}
		f.stop()
	})
}

func TestPeopleAreToldOfTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger()
		f := follow(t, l, answers(func(n int) int { return 410 * (1 - min(n, 1)) }), subscriber())
		l.add(policy.Held, 1)
		synctest.Wait()
		if err := f.Resume("crm", false); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		f.stop()
		if want := []string{"crm crm.example disabled HTTP status 410", "crm crm.example ok "}; !slices.Equal(f.people(), want) {
			t.Errorf("%q", f.people())
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

func TestNobodyOfThatName(t *testing.T) {
	s, err := newSubscribers(nil, "mx", newLedger(), someone{}, nil, always(200, ""), zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{"test": s.Test(t.Context(), "x"), "resume": s.Resume("x", true)} {
		if !errors.Is(err, ErrNoSubscriber) || err.Error() != "there is no webhook of this name" {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestAJournalOfAnother has a place that is not in this journal, or cannot be read.
func TestAJournalOfAnother(t *testing.T) {
	for outcome, kept := range map[string]string{"it ends before": `{"batch":77}`, "nobody can read it": "x"} {
		t.Run(outcome, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLedger()
				l.add(policy.Held, 1, 2)
				l.kept[keptUnder+"crm"] = []byte(kept)
				f := follow(t, l, answers(func(int) int { return 0 }), subscriber())
				l.add(policy.Held, 3)
				synctest.Wait()
				f.stop()
				if got := f.ids(); !slices.Equal(got, []string{"3.0.0"}) {
					t.Errorf("%q", got)
				}
			})
		})
	}
}

func TestAJournalThatFails(t *testing.T) {
	l := newLedger()
	l.err = errors.New("checksum")
	if _, err := newSubscribers([]SubscriberConfig{subscriber()}, "mx", l, someone{}, nil, always(200, ""), zap.NewNop()); err == nil ||
		err.Error() != "read how far webhook crm was told: checksum" {
		t.Error(err)
	}
	l.err = nil
	s, err := newSubscribers([]SubscriberConfig{subscriber()}, "mx", l, someone{}, nil, always(200, ""), zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	l.err = errors.New("checksum")
	if err := s.Run(t.Context()); err == nil || err.Error() != "checksum" {
		t.Error(err)
	}
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
