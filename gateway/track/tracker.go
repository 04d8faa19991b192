package track

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/sendgate/sendgate/gateway/track/postlog"
	"github.com/sendgate/sendgate/gateway/track/source"
	"github.com/sendgate/sendgate/policy"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
)

const (
	// patience is how long a queue file waits for the message it carries to become known.
	patience = 3 * time.Minute
	// backlog is the age from which a line is not one of a message that is just being committed.
	backlog = 10 * time.Minute
	// firstPause is between the first two questions about a queue file; each next one is four times
	// as long.
	firstPause = 100 * time.Millisecond
	// tickPause is how often waiting queue files are looked at and cursors are kept.
	tickPause = 250 * time.Millisecond
)

// A Tracker finds out what became of messages behind us.
type Tracker struct {
	cfg     Config
	journal Journal
	lister  Lister // nil where nobody can list the queue
	now     func() time.Time
	log     *zap.Logger
	relays  relays
	metrics *metrics
	feeds   []*feed

	mu      sync.Mutex // of what follows, and of the feeds
	graph   *graph
	removed []removal
	hosts   []string // of our messages that were in a listing of the queue; of the sweep alone
	gaps    []Gap
	absent  map[policy.ID]time.Time // not listed in the queue since; of the sweep alone
	listed  time.Time               // when the queue was listed; of the sweep alone
	alerted time.Time
	ratio   float64
	emitted int64 // events
}

// A feed is a source with what is known of it.
type feed struct {
	source source.Source
	parser *postlog.Parser
	marks  marks
	kept   string // the cursor that the journal has
	keptAt time.Time
	since  time.Time // of this process
	line   time.Time // of the newest line
	newest time.Time // of the last batch, by the clock of the log
	caught bool
	heard  time.Time // when the last batch came
	behind int64
	seen   seen
	fresh  bool          // no line was ever followed
	off    time.Duration // how far from now the lines are that come
	warned time.Time
}

// A removal is a queue file that is gone; later it is looked whether all its recipients have an end.
type removal struct {
	id policy.ID
	at time.Time
}

// New makes a Tracker of a valid configuration. lister may be nil.
func New(cfg Config, journal Journal, lister Lister, now func() time.Time, log *zap.Logger) (*Tracker, error) {
	t := newTracker(cfg, journal, lister, now, log)
	for _, c := range cfg.Sources {
		s, err := source.New(c, now, log)
		if err != nil {
			return nil, err
		}
		zone, err := c.Location()
		if err != nil {
			return nil, fmt.Errorf("source %s: %w", c.Name, err)
		}
		if err := t.addFeed(s, zone); err != nil {
			return nil, err
		}
	}
	return t, t.loadGaps()
}

func newTracker(cfg Config, journal Journal, lister Lister, now func() time.Time, log *zap.Logger) *Tracker {
	t := &Tracker{
		cfg: cfg, journal: journal, lister: lister, now: now, log: log, relays: newRelays(cfg.OurRelays),
		graph: newGraph(), absent: map[policy.ID]time.Time{},
	}
	t.metrics = newMetrics(t)
	return t
}

func (t *Tracker) addFeed(s source.Source, zone *time.Location) error {
	cursor, err := t.journal.Kept(cursorName(s))
	if err != nil {
		return fmt.Errorf("cursor of %s: %w", s.Name(), err)
	}
	t.feeds = append(t.feeds, &feed{
		source: s, parser: postlog.NewParser(zone, t.now), kept: string(cursor), keptAt: t.now(), since: t.now(), behind: -1,
		fresh: cursor == nil,
	})
	return nil
}

func cursorName(s source.Source) string { return "track cursor " + s.Name() }

// Run follows all sources until ctx ends, or until the journal is closed. It may be called again and
// goes on from the cursors that were kept.
func (t *Tracker) Run(ctx context.Context) error {
	t.reset()
	group, ctx := errgroup.WithContext(ctx)
	for _, f := range t.feeds {
		group.Go(func() error { return t.followFeed(ctx, f) })
	}
	group.Go(func() error { return t.tickLoop(ctx) })
	if len(t.feeds) > 0 { // without logs nothing is evidence, and nothing lacks it
		group.Go(func() error { return t.sweepLoop(ctx) })
	}
	err := group.Wait()
	t.keepCursors()
	if ctx.Err() != nil && (err == nil || err == context.Canceled) {
		return nil
	}
	return err
}

// reset forgets what was read after the cursors.
func (t *Tracker) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.graph = newGraph()
	for _, f := range t.feeds {
		f.marks = nil
	}
}

// followFeed follows a source.
func (t *Tracker) followFeed(ctx context.Context, f *feed) error {
	err := f.source.Follow(ctx, f.kept, func(ctx context.Context, b source.Batch) error { return t.take(ctx, f, &b) })
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("follow %s: %w", f.source.Name(), err)
}

// take makes a batch durable: its cursor is kept when nothing before it is still open.
func (t *Tracker) take(ctx context.Context, f *feed, b *source.Batch) error {
	entries := t.parse(f, b)
	if err := t.beginning(ctx, f); err != nil {
		return err
	}
	if err := t.addGaps(f, b.Gaps); err != nil {
		return err
	}
	m := &mark{cursor: b.Cursor}
	w := newWork()
	now := t.now()
	t.mu.Lock()
	f.marks = append(f.marks, m)
	for i := range entries {
		t.ingest(w, &entries[i], m, now)
	}
	t.mu.Unlock()
	if err := t.finish(ctx, w, false); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	m.done = true
	t.compareClock(f, b)
	f.caught, f.heard, f.behind = b.Caught, now, b.Behind
	if b.Caught && b.At.After(f.line) {
		f.line = b.At
	}
	return nil
}

// finish asks what is open and commits what is known.
func (t *Tracker) finish(ctx context.Context, w *work, last bool) error {
	if err := t.askAll(ctx, w, last); err != nil {
		return err
	}
	if err := t.commit(ctx, w); err != nil {
		return err
	}
	if err := t.flatten(ctx, w); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.conclude(w)
	for i := range w.changes {
		t.emitted += int64(len(w.changes[i].Events))
	}
	return nil
}

// parse reads the lines of a batch.
func (t *Tracker) parse(f *feed, b *source.Batch) []postlog.Entry {
	entries := make([]postlog.Entry, 0, len(b.Lines))
	newest := time.Time{}
	for i := range b.Lines {
		l, err := f.parse(&b.Lines[i])
		if err != nil {
			t.metrics.unread.Inc()
			f.seen.unreadable++
			continue
		}
		if l.Time.After(newest) {
			newest = l.Time
		}
		f.seen.at(l.Time, l.Host)
		if e, ok := l.Entry(); ok {
			entries = append(entries, e)
			f.seen.entries++
		}
	}
	t.metrics.lines.WithLabelValues(f.source.Name()).Add(float64(len(b.Lines)))
	t.mu.Lock()
	defer t.mu.Unlock()
	f.newest = newest
	// A line from the future, by a wrong clock, must not make what is missing now look overdue.
	if limit := t.now(); newest.After(limit) {
		newest = limit
	}
	if newest.After(f.line) {
		f.line = newest
	}
	return entries
}

func (f *feed) parse(raw *source.Raw) (l postlog.Line, err error) {
	if raw.Time.IsZero() {
		l, _, err = f.parser.Parse(raw.Data)
		return l, err
	}
	l, _, err = f.parser.ParseAt(raw.Time, raw.Host, raw.Data)
	return l, err
}

// tickLoop looks after what waits, and keeps the cursors.
func (t *Tracker) tickLoop(ctx context.Context) error {
	for wait(ctx, tickPause) {
		if err := t.tick(ctx, false); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		t.keepCursors()
	}
	return nil
}

// tick asks again about queue files whose message is not known, and gives up those that have waited
// for long; all of them with last.
func (t *Tracker) tick(ctx context.Context, last bool) error {
	again, given := newWork(), newWork()
	now := t.now()
	t.mu.Lock()
	horizon := t.horizon(now)
	t.graph.rest(now.Add(-restAfter))
	for n := range t.graph.waiting {
		switch {
		case last || n.overdue(now, horizon):
			if n.link != nil && n.link.unsure && len(n.pending) > 0 { // the journal may know by now which rows it has
				t.graph.detach(n)
			}
			if n.link == nil {
				given.ask(n)
				continue
			}
			t.retry(given, n, true)
			t.graph.settle(n)
		case n.link == nil && !n.next.After(now):
			again.ask(n)
		}
	}
	t.mu.Unlock()
	if err := t.finish(ctx, given, true); err != nil {
		return err
	}
	return t.finish(ctx, again, false)
}

// overdue reports whether a queue file has waited long enough, by our clock for what is happening
// now, by that of the log for what happened long ago.
func (n *node) overdue(now, horizon time.Time) bool {
	return now.Sub(n.since) >= patience || horizon.Sub(n.last) >= patience && now.Sub(n.last) >= backlog
}

// horizon is the time up to which all logs have been read. The lock is held.
func (t *Tracker) horizon(now time.Time) time.Time {
	h := now
	for _, f := range t.feeds {
		if f.line.Before(h) {
			h = f.line
		}
	}
	return h
}

// keepCursors keeps what may be passed.
func (t *Tracker) keepCursors() {
	for _, f := range t.feeds {
		t.mu.Lock()
		cursor := f.marks.settled()
		t.mu.Unlock()
		if cursor == "" || cursor == f.kept {
			continue
		}
		if err := t.journal.Keep(cursorName(f.source), []byte(cursor)); err != nil {
			t.log.Warn("the place in a log could not be kept: it is read again after a restart",
				zap.String("source", f.source.Name()), zap.Error(err))
			continue
		}
		t.mu.Lock()
		f.kept, f.keptAt = cursor, t.now()
		t.mu.Unlock()
	}
}
