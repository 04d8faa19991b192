package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"
)

// linger is how many looks at its end the old file gets after a younger one is being written to: for
// a moment both may be, as while postlogd is restarted.
const linger = 2

// look decides at the end of the current file.
func (f *follower) look(ctx context.Context) (next, error) {
	info, err := os.Stat(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return stay, err
	case os.SameFile(info, f.current.info):
		// What was added since the end was reached waits for the next look: a busy log would have no end.
		f.live = f.now()
		return stay, nil
	}
	p, err := f.where(ctx)
	if err != nil {
		return stay, err
	}
	younger := p.younger()
	switch {
	case len(younger) == 0, younger[0].live && younger[0].size == 0: // the writer may still have the old one open
		return stay, nil
	case f.current.gz || f.ends >= linger:
		return over, nil
	}
	f.ends++
	return rest, nil
}

// A place is where the current file is among its siblings.
type place struct {
	all   []sibling
	names []string
	at    int  // those from at+1 on are younger
	found bool // at is it; else it was removed, and at is the last that was written before it
}

func (p *place) younger() []sibling { return p.all[p.at+1:] }

// where looks for the current file. As long as it is open nobody else has its inode; without that it was
// compressed, and is known by its content, or removed.
func (f *follower) where(ctx context.Context) (place, error) {
	all, err := siblings(f.path)
	if err != nil {
		return place{}, err
	}
	p := place{all: all, names: names(all)}
	if slices.Equal(p.names, f.place.names) { // it may have taken long to unpack
		p.at, p.found = f.place.at, f.place.found
		return p, nil
	}
	p.at = slices.IndexFunc(all, func(s sibling) bool { return s.same(f.current.id) })
	if p.found = p.at >= 0; !p.found {
		if err := f.search(ctx, &p); err != nil {
			return place{}, err
		}
	}
	f.place = p
	return p, nil
}

// search looks for the content of the current file, whose inode is no longer there.
func (f *follower) search(ctx context.Context, p *place) error {
	read := f.current.ahead.position(f.current.id)
	if read.Offset > 0 {
		l, at, _, err := f.locate(ctx, p.all, read)
		switch {
		case err != nil:
			return err
		case l != nil:
			p.at, p.found = at, true
			return l.close()
		}
	}
	p.at = -1
	written := f.current.written()
	for i, s := range p.all {
		if !s.live && s.mtime.Before(written) {
			p.at = i
		}
	}
	return f.still(p.names)
}

// turn goes from the current file to the one that follows. One that was rotated and cannot be read is
// passed over when that lasts.
func (f *follower) turn(ctx context.Context) error {
	p, err := f.where(ctx)
	if err != nil {
		return err
	}
	younger := p.younger()
	doubts := f.removed(&p)
	for i, s := range younger {
		var l *logFile
		if l, err = open(younger[i:]); err == nil {
			f.enter(l, p.names, doubts)
			if s.live {
				f.live = f.now()
			}
			return nil
		}
		if s.live || errors.Is(err, errRotating) || !f.damage.lasts(s.key()) {
			return err
		}
		doubts = append(doubts, err.Error())
	}
	return err
}

// removed is the gap that the removal of the current file may have been: others may have been removed
// with it. If it was in its place a moment ago, and none but the live one follows, there were no others.
func (f *follower) removed(p *place) []string {
	moment := f.poll + settled
	if p.found || len(p.younger()) == 1 && !f.live.IsZero() && f.now().Sub(f.live) < moment {
		return nil
	}
	return []string{"the file that was being read was removed, and perhaps others after it"}
}

// still says whether the directory is what it was.
func (f *follower) still(before []string) error {
	all, err := siblings(f.path)
	if err == nil && !slices.Equal(before, names(all)) {
		err = errRotating
	}
	return err
}

// damage counts how often files could not be read. One that is being written or compressed can be read
// later; one that has not grown meanwhile will not.
type damage map[string]int

// patience is how often, with growing pauses, an unreadable file is tried.
const patience = 5

// lasts notes a failure.
func (d damage) lasts(key string) bool {
	d[key]++
	return d[key] > patience
}

func key(path string, id fileID, size int64, mtime time.Time) string {
	return fmt.Sprint(path, id, size, mtime.UnixNano())
}
