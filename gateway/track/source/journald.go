package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"
)

// A journald follows the journal through a child process.
type journald struct {
	part
	program string
	options []string // before the others
	matches []string
	start   Start
	first   time.Duration // the first pause after a failure
}

// firstPause is how long a program or socket that fails is left alone first.
const firstPause = 250 * time.Millisecond

// A reading is one Follow of a journal.
type reading struct {
	*feed
	source *journald
	from   time.Time // without a cursor: where to begin; zero: at the beginning
	check  bool      // the next entry must be the one of the cursor
	hint   string    // what journalctl said last
}

// Follow implements [Source]. It reads to the end with one child, whose end says that everything has
// been read, and follows with the next.
func (s *journald) Follow(ctx context.Context, cursor string, take Take) error {
	r := &reading{feed: s.feed(take, kindJournald), source: s}
	known := r.resume(cursor)
	switch {
	case cursor == "" && s.start == StartEnd:
		r.from = s.now()
		r.cursor.Seen = r.from
	case known && r.cursor.Journal == "":
		r.from = r.since()
	}
	reads := condition{log: s.log, first: s.first}
	follows := reads
	for {
		err := r.child(ctx, false, &reads)
		if err == nil {
			err = r.child(ctx, true, &follows)
		}
		var failed *awayError
		if err != nil && !errors.As(err, &failed) {
			return err
		}
	}
}

// child runs journalctl until it ends. An awayError has been dealt with.
func (r *reading) child(ctx context.Context, follow bool, trouble *condition) error {
	read, err := r.run(ctx, follow)
	if read {
		trouble.passed()
	}
	var failed *awayError
	if errors.As(err, &failed) {
		return cmp.Or(trouble.failed(ctx, failed.err), err)
	}
	return err
}

// arguments selects what comes after the cursor. The entry of the cursor itself is asked for too: if
// it does not come, entries were removed before they were read. The tool does not tell.
func (r *reading) arguments(follow bool) []string {
	args := append(slices.Clone(r.source.options), "--output=export", "--no-pager")
	if follow {
		args = append(args, "--follow", "--no-tail")
	}
	r.check = false
	switch {
	case r.cursor.Journal != "":
		args = append(args, "--cursor="+r.cursor.Journal)
		r.check = true
	case !r.from.IsZero():
		args = append(args, fmt.Sprintf("--since=@%d.%06d", r.from.Unix(), r.from.Nanosecond()/1000))
	}
	return append(args, r.source.matches...)
}

// run runs journalctl until it ends. read says that it gave new entries or came to the end of the
// journal.
func (r *reading) run(ctx context.Context, follow bool) (read bool, err error) {
	started := r.now()
	c, err := startChild(ctx, r.source.program, r.arguments(follow))
	if err != nil {
		return false, away(err)
	}
	read, err = r.drain(ctx, c, follow)
	ended := c.stop()
	if text := c.said(); ended == nil && text != r.hint && text != "" {
		r.hint = text // such as that the user may not see all messages
		r.log.Warn("journalctl has something to say", zap.String("text", text))
	}
	switch {
	case err != nil:
		return read, err
	case ctx.Err() != nil:
		return read, ctx.Err()
	case follow:
		return read, away(fmt.Errorf("journalctl ended: %w", cmp.Or(ended, errEnded)))
	case ended != nil:
		r.forget(c, read)
		return read, away(ended)
	}
	return true, r.pass(ctx, Batch{Caught: true, At: started})
}

// forget gives up a cursor that journalctl does not accept, and goes on from its time.
func (r *reading) forget(c *child, read bool) {
	if r.cursor.Journal == "" || read || !c.refusedCursor() {
		return
	}
	r.lost(r.since(), "journalctl does not accept the cursor")
	r.cursor.Journal, r.from = "", r.since()
}

// drain hands on what a child prints.
func (r *reading) drain(ctx context.Context, c *child, follow bool) (read bool, err error) {
	var quiet <-chan time.Time
	if follow {
		ticker := time.NewTicker(r.settle())
		defer ticker.Stop()
		quiet = ticker.C
	}
	silent := r.now()
	for {
		select {
		case <-ctx.Done():
			return read, ctx.Err()
		case e, ok := <-c.entries:
			if !ok {
				return read, nil
			}
			b := r.gather(e, c.entries)
			read, silent = read || len(b.Lines) > 0, r.now()
			if err := r.pass(ctx, b); err != nil {
				return read, err
			}
		case <-quiet:
			if at := r.now(); at.Sub(silent) >= r.settle() {
				if err := r.pass(ctx, Batch{Caught: true, At: at.Add(-r.settle())}); err != nil {
					return read, err
				}
			}
		}
	}
}

// gather makes a batch of what is there. Entries come in the order of time: when the last one is young,
// everything before it has been read, however busy the journal is.
func (r *reading) gather(e *entry, more <-chan *entry) Batch {
	b := Batch{Behind: -1, At: r.now()}
	var last time.Time
	for octets := 0; e != nil; {
		octets += r.add(&b, e)
		if b.Caught = b.At.Sub(e.realtime) < settled; b.Caught {
			b.Behind = 0
		}
		last = e.realtime
		e = nil
		if len(b.Lines) < MaxLines && octets < MaxOctets {
			select {
			case e = <-more: // nil when it is closed
			default:
			}
		}
	}
	if b.Caught {
		b.At = last
	}
	return b
}

// add appends an entry, unless it is the one that the cursor named.
func (r *reading) add(b *Batch, e *entry) (octets int) {
	if r.check {
		r.check = false
		if e.cursor == r.cursor.Journal {
			return 0
		}
		// The same entry under another cursor was rewritten at a rotation; nothing is missing.
		if e.realtime.After(r.cursor.Last) {
			r.lost(r.since(), "the journal no longer has the entry up to which it was read")
		}
	}
	r.cursor.Journal = e.cursor
	raw, ok := e.raw()
	if !ok {
		return 0
	}
	b.Lines = append(b.Lines, raw)
	return len(raw.Data)
}

// pass sends what is worth it.
func (r *reading) pass(ctx context.Context, b Batch) error {
	if !r.due(&b) {
		return ctx.Err()
	}
	return r.send(ctx, b)
}
