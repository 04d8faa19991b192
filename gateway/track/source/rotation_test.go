package source

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestFileRotationsWhileRunning moves the file in the ways of logrotate and goes on writing.
func TestFileRotationsWhileRunning(t *testing.T) {
	for _, tt := range []struct {
		name   string
		rotate func(d disk)
	}{
		{"create", func(d disk) { d.rename("", ".1"); d.add("") }},
		{"the writer makes the file", func(d disk) { d.rename("", ".1") }},
		{"dated", func(d disk) { d.rename("", "-20261121") }},
		{"postfix logrotate", func(d disk) { d.rename("", ".20261121-153000"); d.compress(".20261121-153000") }},
		{"compressed at once", func(d disk) { d.rename("", ".1"); d.add(""); d.compress(".1") }},
		{"twice before anybody looks", func(d disk) {
			d.rename("", ".1")
			d.add(lines(5, 7))
			d.rename(".1", ".2")
			d.rename("", ".1")
		}},
		{"twice and compressed", func(d disk) {
			d.rename("", ".1")
			d.add(lines(5, 7))
			d.rename(".1", ".2")
			d.compress(".2")
			d.rename("", ".1")
			d.compress(".1")
		}},
		{"copytruncate", func(d disk) { d.copytruncate(".1") }},
		{"removed", func(d disk) { d.must(os.Remove(d.path)) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDisk(t)
			d.add(lines(0, 3))
			r := follow(t, d.source(StartBeginning), "")
			r.caught(t, 4)
			d.add(lines(4, 4))
			r.caught(t, 5)
			tt.rotate(d)
			n := 5
			if strings.HasPrefix(tt.name, "twice") {
				n = 8
			}
			d.add(lines(n, 11))
			r.caught(t, 12)
			r.got(t, want(0, 11))
			r.gapless(t)
		})
	}
}

func TestFileWhatTheWriterStillAddsToTheOldOneIsRead(t *testing.T) {
	d := newDisk(t)
	d.add(lines(0, 3))
	old, err := os.OpenFile(d.path, os.O_APPEND|os.O_WRONLY, 0)
	d.must(err)
	defer old.Close()
	r := follow(t, d.source(StartBeginning), "")
	r.caught(t, 4)
	d.rename("", ".1")
	d.add("")
	n := len(r.batchesNow())
	r.until(t, "a look at the empty file", func() bool { return len(r.batches) > n+1 })
	if _, err := old.WriteString(lines(4, 5)); err != nil {
		t.Fatal(err)
	}
	r.caught(t, 6)
	if _, err := old.WriteString(line(6)); err != nil { // nobody ends this line
		t.Fatal(err)
	}
	d.add(lines(7, 8))
	r.caught(t, 9)
	r.got(t, want(0, 8))
	r.gapless(t)
}

func (r *receiver) batchesNow() []Batch {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.batches)
}

// TestFileRotationsWhileDown stops in the middle, rotates, and goes on with the cursor.
func TestFileRotationsWhileDown(t *testing.T) {
	for _, tt := range []struct {
		name string
		down func(d disk)
	}{
		{"nothing happened", func(d disk) { d.add(lines(5, 20)) }},
		{"rotated once", func(d disk) {
			d.add(lines(5, 9))
			d.rename("", ".1")
			d.add(lines(10, 20))
		}},
		{"rotated twice", func(d disk) {
			d.add(lines(5, 9))
			d.rename("", ".1")
			d.add(lines(10, 14))
			d.rename(".1", ".2")
			d.rename("", ".1")
			d.add(lines(15, 20))
		}},
		{"rotated and compressed", func(d disk) {
			d.add(lines(5, 9))
			d.rename("", ".1")
			d.compress(".1")
			d.add(lines(10, 20))
		}},
		{"rotated three times, the older ones compressed", func(d disk) {
			d.add(lines(5, 9))
			d.rename("", ".3")
			d.compress(".3")
			d.add(lines(10, 14))
			d.rename("", ".2")
			d.compress(".2")
			d.add(lines(15, 18))
			d.rename("", ".1")
			d.add(lines(19, 20))
		}},
		{"rotated by date", func(d disk) {
			d.add(lines(5, 9))
			d.rename("", "-20261121")
			d.compress("-20261121")
			d.add(lines(10, 14))
			d.rename("", "-20261122")
			d.add(lines(15, 20))
		}},
		{"rotated at the place of the cursor", func(d disk) {
			d.rename("", ".1")
			d.add(lines(5, 20))
		}},
		{"copied and truncated", func(d disk) {
			d.add(lines(5, 9))
			d.copytruncate(".1")
			d.add(lines(10, 20))
		}},
		{"copied, truncated and compressed", func(d disk) {
			d.add(lines(5, 9))
			d.copytruncate(".1")
			d.compress(".1")
			d.add(lines(10, 20))
		}},
		{"compressing is under way", func(d disk) {
			d.add(lines(5, 9))
			d.rename("", ".1")
			d.must(os.WriteFile(d.path+".1.gz", []byte("\x1f\x8b\x08"), 0o600))
			d.add(lines(10, 20))
		}},
		{"ten rotations are not sorted as text", func(d disk) {
			d.add(lines(5, 9))
			d.rename("", ".10")
			d.add(lines(10, 14))
			d.rename("", ".9")
			d.add(lines(15, 20))
		}},
		{"the old scheme and the new one lie side by side", func(d disk) {
			d.add(lines(5, 9))
			d.must(os.Chtimes(d.path, start, start))
			d.rename("", ".1")
			d.add(lines(10, 14))
			d.must(os.Chtimes(d.path, start.Add(time.Hour), start.Add(time.Hour)))
			d.rename("", "-20261122")
			d.add(lines(15, 20))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDisk(t)
			d.must(os.WriteFile(d.path+".4", []byte("an older file\n"), 0o600))
			d.add(lines(0, 4))
			first := follow(t, d.source(StartBeginning), "")
			first.caught(t, 5)
			cursor := first.stop(t)
			d.must(os.Remove(d.path + ".4"))
			tt.down(d)
			r := follow(t, d.source(StartBeginning), cursor)
			r.caught(t, 16)
			r.got(t, want(5, 20))
			r.gapless(t)
		})
	}
}

// TestFileThatWasEmpty has a cursor that no content tells from others.
func TestFileThatWasEmpty(t *testing.T) {
	for _, tt := range []struct {
		name string
		down func(d disk)
		gaps int
	}{
		{"written to", func(d disk) { d.add(lines(0, 9)) }, 0},
		{"rotated", func(d disk) { d.add(lines(0, 4)); d.rename("", ".1"); d.add(lines(5, 9)) }, 0},
		{"copied and truncated", func(d disk) { d.add(lines(0, 4)); d.copytruncate(".1"); d.add(lines(5, 9)) }, 0},
		{"rotated and compressed", func(d disk) { d.add(lines(0, 4)); d.rename("", ".1"); d.add(lines(5, 9)); d.compress(".1") }, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDisk(t)
			old := time.Now().Add(-time.Hour)
			d.must(os.WriteFile(d.path+".2", []byte("read long ago\n"), 0o600))
			d.must(os.Chtimes(d.path+".2", old, old))
			d.add("")
			first := follow(t, d.source(StartEnd), "")
			first.caught(t, 0)
			cursor := first.stop(t)
			tt.down(d)
			r := follow(t, d.source(StartEnd), cursor)
			r.caught(t, 10)
			r.stop(t) // looks that find nothing are batches too
			r.got(t, want(0, 9))
			if len(r.gaps) != tt.gaps {
				t.Errorf("gaps %v, want %d", r.gaps, tt.gaps)
			}
		})
	}
}
