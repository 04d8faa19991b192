package source

import (
	"bytes"
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestFileFirstStart(t *testing.T) {
	for _, tt := range []struct {
		name  string
		start Start
		old   string
		want  []string
	}{
		{"from the end only new lines come", StartEnd, lines(0, 2), want(3, 4)},
		{"from the beginning all lines come", StartBeginning, lines(0, 2), want(0, 4)},
		{"from the end a line begun before is not cut in two", StartEnd, lines(0, 2) + "half a line", want(4, 4)},
		{"an empty file has no end to skip", StartEnd, "", want(3, 4)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDisk(t)
			d.add(tt.old)
			r := follow(t, d.source(tt.start), "")
			r.until(t, "first batch", func() bool { return len(r.batches) > 0 })
			d.add(lines(3, 4))
			r.caught(t, len(tt.want))
			r.got(t, tt.want)
			r.gapless(t)
		})
	}
}

func TestFileThatIsNotThereYetIsReadFromItsBeginning(t *testing.T) {
	d := newDisk(t)
	log, logged := listening()
	cfg := DefaultConfig()
	cfg.Name, cfg.File = "mail", d.path
	r := follow(t, d.made(cfg, log), "")
	said := []string{logged.next(t).Message}
	d.add(lines(0, 3))
	r.caught(t, 4)
	r.got(t, want(0, 3))
	r.stop(t)
	for len(logged) > 0 {
		said = append(said, logged.next(t).Message)
	}
	if !slices.Equal(said, []string{"log cannot be read: trying again", "log can be read again"}) {
		t.Errorf("logged %q, want one line for each change", said)
	}
}

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
			r.got(t, want(0, 9))
			if len(r.gaps) != tt.gaps {
				t.Errorf("gaps %v, want %d", r.gaps, tt.gaps)
			}
		})
	}
}

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

func TestFileRotatedOneThatIsDamagedIsPassedOver(t *testing.T) {
	d := newDisk(t)
	d.add(lines(0, 4))
	first := follow(t, d.source(StartBeginning), "")
	first.caught(t, 5)
	cursor := first.stop(t)
	d.rename("", ".3")
	d.add(lines(5, 2000))
	d.rename("", ".2")
	d.compress(".2")
	info, err := os.Stat(d.path + ".2.gz")
	d.must(err)
	d.must(os.Truncate(d.path+".2.gz", info.Size()-100))
	d.must(os.WriteFile(d.path+".1.gz", []byte("\x1f\x8bnonsense"), 0o600))
	d.add(lines(3000, 3001))
	r := follow(t, d.source(StartBeginning), cursor)
	r.until(t, "the live file", func() bool { return slices.Contains(r.lines, line(3001)) })
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.lines); n < 1000 || r.lines[0] != line(5) {
		t.Errorf("got %d lines, the first %q", n, r.lines[0])
	}
	if len(r.gaps) != 2 || !strings.Contains(r.gaps[0].Reason, "mail.log.2.gz: unexpected EOF") ||
		!strings.Contains(r.gaps[1].Reason, "mail.log.1.gz: gzip: invalid header") {
		t.Errorf("gaps %v", r.gaps)
	}
}

func TestFileThatIsBeingCompressedIsAwaited(t *testing.T) {
	for _, tt := range []struct {
		name string
		half func(whole []byte) []byte
	}{
		{"nothing written", func([]byte) []byte { return nil }},
		{"the head is cut", func(whole []byte) []byte { return whole[:5] }},
		{"the data are cut", func(whole []byte) []byte { return whole[:len(whole)/2] }},
		{"the check sum is missing", func(whole []byte) []byte { return whole[:len(whole)-8] }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDisk(t)
			d.add(lines(0, 4))
			log, logged := listening()
			cfg := DefaultConfig()
			cfg.Name, cfg.File, cfg.Start = "mail", d.path, StartBeginning
			first := follow(t, d.made(cfg, log), "")
			first.caught(t, 5)
			cursor := first.stop(t)
			d.add(lines(5, 3000))
			d.rename("", ".1")
			d.compress(".1")
			whole, err := os.ReadFile(d.path + ".1.gz")
			d.must(err)
			d.must(os.WriteFile(d.path+".1.gz", tt.half(whole), 0o600))
			d.add(lines(3001, 3002))
			s := d.made(cfg, log)
			s.poll = 100 * time.Millisecond // it is given up after some pauses
			r := follow(t, s, cursor)
			if m := logged.next(t).Message; m != "log cannot be read: trying again" {
				t.Errorf("said %q", m)
			}
			d.must(os.WriteFile(d.path+".1.gz", whole, 0o600))
			r.until(t, "last line", func() bool { return slices.Contains(r.lines, line(3002)) })
			r.got(t, want(5, 3002))
			r.gapless(t)
		})
	}
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

func TestFileNothingReadableFollowsIsAwaited(t *testing.T) {
	d := newDisk(t)
	d.add(lines(0, 4))
	log, logged := listening()
	cfg := DefaultConfig()
	cfg.Name, cfg.File, cfg.Start = "mail", d.path, StartBeginning
	s := d.made(cfg, log)
	s.now = func() time.Time { return start.Add(4 * time.Second) }
	r := follow(t, s, "")
	r.caught(t, 5)
	d.rename("", ".2")
	d.must(os.WriteFile(d.path+".1.gz", []byte("\x1f\x8bnonsense"), 0o600))
	if text := logged.next(t).ContextMap()["error"]; !strings.Contains(text.(string), "mail.log.1.gz: gzip: invalid header") {
		t.Errorf("said %q", text)
	}
	d.add(lines(8, 9))
	r.caught(t, 7)
	r.got(t, append(want(0, 4), want(8, 9)...))
	if g := r.gap(t); !strings.Contains(g.Reason, "mail.log.1.gz: gzip: invalid header") || !g.To.Equal(start.Add(8*time.Second)) {
		t.Errorf("gap %+v", g)
	}
}

// TestFileAway takes the log away under a running follower and gives it back.
func TestFileAway(t *testing.T) {
	t.Run("a directory instead of the file", func(t *testing.T) {
		d := newDisk(t)
		d.must(os.Mkdir(d.path, 0o700))
		log, logged := listening()
		cfg := DefaultConfig()
		cfg.Name, cfg.File = "mail", d.path
		r := follow(t, d.made(cfg, log), "")
		if text := logged.next(t).ContextMap()["error"]; text != d.path+" is not a plain file" {
			t.Errorf("said %q", text)
		}
		d.must(os.Remove(d.path))
		d.add(lines(0, 1))
		r.caught(t, 2)
		r.got(t, want(0, 1))
	})
	t.Run("the directory is away at the start", func(t *testing.T) {
		d := newDisk(t)
		d.path = d.path + ".d/mail.log"
		r := follow(t, d.source(StartEnd), "")
		d.must(os.Mkdir(strings.TrimSuffix(d.path, "/mail.log"), 0o700))
		d.add(lines(0, 1))
		r.until(t, "batch", func() bool { return len(r.batches) > 0 })
		d.add(lines(2, 2))
		r.until(t, "last line", func() bool { return slices.Contains(r.lines, line(2)) })
		r.gapless(t)
	})
	t.Run("the directory is away for a while", func(t *testing.T) {
		d := newDisk(t)
		dir := d.path + ".d"
		d.must(os.Mkdir(dir, 0o700))
		d.path = dir + "/mail.log"
		d.add(lines(0, 1))
		r := follow(t, d.source(StartBeginning), "")
		r.caught(t, 2)
		d.must(os.Rename(dir, dir+".away"))
		d.must(os.Rename(dir+".away", dir))
		d.add(lines(2, 2))
		r.caught(t, 3)
		r.got(t, want(0, 2))
		r.gapless(t)
	})
}

// TestFileLines writes what no log should hold.
func TestFileLines(t *testing.T) {
	long := strings.Repeat("x", maxLine+12345)
	for _, tt := range []struct {
		name   string
		pieces []string
		want   []string
	}{
		{"a line in pieces is awaited", []string{"Nov 21 10:00:00 mx1 post", "fix/smtp[1]: a", "\nb\n"}, []string{"Nov 21 10:00:00 mx1 postfix/smtp[1]: a", "b"}},
		{"CRLF", []string{"a\r\nb\r", "\n"}, []string{"a", "b"}},
		{"empty lines", []string{"\n\na\n\n"}, []string{"a"}},
		{"a line of 1 MiB is whole", []string{long[:maxLine] + "\nb\n"}, []string{long[:maxLine], "b"}},
		{"a longer one is cut", []string{long, long, "\nb\n"}, []string{long[:maxLine], "b"}},
		{"a block of NUL is skipped", []string{"a\n" + strings.Repeat("\x00", 3*chunk) + "b\n"}, []string{"a", "b"}},
		{"NUL ends a line that was cut by a crash", []string{"a\nhalf\x00\x00\x00b\n"}, []string{"a", "half", "b"}},
		{"other octets pass", []string{"\xff\xfe\x01\x1b[2J\x80\n\x1f\x8b\n"}, []string{"\xff\xfe\x01\x1b[2J\x80", "\x1f\x8b"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDisk(t)
			d.add("first\n")
			r := follow(t, d.source(StartBeginning), "")
			r.caught(t, 1)
			for _, p := range tt.pieces {
				n := len(r.batchesNow())
				d.add(p)
				r.until(t, "another look", func() bool { return len(r.batches) > n })
			}
			r.caught(t, 1+len(tt.want))
			r.got(t, append([]string{"first"}, tt.want...))
			cursor := r.stop(t)
			again := follow(t, d.source(StartBeginning), cursor)
			again.until(t, "batch", func() bool { return len(again.batches) > 0 && again.batches[0].Caught })
			again.got(t, nil)
			again.gapless(t)
		})
	}
}

func TestFileBatchesAreBounded(t *testing.T) {
	d := newDisk(t)
	d.add(lines(0, 5000))
	d.add(strings.Repeat(strings.Repeat("y", 1000)+"\n", 3000))
	r := follow(t, d.source(StartBeginning), "")
	r.caught(t, 8001)
	behind := int64(1 << 40)
	for i, b := range r.batchesNow() {
		octets := 0
		for _, l := range b.Lines {
			octets += len(l.Data)
		}
		if len(b.Lines) > MaxLines || octets > MaxOctets+maxLine {
			t.Errorf("batch %d has %d lines, %d octets", i, len(b.Lines), octets)
		}
		if b.Caught && b.Behind != 0 || b.Behind > behind || !b.Caught && b.Behind == 0 && len(b.Lines) == MaxLines {
			t.Errorf("batch %d: behind %d after %d, caught %v", i, b.Behind, behind, b.Caught)
		}
		behind = b.Behind
	}
}

func TestFileEveryCursorGoesOn(t *testing.T) {
	d := newDisk(t)
	d.add(lines(0, 7000))
	r := follow(t, d.source(StartBeginning), "")
	r.caught(t, 7001)
	r.stop(t)
	d.rename("", ".1")
	d.compress(".1")
	d.add(lines(7001, 7003))
	n := 0
	for _, b := range r.batches[:4] {
		n += len(b.Lines)
		again := follow(t, d.source(StartEnd), b.Cursor)
		again.caught(t, 7004-n)
		again.got(t, want(n, 7003))
		again.gapless(t)
		again.stop(t)
	}
}

func TestFileIdleBatchesSayThatNothingCame(t *testing.T) {
	d := newDisk(t)
	d.add(lines(0, 1))
	r := follow(t, d.source(StartBeginning), "")
	r.until(t, "idle batches", func() bool { return len(r.batches) >= 4 })
	all := r.batchesNow()
	for _, b := range all[1:] {
		if !b.Caught || len(b.Lines) > 0 || !b.At.After(all[0].At) {
			t.Errorf("batch %+v", b)
		}
	}
}

func TestFileEndsWithTheErrorOfTake(t *testing.T) {
	d := newDisk(t)
	d.add(lines(0, 1))
	full := errors.New("disk full")
	err := d.source(StartBeginning).Follow(t.Context(), "", func(context.Context, Batch) error { return full })
	if !errors.Is(err, full) {
		t.Errorf("Follow: %v", err)
	}
}

func TestReadFile(t *testing.T) {
	d := newDisk(t)
	d.add(lines(0, 4999) + "and half a line")
	d.must(os.WriteFile(d.path+".plain", []byte(lines(0, 4999)+"and half a line"), 0o600))
	d.compress("")
	for _, name := range []string{d.path + ".gz", d.path + ".plain"} {
		var got []string
		caught := false
		err := ReadFile(t.Context(), name, func(_ context.Context, b Batch) error {
			for _, l := range b.Lines {
				got = append(got, string(l.Data))
			}
			caught = b.Caught
			return nil
		})
		if err != nil || !caught || !slices.Equal(got, append(want(0, 4999), "and half a line")) {
			t.Errorf("%s: %v, caught %v, %d lines", name, err, caught, len(got))
		}
	}
}

func TestReadFileErrors(t *testing.T) {
	d := newDisk(t)
	nothing := func(context.Context, Batch) error { return nil }
	if err := ReadFile(t.Context(), d.path, nothing); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	if err := ReadFile(t.Context(), t.TempDir(), nothing); err == nil || !strings.Contains(err.Error(), "it is not a plain file") {
		t.Errorf("directory: %v", err)
	}
	d.add(lines(0, 4))
	full := errors.New("disk full")
	if err := ReadFile(t.Context(), d.path, func(context.Context, Batch) error { return full }); !errors.Is(err, full) {
		t.Errorf("take: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := ReadFile(ctx, d.path, nothing); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	d.compress("")
	text, err := os.ReadFile(d.path + ".gz")
	d.must(err)
	d.must(os.WriteFile(d.path+".gz", bytes.TrimSuffix(text, text[len(text)-8:]), 0o600))
	n := 0
	err = ReadFile(t.Context(), d.path+".gz", func(_ context.Context, b Batch) error { n += len(b.Lines); return nil })
	if err == nil || !strings.Contains(err.Error(), "unexpected EOF") || n != 5 {
		t.Errorf("cut off: %v after %d lines", err, n)
	}
}
