package gateway

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/sendgate/sendgate/policy/guard"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

const (
	// flowPause is how often it is looked whether waiting mail fits.
	flowPause = time.Second
	// flowMost is how many messages are let go at a time.
	flowMost = 500
	// flowCommits is how many of them are committed at the same time: the journal batches them.
	flowCommits = 64
	// savePause is how often the memory of the rules is saved; after a crash that much of the journal is
	// read again.
	savePause = time.Minute
	// memoryDir holds the snapshots, below store.dir.
	memoryDir = "policy"
	// installed is the name under which the time of the first start is kept.
	installed = "installed"
)

// limits keeps the memory of the rules up to the journal and on disk, and lets waiting mail go.
type limits struct {
	*guard.Guard
	store *store.Store
	dir   string
	feed  *store.Subscription
	past  *history
	asks  chan func() // what is done between two records; see erase
	tail  uint64      // while the journal is read from a snapshot: the batch of that
	seen  uint64      // the newest batch that was observed whole
	begun uint64      // the newest batch of which a record was observed
	saved uint64
	trial time.Time // until when limits only tell
	now   func() time.Time
	log   *zap.Logger

	unsent []guard.Admitted // which the journal did not take; of flow only
	bars   bars
}

// openLimits builds the engine and brings its memory up to the end of the journal.
func openLimits(ctx context.Context, journal *store.Store, dir string, s guard.Settings, past *history, now func() time.Time, log *zap.Logger) (*limits, error) {
	l := &limits{store: journal, dir: filepath.Join(dir, memoryDir), past: past, asks: make(chan func()), now: now, log: log}
	trial, err := trialEnd(journal, s.Config.Trial, now())
	if err != nil {
		return nil, err
	}
	s.Trial, l.trial = trial, trial
	l.bars.wake = make(chan struct{}, 1)
	s.Suspend = l.bars.add
	l.Guard = guard.New(s)
	mark, whole := l.load()
	if whole {
		l.feed, l.tail = journal.Subscribe(mark), mark
	} else if l.feed, err = journal.Replay(); err != nil {
		return nil, fmt.Errorf("read the journal for the limits: %w", err)
	}
	l.feed = l.feed.WithEnvelopes(interesting)
	if err := l.catchUp(ctx); err != nil {
		return nil, fmt.Errorf("read the journal for the limits: %w", err)
	}
	l.tail = 0
	l.Resume(now())
	return l, l.findWaiting(ctx)
}

// trialEnd is until when limits only tell: so long after the first start.
func trialEnd(journal *store.Store, trial time.Duration, now time.Time) (time.Time, error) {
	kept, err := journal.Kept(installed)
	if err != nil {
		return time.Time{}, err
	}
	first, err := time.Parse(time.RFC3339, string(kept))
	if err != nil {
		first = now.UTC().Truncate(time.Second)
		if err := journal.Keep(installed, []byte(first.Format(time.RFC3339))); err != nil {
			return time.Time{}, fmt.Errorf("note the time of the first start: %w", err)
		}
	}
	return first.Add(trial), nil
}

// load reads the snapshots, and gives the batch after which the journal is to be read. It is not whole
// when one is missing or damaged: then all of the journal is.
func (l *limits) load() (mark uint64, whole bool) {
	whole = true
	for i, part := range guard.Parts {
		m, err := l.loadPart(part)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			whole = false
		case err != nil:
			whole = false
			l.log.Warn("a snapshot of the limits cannot be used: the journal is read instead", zap.String("part", part), zap.Error(err))
		case m > l.store.LastBatch(): // the journal was repaired, or is an older copy
			whole = false
			l.log.Warn("a snapshot of the limits is newer than the journal: all of that is read instead", zap.String("part", part))
		case i == 0 || m < mark:
			mark = m
		}
	}
	return mark, whole && mark > 0
}

func (l *limits) loadPart(part string) (uint64, error) {
	f, err := os.Open(l.file(part))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return l.Load(part, f)
}

func (l *limits) file(part string) string { return filepath.Join(l.dir, part+".snapshot") }

// save writes the snapshots when there is something new.
func (l *limits) save() error {
	if l.seen == l.saved {
		return nil
	}
	mark := l.seen
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return fmt.Errorf("save the limits: %w", err)
	}
	for _, part := range guard.Parts {
		if err := l.savePart(part, mark); err != nil {
			return fmt.Errorf("save the limits: %s: %w", part, err)
		}
	}
	l.saved = mark
	return nil
}

func (l *limits) saveOrLog() {
	if err := l.save(); err != nil {
		l.log.Warn("the limits cannot be saved; the journal has them", zap.Error(err))
	}
}

// savePart replaces a snapshot at once or not at all.
func (l *limits) savePart(part string, mark uint64) (err error) {
	f, err := os.CreateTemp(l.dir, part+".*.new")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	if err := errors.Join(l.Save(part, f, mark), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), l.file(part))
}
