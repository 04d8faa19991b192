package main

import (
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
