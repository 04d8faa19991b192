package track

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/sendgate/sendgate/gateway/track/postlog"
	"github.com/sendgate/sendgate/gateway/track/source"
)

// An Imported says what was in a log of the past.
type Imported struct {
	File       string
	Lines      int64
	Entries    int64 // lines that state something about a message
	Events     int64 // about our messages; those known before are among them
	Unreadable int64 // lines that are none of a log
	From, To   time.Time
}

// Import reads log files, oldest first, beside what is being followed: plain or compressed ones. Gaps
// that they cover are closed, and what was unknown heals by their evidence. report is told of each
// file. Importing a file again changes nothing.
func (t *Tracker) Import(ctx context.Context, files []string, report func(Imported)) error {
	i, err := t.newImporter()
	if err != nil {
		return err
	}
	for _, name := range files {
		got, err := i.read(name, func(take source.Take) error { return source.ReadFile(ctx, name, take) })
		report(got)
		if err != nil {
			return err
		}
	}
	return i.end(ctx)
}

// ImportReader is Import for one log that comes from elsewhere.
func (t *Tracker) ImportReader(ctx context.Context, name string, r io.Reader) (Imported, error) {
	i, err := t.newImporter()
	if err != nil {
		return Imported{}, err
	}
	got, err := i.read(name, func(take source.Take) error { return source.Read(ctx, name, r, take) })
	if err == nil {
		err = i.end(ctx)
	}
	got.Events = i.apart.emitted
	return got, err
}

// An importer reads with a graph of its own: what is followed has other times.
type importer struct {
	tracker *Tracker
	apart   *Tracker
	feed    *feed
}

func (t *Tracker) newImporter() (*importer, error) {
	zone := time.Local
	if len(t.cfg.Sources) > 0 {
		var err error
		if zone, err = t.cfg.Sources[0].Location(); err != nil {
			return nil, fmt.Errorf("import: %w", err)
		}
	}
	x := newTracker(t.cfg, t.journal, nil, t.now, t.log)
	f := &feed{source: imported{}, parser: postlog.NewParser(zone, t.now)}
	x.feeds = []*feed{f}
	return &importer{tracker: t, apart: x, feed: f}, nil
}

// read reads one file.
func (i *importer) read(name string, all func(source.Take) error) (Imported, error) {
	got := Imported{File: name}
	before := i.apart.emitted
	i.feed.seen = seen{}
	err := all(func(ctx context.Context, b source.Batch) error {
		got.Lines += int64(len(b.Lines))
		b.Caught = false // the end of a file says nothing about now
		if err := i.apart.take(ctx, i.feed, &b); err != nil {
			return err
		}
		i.feed.marks.settled()
		return i.apart.tick(ctx, false)
	})
	s := &i.feed.seen
	got.Entries, got.Unreadable, got.From, got.To = s.entries, s.unreadable, s.from, s.to
	got.Events = i.apart.emitted - before
	if err != nil {
		return got, fmt.Errorf("import %s: %w", name, err)
	}
	if !s.from.IsZero() {
		i.tracker.mu.Lock()
		i.tracker.gaps = closedBy(i.tracker.gaps, s)
		i.tracker.mu.Unlock()
	}
	return got, nil
}

// end settles what still waits, and what the files did not say.
func (i *importer) end(ctx context.Context) error {
	if err := i.apart.tick(ctx, true); err != nil {
		return fmt.Errorf("import: %w", err)
	}
	i.tracker.mu.Lock()
	i.tracker.removed = append(i.tracker.removed, i.apart.removed...)
	i.tracker.mu.Unlock()
	return i.tracker.keepGaps()
}

// imported is the source of an import; it is not followed.
type imported struct{}

// Name is that in the metrics of the import, which nobody sees.
func (imported) Name() string { return "import" }

// Follow has nothing to follow.
func (imported) Follow(context.Context, string, source.Take) error { return nil }
