package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// What a person wants to do with a file; directories on the way are entered.
const (
	reading  = 4
	writing  = 2
	entering = 1
)

// A person is a user of this machine with all groups.
type person struct {
	uid  uint32
	gids []uint32
}

// lookUp finds a user.
func lookUp(name string) (person, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return person{}, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return person{}, fmt.Errorf("user %s: %w", name, err)
	}
	p := person{uid: uint32(uid)}
	ids, err := u.GroupIds()
	if err != nil {
		return person{}, fmt.Errorf("groups of %s: %w", name, err)
	}
	for _, id := range ids {
		gid, err := strconv.ParseUint(id, 10, 32)
		if err != nil {
			return person{}, fmt.Errorf("groups of %s: %w", name, err)
		}
		p.gids = append(p.gids, uint32(gid))
	}
	return p, nil
}

// A blockedError names the file that stops a person.
type blockedError struct {
	path string
	info fs.FileInfo
}

func (b *blockedError) Error() string { return fmt.Sprintf("%s: %v", b.path, b.info.Mode()) }

func asBlocked(err error) (b *blockedError, is bool) {
	is = errors.As(err, &b)
	return b, is
}

// may is nil when a person may do something with a file, a blockedError when not, and another error
// when it cannot be known.
func (p person) may(path string, want fs.FileMode) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	at := "/"
	for _, name := range append([]string{""}, strings.Split(strings.Trim(path, "/"), "/")...) {
		at = filepath.Join(at, name)
		info, err := os.Stat(at)
		if err != nil {
			return err
		}
		need := fs.FileMode(entering)
		if at == path {
			need = want
		}
		allowed, err := p.allowed(info, need)
		if err != nil {
			return err
		}
		if !allowed {
			return &blockedError{at, info}
		}
	}
	return nil
}

// allowed is the kernel's rule: the first of owner, group and others that fits decides.
func (p person) allowed(info fs.FileInfo, need fs.FileMode) (bool, error) {
	uid, gid, err := ownerOf(info)
	if err != nil {
		return false, err
	}
	bits := info.Mode().Perm()
	switch {
	case p.uid == 0:
		return true, nil
	case p.uid == uid:
		return bits>>6&need == need, nil
	case slices.Contains(p.gids, gid):
		return bits>>3&need == need, nil
	}
	return bits&need == need, nil
}
