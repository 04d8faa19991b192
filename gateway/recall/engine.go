package recall

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

const (
	// remembered is for how long after its request later evidence reopens a recall: as long as mail
	// stays in queues (Postfix: maximal_queue_lifetime is 5 days).
	remembered = 7 * 24 * time.Hour
	// patience is how long Start waits for the first results, which are there at once for held mail.
	patience = 2 * time.Second
	// breath is the least time between two looks at a job, so that a flood of events is looked at together.
	breath = 100 * time.Millisecond
)

// An Engine carries out recalls.
type Engine struct {
	Needs
	cfg   atomic.Pointer[Config]
	lanes lanes
	// door lets one request in at a time, so that none begins what another has begun. It guards used.
	door sync.Mutex
	used []used

	mu      sync.Mutex
	jobs    map[policy.ID]*job               // those that are followed
	watched map[policy.ID]map[policy.ID]bool // recalls by message, for remembered
	running context.Context                  // nil when Run is not running
	follow  sync.WaitGroup
}

// New makes an engine. Nothing is done before Run.
func New(cfg Config, needs Needs) *Engine {
	e := &Engine{
		Needs: needs, lanes: lanes{byName: map[string]chan struct{}{}},
		jobs: map[policy.ID]*job{}, watched: map[policy.ID]map[policy.ID]bool{},
	}
	e.cfg.Store(&cfg)
	return e
}

// Reload takes up a new configuration, for recalls under way as well.
func (e *Engine) Reload(cfg Config) { e.cfg.Store(&cfg) }

func (e *Engine) config() *Config { return e.cfg.Load() }

func (e *Engine) now() time.Time { return e.Now().UTC() }

// Run takes up the recalls that are open and carries out all that come, until ctx ends. After an error it can be
// called again.
func (e *Engine) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := e.resume(ctx); err != nil {
		return fmt.Errorf("take up recalls: %w", err)
	}
	e.mu.Lock()
	e.running = ctx
	for _, j := range e.jobs {
		e.follow.Go(func() { e.carry(ctx, j) })
	}
	e.mu.Unlock()
	e.follow.Go(func() { e.purges(ctx) })
	err := e.listen(ctx)
	e.mu.Lock()
	e.running = nil
	e.mu.Unlock()
	cancel()
	e.follow.Wait()
	return err
}

// resume reads the recalls that are open, or that later evidence may reopen.
func (e *Engine) resume(ctx context.Context) error {
	now, cfg := e.now(), e.config()
	oldest := now.Add(-max(remembered, cfg.longest()))
	for id, err := range e.recorded(ctx, policy.ID{}) {
		if err != nil {
			return err
		}
		if id.Timestamp().Before(oldest) {
			return nil
		}
		j, err := e.load(id)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		e.watch(j)
		e.count(j, now)
		if j.ended.IsZero() || j.due || now.Sub(j.ended) < cfg.RetryFor {
			if err := e.take(j); err != nil {
				return err
			}
		}
	}
	return nil
}

// take makes a loaded job one that is followed, unless it is already. The goroutine begins with Run.
func (e *Engine) take(j *job) error {
	if err := e.fold(j); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.enrol(j)
	return nil
}

// enrol follows a job. The caller has the lock. It gives the one that is followed.
func (e *Engine) enrol(j *job) *job {
	if known := e.jobs[j.id]; known != nil {
		return known
	}
	e.jobs[j.id] = j
	if ctx := e.running; ctx != nil && ctx.Err() == nil {
		e.follow.Go(func() { e.carry(ctx, j) })
	}
	return j
}

// watch lets events of a job's messages reach it.
func (e *Engine) watch(j *job) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, t := range j.Targets {
		if e.watched[t.Message] == nil {
			e.watched[t.Message] = map[policy.ID]bool{}
		}
		e.watched[t.Message][j.id] = true
	}
}

// unwatch forgets what is too old to be reopened.
func (e *Engine) unwatch(now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for message, recalls := range e.watched {
		for id := range recalls {
			if now.Sub(id.Timestamp()) > max(remembered, e.config().longest()) && e.jobs[id] == nil {
				delete(recalls, id)
			}
		}
		if len(recalls) == 0 {
			delete(e.watched, message)
		}
	}
}

// open gives the jobs that have not ended.
func (e *Engine) open() (jobs []*job) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, j := range e.jobs {
		if j.isOpen() {
			jobs = append(jobs, j)
		}
	}
	return jobs
}

// find gives a job that is followed, or reads it with its lines.
func (e *Engine) find(id policy.ID) (*job, error) {
	e.mu.Lock()
	j := e.jobs[id]
	e.mu.Unlock()
	if j != nil {
		return j, nil
	}
	j, err := e.load(id)
	if err != nil {
		return nil, err
	}
	return j, e.fold(j)
}

// Watch gives a channel on which something can be received when a recall has changed, until stop is called.
func (e *Engine) Watch(id policy.ID) (changed <-chan struct{}, stop func()) {
	c := make(chan struct{}, 1)
	e.mu.Lock()
	defer e.mu.Unlock()
	j := e.jobs[id]
	if j == nil {
		return c, func() {}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.watchers[c] = true
	return c, func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		delete(j.watchers, c)
	}
}
