package hold

import (
	"context"
	"sync"
)

// maxSnapshots is up to how many messages in work keep what was read of them; those beyond are read
// again when their turn comes.
const maxSnapshots = 512

// A lane is the queue of one upstream. Its workers exist while there is work.
type lane struct {
	queue   []*task
	workers int
}

// lanes holds a lane for each upstream, so that a slow one holds up only its own mail.
type lanes struct {
	most func(name string) int // workers in a lane
	work func(ctx context.Context, upstream string, t *task)

	mu      sync.Mutex
	byName  map[string]*lane
	closed  bool
	workers sync.WaitGroup
}

func newLanes(most func(string) int, work func(context.Context, string, *task)) *lanes {
	return &lanes{most: most, work: work, byName: map[string]*lane{}}
}

// add puts a task into a lane. After close it does nothing: the journal remembers.
func (ls *lanes) add(ctx context.Context, name string, t *task) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.closed {
		return
	}
	l := ls.byName[name]
	if l == nil {
		l = &lane{}
		ls.byName[name] = l
	}
	l.queue = append(l.queue, t)
	if l.workers < ls.most(name) {
		l.workers++
		ls.workers.Go(func() {
			for t := ls.take(l); t != nil; t = ls.take(l) {
				ls.work(ctx, name, t)
			}
		})
	}
}

// take gives a worker its next task; nil ends the worker.
func (ls *lanes) take(l *lane) *task {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.closed || len(l.queue) == 0 {
		l.workers--
		return nil
	}
	t := l.queue[0]
	l.queue[0] = nil
	l.queue = l.queue[1:]
	return t
}

// close lets the workers end after what they are doing.
func (ls *lanes) close() {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.closed = true
}

// wait waits for the workers after close.
func (ls *lanes) wait() { ls.workers.Wait() }
