package gateway

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sendgate/sendgate/gateway/relay/upstream"
)

// A sluggish upstream takes its time.
type sluggish struct {
	mu    sync.Mutex
	takes time.Duration
	err   error
	asked int
}

// now says how it answers from now on.
func (s *sluggish) now(takes time.Duration, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.takes, s.err = takes, err
}

func (s *sluggish) Name() string { return "mx" }

func (s *sluggish) Capabilities(ctx context.Context) (upstream.Capabilities, error) {
	s.mu.Lock()
	s.asked++
	takes, err := s.takes, s.err
	s.mu.Unlock()
	select {
	case <-time.After(takes):
		return upstream.Capabilities{}, err
	case <-ctx.Done():
		return upstream.Capabilities{}, ctx.Err()
	}
}

// TestReadinessDoesNotWaitForUpstreams has one that turns slow, goes and comes back: nobody who asks waits long, and a
// slow answer is no change.
func TestReadinessDoesNotWaitForUpstreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r roll
		away := errors.New("connection refused")
		s := &sluggish{takes: 10 * time.Second}
		for _, step := range []struct {
			outcome string
			takes   time.Duration
			err     error
			pause   time.Duration // before the question
			want    error
		}{
			{"slow from the start", 10 * time.Second, nil, 0, errSilent},
			{"asked again meanwhile", 10 * time.Second, nil, time.Second, errSilent},
			{"it has answered, and is slow again", 10 * time.Second, nil, 20 * time.Second, nil},
			{"it is quick", time.Millisecond, nil, 20 * time.Second, nil},
			{"it is away", time.Millisecond, away, time.Second, away},
			{"it is back, and slow", 10 * time.Second, nil, time.Second, away},
			{"its answer is there", time.Millisecond, nil, 10 * time.Second, nil},
			{"it says nothing any more", time.Hour, nil, time.Second, nil},
			{"that is known after a while", time.Hour, nil, 2 * rollTimeout, context.DeadlineExceeded},
		} {
			time.Sleep(step.pause)
			synctest.Wait()
			s.now(step.takes, step.err)
			begun := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), upstreamPatience)
			err := r.ask(ctx, s)
			cancel()
			if !errors.Is(err, step.want) || (err == nil) != (step.want == nil) || time.Since(begun) > upstreamPatience {
				t.Errorf("%s: %v after %v", step.outcome, err, time.Since(begun))
			}
		}
		time.Sleep(2 * rollTimeout)
		synctest.Wait()
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.asked > 8 {
			t.Errorf("asked %d times, some at the same time", s.asked)
		}
	})
}
