package main

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// handBack gives what root has written in a data directory to the directory's owner: opening a journal writes to it,
// and the gateway is not root.
func handBack(dir string) error {
	info, err := os.Stat(dir)
	if err != nil || os.Geteuid() != 0 {
		return nil // there is nothing, or nothing of another user
	}
	owner := info.Sys().(*syscall.Stat_t)
	if owner.Uid == 0 {
		return nil
	}
	root, err := os.OpenRoot(dir) // never out of it, whatever its owner does meanwhile
	if err != nil {
		return err
	}
	defer root.Close()
	err = fs.WalkDir(root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil || !writtenByRoot(info) {
			return err
		}
		return root.Lchown(name, int(owner.Uid), int(owner.Gid))
	})
	if err != nil {
		return fmt.Errorf("give the files in %s back to their owner (chown -R --reference %s %s): %w", dir, dir, dir, err)
	}
	return nil
}

// writtenByRoot reports whether a file is root's and has no other name: with one it may be any file of this machine,
// which the owner of the directory has linked there.
func writtenByRoot(info fs.FileInfo) bool {
	of := info.Sys().(*syscall.Stat_t)
	return of.Uid == 0 && (info.IsDir() || of.Nlink == 1)
}
