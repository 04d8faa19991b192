package source

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest"
	"go.uber.org/zap/zaptest/observer"
)

// start is the time of the first line; each further one is a second later.
var start = time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)

// line is the log line with a number.
func line(n int) string {
	return fmt.Sprintf("%s mx1 postfix/smtp[7]: Q%04d: status=sent", start.Add(time.Duration(n)*time.Second).Format(time.RFC3339), n)
}

// lines are those from a number to another, each with its end.
func lines(from, to int) string {
	var b strings.Builder
	for n := from; n <= to; n++ {
		b.WriteString(line(n) + "\n")
	}
	return b.String()
}

func want(from, to int) []string { return strings.Split(strings.TrimSpace(lines(from, to)), "\n") }

// A receiver is a tracker that keeps what it takes.
type receiver struct {
	mu      sync.Mutex
	changed chan struct{}
	lines   []string
	raws    []Raw
	gaps    []Gap
	batches []Batch
	cursor  string
	cancel  context.CancelFunc
	done    chan error
}

func (r *receiver) take(_ context.Context, b Batch) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range b.Lines {
		r.lines = append(r.lines, string(l.Data))
		r.raws = append(r.raws, l)
	}
	r.gaps = append(r.gaps, b.Gaps...)
	r.batches = append(r.batches, b)
	r.cursor = b.Cursor
	close(r.changed)
	r.changed = make(chan struct{})
	return nil
}

// follow starts a source.
func follow(t *testing.T, s Source, cursor string) *receiver {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &receiver{changed: make(chan struct{}), cancel: cancel, done: make(chan error, 1), cursor: cursor}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.done <- s.Follow(ctx, cursor, r.take)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return r
}

// until waits for a condition.
func (r *receiver) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(60 * time.Second)
	for {
		r.mu.Lock()
		held, changed := ok(), r.changed
		r.mu.Unlock()
		if held {
			return
		}
		select {
		case <-changed:
		case err := <-r.done:
			r.done <- err
			t.Fatalf("Follow ended while waiting for %s: %v", what, err)
		case <-deadline:
			r.mu.Lock()
			defer r.mu.Unlock()
			t.Fatalf("no %s; %d lines, the last %.100q, gaps %v", what, len(r.lines), r.lines[max(0, len(r.lines)-1):], r.gaps)
		}
	}
}

// caught waits until n lines have come and nothing more is there.
func (r *receiver) caught(t *testing.T, n int) {
	t.Helper()
	r.until(t, fmt.Sprintf("%d lines", n), func() bool {
		return len(r.lines) >= n && len(r.batches) > 0 && r.batches[len(r.batches)-1].Caught
	})
}

// stop ends Follow and gives the cursor.
func (r *receiver) stop(t *testing.T) string {
	t.Helper()
	r.cancel()
	select {
	case err := <-r.done:
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("Follow: %v", err)
		}
	case <-time.After(60 * time.Second):
		t.Fatal("Follow does not end")
	}
	return r.cursor
}

// got compares the lines.
func (r *receiver) got(t *testing.T, want []string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Equal(r.lines, want) {
		t.Errorf("got %d lines, want %d:\n%s", len(r.lines), len(want), differ(r.lines, want))
	}
}

func differ(got, want []string) string {
	for i := range max(len(got), len(want)) {
		var g, w string
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			return fmt.Sprintf("line %d is %.200q, want %.200q", i, g, w)
		}
	}
	return ""
}

// gapless says that there is no gap.
func (r *receiver) gapless(t *testing.T) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.gaps) > 0 {
		t.Errorf("gaps: %v", r.gaps)
	}
}

// gap gives the only gap.
func (r *receiver) gap(t *testing.T) Gap {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.gaps) != 1 {
		t.Fatalf("gaps: %v, want one", r.gaps)
	}
	return r.gaps[0]
}

// A logbook is what was logged.
type logbook chan observer.LoggedEntry

// listening makes a logger whose entries can be waited for.
func listening() (*zap.Logger, logbook) {
	book := make(logbook, 1000)
	core, logged := observer.New(zap.InfoLevel)
	hooked := zapcore.RegisterHooks(core, func(zapcore.Entry) error {
		for _, e := range logged.TakeAll() {
			book <- e
		}
		return nil
	})
	return zap.New(hooked), book
}

func (b logbook) next(t *testing.T) observer.LoggedEntry {
	t.Helper()
	select {
	case e := <-b:
		return e
	case <-time.After(60 * time.Second):
		t.Fatal("nothing was logged")
		return observer.LoggedEntry{}
	}
}

// A disk is a directory with a log file.
type disk struct {
	t    *testing.T
	path string
}

func newDisk(t *testing.T) disk { return disk{t, filepath.Join(t.TempDir(), "mail.log")} }

// source follows the file, looking often.
func (d disk) source(start Start) *file {
	cfg := DefaultConfig()
	cfg.Name, cfg.File, cfg.Start, cfg.Zone = "mail", d.path, start, "UTC"
	return d.made(cfg, zaptest.NewLogger(d.t, zaptest.Level(zap.ErrorLevel)))
}

func (d disk) made(cfg Config, log *zap.Logger) *file {
	d.t.Helper()
	cfg.Poll = 10 * time.Millisecond
	if err := cfg.Validate(); err != nil {
		d.t.Fatal(err)
	}
	s, err := New(cfg, time.Now, log)
	if err != nil {
		d.t.Fatal(err)
	}
	f := s.(*file)
	f.poll, f.idle = 2*time.Millisecond, 20*time.Millisecond
	return f
}

func (d disk) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

// add appends to the live file, or makes it.
func (d disk) add(text string) {
	d.t.Helper()
	f, err := os.OpenFile(d.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	d.must(err)
	_, err = f.WriteString(text)
	d.must(errors.Join(err, f.Close()))
}

// rename moves a file; the names are those of the live one with something behind.
func (d disk) rename(from, to string) {
	d.t.Helper()
	d.must(os.Rename(d.path+from, d.path+to))
}

// compress makes name.gz of a file, with its time, as gzip does.
func (d disk) compress(suffix string) {
	d.t.Helper()
	name := d.path + suffix
	text, err := os.ReadFile(name)
	d.must(err)
	info, err := os.Stat(name)
	d.must(err)
	f, err := os.Create(name + ".gz")
	d.must(err)
	z, err := gzip.NewWriterLevel(f, gzip.BestSpeed)
	d.must(err)
	_, err = z.Write(text)
	d.must(errors.Join(err, z.Close(), f.Close()))
	d.must(errors.Join(os.Chtimes(name+".gz", info.ModTime(), info.ModTime()), os.Remove(name)))
}

// copytruncate copies the live file and empties it.
func (d disk) copytruncate(to string) {
	d.t.Helper()
	text, err := os.ReadFile(d.path)
	d.must(err)
	d.must(os.WriteFile(d.path+to, text, 0o600))
	d.must(os.Truncate(d.path, 0))
}
