package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

// open opens the first of some files, of which the others are younger.
func open(files []sibling) (*logFile, error) {
	s := files[0]
	l, err := openLog(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, errRotating
	case err != nil:
		return nil, err
	case !s.same(l.id) && s.id != (fileID{}):
		l.close()
		return nil, errRotating
	case s.gz && !l.gz:
		l.close()
		return nil, fmt.Errorf("open %s: it is not compressed", s.path)
	}
	for _, s := range files[1:] {
		if s.gz {
			l.later = -1
			break
		}
		l.later += s.size
	}
	return l, nil
}

// find opens the file that the cursor belongs to, or where to begin without it.
func (f *follower) find(ctx context.Context) error {
	all, err := siblings(f.path)
	if err != nil {
		return away(err)
	}
	p := f.cursor.File
	switch {
	case p == nil:
		return f.begin(all, nil)
	case p.Offset == 0 && slices.ContainsFunc(all, func(s sibling) bool { return s.same(p.ID) }):
		return f.begin(all, nil) // it was empty: what has been written since is all new
	case p.Offset == 0:
		return f.begin(all, []string{lostPlace})
	}
	l, _, unreadable, err := f.locate(ctx, all, p)
	switch {
	case err != nil:
		return away(err)
	case l != nil:
		f.enter(l, nil, nil)
		return nil
	}
	if err := f.still(names(all)); err != nil {
		return away(err)
	}
	return f.begin(all, []string{lostPlace + unreadable})
}

const lostPlace = "the place up to which the log was read is not found"

// locate opens the file that has a position's content, at the position, and says which it is: first the
// one with its inode, then the youngest and so on are asked. It is nil if none has it; unreadable says
// which could not be asked.
func (f *follower) locate(ctx context.Context, all []sibling, p *position) (l *logFile, at int, unreadable string, err error) {
	var later error
	for _, i := range likely(all, p.ID) {
		l, err := openAt(ctx, all[i:], p)
		switch {
		case err == nil:
			return l, i, "", nil
		case ctx.Err() != nil:
			return nil, 0, "", ctx.Err()
		case errors.Is(err, errElsewhere):
		case all[i].live || errors.Is(err, errRotating):
			return nil, 0, "", err
		case !f.damage.lasts(all[i].key()):
			later = err
		default:
			unreadable += "; " + err.Error()
		}
	}
	return nil, 0, unreadable, later
}

// likely orders files by where a position will be found soonest.
func likely(all []sibling, id fileID) (order []int) {
	for i := range all {
		order = append(order, i)
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch x, y := all[a].same(id), all[b].same(id); {
		case x && !y:
			return -1
		case y && !x:
			return 1
		}
		return b - a
	})
	return order
}

// openAt opens the first of some files at a position.
func openAt(ctx context.Context, files []sibling, p *position) (*logFile, error) {
	l, err := open(files)
	if err != nil {
		return nil, err
	}
	if err := l.goTo(ctx, p); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// begin opens a file without a place to go on from: at a first start the live one, else the oldest that
// may hold lines which were not read.
func (f *follower) begin(all []sibling, doubts []string) error {
	if len(all) == 0 || !all[len(all)-1].live {
		f.end = false // what appears from now on is new
		return away(missing(f.path))
	}
	first := len(all) - 1
	if f.known {
		since := f.cursor.Seen.Add(-settled) // the clock of file times ticks coarsely
		first = slices.IndexFunc(all, func(s sibling) bool { return s.live || s.mtime.After(since) })
	}
	l, err := open(all[first:])
	if err != nil {
		return away(err)
	}
	if f.end && !f.known {
		if err := l.goToEnd(); err != nil {
			l.close()
			return away(err)
		}
	}
	f.enter(l, names(all), doubts)
	if f.cursor.File == nil {
		f.fresh = nil // there is nothing to go back to
	}
	return nil
}
