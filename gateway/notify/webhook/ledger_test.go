package webhook

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
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
