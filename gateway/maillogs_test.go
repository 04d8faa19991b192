package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/gateway/machinetest"
	"github.com/sendgate/sendgate/gateway/maillog"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// A scribe is the mail log of a journal, while it runs.
type scribe struct {
	t       *testing.T
	journal *store.Store
	*mailLog
	own  *observer.ObservedLogs // what it says of itself
	stop func()
}

// scribeOf writes the mail log of a journal as the configuration says, until it is stopped.
func scribeOf(t *testing.T, journal *store.Store, to maillog.Config) *scribe {
	t.Helper()
	core, own := observer.New(zapcore.DebugLevel)
	cfg := DefaultConfig()
	cfg.Hostname, cfg.Log.Mail = "gw.test", to
	l, err := openMailLog(&cfg, journal, newFacts(journal), zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.run(ctx) }()
	stopped := false
	s := &scribe{t: t, journal: journal, mailLog: l, own: own, stop: func() {
		if cancel(); !stopped {
			if stopped = true; errors.Join(<-done) != nil {
				t.Error("the mail log has ended the gateway")
			}
		}
	}}
	t.Cleanup(s.stop)
	return s
}

// accepts has the journal take so many messages, and gives the lines that they are to have.
func (s *scribe) accepts(n int) (want []string) {
	s.t.Helper()
	for range n {
		e, id := envelope("bob@x.test"), s.journal.NewID()
		_, err := s.journal.Commit(s.t.Context(), store.Change{Message: id, Envelope: &e, Events: []policy.Event{
			{Kind: policy.Accepted, Time: e.Received}, {Kind: policy.Held, Time: e.Received, Rule: "default", Until: e.Received.Add(time.Hour)},
		}})
		if err != nil {
			s.t.Fatal(err)
		}
		want = append(want, "accepted "+id.String(), "held "+id.String())
	}
	return want
}

var verbAndID = regexp.MustCompile(`(?:^|: )([a-z_]+) id=([0-9A-Z]{26}|-) `)

// verbs gives the verb and the id of each line of files, the older file first; a file that is not there has none.
func verbs(t *testing.T, files ...string) (all []string) {
	t.Helper()
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			m := verbAndID.FindStringSubmatch(line)
			if m == nil {
				t.Fatalf("this is no line of the mail log: %q", line)
			}
			all = append(all, m[1]+" "+m[2])
		}
	}
	return all
}

// writes waits for these lines, and holds that there are no others.
func (s *scribe) writes(want []string, files ...string) {
	s.t.Helper()
	machinetest.Eventually(s.t, fmt.Sprintf("%d lines", len(want)), func() bool { return len(verbs(s.t, files...)) >= len(want) })
	if got := verbs(s.t, files...); !slices.Equal(got, want) {
		s.t.Errorf("%q, want %q", got, want)
	}
}

func toFile(path string) maillog.Config { return maillog.Config{To: maillog.ToFile, File: path} }

func TestTheMailLogHasOneLineForEachEvent(t *testing.T) {
	file := filepath.Join(t.TempDir(), "mail.log")
	s := scribeOf(t, openStore(t), toFile(file))
	want := s.accepts(3)
	s.writes(want, file)
	s.voice.Info("refused", zap.String("sender", "eve@corp.test"), zap.String("reply", "550 5.7.1 no")) // a front, before there is a message
	s.voice.Info("held", zap.String("id", "of which the journal has the event"))
	want = append(want, "refused -")
	s.writes(want, file)
	s.voice.Warn("the disk is slow")
	if s.own.FilterMessage("the disk is slow").Len() != 1 || s.own.FilterMessage("refused").Len() != 0 {
		t.Errorf("among the other lines: %+v", s.own.All())
	}
	if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), `refused id=- queue_id=- sender=<eve@corp.test> rule=- reply="550 5.7.1 no"`) ||
		!strings.Contains(string(text), " gw.test sendgate[") {
		t.Errorf("%v\n%s", err, text)
	}
	s.stop()
	again := scribeOf(t, s.journal, toFile(file))
	again.writes(append(want, again.accepts(1)...), file)
}

// TestTheMailLogIsReopened renames the file, as logrotate does, and asks for a new one, as SIGHUP does.
func TestTheMailLogIsReopened(t *testing.T) {
	file := filepath.Join(t.TempDir(), "mail.log")
	s := scribeOf(t, openStore(t), toFile(file))
	before := s.accepts(2)
	s.writes(before, file)
	if err := os.Rename(file, file+".1"); err != nil {
		t.Fatal(err)
	}
	(&Gateway{mailLog: s.mailLog}).ReopenLogs()
	machinetest.Eventually(t, "there is a new file", func() bool { _, err := os.Stat(file); return err == nil })
	after := s.accepts(2)
	s.writes(after, file)
	s.writes(before, file+".1")
}

// TestAMailLogThatCannotBeWritten has mail go on, says so, and makes up for it.
func TestAMailLogThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	blocked := filepath.Join(dir, "blocked")
	for _, tt := range []struct {
		outcome    string
		file       string
		spoil      func() error // while it runs; the lines before are written already
		heal       func() error
		want       string
		keepsFirst bool // what was written before lies beside it
	}{
		{
			"the directory is not there yet", filepath.Join(dir, "later", "mail.log"), nil,
			func() error { return os.Mkdir(filepath.Join(dir, "later"), 0o700) }, "open the mail log: open ", false,
		},
		{
			"a directory has its name", blocked, func() error { return errors.Join(os.Rename(blocked, blocked+".1"), os.Mkdir(blocked, 0o700)) },
			func() error { return os.Remove(blocked) }, "is a directory", true,
		},
		{
			"the directory vanishes", filepath.Join(dir, "gone", "mail.log"),
			func() error { return os.Rename(filepath.Join(dir, "gone"), filepath.Join(dir, "gone.1")) },
			func() error { return os.Mkdir(filepath.Join(dir, "gone"), 0o700) }, "no such file or directory", true,
		},
	} {
		t.Run(tt.outcome, func(t *testing.T) {
			files := []string{tt.file}
			if tt.keepsFirst {
				if err := os.MkdirAll(filepath.Dir(tt.file), 0o700); err != nil {
					t.Fatal(err)
				}
				files = []string{strings.Replace(tt.file, "gone", "gone.1", 1), tt.file}
				if tt.file == blocked {
					files[0] += ".1"
				}
			}
			s := scribeOf(t, openStore(t), toFile(tt.file))
			var want []string
			if tt.spoil != nil {
				want = s.accepts(1)
				s.writes(want, tt.file)
				if err := tt.spoil(); err != nil {
					t.Fatal(err)
				}
				s.Reopen()
			}
			want = append(want, s.accepts(2)...) // nobody waits for the log
			machinetest.Eventually(t, "it says that it cannot", func() bool { return s.Err() != nil })
			if err := s.Err(); !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, without %q", err, tt.want)
			}
			if p := part("mail log", s.Err()); p.OK || p.Decides {
				t.Errorf("for who asks whether it is ready: %+v", p)
			}
			if err := tt.heal(); err != nil {
				t.Fatal(err)
			}
			machinetest.Eventually(t, "it can be written again", func() bool { return s.Err() == nil })
			want = append(want, s.accepts(1)...)
			s.writes(want, files...)
			if n := s.own.FilterMessage("the mail log cannot be written; its lines wait").Len(); n != 1 {
				t.Errorf("it is said %d times that it cannot be written", n)
			}
		})
	}
}

// TestLinesWaitForTheNextStart has a log that could not be written until the process ended.
func TestLinesWaitForTheNextStart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	file, journal := filepath.Join(dir, "mail.log"), openStore(t)
	s := scribeOf(t, journal, toFile(file))
	want := s.accepts(3)
	machinetest.Eventually(t, "it says that it cannot", func() bool { return s.Err() != nil })
	s.stop()
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	again := scribeOf(t, journal, toFile(file))
	again.writes(append(want, again.accepts(1)...), file)
}

// TestASyslogDaemonThatIsAwayForAWhile takes the socket away and makes it anew, as a daemon does that is restarted.
func TestASyslogDaemonThatIsAwayForAWhile(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "log")
	listen := func() *net.UnixConn {
		t.Helper()
		c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	var got []string
	hear := func(c *net.UnixConn, lines int) {
		t.Helper()
		b := make([]byte, 16<<10)
		for range lines {
			if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			n, err := c.Read(b)
			m := verbAndID.FindStringSubmatch(string(b[:n]))
			if err != nil || m == nil {
				t.Fatalf("%v: %q", err, b[:n])
			}
			got = append(got, m[1]+" "+m[2])
		}
	}
	c := listen()
	s := scribeOf(t, openStore(t), maillog.Config{To: maillog.ToSyslog, Syslog: "unix://" + socket})
	want := s.accepts(2)
	hear(c, 4)
	if err := errors.Join(c.Close(), os.Remove(socket)); err != nil {
		t.Fatal(err)
	}
	want = append(want, s.accepts(2)...)
	machinetest.Eventually(t, "it says that nobody is there", func() bool { return s.Err() != nil })
	if err := s.Err(); !strings.Contains(err.Error(), socket) {
		t.Error(err)
	}
	c = listen()
	defer c.Close()
	want = append(want, s.accepts(1)...)
	hear(c, 6)
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	machinetest.Eventually(t, "all is well", func() bool { return s.Err() == nil })
}

// TestTheMailLogEndsWithTheJournal is the order of a shutdown, and no trouble.
func TestTheMailLogEndsWithTheJournal(t *testing.T) {
	cfg := store.DefaultConfig()
	cfg.Dir, cfg.Node, cfg.Now, cfg.Log, cfg.MinFree = t.TempDir(), "test", time.Now, zap.NewNop(), 64
	journal, err := store.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "mail.log")
	s := scribeOf(t, journal, toFile(file))
	s.writes(s.accepts(1), file)
	if err := journal.Close(); err != nil {
		t.Fatal(err)
	}
	s.stop()
	if n := s.own.FilterLevelExact(zapcore.ErrorLevel).Len(); n != 0 {
		t.Errorf("%+v", s.own.All())
	}
	main := DefaultConfig()
	main.Log.Mail = toFile(file)
	_, err = openMailLog(&main, journal, newFacts(journal), zap.NewNop())
	if !errors.Is(err, store.ErrClosed) || !strings.HasPrefix(err.Error(), "read the place of the mail log: ") {
		t.Errorf("of a journal that is closed: %v", err)
	}
}
