package source

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// TestFileGaps loses lines.
func TestFileGaps(t *testing.T) {
	at := func(n int) time.Time { return start.Add(time.Duration(n) * time.Second) }
	for _, tt := range []struct {
		name   string
		down   func(d disk)
		cursor func(string) string
		want   []string
		from   time.Time // zero: unknown
		to     time.Time
		reason string
	}{
		{"removed and begun anew", func(d disk) { d.must(os.Remove(d.path)); d.add(lines(8, 9)) }, nil,
			want(8, 9), at(4), at(8), "the place up to which the log was read is not found"},
		{"truncated and begun anew", func(d disk) { d.must(os.Truncate(d.path, 0)); d.add(lines(8, 20)) }, nil,
			want(8, 20), at(4), at(8), "the place up to which the log was read is not found"},
		{"a younger rotated file is left", func(d disk) {
			d.must(os.Remove(d.path))
			d.add(lines(7, 8))
			d.rename("", ".1")
			d.add(lines(9, 9))
		}, nil, want(7, 9), at(4), at(7), "the place up to which the log was read is not found"},
		{"the rotated file is damaged", func(d disk) {
			d.must(os.Remove(d.path))
			d.must(os.WriteFile(d.path+".1.gz", []byte("\x1f\x8bnonsense"), 0o600))
			d.must(os.Chtimes(d.path+".1.gz", start, start))
			d.add(lines(8, 9))
		}, nil, want(8, 9), at(4), at(8), "mail.log.1.gz: gzip: invalid header"},
		{"the cursor is damaged", func(d disk) { d.add(lines(5, 5)) }, func(string) string { return "{" },
			want(0, 5), time.Time{}, at(0), "the cursor cannot be used: it is damaged"},
		{"the cursor is of another kind", func(d disk) { d.add(lines(5, 5)) },
			func(s string) string { return strings.Replace(s, `"kind":"file"`, `"kind":"journald"`, 1) },
			want(0, 5), at(4), at(5), `the cursor cannot be used: it is of kind "journald", not "file"`},
		{"the cursor is of another version", func(d disk) { d.add(lines(5, 5)) },
			func(s string) string { return strings.Replace(s, `"v":1`, `"v":9`, 1) },
			want(0, 5), at(4), at(5), "the cursor cannot be used: it has version 9, not 1"},
		{"the cursor is endless", func(d disk) {}, func(string) string { return strings.Repeat("x", 5000) },
			want(0, 4), time.Time{}, at(0), "the cursor cannot be used: it has 5000 octets"},
		{"the cursor's place is damaged", func(d disk) { d.add(lines(5, 5)) },
			func(s string) string { return strings.Replace(s, `"offset":`, `"offset":-`, 1) },
			want(0, 5), at(4), at(5), "the cursor cannot be used: it is damaged: that is no place in a file"},
		{"the cursor's fingerprint is damaged", func(d disk) { d.add(lines(5, 5)) },
			func(s string) string { return strings.Replace(s, `"sum":"`, `"sum":"x`, 1) },
			want(0, 5), at(4), at(5), "the cursor cannot be used: it is damaged: that is no place in a file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDisk(t)
			d.add(lines(0, 4))
			s := d.source(StartBeginning)
			s.now = func() time.Time { return at(4) }
			first := follow(t, s, "")
			first.caught(t, 5)
			cursor := first.stop(t)
			tt.down(d)
			if tt.cursor != nil {
				cursor = tt.cursor(cursor)
			}
			r := follow(t, d.source(StartBeginning), cursor)
			r.caught(t, len(tt.want))
			r.got(t, tt.want)
			g := r.gap(t)
			if !g.From.Equal(tt.from) || !g.To.Equal(tt.to) || !strings.Contains(g.Reason, tt.reason) {
				t.Errorf("gap %v to %v: %q\nwant %v to %v: %q", g.From, g.To, g.Reason, tt.from, tt.to, tt.reason)
			}
		})
	}
}

func TestFileTruncatedWhileRunningIsAGap(t *testing.T) {
	d := newDisk(t)
	d.add(lines(0, 4))
	r := follow(t, d.source(StartBeginning), "")
	r.caught(t, 5)
	d.must(os.Truncate(d.path, 0))
	r.until(t, "gap", func() bool { return len(r.gaps) == 1 })
	d.add(lines(5, 6))
	r.caught(t, 7)
	r.got(t, want(0, 6))
	r.gap(t)
}

func TestFileWrittenAnewBeyondThePlaceIsNoticed(t *testing.T) {
	d := newDisk(t)
	d.add(lines(0, 4))
	r := follow(t, d.source(StartBeginning), "")
	r.caught(t, 5)
	f, err := os.OpenFile(d.path, os.O_WRONLY, 0)
	d.must(err)
	_, err = f.WriteString(lines(100, 120)) // over what was there, as if truncated between two looks
	d.must(errors.Join(err, f.Close()))
	r.caught(t, 26)
	r.got(t, append(want(0, 4), want(100, 120)...))
	r.gap(t)
}

func TestFileRemovedWithOthersIsAGap(t *testing.T) {
	d := newDisk(t)
	d.add(lines(0, 4))
	r := follow(t, d.source(StartBeginning), "")
	r.caught(t, 5)
	d.rename("", ".2")
	d.must(os.Remove(d.path + ".2"))
	d.must(os.WriteFile(d.path+".1", []byte(lines(8, 9)), 0o600))
	d.add(lines(10, 11))
	r.caught(t, 9)
	r.got(t, append(want(0, 4), want(8, 11)...))
	if g := r.gap(t); g.Reason != "the file that was being read was removed, and perhaps others after it" {
		t.Errorf("gap %+v", g)
	}
}

func TestGapEndsWithTheFirstYoungerLine(t *testing.T) {
	at := func(n int) time.Time { return start.Add(time.Duration(n) * time.Second) }
	for _, tt := range []struct {
		name  string
		lines []int
		to    time.Time
	}{
		{"the first line is younger", []int{8, 9}, at(8)},
		{"lines that came before are passed over", []int{2, 3, 4, 8, 9}, at(8)},
		{"nothing younger came", []int{2, 3}, at(20)},
		{"nothing came", nil, at(20)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newDisk(t).source(StartEnd).feed(nil, kindFile)
			f.lost(at(4), "lost")
			b := Batch{At: at(20)}
			for _, n := range tt.lines {
				b.Lines = append(b.Lines, Raw{Data: []byte(line(n))})
			}
			if gaps := f.close(&b); len(gaps) != 1 || !gaps[0].From.Equal(at(4)) || !gaps[0].To.Equal(tt.to) {
				t.Errorf("gaps %v, want one to %v", gaps, tt.to)
			}
		})
	}
}

func TestFileNamedAsCompressedThatIsNotIsAGap(t *testing.T) {
	d := newDisk(t)
	d.add(lines(0, 4))
	first := follow(t, d.source(StartBeginning), "")
	first.caught(t, 5)
	cursor := first.stop(t)
	d.rename("", ".2")
	d.must(os.WriteFile(d.path+".1.gz", []byte(lines(5, 6)), 0o600))
	d.add(lines(7, 8))
	r := follow(t, d.source(StartBeginning), cursor)
	r.caught(t, 2)
	r.got(t, want(7, 8))
	if g := r.gap(t); !strings.HasSuffix(g.Reason, "mail.log.1.gz: it is not compressed") {
		t.Errorf("gap %+v", g)
	}
}
