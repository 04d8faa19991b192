package hold

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

func noLog() *zap.Logger { return zap.NewNop() }

// gathered gives the values of a scheduler's metrics; of a histogram the count.
func gathered(t *testing.T, s *Scheduler) map[string]float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(s.Collectors()...)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			values[f.GetName()] += m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return values
}

// The real store is a Journal and gives a Feed.
var (
	_ Journal = (*store.Store)(nil)
	_ Feed    = (*store.Subscription)(nil)
)

func openStore(t testing.TB) *store.Store {
	t.Helper()
	cfg := store.DefaultConfig()
	cfg.Dir = t.TempDir()
	st, err := store.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st
}

// start runs a scheduler on a real store until the test ends.
func start(t testing.TB, st *store.Store, sender Sender) *Scheduler {
	t.Helper()
	s, err := New(DefaultConfig(), st, st.Subscribe(0), sender, &bounces{}, time.Now, noLog(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

func acceptInto(t testing.TB, st *store.Store, until time.Time, recipients []policy.Recipient) policy.ID {
	id := st.NewID()
	now := time.Now()
	_, err := st.Commit(context.Background(), store.Change{
		Message: id,
		Envelope: &policy.Envelope{
			Received: now, Front: policy.Relay, Sender: "ann@corp.example", Identity: "ann", Recipients: recipients,
		},
		Events: []policy.Event{
			{Kind: policy.Accepted, Time: now}, {Kind: policy.Held, Time: now, Until: until},
		},
	})
	if err != nil {
		t.Error(err)
	}
	return id
}

// counting counts deliveries of each message.
type counting struct {
	mu    sync.Mutex
	times map[policy.ID][]time.Time
	all   atomic.Int64
}

func (c *counting) Upstream(*policy.Envelope, policy.Address) string { return "hub" }
func (c *counting) Workers(string) int                               { return 0 }

func (c *counting) Deliver(_ context.Context, d Delivery) []Outcome {
	now := time.Now()
	c.mu.Lock()
	c.times[d.ID] = append(c.times[d.ID], now)
	c.mu.Unlock()
	c.all.Add(1)
	outcomes := make([]Outcome, len(d.Recipients))
	for i := range outcomes {
		outcomes[i] = Outcome{Kind: policy.RelayedRemote, Reply: "250 ok"}
	}
	return outcomes
}

// TestReleaseAgainstCancel lets timers, releases and cancels meet on a real journal: each message is
// delivered or canceled, never both, never neither, and what Cancel says is what happened.
func TestReleaseAgainstCancel(t *testing.T) {
	const messages = 3000
	st := openStore(t)
	sender := &counting{times: map[policy.ID][]time.Time{}}
	s := start(t, st, sender)
	ids := make([]policy.ID, messages)
	removed := make([]atomic.Bool, messages)
	var acting sync.WaitGroup
	slots := make(chan struct{}, 20)
	var late atomic.Int64 // when a cancel and a delivery meet, on a machine as fast as this one
	var won, lost atomic.Int64
	begun, sent := time.Now(), messages
	for i := range ids {
		if time.Since(begun) > time.Minute && won.Load() > 0 && lost.Load() > 0 { // it is a slow one
			sent = i
			break
		}
		slots <- struct{}{}
		acting.Go(func() {
			defer func() { <-slots }()
			until := time.Now().Add(30 * time.Millisecond)
			ids[i] = acceptInto(t, st, until, to("bob@x.example"))
			if i%3 == 0 {
				<-time.After(time.Until(until) / 2)
				acting.Go(func() {
					if _, err := s.Release(t.Context(), ids[i], "api:ops"); err != nil && !errors.Is(err, ErrNotHeld) {
						t.Error(err)
					}
				})
			} else {
				<-time.After(time.Until(until) - 5*time.Millisecond + time.Duration(rand.Int64N(2*late.Load()+1)))
			}
			_, codes, err := s.Cancel(t.Context(), ids[i], nil, "race", "sender")
			if err != nil && !errors.Is(err, ErrInFlight) {
				t.Error(err)
				return
			}
			removed[i].Store(codes[0].Code == RemovedFromHold || codes[0].Code == RemovedFromQueue)
			if d := late.Load(); removed[i].Load() {
				late.Store(d*11/10 + int64(time.Millisecond))
				won.Add(1)
			} else {
				late.Store(d * 10 / 11)
				lost.Add(1)
			}
		})
	}
	acting.Wait()
	canceled := 0
	for i, id := range ids[:sent] {
		m := await(t, st, id, func(m *store.Message) bool { return m.Due.IsZero() })
		sender.mu.Lock()
		delivered := len(sender.times[id])
		sender.mu.Unlock()
		want := policy.StateRelayedRemote
		if removed[i].Load() {
			want = policy.StateCanceled
			canceled++
		}
		if m.States[want] != 1 || delivered > 1 || (delivered == 1) == removed[i].Load() {
			t.Fatalf("%s: removed %v, states %v, delivered %d times", id, removed[i].Load(), m.States, delivered)
		}
	}
	if canceled == 0 || canceled == sent {
		t.Errorf("%d of %d canceled: there was no race", canceled, sent)
	}
	t.Logf("%d of %d canceled", canceled, sent)
}

// await waits for a condition on a message, following the journal.
func await(t testing.TB, st *store.Store, id policy.ID, ok func(*store.Message) bool) store.Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	sub := st.Subscribe(0)
	for {
		m, err := st.Message(id)
		if err != nil {
			t.Fatal(err)
		}
		if ok(&m) {
			return m
		}
		if _, err := sub.Next(ctx); err != nil {
			t.Fatalf("%s: %v: states %v", id, err, m.States)
		}
	}
}

// TestManyReleasedAtOnce lets go of many messages, and delivers each once. BenchmarkDue measures.
func TestManyReleasedAtOnce(t *testing.T) {
	const messages = 4000
	st := openStore(t)
	sender := &counting{times: map[policy.ID][]time.Time{}}
	until := time.Now().Add(time.Hour)
	ids := make([]policy.ID, messages)
	each(messages, func(i int) { ids[i] = acceptInto(t, st, until, to("bob@x.example")) })
	s := start(t, st, sender)
	begin := time.Now()
	each(messages, func(i int) {
		if _, err := s.Release(t.Context(), ids[i], "api:ops"); err != nil {
			t.Error(err)
		}
	})
	released := time.Since(begin)
	for _, id := range ids {
		await(t, st, id, func(m *store.Message) bool { return m.Due.IsZero() })
	}
	if n := sender.all.Load(); n != int64(messages) {
		t.Errorf("%d deliveries of %d messages", n, messages)
	}
	t.Logf("%d released in %v, delivered in %v", messages, released, time.Since(begin))
}

func each(n int, fn func(i int)) {
	var next atomic.Int64
	var workers sync.WaitGroup
	for range 200 {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				fn(i)
			}
		})
	}
	workers.Wait()
}

// BenchmarkDue lets b.N held messages become due at the same moment and measures until the journal
// has all results.
func BenchmarkDue(b *testing.B) {
	st := openStore(b)
	sender := &counting{times: map[policy.ID][]time.Time{}}
	until := time.Now().Add(time.Second + time.Duration(b.N)*200*time.Microsecond)
	ids := make([]policy.ID, b.N)
	each(b.N, func(i int) { ids[i] = acceptInto(b, st, until, to("bob@x.example")) })
	start(b, st, sender)
	if wait := time.Until(until); wait > 0 {
		<-time.After(wait)
	}
	b.ResetTimer()
	for _, id := range ids {
		await(b, st, id, func(m *store.Message) bool { return m.Due.IsZero() })
	}
}

// BenchmarkLag lets 500 messages a second become due and reports how late their delivery began.
func BenchmarkLag(b *testing.B) {
	st := openStore(b)
	sender := &counting{times: map[policy.ID][]time.Time{}}
	start(b, st, sender)
	ids, due := make([]policy.ID, b.N), make([]time.Time, b.N)
	begin := time.Now().Add(time.Second + time.Duration(b.N)*200*time.Microsecond)
	each(b.N, func(i int) {
		due[i] = begin.Add(time.Duration(i) * 2 * time.Millisecond)
		ids[i] = acceptInto(b, st, due[i], to("bob@x.example"))
	})
	for _, id := range ids {
		await(b, st, id, func(m *store.Message) bool { return m.Due.IsZero() })
	}
	lags := make([]time.Duration, b.N)
	for i, id := range ids {
		lags[i] = sender.times[id][0].Sub(due[i])
	}
	slices.Sort(lags)
	b.ReportMetric(float64(lags[b.N/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(lags[b.N*99/100].Microseconds())/1000, "p99-ms")
}
