package main

import (
	"errors"
	"os"
	"runtime/pprof"

	"github.com/sendgate/sendgate/store"
)

// workDir gives the directory that was asked for, else one of its own below the parent, "" for the machine's, that
// others can read, too: Dovecot reads mail as nobody. remove deletes its own.
func workDir(asked, parent string) (dir string, remove func(), err error) {
	if asked != "" {
		return asked, func() {}, nil
	}
	if dir, err = os.MkdirTemp(parent, "sendgate-bench-"); err != nil {
		return "", nil, err
	}
	remove = func() { _ = os.RemoveAll(dir) }
	if err := os.Chmod(dir, 0o755); err != nil {
		remove()
		return "", nil, err
	}
	return dir, remove, nil
}

// newStore opens a store in a directory of its own. closed closes and removes it.
func newStore(parent string) (s *store.Store, dir string, closed func() error, err error) {
	dir, remove, err := workDir("", parent)
	if err != nil {
		return nil, "", nil, err
	}
	if s, err = openStore(dir); err != nil {
		remove()
		return nil, "", nil, err
	}
	return s, dir, func() error { defer remove(); return s.Close() }, nil
}

func openStore(dir string) (*store.Store, error) {
	cfg := store.DefaultConfig()
	cfg.Dir, cfg.Node = dir, "bench"
	return store.Open(cfg)
}

// profile writes a CPU profile until it is stopped, "" for none.
func profile(file string) (stop func() error, err error) {
	if file == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() error { pprof.StopCPUProfile(); return f.Close() }, nil
}
