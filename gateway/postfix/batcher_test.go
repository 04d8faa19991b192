package postfix

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// asked is a Requester that remembers what it was asked and takes a while.
type asked struct {
	mu    sync.Mutex
	sizes []int
	times []time.Time
	takes time.Duration
	fail  error
}

func (a *asked) Hold(ctx context.Context, messages []Identity) ([]Result, error) {
	return a.Release(ctx, messages)
}

func (a *asked) Release(ctx context.Context, messages []Identity) ([]Result, error) {
	a.mu.Lock()
	a.sizes, a.times = append(a.sizes, len(messages)), append(a.times, time.Now())
	a.mu.Unlock()
	if !wait(ctx, a.takes) {
		return nil, ctx.Err()
	}
	if a.fail != nil {
		return nil, a.fail
	}
	var results []Result
	for _, m := range messages {
		results = append(results, Result{ID: m.ID, Outcome: Released})
	}
	return results, nil
}

func (a *asked) Delete(ctx context.Context, messages []Identity) ([]Result, error) {
	results, err := a.Release(ctx, messages)
	for i := range results {
		results[i].Outcome = Removed
	}
	return results, err
}

func TestBatcherMakesFewRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &asked{takes: 30 * time.Millisecond}
		b := NewBatcher(a)
		defer b.Close()
		var all sync.WaitGroup
		for i := range 5000 {
			all.Go(func() {
				id := fmt.Sprintf("%06X", i)
				if r, err := b.Release(t.Context(), Identity{ID: id}); err != nil || r.ID != id || r.Outcome != Released {
					t.Errorf("%s: %+v, %v", id, r, err)
				}
			})
		}
		all.Wait()
		if len(a.sizes) > 4 {
			t.Errorf("requests of %v messages", a.sizes)
		}
		for i := 1; i < len(a.times); i++ {
			if d := a.times[i].Sub(a.times[i-1]); d < batchPause {
				t.Errorf("a request %v after the one before", d)
			}
		}
	})
}

func TestBatcherAsksOnceForOneMessageAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &asked{takes: time.Second}
		b := NewBatcher(a)
		defer b.Close()
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				if r, err := b.Delete(t.Context(), Identity{ID: "ABCDEF"}); err != nil || r.Outcome != Removed {
					t.Errorf("%+v, %v", r, err)
				}
			})
		}
		all.Wait()
		if len(a.sizes) != 3 {
			t.Errorf("requests of %v messages, want three of one", a.sizes)
		}
	})
}

func TestBatcherHandsErrorsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBatcher(&asked{fail: ErrAway})
		defer b.Close()
		var all sync.WaitGroup
		for i := range 10 {
			all.Go(func() {
				if _, err := b.Release(t.Context(), Identity{ID: fmt.Sprintf("%06X", i)}); !errors.Is(err, ErrAway) {
					t.Errorf("%v, want ErrAway", err)
				}
			})
		}
		all.Wait()
	})
}

func TestBatcherForgetsWhoHasGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &asked{takes: time.Minute}
		b := NewBatcher(a)
		defer b.Close()
		var all sync.WaitGroup
		all.Go(func() { _, _ = b.Release(t.Context(), Identity{ID: "AAAAAA"}) })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := b.Release(ctx, Identity{ID: "BBBBBB"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want the context's error", err)
		}
		all.Wait()
		synctest.Wait()
		if len(a.sizes) != 1 {
			t.Errorf("requests of %v messages: nobody waited for the second", a.sizes)
		}
	})
}

func TestBatcherCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBatcher(&asked{takes: time.Hour})
		var all sync.WaitGroup
		for i := range 2 {
			all.Go(func() {
				_, err := b.Release(t.Context(), Identity{ID: fmt.Sprintf("%06X", i)})
				if !errors.Is(err, context.Canceled) && !errors.Is(err, ErrClosed) {
					t.Errorf("%v", err)
				}
			})
			synctest.Wait() // the first is under way, the second waits for it
		}
		b.Close()
		all.Wait()
		if _, err := b.Release(t.Context(), Identity{ID: "ABCDEF"}); !errors.Is(err, ErrClosed) {
			t.Errorf("%v, want ErrClosed", err)
		}
	})
}

func TestRemoveAsksAgainWhileInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		requests := 0
		ask := func(_ context.Context, messages []Identity) ([]Result, error) {
			requests++
			results := make([]Result, len(messages))
			for i, m := range messages {
				results[i] = Result{ID: m.ID, Outcome: InFlight}
				if m.ID == "AAAAAA" || m.ID == "BBBBBB" && requests == 3 {
					results[i].Outcome = Removed
				}
			}
			return results, nil
		}
		start := time.Now()
		results := remove(t.Context(), ask, time.Minute, byID([]string{"AAAAAA", "BBBBBB", "CCCCCC"}))
		expect(t, "remove", results, nil, Removed, Removed, InFlight)
		if d := time.Since(start); d != time.Minute {
			t.Errorf("waited %v for what stays in flight, want a minute", d)
		}
		if requests > 25 {
			t.Errorf("%d requests in a minute", requests)
		}
	})
}

func TestRemoveSaysWhenTheHelperIsAway(t *testing.T) {
	fail := error(ErrAway)
	ask := func(_ context.Context, messages []Identity) ([]Result, error) {
		return []Result{{ID: messages[0].ID, Outcome: Removed}}, fail
	}
	expect(t, "away", remove(t.Context(), ask, 0, byID([]string{"AAAAAA", "BBBBBB"})), nil, Removed, HelperAway)
	fail = errors.New("postfix helper: user 1 may not ask")
	results := remove(t.Context(), ask, 0, byID([]string{"AAAAAA", "BBBBBB"}))
	expect(t, "refused", results, nil, Removed, Failed)
	if results[1].Text != fail.Error() || results[1].ID != "BBBBBB" {
		t.Errorf("%+v", results[1])
	}
}

func TestWakerAsksTenTimesASecondAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var scans []time.Time
		ctx, cancel := context.WithCancel(t.Context())
		w := newWaker(func() error { scans = append(scans, time.Now()); return nil }, nil)
		var loop sync.WaitGroup
		loop.Go(func() { w.run(ctx) })
		for range 100 {
			w.wake()
			wait(t.Context(), 10*time.Millisecond)
		}
		last := time.Now()
		w.wake()
		wait(t.Context(), time.Second)
		cancel()
		loop.Wait()
		if len(scans) < 9 || len(scans) > 12 {
			t.Errorf("%d scans in a second", len(scans))
		}
		if scans[len(scans)-1].Before(last) {
			t.Error("no scan began after the last call")
		}
	})
}
