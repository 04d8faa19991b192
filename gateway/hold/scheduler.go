package hold

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// actor is who acts in the events of a timer.
const actor = "hold"

const (
	// deciders is how many messages are looked at and released at a time: enough for the journal to
	// batch them into few transactions.
	deciders = 64
	// maxSettling is how many results wait for the journal; when there are more, workers wait.
	maxSettling = 256
	// grace is how long attempts may go on after Run was told to end.
	grace = 30 * time.Second
	// pauseAfterError is the pause before a message is looked at again when the journal failed.
	pauseAfterError = 5 * time.Second
)

// A Scheduler lets held mail go, delivers it and tries again. See the package comment.
type Scheduler struct {
	cfg     Config
	journal Journal
	feed    Feed
	sender  Sender
	bouncer Bouncer
	gate    Gate             // nil: what was held long enough goes
	now     func() time.Time // the wall clock
	started time.Time        // of the monotonic clock
	wall    time.Time        // what the wall clock said then
	log     mailLog
	metrics *metrics
	flights *flights
	lanes   *lanes

	settling chan struct{}
	settlers sync.WaitGroup

	mu       sync.Mutex
	waiting  *timetable
	busy     map[policy.ID]*task // taken from the timetable, not yet finished
	sooner   chan struct{}       // has an item when the first entry of the timetable has changed
	decision chan *task
}

// A task is the work on one message from the moment it is due until all its attempts are over.
type task struct {
	entry
	// snapshot is what the journal knew when the task was looked at, or nil: read again.
	snapshot *snapshot
	lanes    int // upstreams that have not finished
	left     int // recipients for whom there is something to do, now or later
	// pause is set when an upstream could not be tried at all: look again after it.
	pause time.Duration
	// touched is set when somebody committed something meanwhile: look again when the task ends.
	touched bool
	// canceled is set when recipients were taken or pulled back meanwhile: a snapshot may be from before.
	canceled bool
}

// A snapshot is a message with its recipients.
type snapshot struct {
	message    store.Message
	recipients policy.Rows
}

// New makes a Scheduler and reads from the journal what is due and when. feed must give every record
// from before the call on. New must be called before a front takes mail: all it finds is from a
// process that has ended. now is the wall clock. A gate, if there is one, is asked before a hold ends.
func New(cfg Config, journal Journal, feed Feed, sender Sender, bouncer Bouncer, now func() time.Time, log *zap.Logger, gate Gate) (*Scheduler, error) {
	s := &Scheduler{
		cfg: cfg, journal: journal, feed: feed, sender: sender, bouncer: bouncer,
		// Without Round(0) the differences of two readings would not show that the clock was set.
		now: func() time.Time { return now().Round(0) }, started: time.Now(), wall: now().Round(0),
		log: mailLog{log}, flights: newFlights(),
		settling: make(chan struct{}, maxSettling), waiting: newTimetable(), busy: map[policy.ID]*task{},
		sooner: make(chan struct{}, 1), decision: make(chan *task),
	}
	s.lanes = newLanes(func(upstream string) int { return cmp.Or(sender.Workers(upstream), cfg.Workers) }, s.attempt)
	s.metrics = newMetrics(s)
	s.gate = gate
	if err := s.load(); err != nil {
		return nil, fmt.Errorf("read what is due: %w", err)
	}
	return s, nil
}

// load fills the timetable. What became due while nobody was there is spread evenly from now on.
func (s *Scheduler) load() error {
	overdue := 0
	return s.journal.Due(func(d store.DueMessage) bool {
		e := entry{id: d.ID, at: s.at(d.Due), due: d.Due, loaded: true}
		if e.at <= s.clock() {
			e.at = s.clock() + time.Duration(overdue)*time.Second/time.Duration(s.cfg.CatchUp)
			overdue++
		}
		s.waiting.set(e)
		return true
	})
}

// Run lets mail go until ctx ends. Then nothing new is begun, and attempts under way have 30 s to
// finish. The error is that of the feed, when it breaks.
func (s *Scheduler) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	work, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()

	var loops sync.WaitGroup
	var broken error
	loops.Go(func() {
		broken = s.follow(ctx)
		cancel()
	})
	for range deciders {
		loops.Go(func() { s.decideLoop(ctx, work) })
	}
	s.dispatch(ctx)
	defer time.AfterFunc(grace, giveUp).Stop()
	s.lanes.close()
	loops.Wait()
	s.lanes.wait()
	s.settlers.Wait()
	if broken != nil {
		return fmt.Errorf("follow the journal: %w", broken)
	}
	return nil
}

// dispatch hands over what is due.
func (s *Scheduler) dispatch(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		for t := s.take(); t != nil; t = s.take() {
			select {
			case s.decision <- t:
			case <-ctx.Done():
				return
			}
		}
		timer.Reset(s.untilNext())
		select {
		case <-timer.C:
		case <-s.sooner:
		case <-ctx.Done():
			return
		}
	}
}

// take gives a message whose time has come, or nil.
func (s *Scheduler) take() *task {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.waiting.pop(s.clock())
	if !ok {
		return nil
	}
	t := &task{entry: e}
	s.busy[e.id] = t
	return t
}

// untilNext is the time until the next entry.
func (s *Scheduler) untilNext() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.waiting.next()
	if !ok {
		return time.Hour
	}
	return at - s.clock()
}

// clock is the monotonic clock of the timetable.
func (s *Scheduler) clock() time.Duration { return time.Since(s.started) }

// at converts a time of the journal; it is done once, when the time becomes known.
func (s *Scheduler) at(due time.Time) time.Duration { return s.clock() + due.Sub(s.now()) }

// steady is the time by which messages grow old: a wall clock that was set forward does not make them
// older.
func (s *Scheduler) steady() time.Time {
	now, steady := s.now(), s.wall.Add(s.clock())
	if steady.Before(now) {
		return steady
	}
	return now
}

// schedule puts a message into the timetable.
func (s *Scheduler) schedule(e entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.busy[e.id]; t != nil {
		t.touched = true
		return
	}
	first, ok := s.waiting.next()
	s.waiting.set(e)
	if !ok || e.at < first {
		s.wake()
	}
}

func (s *Scheduler) wake() {
	select {
	case s.sooner <- struct{}{}:
	default:
	}
}
