package postfix

import (
	"context"
	"errors"
	"sync"
	"time"
)

// batchPause is the least time between two requests of a Batcher for one verb.
const batchPause = 100 * time.Millisecond

// ErrClosed says that a Batcher takes nothing any more.
var ErrClosed = errors.New("the batcher is closed")

// A Requester carries out requests for many messages; [Helper] is one.
type Requester interface {
	Hold(ctx context.Context, messages []Identity) ([]Result, error)
	Release(ctx context.Context, messages []Identity) ([]Result, error)
	Delete(ctx context.Context, messages []Identity) ([]Result, error)
}

// A Batcher makes one request of what many callers want for one message each, at most every 100 ms
// for each verb: 5,000 releases at once are a handful of requests.
type Batcher struct {
	hold    lane
	release lane
	remove  lane
	stop    context.CancelFunc
	running sync.WaitGroup
}

// NewBatcher makes a Batcher. Close ends it.
func NewBatcher(r Requester) *Batcher {
	ctx, stop := context.WithCancel(context.Background())
	b := &Batcher{stop: stop}
	b.hold = lane{ctx: ctx, ask: r.Hold, running: &b.running}
	b.release = lane{ctx: ctx, ask: r.Release, running: &b.running}
	b.remove = lane{ctx: ctx, ask: r.Delete, running: &b.running}
	return b
}

// Hold is [Helper.Hold] for one message, with contexts as for Release.
func (b *Batcher) Hold(ctx context.Context, m Identity) (Result, error) { return b.hold.do(ctx, m) }

// Release is [Helper.Release] for one message. A caller whose context ends before the request was
// sent has asked for nothing; afterwards the message is released all the same.
func (b *Batcher) Release(ctx context.Context, m Identity) (Result, error) {
	return b.release.do(ctx, m)
}

// Delete is [Helper.Delete] for one message, with contexts as for Release.
func (b *Batcher) Delete(ctx context.Context, m Identity) (Result, error) { return b.remove.do(ctx, m) }

// Close breaks off what is under way and waits for it. Callers get an error.
func (b *Batcher) Close() {
	b.hold.close()
	b.release.close()
	b.remove.close()
	b.stop()
	b.running.Wait()
}

// A lane gathers what is wanted for one verb. While somebody waits it has a goroutine.
type lane struct {
	ctx     context.Context
	ask     func(context.Context, []Identity) ([]Result, error)
	running *sync.WaitGroup

	mu      sync.Mutex
	waiting []*wish
	busy    bool
	closed  bool
	last    time.Time // when the last request was sent
}

// A wish is one caller's.
type wish struct {
	ctx     context.Context
	message Identity
	answer  chan answered // has room for the one answer
}

type answered struct {
	result Result
	err    error
}

func (l *lane) do(ctx context.Context, m Identity) (Result, error) {
	w := &wish{ctx: ctx, message: m, answer: make(chan answered, 1)}
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return Result{}, ErrClosed
	}
	l.waiting = append(l.waiting, w)
	if !l.busy {
		l.busy = true
		l.running.Go(l.run)
	}
	l.mu.Unlock()
	select {
	case a := <-w.answer:
		return a.result, a.err
	case <-ctx.Done():
		return Result{}, context.Cause(ctx)
	}
}

// close lets nobody in any more.
func (l *lane) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
}

// run sends requests until nobody waits.
func (l *lane) run() {
	for {
		pause := max(0, batchPause-time.Since(l.last))
		open := wait(l.ctx, pause)
		wishes := l.take(open)
		if len(wishes) == 0 {
			return
		}
		if !open {
			for _, w := range wishes {
				w.answer <- answered{err: ErrClosed}
			}
			continue
		}
		l.last = time.Now()
		l.send(wishes)
	}
}

// take gives the wishes for the next request; when there are none the lane is idle.
func (l *lane) take(bounded bool) (wishes []*wish) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var later []*wish
	taken := map[string]bool{}
	for _, w := range l.waiting {
		switch {
		case w.ctx.Err() != nil: // its caller has gone
		case bounded && (taken[w.message.ID] || len(wishes) == portion):
			later = append(later, w)
		default:
			taken[w.message.ID] = true
			wishes = append(wishes, w)
		}
	}
	l.waiting = later
	l.busy = len(wishes) > 0
	return wishes
}

// send makes one request and hands its results out.
func (l *lane) send(wishes []*wish) {
	messages := make([]Identity, len(wishes))
	for i, w := range wishes {
		messages[i] = w.message
	}
	results, err := l.ask(l.ctx, messages)
	for i, w := range wishes {
		if i < len(results) {
			w.answer <- answered{result: results[i]}
		} else {
			w.answer <- answered{err: err}
		}
	}
}
