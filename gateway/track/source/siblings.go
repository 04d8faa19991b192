package source

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A fileID is device and inode: the same for a renamed file, another for a copied or compressed one.
// Zero is nobody's.
type fileID struct {
	Device uint64 `json:"dev"`
	Inode  uint64 `json:"ino"`
}

// A sibling is a log file on disk: the live one, or one that it was rotated to.
type sibling struct {
	path   string
	id     fileID
	size   int64
	mtime  time.Time
	gz     bool
	live   bool
	number int    // ".3": larger is older
	date   string // digits of "-20261121" or ".20261121-1530": larger is younger
}

// same says whether the file on disk is the one that id was taken from.
func (s *sibling) same(id fileID) bool { return id != fileID{} && s.id == id }

// key tells what was tried from what has changed since.
func (s *sibling) key() string { return key(s.path, s.id, s.size, s.mtime) }

// names tells two listings apart.
func names(all []sibling) (list []string) {
	for _, s := range all {
		list = append(list, fmt.Sprint(s.path, s.id))
	}
	return list
}

// errRotating says that the files are being renamed at this moment.
var errRotating = errors.New("the log is being rotated")

// siblings lists what the log file was rotated to, oldest first, and then itself if it is there. A
// directory is not read in one moment: only two equal listings in a row are believed.
func siblings(path string) ([]sibling, error) {
	before, err := list(path)
	for range 10 {
		if err != nil {
			return before, err
		}
		var now []sibling
		if now, err = list(path); err == nil && slices.Equal(names(before), names(now)) {
			return now, nil
		}
		before = now
	}
	return nil, cmp.Or(err, errRotating)
}

// list reads the directory once.
func list(path string) ([]sibling, error) {
	dir := filepath.Dir(path)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	pattern := rotated(filepath.Base(path))
	var all []sibling
	for _, e := range entries {
		m := pattern.FindStringSubmatch(e.Name())
		if m == nil {
			continue
		}
		s, err := newSibling(filepath.Join(dir, e.Name()))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue // rotated on while we looked
		case err != nil:
			return nil, err
		case s == nil:
			continue
		}
		s.rank(m[1]+m[3], m[2]+m[4])
		all = append(all, *s)
	}
	all = order(all)
	live, err := newSibling(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return all, nil
	case err != nil:
		return all, err
	case live != nil:
		live.live = true
		all = append(all, *live)
	}
	return all, nil
}

// rotated matches the names that logrotate (with dateext, dateformat and extension) and postfix
// logrotate give: mail.log.1, mail.log.2.gz, mail.log-20261121.gz, mail.log.20261121-153000,
// mail-20261121.log, mail.1.log.gz.
func rotated(base string) *regexp.Regexp {
	ext := filepath.Ext(base)
	stem := strings.TrimSuffix(base, ext)
	const suffix = `[.-](\d[\d.-]*)`
	return regexp.MustCompile("^(?:" + regexp.QuoteMeta(base) + suffix + `(\.gz)?|` +
		regexp.QuoteMeta(stem) + suffix + regexp.QuoteMeta(ext) + `(\.gz)?)$`)
}

// newSibling is nil for what is no plain file.
func newSibling(path string) (*sibling, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil
	}
	return &sibling{path: path, id: idOf(info), size: info.Size(), mtime: info.ModTime()}, nil
}

// rank reads the suffix: up to five digits count rotations, more are a date.
func (s *sibling) rank(suffix, gz string) {
	s.gz = gz != ""
	digits := strings.NewReplacer("-", "", ".", "").Replace(suffix)
	if len(digits) > 5 {
		s.date = digits
		return
	}
	s.number, _ = strconv.Atoi(digits)
}

// order sorts by age, oldest first: by the names if they speak one language, else by the times of the
// last writes, which compressing keeps. Of a file and its compressed form, which is being written,
// only the file stays.
func order(all []sibling) []sibling {
	plain := map[string]bool{}
	dated := 0
	for _, s := range all {
		plain[s.path] = true
		if s.date != "" {
			dated++
		}
	}
	all = slices.DeleteFunc(all, func(s sibling) bool { return s.gz && plain[strings.TrimSuffix(s.path, ".gz")] })
	mixed := dated > 0 && dated < len(all)
	slices.SortStableFunc(all, func(a, b sibling) int {
		switch {
		case mixed:
			return a.mtime.Compare(b.mtime)
		case dated > 0:
			return strings.Compare(a.date, b.date)
		}
		return b.number - a.number
	})
	return all
}
