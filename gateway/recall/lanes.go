package recall

import (
	"context"
	"sync"
)

// lanes bound how many mailboxes of a backend are worked on at a time, by all recalls together.
type lanes struct {
	mu     sync.Mutex
	byName map[string]chan struct{}
}

// of gives the lane of a backend, of a width that may have changed.
func (l *lanes) of(name string, width int) chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	lane := l.byName[name]
	if cap(lane) != width {
		lane = make(chan struct{}, width) // who is in the old one leaves it there
		l.byName[name] = lane
	}
	return lane
}

// A task is something to be done at one backend.
type task struct {
	backend string
	run     func()
}

// each runs tasks, as many at a time as the lanes of their backends allow, and returns when all have run. When
// the context ends or going says no, those that have not begun are left out.
func (e *Engine) each(ctx context.Context, going func() bool, tasks []task) {
	byBackend := map[string][]func(){}
	for _, t := range tasks {
		byBackend[t.backend] = append(byBackend[t.backend], t.run)
	}
	var all sync.WaitGroup
	for name, runs := range byBackend {
		width := e.config().Concurrency
		lane, queue := e.lanes.of(name, width), make(chan func())
		for range min(width, len(runs)) {
			all.Go(func() {
				for run := range queue {
					select {
					case lane <- struct{}{}:
					case <-ctx.Done():
						continue
					}
					if ctx.Err() == nil && going() {
						run()
					}
					<-lane
				}
			})
		}
		all.Go(func() {
			defer close(queue)
			for _, run := range runs {
				queue <- run
			}
		})
	}
	all.Wait()
}
