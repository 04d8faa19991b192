package source

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
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
type follower struct {
	*feed
	path    string
	current *logFile // nil: to be found by the cursor
	known   bool     // there is a cursor, or was one; else it is the first start
	end     bool     // a first start skips what is there
	leaving bool     // a younger file is being written to: current gets no more
	trouble condition
}

// Follow implements [Source].
func (s *file) Follow(ctx context.Context, cursor string, take Take) error {
	f := &follower{
		feed: s.feed(take, kindFile), path: s.path, end: s.start == StartEnd,
		trouble: condition{log: s.log, first: s.poll},
	}
	f.resume(cursor)
	f.known = cursor != ""
	defer f.leave()
	for {
		moved, err := f.step(ctx)
		var away *awayError
		switch {
		case errors.As(err, &away):
			err = f.trouble.failed(ctx, away.err)
		case err == nil:
			f.trouble.passed()
			if !moved {
				err = wait(ctx, s.poll)
			}
		}
		if err != nil {
			return err
		}
	}
}

// An awayError says that the log cannot be read now.
type awayError struct{ err error }

func (e *awayError) Error() string { return e.err.Error() }

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
	then, trouble := f.read(&b)
	b.Caught = then == stay && trouble == nil
	if err := f.hand(ctx, &b); err != nil {
		return false, err
	}
	switch {
	case then == gone:
		f.leave()
	case then == over && trouble == nil:
		trouble = f.turn()
	}
	return then != stay, away(trouble)
}

// read fills a batch from the current file and says what comes then.
func (f *follower) read(b *Batch) (next, error) {
	if changed, err := f.current.changed(); err != nil || changed {
		return gone, err
	}
	eof, err := f.current.fill(b)
	switch {
	case err != nil && f.current.gz:
		f.lost(f.since(), err.Error())
		f.current.giveUp()
		return more, nil
	case err != nil:
		return gone, err
	case !eof:
		return more, nil
	}
	then, err := f.look()
	if then == over {
		f.current.end(b)
	}
	return then, err
}

// hand sends a batch if it is worth it.
func (f *follower) hand(ctx context.Context, b *Batch) error {
	f.cursor.File = f.current.done.position(f.current.id)
	if !f.due(b) {
		return ctx.Err()
	}
	b.Behind = f.current.behind()
	return f.send(ctx, *b)
}

// What comes after the end of the current file.
type next int

const (
	more next = iota // its end is not the end
	stay             // nothing more is there
	over             // it was read to its end and a younger one follows
	gone             // its content is no longer what was read, or cannot be read: look for it anew
)

// look decides at the end of the current file.
func (f *follower) look() (next, error) {
	info, err := os.Stat(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return 0, err
	case os.SameFile(info, f.current.info):
		return f.lookLive(info)
	}
	if f.leaving {
		return over, nil // read to the end after the younger one was seen
	}
	younger, err := f.younger()
	if err != nil || len(younger) == 0 || younger[0].live && younger[0].size == 0 {
		// The writer may still have the old file open.
		return stay, err
	}
	f.leaving = true
	return more, nil
}

// lookLive decides at the end of a file that still has its name.
func (f *follower) lookLive(info fs.FileInfo) (next, error) {
	changed, err := f.current.changed()
	if err == nil && (changed || info.Size() < f.current.ahead.offset) {
		return gone, nil
	}
	// What was added since the end was reached waits for the next look: a busy log would have no end.
	return stay, err
}

// younger lists the files that follow the current one.
func (f *follower) younger() ([]sibling, error) {
	all, err := siblings(f.path)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(all, func(s sibling) bool { return s.same(f.current.id) })
	if at < 0 { // compressed or removed while it was being read
		at = f.before(all)
	}
	return all[at+1:], nil
}

// before is the index of the last file that was written before the end of the current one, or holds a
// copy of it.
func (f *follower) before(all []sibling) int {
	at, written := -1, f.current.written()
	for i, s := range all {
		if !s.live && !s.mtime.After(written) {
			at = i
		}
	}
	return at
}

// turn goes from the current file to the one that follows. One that was rotated and cannot be read is
// passed over.
func (f *follower) turn() error {
	f.leaving = false // if this fails, what there is then decides
	younger, err := f.younger()
	var unreadable []error
	for i := range younger {
		var next *logFile
		next, err = open(younger[i:])
		switch {
		case err == nil:
			for _, u := range unreadable {
				f.lost(f.since(), u.Error())
			}
			f.leave()
			f.current = next
			return nil
		case younger[i].live || errors.Is(err, fs.ErrNotExist):
			return err
		}
		unreadable = append(unreadable, err)
	}
	return err
}

// leave closes the current file.
func (f *follower) leave() {
	if f.current != nil {
		f.current.close() // it was only read
	}
	f.current, f.leaving = nil, false
}
