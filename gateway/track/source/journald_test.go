package source

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
)

// A fakeJournal is a directory with what a script prints that stands for journalctl.
type fakeJournal struct {
	t   *testing.T
	dir string
}

// The script writes down its arguments. Without --follow it prints the file "all", with it "news",
// and stays until it is stopped; the file "status" is what it fails with.
const script = `#!/bin/sh
cd "$(dirname "$0")" || exit 9
echo "$@" >> calls
if [ -f status ]; then echo "Failed to seek to cursor: Invalid argument" >&2; s=$(cat status); rm status; exit $s; fi
case "$*" in
*--follow*)
	cat news
	if [ -f once ]; then rm once; exit 0; fi
	trap 'exit 0' TERM
	exec sleep 1000 ;;
*) cat all ;;
esac
`

func newFakeJournal(t *testing.T) fakeJournal {
	j := fakeJournal{t, t.TempDir()}
	j.write("journalctl", script)
	j.write("all", "")
	j.write("news", "")
	return j
}

func (j fakeJournal) write(name, text string) {
	j.t.Helper()
	if err := os.WriteFile(filepath.Join(j.dir, name), []byte(text), 0o700); err != nil {
		j.t.Fatal(err)
	}
}

func (j fakeJournal) calls() []string {
	text, _ := os.ReadFile(filepath.Join(j.dir, "calls")) // none yet
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

func (j fakeJournal) source(start Start, log *zap.Logger) *journald {
	return newJournald(j.t, filepath.Join(j.dir, "journalctl"), start, log)
}

func newJournald(t *testing.T, program string, start Start, log *zap.Logger) *journald {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Name, cfg.Journald, cfg.Start = "journal", true, start
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	s, err := New(cfg, time.Now, log)
	if err != nil {
		t.Fatal(err)
	}
	j := s.(*journald)
	j.program, j.first, j.idle = program, time.Millisecond, 20*time.Millisecond
	return j
}

// cursorOf and record are entry n of the journal.
func cursorOf(n int) string { return fmt.Sprintf("s=c912;i=%x;b=0123;m=1;t=2;x=3", n) }

func record(n int) string {
	return fmt.Sprintf("__CURSOR=%s\n__REALTIME_TIMESTAMP=%d\n_HOSTNAME=mx1\nSYSLOG_IDENTIFIER=postfix/smtp\n_PID=7\nMESSAGE=Q%04d\n\n",
		cursorOf(n), start.Add(time.Duration(n)*time.Second).UnixMicro(), n)
}

func records(from, to int) string {
	var b strings.Builder
	for n := from; n <= to; n++ {
		b.WriteString(record(n))
	}
	return b.String()
}

func recorded(from, to int) (all []string) {
	for n := from; n <= to; n++ {
		all = append(all, fmt.Sprintf("postfix/smtp[7]: Q%04d", n))
	}
	return all
}

func TestJournalIsReadAndFollowed(t *testing.T) {
	j := newFakeJournal(t)
	j.write("all", records(0, 3000))
	j.write("news", records(3000, 3005))
	r := follow(t, j.source(StartBeginning, zap.NewNop()), "")
	r.caught(t, 3006)
	cursor := r.stop(t)
	r.got(t, recorded(0, 3005))
	r.gapless(t)
	if raw := r.raws[1]; raw.Host != "mx1" || !raw.Time.Equal(start.Add(time.Second)) {
		t.Errorf("line %+v", raw)
	}
	want := []string{
		"--output=export --no-pager SYSLOG_FACILITY=2",
		"--output=export --no-pager --follow --no-tail --cursor=" + cursorOf(3000) + " SYSLOG_FACILITY=2",
	}
	if calls := j.calls(); !slices.Equal(calls, want) {
		t.Errorf("calls\n%q, want\n%q", calls, want)
	}

	j.write("all", records(3005, 3007))
	j.write("news", record(3007))
	again := follow(t, j.source(StartEnd, zap.NewNop()), cursor)
	again.caught(t, 2)
	again.got(t, recorded(3006, 3007))
	again.gapless(t)
}

func TestJournalctlHintsAreLoggedOnce(t *testing.T) {
	j := newFakeJournal(t)
	j.write("journalctl", strings.Replace(script, "*) cat all", "*) echo 'Hint: You are currently not seeing messages' >&2; cat all", 1))
	j.write("once", "")
	log, logged := listening()
	follow(t, j.source(StartBeginning, log), "")
	if e := logged.next(t); e.Message != "journalctl has something to say" || e.ContextMap()["text"] != "Hint: You are currently not seeing messages" {
		t.Errorf("logged %+v", e)
	}
	if e := logged.next(t); e.Message != "log cannot be read: trying again" {
		t.Errorf("logged %+v", e)
	}
}

// TestJournalThatIsNeverSilentIsStillCaught has each entry follow the one before at once.
func TestJournalThatIsNeverSilentIsStillCaught(t *testing.T) {
	j := newFakeJournal(t)
	now := start.Add(3 * time.Second)
	j.write("all", record(0))
	j.write("news", records(0, 3))
	s := j.source(StartBeginning, zap.NewNop())
	s.idle = time.Hour // no batch without lines
	s.now = func() time.Time { return now }
	r := follow(t, s, "")
	r.until(t, "lines", func() bool { return len(r.lines) == 4 })
	last := r.batchesNow()
	if b := last[len(last)-1]; !b.Caught || !b.At.Equal(now) || b.Behind != 0 {
		t.Errorf("batch %+v", b)
	}
	if b := last[0]; b.Caught || b.Behind != -1 {
		t.Errorf("a batch of old lines %+v", b)
	}
}

func TestJournalFirstStartAtTheEndAsksForWhatIsNew(t *testing.T) {
	j := newFakeJournal(t)
	s := j.source(StartEnd, zap.NewNop())
	s.now = func() time.Time { return start.Add(1500 * time.Microsecond) }
	r := follow(t, s, "")
	r.caught(t, 0)
	cursor := r.stop(t)
	ask := fmt.Sprintf("--since=@%d.001500", start.Unix())
	if calls := j.calls(); !strings.Contains(calls[0], ask) {
		t.Errorf("calls %q, want %s", calls, ask)
	}
	// Without an entry the time goes on.
	again := follow(t, j.source(StartEnd, zap.NewNop()), cursor)
	again.caught(t, 0)
	again.stop(t)
	again.gapless(t)
	if calls := j.calls(); !strings.Contains(calls[len(calls)-1], "--since=@") {
		t.Errorf("calls %q", calls)
	}
}

func TestJournalGaps(t *testing.T) {
	c := cursor{Version: cursorVersion, Kind: kindJournald, Journal: cursorOf(5), Last: start.Add(5 * time.Second)}
	for _, tt := range []struct {
		name, cursor, all string
		refuse            bool
		want              []string
		from              time.Time
		to                int
		reason            string
	}{
		{"the entry was removed", c.encode(), records(8, 9), false, recorded(8, 9), c.Last, 8, "the journal no longer has the entry up to which it was read"},
		{"the cursor is refused", c.encode(), records(8, 9), true, recorded(8, 9), c.Last, 8, "journalctl does not accept the cursor"},
		{"the cursor is damaged", "x", records(8, 9), false, recorded(8, 9), time.Time{}, 8, "the cursor cannot be used: it is damaged"},
		{"the journal's cursor is damaged", `{"v":1,"kind":"journald","journal":"--system"}`, records(8, 9), false, recorded(8, 9), time.Time{}, 8,
			"the cursor cannot be used: it is damaged: that is no cursor of the journal"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			j := newFakeJournal(t)
			j.write("all", tt.all)
			j.write("news", record(9))
			if tt.refuse {
				j.write("status", "1")
			}
			r := follow(t, j.source(StartEnd, zap.NewNop()), tt.cursor)
			r.caught(t, len(tt.want))
			r.stop(t)
			r.got(t, tt.want)
			g := r.gap(t)
			if !g.From.Equal(tt.from) || !g.To.Equal(start.Add(time.Duration(tt.to)*time.Second)) || !strings.Contains(g.Reason, tt.reason) {
				t.Errorf("gap %+v", g)
			}
			if calls := j.calls(); tt.refuse && !strings.Contains(calls[1], fmt.Sprintf("--since=@%d", c.Last.Unix())) {
				t.Errorf("calls %q", calls)
			}
		})
	}
}

func TestJournalRewrittenAtARotationIsNoGap(t *testing.T) {
	j := newFakeJournal(t)
	c := cursor{Version: cursorVersion, Kind: kindJournald, Journal: "s=c912;i=99;b=1", Last: start.Add(5 * time.Second)}
	j.write("all", records(5, 6)) // entry 5 under another cursor
	j.write("news", record(6))
	r := follow(t, j.source(StartEnd, zap.NewNop()), c.encode())
	r.caught(t, 2)
	r.got(t, recorded(5, 6))
	r.gapless(t)
}

func TestJournalctlThatEndsIsStartedAgain(t *testing.T) {
	j := newFakeJournal(t)
	j.write("once", "")
	j.write("all", record(0))
	log, logged := listening()
	r := follow(t, j.source(StartBeginning, log), "")
	if e := logged.next(t); e.ContextMap()["error"] != "journalctl ended: exit status 0" {
		t.Errorf("logged %+v", e)
	}
	r.until(t, "a second follower", func() bool { return len(j.calls()) == 4 })
	r.caught(t, 1)
	r.got(t, recorded(0, 0))
	r.gapless(t)
}

func TestJournalctlThatFailsIsReported(t *testing.T) {
	for _, tt := range []struct{ name, program, want string }{
		{"it is not there", "no such file", "start journalctl: "},
		{"it fails", "#!/bin/sh\necho 'No journal files were opened' >&2\nexit 3\n", `exit status 3: "No journal files were opened"`},
		{"it complains without end", "#!/bin/sh\nhead -c 300000 /dev/zero | tr '\\0' x >&2\nexit 3\n", `exit status 3: "` + strings.Repeat("x", maxComplaint) + `"`},
		{"it prints something else", "#!/bin/sh\nprintf 'A\\n'\n", "read from journalctl: unexpected EOF"},
		{"it prints no cursor", "#!/bin/sh\nprintf 'A=1\\n\\n'\n", "read from journalctl: this is not the journal export format: an entry without cursor"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			j := newFakeJournal(t)
			program := filepath.Join(j.dir, "missing")
			if strings.HasPrefix(tt.program, "#!") {
				j.write("other", tt.program)
				program = filepath.Join(j.dir, "other")
			}
			log, logged := listening()
			r := follow(t, newJournald(t, program, StartBeginning, log), "")
			for {
				e := logged.next(t)
				if text, ok := e.ContextMap()["error"].(string); ok {
					if !strings.Contains(text, tt.want) {
						t.Errorf("logged %q, want %q", text, tt.want)
					}
					break
				}
			}
			r.stop(t)
			for _, b := range r.batches {
				if b.Caught {
					t.Error("a failure counts as the end of the journal")
				}
			}
		})
	}
}

func TestJournalctlIsEndedWithFollow(t *testing.T) {
	j := newFakeJournal(t)
	j.write("journalctl", strings.Replace(script, "exec sleep", "echo $$ > pid; exec sleep", 1))
	r := follow(t, j.source(StartBeginning, zap.NewNop()), "")
	r.until(t, "follower", func() bool { _, err := os.Stat(filepath.Join(j.dir, "pid")); return err == nil })
	r.stop(t)
	pid, err := os.ReadFile(filepath.Join(j.dir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("kill", "-0", strings.TrimSpace(string(pid))).CombinedOutput(); err == nil {
		t.Errorf("the child still runs: %s", out)
	}
}

// TestRealJournal reads a journal file that systemd itself has written.
func TestRealJournal(t *testing.T) {
	remote := "/usr/lib/systemd/systemd-journal-remote"
	program, err := exec.LookPath("journalctl")
	if _, missing := os.Stat(remote); err != nil || missing != nil {
		if os.Getenv("SENDGATE_E2E") == "require" {
			t.Fatalf("journalctl: %v, %s: %v: install systemd-journal-remote, as contrib/test does", err, remote, missing)
		}
		t.Skipf("journalctl: %v, %s: %v", err, remote, missing)
	}
	path := filepath.Join(t.TempDir(), "mail.journal")
	write := func(from, to int) {
		t.Helper()
		var b strings.Builder
		for n := from; n <= to; n++ {
			at := start.Add(time.Duration(n) * time.Second).UnixMicro()
			fmt.Fprintf(&b, "__REALTIME_TIMESTAMP=%d\n__MONOTONIC_TIMESTAMP=%d\n_BOOT_ID=0123456789abcdef0123456789abcdef\n"+
				"_HOSTNAME=mx1\nSYSLOG_FACILITY=2\nSYSLOG_IDENTIFIER=postfix/smtp\n_PID=7\n%s\n", at, n*1000000+1, binaryField("MESSAGE", fmt.Sprintf("Q%04d", n)))
		}
		cmd := exec.Command(remote, "-o", path, "-")
		cmd.Stdin = strings.NewReader(b.String())
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	source := func() *journald {
		s := newJournald(t, program, StartBeginning, zap.NewNop())
		s.options = []string{"--file=" + path}
		return s
	}
	write(0, 50)
	r := follow(t, source(), "")
	r.caught(t, 51)
	write(51, 52) // while it is followed
	r.caught(t, 53)
	cursor := r.stop(t)
	r.got(t, recorded(0, 52))
	r.gapless(t)

	write(53, 54)
	again := follow(t, source(), cursor)
	again.caught(t, 2)
	again.stop(t)
	again.got(t, recorded(53, 54))
	again.gapless(t)

	path = filepath.Join(t.TempDir(), "other.journal") // the old one was removed
	write(60, 61)
	gap := follow(t, source(), cursor)
	gap.caught(t, 2)
	gap.stop(t)
	gap.got(t, recorded(60, 61))
	if g := gap.gap(t); g.From.Before(start.Add(52 * time.Second)) {
		t.Errorf("gap %+v", g)
	}
}
