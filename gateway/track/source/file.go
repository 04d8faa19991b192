package source

import (
	"context"
	"errors"
	"os"
	"time"
)

// A file follows a log file through its rotations.
type file struct {
	part
	path  string
	start Start
	poll  time.Duration
}

// A follower is one Follow of a file.
//
// It has one file open. Where that stands among the others is asked when its end is reached, and what
// was opened after another is believed only when, after its first octets were read, the directory is
// still what it was: until then the cursor stays in the file before, and everything can be done again.
type follower struct {
	*feed
	path    string
	poll    time.Duration
	current *logFile // nil: to be found by the cursor
	known   bool     // there is a cursor, or was one; else it is the first start
	end     bool     // a first start skips what is there
	fresh   []string // the listing that current was chosen from; nil when it was proved
	doubts  []string // the gaps before current, if it proves right
	place   place    // of current when it was last asked for
	ends    int      // looks at the end of current since a younger one is being written to
	live    time.Time
	damage  damage
	trouble condition
}

// Follow implements [Source].
func (s *file) Follow(ctx context.Context, cursor string, take Take) error {
	f := &follower{
		feed: s.feed(take, kindFile), path: s.path, poll: s.poll, end: s.start == StartEnd,
		damage: damage{}, trouble: condition{log: s.log, first: s.poll},
	}
	f.resume(cursor)
	f.known = cursor != ""
	defer f.leave()
	for {
		moved, err := f.step(ctx)
		if err := f.pause(ctx, moved, err); err != nil {
			return err
		}
	}
}

// pause waits as long as a step wants it.
func (f *follower) pause(ctx context.Context, moved bool, err error) error {
	var away *awayError
	switch {
	case errors.Is(err, errRotating): // over in a moment
		return wait(ctx, f.poll)
	case errors.As(err, &away):
		return f.trouble.failed(ctx, away.err)
	case err != nil:
		return err
	}
	f.trouble.passed()
	if !moved {
		return wait(ctx, f.poll)
	}
	return nil
}

// An awayError says that the log cannot be read now.
type awayError struct{ err error }

func (e *awayError) Error() string { return e.err.Error() }
func (e *awayError) Unwrap() error { return e.err }

func away(err error) error {
	if err == nil {
		return nil
	}
	return &awayError{err}
}

// step reads a batch and hands it over; moved says that there may be more.
func (f *follower) step(ctx context.Context) (moved bool, err error) {
	if f.current == nil {
		if err := f.find(ctx); err != nil {
			return false, err
		}
	}
	b := Batch{At: f.now()}
	then, trouble := f.read(ctx, &b)
	if err := ctx.Err(); err != nil {
		return false, err
	}
	if then == gone { // the cursor has nothing of this batch
		f.leave()
		return true, away(trouble)
	}
	b.Caught = then == stay && trouble == nil
	if err := f.hand(ctx, &b); err != nil {
		return false, err
	}
	switch {
	case then == broken:
		f.lost(f.since(), trouble.Error())
		f.current.giveUp()
		return true, nil
	case then == over && trouble == nil:
		trouble = f.turn(ctx)
	}
	return then == more || then == over, away(trouble)
}

// What comes after a batch.
type next int

const (
	more   next = iota // the end was not reached
	stay               // nothing more is there
	rest               // a younger file is there, but the writer may still have this one open
	over               // it was read to its end and a younger one follows
	gone               // the content is no longer what was read, or cannot be read: look for it anew
	broken             // the rest cannot be read, and that will not change
)

// read fills a batch from the current file and says what comes then.
func (f *follower) read(ctx context.Context, b *Batch) (next, error) {
	eof, err := f.current.fill(b)
	switch {
	case err != nil && !(f.current.gz && f.damage.lasts(f.current.key())):
		return gone, err
	case err != nil:
		if err := f.prove(); err != nil {
			return gone, err
		}
		return broken, err
	}
	// If what is on disk is what was read, then all that was read is of one content.
	if changed, err := f.current.changed(); err != nil || changed {
		return gone, err
	}
	if err := f.prove(); err != nil {
		return gone, err
	}
	if !eof {
		return more, nil
	}
	then, err := f.look(ctx)
	if then == over {
		f.current.end(b)
	}
	return then, err
}

// prove sees whether the current file still is the one that follows, once something was read of it.
// If it was copied and truncated between, its copy has to be read first.
func (f *follower) prove() error {
	if f.fresh == nil || f.current.ahead.offset == 0 {
		return nil
	}
	if err := f.still(f.fresh); err != nil {
		return err
	}
	f.fresh, f.damage = nil, damage{}
	return nil
}

// hand sends a batch if it is worth it. The cursor stays at the end of the file before until there is
// something in this one that it can be known by.
func (f *follower) hand(ctx context.Context, b *Batch) error {
	f.known = true
	if f.current.done.offset > 0 || f.cursor.File == nil || len(f.doubts) > 0 {
		f.cursor.File = f.current.done.position(f.current.id)
	}
	for _, reason := range f.doubts {
		f.lost(f.since(), reason)
	}
	f.doubts = nil
	if !f.due(b) {
		return ctx.Err()
	}
	b.Behind = f.current.behind()
	return f.send(ctx, *b)
}

// leave closes the current file.
func (f *follower) leave() {
	if f.current != nil {
		f.current.close() // it was only read
	}
	f.current, f.fresh, f.doubts, f.place, f.ends, f.live = nil, nil, nil, place{}, 0, time.Time{}
}

// enter makes a file the current one.
func (f *follower) enter(l *logFile, fresh, doubts []string) {
	f.leave()
	f.current, f.fresh, f.doubts = l, fresh, doubts
}

// missing says why there is no log file.
func missing(path string) error {
	if _, err := os.Stat(path); err != nil {
		return err
	}
	return errors.New(path + " is not a plain file")
}
