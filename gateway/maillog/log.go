package maillog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

const (
	// keptName is under which the place in the journal is kept, keepEvery how often.
	keptName  = "maillog"
	keepEvery = 5 * time.Second
	// endOfBatch is the position behind every record of a batch.
	endOfBatch = 1 << 16
	// maxSaid is how many lines of the fronts wait.
	maxSaid = 1024
	// Between two tries of an output that fails.
	minPause = time.Second
	maxPause = 30 * time.Second
)

// A Journal keeps the place up to which it was read. [store.Store] is one.
type Journal interface {
	Keep(name string, value []byte) error
	Kept(name string) ([]byte, error)
	LastBatch() uint64
}

// A Feed gives the records of the journal. [store.Subscription] is one.
type Feed interface {
	Next(ctx context.Context) (store.Record, error)
}

// A mark is a record that was written.
type mark struct {
	Batch    uint64 `json:"batch"`
	Position int    `json:"position"`
}

// A Log is the mail log. See the package comment.
type Log struct {
	journal Journal
	facts   Facts
	log     *zap.Logger
	said    chan Line
	again   chan struct{} // asks for a file to be opened again
	metrics *metrics

	mark mark // of the goroutine in Run
	kept mark
	out  output

	mu     sync.Mutex
	missed int
	err    error // of the output, as it is now
}

// New makes a log and takes up the place that was kept. log is for trouble, and for the lines themselves where they
// go among the others. Nothing is opened yet: a log that cannot be written keeps no mail from flowing.
func New(cfg Config, host string, journal Journal, facts Facts, log *zap.Logger) (*Log, error) {
	l := &Log{
		journal: journal, facts: facts, log: log, said: make(chan Line, maxSaid), again: make(chan struct{}, 1),
		out: newOutput(cfg, host, log),
	}
	l.metrics = newMetrics(l)
	value, err := journal.Kept(keptName)
	if err != nil {
		return nil, fmt.Errorf("read the place of the mail log: %w", err)
	}
	if value != nil && json.Unmarshal(value, &l.mark) != nil {
		log.Error("the place of the mail log cannot be read: it goes on from now")
		l.mark = mark{}
	}
	l.kept = l.mark
	if last := journal.LastBatch(); l.mark == (mark{}) || l.mark.Batch > last {
		// The first time; of another journal, or of this one before it was repaired: from now on.
		l.mark = mark{last, endOfBatch}
	}
	return l, nil
}

// Begin is the batch with which the feed of Run begins: the last one may not be complete.
func (l *Log) Begin() uint64 { return max(l.mark.Batch, 1) }

// Reopen has a file opened again that was renamed.
func (l *Log) Reopen() {
	select {
	case l.again <- struct{}{}:
	default: // it was asked for already
	}
}

// Err is why lines cannot be written now; nil when they can.
func (l *Log) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// say queues a line of a front.
func (l *Log) say(line Line) {
	select {
	case l.said <- line:
	default:
		l.metrics.dropped.Inc()
		l.mu.Lock()
		l.missed++
		l.mu.Unlock()
	}
}

// Run writes lines until ctx ends or the feed does. What the journal has then is written after the next start.
func (l *Log) Run(ctx context.Context, feed Feed) error {
	l.keep() // the place where it begins the first time, too
	reading, stop := context.WithCancel(ctx)
	records, failed := make(chan store.Record), make(chan error, 1)
	var reader sync.WaitGroup
	reader.Go(func() { failed <- read(reading, feed, records) })
	err := l.follow(ctx, records, failed)
	stop()
	reader.Wait()
	l.last()
	l.keep()
	if ctx.Err() != nil || errors.Is(err, store.ErrClosed) {
		err = nil
	}
	return errors.Join(err, l.out.close())
}

func read(ctx context.Context, feed Feed, records chan<- store.Record) error {
	for {
		r, err := feed.Next(ctx)
		if err != nil {
			return err
		}
		select {
		case records <- r:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (l *Log) follow(ctx context.Context, records <-chan store.Record, failed <-chan error) error {
	keep := time.NewTicker(keepEvery)
	defer keep.Stop()
	for {
		select {
		case r := <-records:
			l.record(ctx, &r)
		case line := <-l.said:
			l.put(ctx, line)
		case <-l.again:
			l.note(l.out.reopen())
		case <-keep.C:
			l.keep()
		case err := <-failed:
			return fmt.Errorf("follow the journal for the mail log: %w", err)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// record writes the lines of a record, unless they were written before.
func (l *Log) record(ctx context.Context, r *store.Record) {
	if r.Batch < l.mark.Batch || r.Batch == l.mark.Batch && r.Position <= l.mark.Position && r.Batch > 0 {
		return
	}
	for _, line := range lines(r, l.facts) {
		if !l.put(ctx, line) {
			return
		}
	}
	l.mark = mark{r.Batch, r.Position}
}

// put writes a line, however long that takes; false when ctx ended first.
func (l *Log) put(ctx context.Context, line Line) bool {
	for wait := minPause; ; wait = min(2*wait, maxPause) {
		err := l.out.write(line)
		if errors.Is(err, errLong) {
			l.metrics.dropped.Inc()
			return true
		}
		l.note(err)
		if err == nil {
			l.metrics.lines.Inc()
			l.tellMissed()
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-l.again:
			_ = l.out.reopen() // the next write says what is wrong
		case <-time.After(wait):
		}
	}
}

// note remembers how the output is, and tells when that changes.
func (l *Log) note(err error) {
	l.mu.Lock()
	before := l.err
	l.err = err
	l.mu.Unlock()
	switch {
	case err != nil && before == nil:
		l.log.Error("the mail log cannot be written; its lines wait", zap.Error(err))
	case err == nil && before != nil:
		l.log.Info("the mail log can be written again")
	}
}

// tellMissed writes how many lines of the fronts were lost.
func (l *Log) tellMissed() {
	l.mu.Lock()
	missed := l.missed
	l.missed = 0
	l.mu.Unlock()
	if missed == 0 {
		return
	}
	line := Line{Time: time.Now(), Verb: Missed, More: []Field{{"lines", strconv.Itoa(missed)}}}
	if l.out.write(line) != nil {
		l.mu.Lock()
		l.missed += missed // the next line tries again
		l.mu.Unlock()
	}
}

// last writes what the fronts have said, as far as that goes without waiting.
func (l *Log) last() {
	for {
		select {
		case line := <-l.said:
			if err := l.out.write(line); err != nil {
				return
			}
			l.metrics.lines.Inc()
		default:
			return
		}
	}
}

// keep writes down the place if it has moved. When that fails lines may come twice.
func (l *Log) keep() {
	if l.mark == l.kept {
		return
	}
	value, err := json.Marshal(l.mark)
	if err == nil {
		err = l.journal.Keep(keptName, value)
	}
	if err != nil {
		l.log.Warn("the place of the mail log was not kept; after a restart lines may come twice", zap.Error(err))
		return
	}
	l.kept = l.mark
}
