package postfix

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// fakeProgram is a program that stands in for one of Postfix's.
func fakeProgram(t *testing.T, script string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(name, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return name
}

// bench is a helper without Postfix: its queue directory holds what the test puts there.
type bench struct {
	socket, queue string
	server        *Server
	helper        *Helper
	logged        *observer.ObservedLogs
}

func startBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{socket: filepath.Join(t.TempDir(), "postfix.sock"), queue: t.TempDir()}
	if err := os.Mkdir(filepath.Join(b.queue, "hold"), 0o700); err != nil {
		t.Fatal(err)
	}
	core, logged := observer.New(zapcore.DebugLevel)
	b.logged = logged
	config := ServerConfig{Socket: b.socket, Config: "/c", UID: os.Getuid(), GID: os.Getgid()}
	s, err := newServer(config, layout{commands: "/nowhere", queue: b.queue, depth: 1}, zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	b.server = s
	if s.listener, err = net.Listen("unix", b.socket); err != nil {
		t.Fatal(err)
	}
	b.helper = New(Config{Helper: b.socket, Timeout: patience})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return b
}

// say sends octets to the helper and gives all that it answers.
func (b *bench) say(t *testing.T, octets string) string {
	t.Helper()
	c, err := net.Dial("unix", b.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(c, octets) // what is refused early cannot be written to its end
	if err := c.(*net.UnixConn).CloseWrite(); err != nil && !errors.Is(err, net.ErrClosed) {
		t.Logf("close: %v", err)
	}
	answer, err := io.ReadAll(c)
	if err != nil && len(answer) == 0 {
		t.Fatal(err)
	}
	return string(answer)
}

func TestGarbageIsRefused(t *testing.T) {
	b := startBench(t)
	for octets, want := range map[string]string{
		"":                       "the request cannot be understood: EOF",
		"q":                      "the request cannot be understood: unexpected EOF",
		"q\x00\x00\x00\x05ab":    "the request cannot be understood: frame ends after 2 of 5 octets",
		"q\x00\x00\x00\x02{}":    "\"\" is not one of list, hold, release, delete, expire, read",
		"x\x00\x00\x00\x02{}":    "the request cannot be understood: it is not a request frame",
		"GET / HTTP/1.1\r\n\r\n": "too large: at most 8388608",
		"q\x00\x80\x00\x01" + strings.Repeat("x", 8<<20): "frame of 8388609 octets: too large: at most 8388608",
	} {
		answer := b.say(t, octets)
		if !strings.HasPrefix(answer, "z\x00\x00") || !strings.Contains(answer, want) {
			t.Errorf("%.30q: %q, want %q", octets, answer, want)
		}
	}
	if n := b.logged.FilterMessage("refused").Len(); n != 7 {
		t.Errorf("%d refusals are logged", n)
	}
}

func TestTooManyConnections(t *testing.T) {
	b := startBench(t)
	for range maxConnections {
		c, err := net.Dial("unix", b.socket)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	err := b.helper.Ready(t.Context())
	if err == nil || !strings.Contains(err.Error(), "too many connections to the helper; try again") {
		t.Errorf("%v", err)
	}
}

func TestWhatPostsuperDoesNotDoHasFailed(t *testing.T) {
	b := startBench(t)
	file := filepath.Join(b.queue, "hold", "ABCDEF")
	if err := os.WriteFile(file, []byte(headRecords+"R\x08b@y.testM\x00N\x01x"+tailRecords), 0o700); err != nil {
		t.Fatal(err)
	}
	ask := []Identity{{ID: "ABCDEF", Arrival: time.Unix(1795286453, 0), Sender: "a@x.test"}}
	for script, want := range map[string]string{
		"exit 0": "postsuper has not found it, although it is in the queue: it is moving; ask again",
		"echo 'postsuper: fatal: disk on fire' >&2; exit 1": "program: exit status 1: postsuper: fatal: disk on fire",
	} {
		b.server.programs.postsuper = fakeProgram(t, script)
		for verb, act := range map[verb]func(context.Context, []Identity) ([]Result, error){
			verbDelete: b.helper.Delete, verbRelease: b.helper.Release, verbExpire: b.helper.Expire,
		} {
			results, err := act(t.Context(), ask)
			expect(t, string(verb), results, err, Failed)
			if results[0].Text != want {
				t.Errorf("%s: %s, want %s", verb, results[0].Text, want)
			}
		}
	}
	if b.logged.FilterMessage("cannot delete").Len() != 2 {
		t.Error("the failures are not logged")
	}
}

func TestWhatIsNotAQueueFileIsLeftAlone(t *testing.T) {
	b := startBench(t)
	b.server.programs.postsuper = fakeProgram(t, "echo ran >> "+filepath.Join(b.queue, "ran"))
	outside := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(outside, []byte(headRecords+"M\x00"+tailRecords), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(b.queue, "hold", "AAAAAA")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(b.queue, "hold", "BBBBBB"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.queue, "hold", "CCCCCC"), []byte("T\x01x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]string{
		"AAAAAA": "path escapes from parent",
		"BBBBBB": "not a queue file",
		"CCCCCC": "the queue file has no arrival time",
	} {
		_, _, err := b.helper.Read(t.Context(), Identity{ID: id})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("read %s: %v, want %s", id, err, want)
		}
	}
	if _, err := os.Stat(filepath.Join(b.queue, "ran")); err == nil {
		t.Error("postsuper was run")
	}
}

func TestListPassesOnWhatPostqueueSays(t *testing.T) {
	b := startBench(t)
	b.server.programs.postqueue = fakeProgram(t, `echo '{"queue_id": "ABCDEF"}'; echo 'postqueue: fatal: down' >&2; exit 69`)
	n := 0
	err := b.helper.List(t.Context(), nil, func(Queued) bool { n++; return true })
	if n != 1 || err == nil || err.Error() != "postfix helper: program: exit status 69: postqueue: fatal: down" {
		t.Errorf("%d lines, %v", n, err)
	}
	b.server.programs.postqueue = fakeProgram(t, `echo 'not json'`)
	err = b.helper.List(t.Context(), []string{"ABCDEF"}, func(Queued) bool { return true })
	if err == nil || !strings.Contains(err.Error(), "line of the queue listing: invalid character") {
		t.Errorf("%v", err)
	}
	b.server.programs.postqueue = fakeProgram(t, `while echo '{"queue_id": "ABCDEF"}'; do :; done`)
	err = b.helper.List(t.Context(), nil, func(Queued) bool { n++; return n < 5 })
	if err != nil || n != 5 {
		t.Errorf("list that is left early: %d lines, %v", n, err)
	}
	eventually(t, "postqueue ends when nobody listens", func() bool {
		return b.logged.FilterMessage("listed").Len() == 3
	})
}

// TestSilentHelper: somebody listens and says nothing.
func TestSilentHelper(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "postfix.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	h := New(Config{Helper: socket, Timeout: 50 * time.Millisecond})
	if _, err := h.Release(t.Context(), byID([]string{"ABCDEF"})); !errors.Is(err, ErrAway) {
		t.Errorf("%v, want ErrAway", err)
	}
	h = New(Config{Helper: socket, Timeout: patience})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Release(ctx, byID([]string{"ABCDEF"})); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want context.Canceled", err)
	}
}

// TestStrangeAnswers: the results must be those of the messages that were asked about.
func TestStrangeAnswers(t *testing.T) {
	for name, frames := range map[string]string{
		"none":          endFrame(nil),
		"another":       `r` + "\x00\x00\x00\x0f" + `{"id":"AAAAAA"}` + endFrame(nil),
		"one too many":  strings.Repeat(`r`+"\x00\x00\x00\x0f"+`{"id":"ABCDEF"}`, 2) + endFrame(nil),
		"no result":     `d` + "\x00\x00\x00\x0f" + `{"id":"ABCDEF"}` + endFrame(nil),
		"cut":           `r` + "\x00\x00\x00\x0f" + `{"id":"ABCDEF"}`,
		"not even JSON": `r` + "\x00\x00\x00\x01" + `{` + endFrame(nil),
	} {
		socket := filepath.Join(t.TempDir(), "postfix.sock")
		l, err := net.Listen("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			if c, err := l.Accept(); err == nil {
				_, _, _ = readFrame(c, maxRequest)
				_, _ = io.WriteString(c, frames)
				c.Close()
			}
		}()
		results, err := New(Config{Helper: socket, Timeout: patience}).Release(t.Context(), byID([]string{"ABCDEF"}))
		if !errors.Is(err, ErrAway) {
			t.Errorf("%s: %+v, %v, want ErrAway", name, results, err)
		}
		l.Close()
	}
}

func TestHelperRefusesToStart(t *testing.T) {
	if os.Geteuid() != 0 {
		if _, err := NewServer(t.Context(), ServerConfig{}, nil); !errors.Is(err, errNotRoot) {
			t.Errorf("%v, want errNotRoot", err)
		}
		return
	}
	postconf := fakeProgram(t, "echo 'postconf: fatal: no such directory' >&2; exit 1")
	for want, config := range map[string]ServerConfig{
		`"postfix.sock" is not an absolute path`: {Socket: "postfix.sock", Config: "/c", Postconf: postconf},
		"ask Postfix where things are: program: exit status 1: postconf: fatal: no such directory": {Socket: "/s", Config: "/c",
			Postconf: postconf},
		`directory "" of Postfix is not an absolute path`: {Socket: "/s", Config: "/c", Postconf: fakeProgram(t, "true")},
	} {
		if _, err := NewServer(t.Context(), config, nil); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listen(file, 0); err == nil || err.Error() != file+" is in the way: it is not a socket" {
		t.Errorf("%v", err)
	}
}

// TestTriggerReachesEitherKindOfQueueManager: a stream socket since Postfix 3.0, a FIFO before.
func TestTriggerReachesEitherKindOfQueueManager(t *testing.T) {
	for _, kind := range []string{"socket", "FIFO"} {
		queue := t.TempDir()
		name := filepath.Join(queue, "public", "qmgr")
		if err := os.Mkdir(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := triggerQueueManager(queue); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("no %s: %v", kind, err)
		}
		got := make(chan byte, 1)
		if kind == "socket" {
			l, err := net.Listen("unix", name)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go func() {
				if c, err := l.Accept(); err == nil {
					got <- firstOctet(c)
				}
			}()
		} else {
			if err := syscall.Mkfifo(name, 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := os.OpenFile(name, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			go func() { got <- firstOctet(f) }()
		}
		if err := triggerQueueManager(queue); err != nil {
			t.Fatal(err)
		}
		if b := <-got; b != 'D' {
			t.Errorf("%s: %q", kind, b)
		}
	}
}

func firstOctet(r io.ReadCloser) byte {
	defer r.Close()
	b := []byte{0}
	_, _ = io.ReadFull(r, b)
	return b[0]
}

func TestSocketDirectoryIsRootsAlone(t *testing.T) {
	for mode, refused := range map[os.FileMode]bool{0o755: false, 0o700: false, 0o775: true, 0o777: true} {
		dir := filepath.Join(t.TempDir(), "socket")
		if err := errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, mode)); err != nil {
			t.Fatal(err)
		}
		err := onlyRootWrites(dir)
		if got := err != nil && strings.Contains(err.Error(), "can be written by others than root"); got != (refused || os.Geteuid() != 0) {
			t.Errorf("mode %v: %v", mode, err)
		}
	}
}
