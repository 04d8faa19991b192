package hold

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

func TestPausesGrowToTheirBound(t *testing.T) {
	c := DefaultConfig().Retry
	want := []time.Duration{1, 2, 4, 8, 16, 32, 60, 60, 60}
	for attempts, minutes := range want {
		middle := minutes * time.Minute
		if got := c.pause(attempts, 0.5); got != middle {
			t.Errorf("attempt %d: %v, want %v", attempts, got, middle)
		}
		low, high := c.pause(attempts, 0), c.pause(attempts, 0.999999)
		if low != middle*8/10 || high <= middle*119/100 || high > middle*12/10 {
			t.Errorf("attempt %d: jitter from %v to %v", attempts, low, high)
		}
	}
	if got := c.pause(100000, 0.5); got != time.Hour {
		t.Errorf("after many attempts: %v", got)
	}
}

func TestTheLastTryIsMadeAtTheEnd(t *testing.T) {
	c := DefaultConfig().Retry
	now := time.Unix(1e9, 0)
	if got := c.next(now, c.ExpireAfter-time.Minute, 20, 0.5); !got.Equal(now.Add(time.Minute)) {
		t.Errorf("next try %v", got)
	}
	if got := c.next(now, c.ExpireAfter+time.Minute, 20, 0.5); !got.Equal(now) {
		t.Errorf("next try %v", got)
	}
}

func TestExpiryGoesBackToTheSender(t *testing.T) {
	virtual(t, func(b *bench) {
		b.sender.answer = deferAll
		b.run()
		begin := time.Now()
		id := b.accept(0, to("bob@x.example")...)
		later(121 * time.Hour)
		r := b.row(id, 0)
		if r.State != policy.StateExpired || r.Reply != "451 4.3.0 later" || !strings.HasPrefix(r.Reason, "4.4.7 not delivered within 120h") {
			t.Fatalf("fate %+v", r.Fate)
		}
		tries := b.sender.seen()
		if last := tries[len(tries)-1].at.Sub(begin); last != 120*time.Hour {
			t.Errorf("last try after %v", last)
		}
		if n := len(tries); n < 110 || n > 160 {
			t.Errorf("%d tries in five days", n)
		}
		if got := b.bounces.all(); !slices.Equal(got, []string{"failed bob@x.example"}) {
			t.Errorf("notices %v", got)
		}
		if last := b.journal.events(id); last[len(last)-1].Kind != policy.Notified || last[len(last)-1].Reason != "failed" || last[len(last)-1].Evidence == "" {
			t.Errorf("last event %+v", last[len(last)-1])
		}
	})
}

func TestWhoIsToldOfADelay(t *testing.T) {
	tests := []struct {
		name   string
		notify []string
		change func(*RetryConfig)
		told   bool
	}{
		{"asked for", []string{"FAILURE", "DELAY"}, nil, true},
		{"not asked for", nil, nil, false},
		{"not asked for, but configured", nil, func(c *RetryConfig) { c.DelayNoticeUnasked = true }, true},
		{"only failures wanted", []string{"FAILURE"}, func(c *RetryConfig) { c.DelayNoticeUnasked = true }, false},
		{"switched off", []string{"DELAY"}, func(c *RetryConfig) { c.DelayNoticeAfter = 0 }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			virtual(t, func(b *bench) {
				if tt.change != nil {
					tt.change(&b.cfg.Retry)
				}
				b.sender.answer = deferAll
				b.run()
				id := b.accept(0, policy.Recipient{Address: "bob@x.example", Notify: tt.notify})
				later(4*time.Hour - time.Second)
				if got := b.bounces.all(); len(got) != 0 {
					t.Fatalf("too early: %v", got)
				}
				later(10 * time.Hour)
				var want []string
				if tt.told {
					want = []string{"delayed bob@x.example"}
				}
				if got := b.bounces.all(); !slices.Equal(got, want) {
					t.Errorf("notices %v, want %v", got, want)
				}
				if r := b.row(id, 0); r.Delayed != tt.told || r.State != policy.StateDeferred {
					t.Errorf("fate %+v", r.Fate)
				}
			})
		})
	}
}

func TestWhoIsToldOfASuccess(t *testing.T) {
	for _, reports := range []bool{false, true} {
		virtual(t, func(b *bench) {
			b.sender.answer = func(Delivery, store.Recipient) Outcome {
				return Outcome{Kind: policy.HandedOver, ReportsSuccess: reports}
			}
			b.run()
			b.accept(0, policy.Recipient{Address: "bob@x.example", Notify: []string{"SUCCESS"}}, policy.Recipient{Address: "eve@x.example"})
			synctest.Wait()
			var want []string
			if !reports {
				want = []string{"relayed bob@x.example"}
			}
			if got := b.bounces.all(); !slices.Equal(got, want) {
				t.Errorf("next hop reports %v: notices %v, want %v", reports, got, want)
			}
		})
	}
}

func TestNobodyToldNothingNoted(t *testing.T) {
	virtual(t, func(b *bench) {
		b.sender.answer = func(Delivery, store.Recipient) Outcome { return Outcome{Kind: policy.Bounced} }
		b.run()
		id := b.accept(0, policy.Recipient{Address: "bob@x.example", Notify: []string{"NEVER"}})
		synctest.Wait()
		if slices.Contains(b.journal.kinds(id), policy.Notified) {
			t.Error("a notice is noted that was not written")
		}
	})
}

func TestANoticeComesBeforeItsResult(t *testing.T) {
	virtual(t, func(b *bench) {
		b.sender.answer = func(Delivery, store.Recipient) Outcome { return Outcome{Kind: policy.Bounced} }
		b.bounces.fail = store.ErrFull
		b.run()
		id := b.accept(0, to("bob@x.example")...)
		later(time.Hour)
		if got := b.states(id)[0]; got != policy.StateQueued {
			t.Fatalf("state %s although the sender was not told: a crash would lose the notice", got)
		}
		b.bounces.mu.Lock()
		b.bounces.fail = nil
		b.bounces.mu.Unlock()
		later(time.Minute)
		if got, n := b.states(id)[0], len(b.sender.seen()); got != policy.StateBounced || n != 1 {
			t.Errorf("state %s after %d tries", got, n)
		}
	})
}
