package doctor

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/gateway/postconf"
)

// TestMay computes what the kernel would say. A user that is nobody in particular has the rights of
// others.
func TestMay(t *testing.T) {
	me, stranger := person{uid: uint32(os.Geteuid())}, person{uid: 3_000_000_000}
	comrade := person{uid: 3_000_000_000, gids: []uint32{uint32(os.Getegid())}}
	owner := me
	if me.uid == 0 {
		owner = person{uid: 3_000_000_001} // as root nothing stops us: the file gets another owner
	}
	for name, c := range map[string]struct {
		who  person
		mode fs.FileMode
		want fs.FileMode
		may  bool
	}{
		"the owner may read":                    {owner, 0o400, reading, true},
		"the owner may not write":               {owner, 0o422, writing, false},
		"the owner's bits decide for the owner": {owner, 0o077, reading, false},
		"the group may write":                   {comrade, 0o020, writing, true},
		"the group's bits decide for the group": {comrade, 0o707, reading, false},
		"others may read":                       {stranger, 0o004, reading, true},
		"others may not write":                  {stranger, 0o774, writing, false},
		"root may do everything":                {person{}, 0, writing, true},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "file")
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if me.uid == 0 {
				if err := os.Chown(path, 3_000_000_001, -1); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Chmod(path, c.mode); err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if may, err := c.who.allowed(info, c.want); err != nil || may != c.may {
				t.Errorf("%v, %v", may, err)
			}
		})
	}
}

// TestMayNamesWhatStops names a directory on the way, also behind a link.
func TestMayNamesWhatStops(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	closed := filepath.Join(dir, "closed")
	if err := errors.Join(os.Mkdir(closed, 0o700), os.WriteFile(filepath.Join(closed, "file"), nil, 0o666),
		os.Symlink(closed, filepath.Join(dir, "link"))); err != nil {
		t.Fatal(err)
	}
	stranger := person{uid: 3_000_000_000}
	blocked, is := asBlocked(stranger.may(filepath.Join(dir, "link", "file"), reading))
	if !is || !strings.HasPrefix(closed, blocked.path) {
		t.Errorf("%v, %v", blocked, is)
	}
	if err := stranger.may(filepath.Join(dir, "none"), reading); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// unixMilter has the fake ask over a unix socket in its queue directory.
func unixMilter(f *fake, name string) string {
	f.t.Helper()
	path := filepath.Join(f.dir, name)
	l, err := net.Listen("unix", path)
	if err != nil {
		f.t.Fatal(err)
	}
	serve(f.t, l, answerNegotiation)
	f.subject.MilterListen = []string{"unix:" + path}
	return path
}

// TestSocket finds sockets that Postfix does not.
func TestSocket(t *testing.T) {
	for name, c := range map[string]struct {
		change func(f *fake, path string)
		check  string
		status Status
		found  string
		line   string
	}{
		"a path in the queue directory is found": {func(f *fake, _ string) {}, "milter-socket", OK, "may connect to", ""},
		"it is named in a chroot":                {func(f *fake, _ string) { f.service("smtp/inet", "smtpd", "y", "-") }, "milter-asked", OK, "smtp/inet asks sendgate", ""},
		"a full path means another place in a chroot": {func(f *fake, path string) {
			f.service("smtp/inet", "smtpd", "y", "-")
			f.main["smtpd_milters"] = "unix:" + path
		}, "milter-socket", Error, "smtp/inet runs in a chroot and looks for unix:", "postconf -e 'smtpd_milters = unix:milter.sock'"},
		"a socket beside the queue is out of reach": {func(f *fake, _ string) {
			f.service("smtp/inet", "smtpd", "y", "-")
			f.subject.MilterListen = []string{"unix:/run/sendgate/milter.sock"}
			f.main["smtpd_milters"] = "unix:/run/sendgate/milter.sock"
		}, "milter-socket", Error, "smtp/inet runs in a chroot", "milter.listen[0].address: unix:"},
		"a user of Postfix is unknown": {func(f *fake, _ string) { f.main["mail_owner"] = "nobody-of-this-name" }, "milter-socket", Skipped, "unknown user", ""},
		"a socket is not there":        {func(f *fake, path string) { f.subject.MilterListen[0] += "2"; f.main["smtpd_milters"] += "2" }, "milter-socket", Skipped, "no such file", ""},
		"TCP has no file":              {func(f *fake, _ string) { tcp(f) }, "milter-socket", OK, "over TCP", ""},
		"nobody asks":                  {func(f *fake, _ string) { asksNobody(f) }, "milter-socket", Skipped, "no service asks sendgate", ""},
		"the socket answers":           {func(f *fake, _ string) {}, "milter-listening", OK, "a milter answers on unix:", ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			path := unixMilter(f, "milter.sock")
			f.main["smtpd_milters"], f.main["non_smtpd_milters"] = "unix:milter.sock", "unix:milter.sock"
			c.change(f, path)
			found := f.of(c.check)
			if !slices.ContainsFunc(found, func(g Finding) bool {
				return g.Status == c.status && strings.Contains(g.Found.EN, c.found) &&
					(c.line == "" || slices.ContainsFunc(g.Change, func(l string) bool { return strings.HasPrefix(l, c.line) }))
			}) {
				t.Errorf("no %s with %q and %q in %+v", c.status, c.found, c.line, found)
			}
		})
	}
}

func tcp(f *fake) {
	f.subject.MilterListen = []string{"0.0.0.0:7357"}
	f.main["smtpd_milters"], f.main["non_smtpd_milters"] = "inet:localhost:7357", "inet:[::1]:7357"
}

// TestForeignSocket looks with the eyes of a user who is not let in.
func TestForeignSocket(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can be told from the user postfix here")
	}
	f := newFake(t)
	path := unixMilter(f, "milter.sock")
	f.main["smtpd_milters"], f.main["non_smtpd_milters"], f.main["mail_owner"] = "unix:milter.sock", "", "nobody"
	for _, mode := range []fs.FileMode{0o700, 0o755} {
		// t.TempDir is closed to others: what stops is either it or, below, the socket.
		for dir := f.dir; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
			if err := os.Chmod(dir, mode); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(path, 0o660); err != nil {
			t.Fatal(err)
		}
		g := f.of("milter-socket")[0]
		want, line := "user nobody may not pass through ", "chgrp 'nobody' '"
		if mode == 0o755 {
			want, line = "user nobody may not write "+path, "milter.listen[0].group: nobody"
		}
		if g.Status != Error || !strings.Contains(g.Found.EN, want) || !strings.HasPrefix(g.Change[0], line) {
			t.Errorf("%v: %+v", mode, g)
		}
	}
}

// TestMailLogOfOthers looks with the eyes of a user who may not read it.
func TestMailLogOfOthers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can be told from another user here")
	}
	f := newFake(t)
	f.main["maillog_file"], f.tools.User = f.file("mail.log", 0o640), "nobody"
	g := f.of("mail-log")[0]
	if g.Status != Warning || !strings.Contains(g.Found.EN, "user nobody may not read ") || g.Change[0] != "usermod -aG adm 'nobody'" {
		t.Errorf("%+v", g)
	}
}

// TestMailLogThatNobodyWrites compares the log with what Postfix has done since.
func TestMailLogThatNobodyWrites(t *testing.T) {
	last := time.Date(2026, 3, 2, 10, 0, 0, 0, time.Local)
	for outcome, c := range map[string]struct {
		started, worked time.Duration // after the last line; 0 for no such file
		want            Status
		text            string
	}{
		"Postfix was never started":  {0, 48 * time.Hour, OK, ", last written to at 2026-03-02 10:00:00"},
		"nothing happened since":     {-time.Hour, 0, OK, ", last written to at 2026-03-02 10:00:00"},
		"it works just now":          {-time.Hour, 59 * time.Minute, OK, ", last written to at 2026-03-02 10:00:00"},
		"it was started since":       {2 * time.Hour, 0, Warning, " was last written to at 2026-03-02 10:00:00, and Postfix was at work at 2026-03-02 12:00:00: it does not log there"},
		"mail went through it since": {-time.Hour, 48 * time.Hour, Warning, " was last written to at 2026-03-02 10:00:00, and Postfix was at work at 2026-03-04 10:00:00: it does not log there"},
	} {
		t.Run(outcome, func(t *testing.T) {
			f := newFake(t)
			f.main["maillog_file"] = f.file("mail.log", 0o600)
			touch(t, f.main["maillog_file"], last)
			if c.started != 0 {
				touch(t, filepath.Join(f.dir, "pid", "master.pid"), last.Add(c.started))
			}
			if c.worked != 0 {
				touch(t, filepath.Join(f.dir, "active"), last.Add(c.worked))
			}
			g := f.of("mail-log")
			if len(g) != 1 || g[0].Status != c.want || !strings.HasSuffix(g[0].Found.EN, f.main["maillog_file"]+c.text) {
				t.Fatalf("%+v", g)
			}
			if c.want == Warning && (!slices.Contains(g[0].Change, "postfix reload") || !strings.Contains(g[0].Found.ZH, "最后写入于 2026-03-02 10:00:00")) {
				t.Errorf("%+v", g[0])
			}
		})
	}
}

// touch makes a file that was changed at a time.
func touch(t *testing.T, path string, at time.Time) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}

// A log of syslog that nobody writes is no reason to look no further: what Postfix logs may be in the journal.
func TestMailLogOfSyslogThatNobodyWrites(t *testing.T) {
	for outcome, journal := range map[string]bool{"there is a journal": true, "there is none": false} {
		t.Run(outcome, func(t *testing.T) {
			f := newFake(t)
			f.main["maillog_file"] = ""
			old, other := filepath.Join(f.dir, "mail.log"), filepath.Join(f.dir, "journal", "id", "system.journal")
			touch(t, old, time.Now().Add(-72*time.Hour))
			touch(t, filepath.Join(f.dir, "pid", "master.pid"), time.Now())
			if journal {
				touch(t, other, time.Now())
			}
			e := &examination{tools: f.tools, report: &Report{}, euid: 0}
			e.mta, e.unread = postconf.Read(t.Context(), f.postconf)
			e.checkLogs([]string{old, filepath.Join(f.dir, "maillog")}, []string{filepath.Join(f.dir, "journal", "*", "system.journal")})
			g := e.report.Findings
			switch {
			case len(g) == 0 || g[0].Status != Warning || !strings.Contains(g[0].Found.EN, old+" was last written to at "):
				t.Fatalf("%+v", g)
			case journal && (len(g) != 2 || g[1].Status != OK || !strings.HasSuffix(g[1].Found.EN, " may read "+other) || !slices.Contains(g[0].Change, "track.sources: journald: true, in place of file: "+old)):
				t.Errorf("%+v", g)
			case !journal && (len(g) != 1 || !slices.Contains(g[0].Change, "apt-get install rsyslog")):
				t.Errorf("%+v", g)
			}
		})
	}
}

// TestNoMailLog names where it looked.
func TestNoMailLog(t *testing.T) {
	f := newFake(t)
	f.main["maillog_file"] = filepath.Join(f.dir, "none")
	g := f.of("mail-log")[0]
	if os.Geteuid() != 0 {
		if g.Status != Skipped || !strings.Contains(g.Found.EN, "no mail log is seen by this user") {
			t.Errorf("%+v", g)
		}
		return
	}
	if g.Status != Warning || !strings.Contains(g.Found.EN, "there is no mail log: looked for "+f.dir) {
		t.Errorf("%+v", g)
	}
}

// TestHelper looks at who listens, and what it answers.
func TestHelper(t *testing.T) {
	listen := func(f *fake) {
		f.t.Helper()
		f.subject.Helper = filepath.Join(f.dir, "helper.sock")
		l, err := net.Listen("unix", f.subject.Helper)
		if err != nil {
			f.t.Fatal(err)
		}
		serve(f.t, l, func(net.Conn) {})
	}
	root := os.Geteuid() == 0
	for name, c := range map[string]struct {
		change func(f *fake)
		root   bool // only root can play root's part
		status Status
		found  string
		line   string
	}{
		"nobody listens":     {func(*fake) {}, false, Error, "nobody answers on ", "systemctl enable --now sendgate-postfix-helper"},
		"it answers":         {listen, true, OK, "the helper answers on ", ""},
		"it is this program": {listen, true, OK, "runs this same program: ", ""},
		"it does not work": {func(f *fake) {
			listen(f)
			f.tools.AskHelper = func(context.Context) error { return errors.New("too many connections") }
		}, true, Error, "too many connections", "systemctl restart sendgate-postfix-helper"},
		"its directory is anybody's": {func(f *fake) {
			listen(f)
			if err := os.Chmod(f.dir, 0o777); err != nil {
				f.t.Fatal(err)
			}
		}, true, Warning, "can be written by others than root", "postfix.helper: /run/sendgate-helper/postfix.sock"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.root && !root {
				t.Skip("only root can play the helper")
			}
			f := newFake(t)
			c.change(f)
			found := f.of("helper")
			if !slices.ContainsFunc(found, func(g Finding) bool {
				return g.Status == c.status && strings.Contains(g.Found.EN, c.found) && (c.line == "" || slices.Contains(g.Change, c.line))
			}) {
				t.Errorf("no %s with %q in %+v", c.status, c.found, found)
			}
		})
	}
}

// TestClock never claims what the kernel does not say.
func TestClock(t *testing.T) {
	f := newFake(t)
	synchronized, _, err := clockState()
	g := f.of("clock")[0]
	want := map[bool]Status{true: OK, false: Warning}[synchronized]
	if err != nil {
		want = Skipped
	}
	if g.Status != want {
		t.Errorf("%+v, kernel says %v, %v", g, synchronized, err)
	}
}

// TestOtherUser is told what only root may look at.
func TestOtherUser(t *testing.T) {
	f := newFake(t)
	f.main["maillog_file"] = filepath.Join(f.dir, "none")
	m, err := postconf.Read(t.Context(), f.postconf)
	if err != nil {
		t.Fatal(err)
	}
	e := &examination{Subject: f.subject, tools: f.tools, euid: 3_000_000_000, mta: m, report: &Report{}}
	e.checkHelperRefusal(errors.New("you are not asked"))
	checkMailLog(t.Context(), e)
	for i, want := range []string{"you are not asked: only root and the gateway's user may ask", "no mail log is seen by this user"} {
		if g := e.report.Findings[i]; g.Status != Skipped || !strings.Contains(g.Found.EN, want) {
			t.Errorf("%+v", g)
		}
	}
}
