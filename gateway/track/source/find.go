package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
)

// open opens the first of some files, of which the others are younger.
func open(files []sibling) (*logFile, error) {
	l, err := openLog(files[0].path)
	if err != nil {
		return nil, err
	}
	if !files[0].same(l.id) && files[0].id != (fileID{}) {
		l.close()
		return nil, fmt.Errorf("%s was replaced: %w", files[0].path, fs.ErrNotExist)
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
	switch p := f.cursor.File; {
	case p == nil:
		return f.begin(all, "")
	case p.Offset == 0 && slices.ContainsFunc(all, func(s sibling) bool { return s.same(p.ID) }):
		return f.begin(all, "") // it was empty: what has been written since is all new
	case p.Offset > 0:
		found, unreadable, err := f.locate(ctx, all)
		if err != nil || found {
			return err
		}
		if again, err := siblings(f.path); err != nil || !slices.Equal(names(all), names(again)) {
			return away(cmp.Or(err, errRotating))
		}
		return f.begin(all, lostPlace+unreadable)
	}
	return f.begin(all, lostPlace)
}

const lostPlace = "the place up to which the log was read is not found"

// names tells two listings apart.
func names(all []sibling) (list []string) {
	for _, s := range all {
		list = append(list, fmt.Sprint(s.path, s.id))
	}
	return list
}

// locate looks for the content that the cursor names: first under its inode, then in the youngest file
// and so on. unreadable says which files could not be asked.
func (f *follower) locate(ctx context.Context, all []sibling) (found bool, unreadable string, err error) {
	p := f.cursor.File
	order := make([]int, 0, len(all))
	for i := range all {
		order = append(order, i)
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch x, y := all[a].same(p.ID), all[b].same(p.ID); {
		case x && !y:
			return -1
		case y && !x:
			return 1
		}
		return b - a
	})
	for _, i := range order {
		err := f.try(ctx, all[i:])
		switch {
		case err == nil:
			return true, "", nil
		case ctx.Err() != nil:
			return false, "", ctx.Err()
		case errors.Is(err, errElsewhere):
		case all[i].live || errors.Is(err, fs.ErrNotExist):
			return false, "", away(err)
		default:
			unreadable += "; " + err.Error()
		}
	}
	return false, unreadable, nil
}

// try opens the first of some files at the cursor.
func (f *follower) try(ctx context.Context, files []sibling) error {
	l, err := open(files)
	if err != nil {
		return err
	}
	if err := l.goTo(ctx, f.cursor.File); err != nil {
		l.close()
		return err
	}
	f.current = l
	return nil
}

// begin opens a file without a place to go on from: at a first start the live one, else the oldest that
// may hold lines which were not read. reason is the gap's; it is empty when it is known already.
func (f *follower) begin(all []sibling, reason string) error {
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
	if reason != "" {
		f.lost(f.since(), reason)
	}
	f.current, f.known = l, true
	return nil
}

// missing says why there is no log file.
func missing(path string) error {
	if _, err := os.Stat(path); err != nil {
		return err
	}
	return fmt.Errorf("%s is not a plain file", path)
}
