package mailboxtest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Users is how many mailboxes a server has.
const Users = 400

// Password is everybody's.
const Password = "pw"

// The account that may act for everybody.
const (
	Master         = "master"
	MasterPassword = "masterpw"
)

// patience is long because the race detector and other tests may share two processors with a test.
const patience = 60 * time.Second

// lack skips a test that cannot be run here, or fails it where it has to be.
func lack(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("SENDGATE_E2E") == "require" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

func need(t testing.TB, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := os.Stat(p); err != nil {
			lack(t, "%s is not installed: see contrib/test", p)
		}
	}
	if os.Geteuid() != 0 {
		lack(t, "the mail server starts only as root")
	}
}

// directory makes a private directory that a server's own user may pass through.
func directory(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sendgate-mailbox-")
	must(t, err)
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("remove %s: %v", dir, err)
		}
	})
	must(t, os.Chmod(dir, 0o755))
	return dir
}

func write(t testing.TB, text string, path ...string) string {
	t.Helper()
	name := filepath.Join(path...)
	must(t, os.WriteFile(name, []byte(text), 0o644))
	return name
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// run runs a program to its end.
func run(t testing.TB, stdin, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stdin = bytes.NewReader([]byte(stdin))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

// addresses finds free ports below the range from which the kernel serves those who ask for port 0
// (ip(7)), so that nobody else gets them before the server starts.
func addresses(t testing.TB, n int) []string {
	t.Helper()
	var all []string
	for tries := 0; len(all) < n; tries++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000)))
		if err != nil && tries < 100 {
			continue
		}
		must(t, err)
		defer l.Close()
		all = append(all, l.Addr().String())
	}
	return all
}

func port(address string) string {
	_, p, _ := net.SplitHostPort(address)
	return p
}

// spawn runs a server in the foreground until the test ends. It is told to end, and so is what it started.
func spawn(t testing.TB, name string, args ...string) {
	t.Helper()
	var output bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	must(t, cmd.Start())
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-done:
		case <-time.After(patience):
			t.Errorf("%s does not end", name)
		}
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what it left
		<-done
		if t.Failed() {
			t.Logf("%s:\n%s", name, output.String())
		}
	})
}

// Eventually waits until the condition holds; the text says what was waited for.
func Eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !condition(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("waited %s in vain: %s", patience, what)
		}
	}
}

func answers(address string) bool {
	c, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return false
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Second))
	line := make([]byte, 4)
	_, err = c.Read(line)
	return err == nil && bytes.Equal(line, []byte("* OK"))
}

// A pile hands out users, each once.
type pile struct{ next atomic.Int64 }

// take gives the number of a user who was not taken yet.
func (p *pile) take(t testing.TB) int64 {
	t.Helper()
	n := p.next.Add(1) - 1
	if n >= Users {
		t.Fatal("there are no more users")
	}
	return n
}
