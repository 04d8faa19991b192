package hold

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestTheMailLogHasALineForEachChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, lines := observer.New(zap.InfoLevel)
		b := newBench(t)
		b.sender.answer = func(_ Delivery, r store.Recipient) Outcome {
			switch {
			case r.Address == "bad@x.example":
				return Outcome{Kind: policy.Bounced, Reply: "550 5.1.1 no such user"}
			case r.Attempts == 0:
				return Outcome{Kind: policy.Deferred, Reply: "451 4.3.0 \"later\"\r\nfake line", MayBeDuplicate: true}
			}
			return Outcome{Kind: policy.RelayedRemote, Reply: "250 ok", QueueID: "4XyZ", Upstream: "hub"}
		}
		id := b.accept(time.Minute, to("bob@x.example", "bad@x.example", "eve@x.example")...)
		s, err := New(b.cfg, b.journal, b.journal.feed(), b.sender, b.bounces, b.now, zap.New(core), nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		if _, err := s.Hold(ctx, id, b.now().Add(2*time.Minute), "api:ops"); err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Cancel(ctx, id, []int{2}, "wrong", "api:ops"); err != nil {
			t.Fatal(err)
		}
		later(10 * time.Minute)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		var verbs []string
		for _, l := range lines.All() {
			verbs = append(verbs, l.Message)
			if f := l.ContextMap(); f["id"] != id.String() || f["sender"] != "ann@corp.example" {
				t.Errorf("%s: %v", l.Message, f)
			}
		}
		want := []string{"hold_changed", "canceled", "released", "deferred", "bounced", "notified", "delivered"}
		if !slices.Equal(verbs, want) {
			t.Errorf("verbs %v, want %v", verbs, want)
		}
		last := lines.All()[len(want)-1].ContextMap()
		if last["next_queue_id"] != "4XyZ" || last["upstream"] != "hub" || last["reply"] != "250 ok" {
			t.Errorf("delivered: %v", last)
		}
	})
}
