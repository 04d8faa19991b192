package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const pageSize = 4096

// copyDir copies a data directory as it lies in the page cache: what a process that was killed
// leaves behind. The engine's files are sparse and stay so. Nothing may be committed meanwhile;
// what the engine does by itself, flush and compact, makes it begin again.
func copyDir(t testing.TB, from string) string {
	t.Helper()
	for {
		before := listing(t, from)
		to := t.TempDir()
		err := copyFiles(from, to)
		if err == nil && listing(t, from) == before {
			return to
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
}

// listing names every file with its length.
func listing(t testing.TB, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			fmt.Fprintln(&b, path, info.Size())
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return b.String()
}

func copyFiles(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		return copySparse(path, filepath.Join(to, rel))
	})
}

func copySparse(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer out.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if err := out.Truncate(info.Size()); err != nil {
		return err
	}
	return eachExtent(in, func(offset, length int64) error {
		_, err := io.Copy(io.NewOffsetWriter(out, offset), io.NewSectionReader(in, offset, length))
		return err
	})
}

// eachExtent calls fn for every part of a sparse file that holds data.
func eachExtent(f *os.File, fn func(offset, length int64) error) error {
	for at := int64(0); ; {
		start, err := unix.Seek(int(f.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return nil
		}
		if err != nil {
			return err
		}
		end, err := unix.Seek(int(f.Fd()), start, unix.SEEK_HOLE)
		if errors.Is(err, unix.ENXIO) {
			return nil // cut meanwhile
		}
		if err != nil {
			return err
		}
		if err := fn(start, end-start); err != nil {
			return err
		}
		at = end
	}
}

// engineLogs are the names of the engine's logs of a kind, ".mem" or ".vlog", oldest first.
func engineLogs(t testing.TB, dir, ext string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, engineDir, "*"+ext))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// sameFiles reports whether two copies have the same files, so that only what is in them differs.
func sameFiles(t testing.TB, a, b string) bool {
	t.Helper()
	return strings.ReplaceAll(listing(t, a), a, "") == strings.ReplaceAll(listing(t, b), b, "")
}

// mixPages writes to the file in dir, which is that of the older copy, some of the pages in which
// the newer one differs, and returns how many of how many.
func mixPages(t testing.TB, rnd *rand.Rand, dir, newer, name string) (taken, differing int) {
	t.Helper()
	old, err := os.OpenFile(filepath.Join(dir, engineDir, name), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	in, err := os.Open(filepath.Join(newer, engineDir, name))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	chance := rnd.Float64()
	a, b := make([]byte, pageSize), make([]byte, pageSize)
	err = eachExtent(in, func(offset, length int64) error {
		for at := offset; at < offset+length; at += pageSize {
			n, err := in.ReadAt(b, at)
			if err != nil && err != io.EOF {
				return err
			}
			if _, err := old.ReadAt(a[:n], at); err != nil && err != io.EOF {
				return err
			}
			if bytes.Equal(a[:n], b[:n]) {
				continue
			}
			differing++
			if rnd.Float64() >= chance {
				continue
			}
			taken++
			if _, err := old.WriteAt(b[:n], at); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return taken, differing
}
