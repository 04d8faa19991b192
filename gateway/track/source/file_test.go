package source

import (
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
			s.poll = 500 * time.Millisecond // it is given up after some pauses
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
