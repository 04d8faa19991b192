package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// What root does to a store that no process has open leaves nothing that its owner cannot open.
func TestStoreStaysWithItsOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root works on what belongs to others")
	}
	const owner = 65534
	dir, b := kept(t)
	backup := filepath.Join(t.TempDir(), "sendgate.backup")
	fresh := t.TempDir()
	if err := os.WriteFile(backup, b, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{dir, fresh} {
		if err := os.Chown(d, owner, owner); err != nil {
			t.Fatal(err)
		}
	}
	for name, args := range map[string][]string{
		"verify":  {"store", "verify", "--data", dir},
		"repair":  {"store", "repair", "--data", dir},
		"restore": {"restore", backup, "--data", fresh},
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := command(t, nil, args...); err != nil {
				t.Fatal(err)
			}
			err := filepath.WalkDir(args[len(args)-1], func(path string, e fs.DirEntry, err error) error {
				if err != nil {
					return err
				}
				info, err := e.Info()
				if err == nil && info.Sys().(*syscall.Stat_t).Uid != owner {
					t.Errorf("%s is root's", path)
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// What its owner has made another name of stays whose it is: a directory of others may have a link to anything.
func TestOnlyFilesOfRootAreHandedBack(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root works on what belongs to others")
	}
	const owner, other = 65534, 65533
	dir, elsewhere := t.TempDir(), filepath.Join(t.TempDir(), "secret")
	written, linked, theirs := filepath.Join(dir, "written"), filepath.Join(dir, "linked"), filepath.Join(dir, "theirs")
	for _, path := range []string{elsewhere, written, theirs} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Link(elsewhere, linked), os.Chown(theirs, other, other), os.Chown(dir, owner, owner), handBack(dir)); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]uint32{written: owner, linked: 0, elsewhere: 0, theirs: other} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Sys().(*syscall.Stat_t).Uid; got != want {
			t.Errorf("%s is of %d, want %d", filepath.Base(path), got, want)
		}
	}
}
