package maillog

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// held is a line with an id.
func held(id string) Line {
	return Line{Time: at, Verb: "held", ID: id, More: []Field{{"reply", "x\ny"}}}
}

// fileIn makes an output to a file in a directory of its own.
func fileIn(t *testing.T) (*fileOutput, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "mail.log")
	o := &fileOutput{path: path, origin: origin{"mx", "7"}}
	t.Cleanup(func() { _ = o.close() })
	return o, path
}

// ids gives the ids of the lines in a file.
func ids(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for line := range strings.Lines(string(data)) {
		rest, ok := strings.CutPrefix(line, stamp(at)+" mx sendgate[7]: held id=")
		id, rest, _ := strings.Cut(rest, " ")
		if !ok || rest != "queue_id=- sender=- rule=- reply=\"x\\ny\"\n" {
			t.Errorf("%s: %q", path, line)
		}
		all = append(all, id)
	}
	return strings.Join(all, " ")
}

func write(t *testing.T, o output, names ...string) {
	t.Helper()
	for _, id := range names {
		if err := o.write(held(id)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAFileIsRotated(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077)) // as the unit has it
	t.Run("renamed, then told", func(t *testing.T) {
		o, path := fileIn(t)
		write(t, o, "1")
		if err := os.Rename(path, path+".1"); err != nil {
			t.Fatal(err)
		}
		write(t, o, "2") // before the signal
		if err := o.reopen(); err != nil {
			t.Fatal(err)
		}
		write(t, o, "3")
		if ids(t, path+".1") != "1 2" || ids(t, path) != "3" {
			t.Errorf("%q and %q", ids(t, path+".1"), ids(t, path))
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
	})
	t.Run("renamed and not told", func(t *testing.T) {
		o, path := fileIn(t)
		write(t, o, "1")
		if err := os.Rename(path, path+".1"); err != nil {
			t.Fatal(err)
		}
		o.looked = time.Now().Add(-lookEvery)
		write(t, o, "2")
		if ids(t, path+".1") != "1" || ids(t, path) != "2" {
			t.Errorf("%q and %q", ids(t, path+".1"), ids(t, path))
		}
	})
	t.Run("replaced by an empty one", func(t *testing.T) {
		o, path := fileIn(t)
		write(t, o, "1")
		if err := errors.Join(os.Rename(path, path+".1"), os.WriteFile(path, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
		o.looked = time.Now().Add(-lookEvery)
		write(t, o, "2")
		if ids(t, path) != "2" {
			t.Errorf("%q", ids(t, path))
		}
	})
	t.Run("truncated", func(t *testing.T) {
		o, path := fileIn(t)
		write(t, o, "1")
		if err := os.Truncate(path, 0); err != nil {
			t.Fatal(err)
		}
		write(t, o, "2")
		if ids(t, path) != "2" {
			t.Errorf("%q", ids(t, path))
		}
	})
	t.Run("one that is there is appended to", func(t *testing.T) {
		o, path := fileIn(t)
		write(t, o, "1")
		again := &fileOutput{path: path, origin: o.origin}
		write(t, again, "2")
		if ids(t, path) != "1 2" {
			t.Errorf("%q", ids(t, path))
		}
	})
}

func TestAFileThatCannotBeWritten(t *testing.T) {
	for _, tt := range []struct{ outcome, path, want string }{
		{"there is no directory", "/nowhere/mail.log", "open the mail log: open /nowhere/mail.log: no such file or directory"},
		{"the disk is full", "/dev/full", "write the mail log: write /dev/full: no space left on device"},
	} {
		t.Run(tt.outcome, func(t *testing.T) {
			o := newOutput(Config{To: ToFile, File: tt.path}, "mx", nil)
			if err := o.write(held("1")); err == nil || err.Error() != tt.want {
				t.Errorf("%v", err)
			}
			_ = o.close()
		})
	}
}

// TestALineThatWasTornIsWrittenWhole has a disk that is full in the middle of a line (a limit on the size
// of files).
func TestALineThatWasTornIsWrittenWhole(t *testing.T) {
	o, path := fileIn(t)
	write(t, o, "1")
	o.torn = true // as after a write that ended early
	write(t, o, "2")
	data, err := os.ReadFile(path)
	if err != nil || strings.Count(string(data), "\n\n") != 1 || o.torn {
		t.Errorf("%q: %v", data, err)
	}
}
