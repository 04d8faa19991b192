package source

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

// A queue holds what the sockets gave until it is handed on. It is bounded in octets; who puts more
// into it waits.
type queue struct {
	room  *semaphore.Weighted
	ready chan struct{} // holds a token when there is something

	mu    sync.Mutex
	lines []Raw
	gaps  []Gap
}

const (
	queueOctets = 16 << 20
	// overhead is what a line costs beyond its octets.
	overhead = 128
)

func newQueue() *queue {
	return &queue{room: semaphore.NewWeighted(queueOctets), ready: make(chan struct{}, 1)}
}

// put adds a line; its error is the context's.
func (q *queue) put(ctx context.Context, r Raw) error {
	if err := q.room.Acquire(ctx, int64(len(r.Data)+overhead)); err != nil {
		return err
	}
	q.mu.Lock()
	q.lines = append(q.lines, r)
	q.mu.Unlock()
	q.wake()
	return nil
}

// lost adds a gap, or widens the one of the same reason.
func (q *queue) lost(g Gap) {
	q.mu.Lock()
	if n := len(q.gaps); n > 0 && q.gaps[n-1].Reason == g.Reason {
		q.gaps[n-1].To = g.To
	} else {
		q.gaps = append(q.gaps, g)
	}
	q.mu.Unlock()
	q.wake()
}

func (q *queue) wake() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// drain makes a batch; it is caught when it empties the queue.
func (q *queue) drain(at time.Time) (Batch, []Gap) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, octets := 0, 0
	for n < len(q.lines) && n < MaxLines && octets < MaxOctets {
		octets += len(q.lines[n].Data)
		n++
	}
	b := Batch{Lines: q.lines[:n:n], At: at, Caught: n == len(q.lines)}
	if q.lines = q.lines[n:]; len(q.lines) == 0 {
		q.lines = nil
	}
	for _, r := range q.lines {
		b.Behind += int64(len(r.Data))
	}
	q.room.Release(int64(octets + n*overhead))
	gaps := q.gaps
	q.gaps = nil
	return b, gaps
}
