package e2e

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for something that takes a moment. It is long because the race
// detector and other tests may share two processors with it.
const patience = 60 * time.Second

// The programs of Debian that the tests run.
const (
	postfixBin    = "/usr/sbin/postfix"
	smtpSourceBin = "/usr/sbin/smtp-source"
	dovecotBin    = "/usr/sbin/dovecot"
	swaksBin      = "/usr/bin/swaks"
)

// need skips the test where a program or root is missing, or fails it where they are required.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := os.Stat(p); err != nil {
			lack(t, "%s is not installed: see contrib/test", p)
		}
	}
	if os.Geteuid() != 0 {
		lack(t, "Postfix starts only as root")
	}
}

func lack(t *testing.T, format string, args ...any) {
	t.Helper()
	if required() {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

func required() bool { return os.Getenv("SENDGATE_E2E") == "require" }

// directory makes a private directory that the users of Postfix and Dovecot may pass through;
// those of t.TempDir are closed to them.
func directory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sendgate-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("remove %s: %v", dir, err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// addresses finds free ports, all different.
func addresses(t *testing.T, n int) []string {
	t.Helper()
	var all []string
	for tries := 0; len(all) < n; tries++ {
		// Below the range from which the kernel serves everybody who asks for port 0 (ip(7)): it would
		// give the port away again before the program that it is for has started.
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000)))
		if err != nil && tries < 100 {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		all = append(all, l.Addr().String())
	}
	return all
}

func port(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

func write(t *testing.T, text string, path ...string) string {
	t.Helper()
	name := filepath.Join(path...)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// eventually waits until the condition holds; the text says what was waited for.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	within(t, patience, what, condition)
}

// within is eventually with another patience.
func within(t *testing.T, patience time.Duration, what string, condition func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for !condition() {
		select {
		case <-deadline.C:
			t.Fatalf("after %v still not: %s", patience, what)
		case <-t.Context().Done():
			t.Fatalf("the test ended before: %s", what)
		case <-again.C:
		}
	}
}

// answers reports whether something listens there and sends the greeting.
func answers(address, greeting string) bool {
	conn, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	b := make([]byte, len(greeting))
	_, err = conn.Read(b)
	return err == nil && string(b) == greeting
}

// A process is a child that is ended with the test.
type process struct {
	command *exec.Cmd
	output  *bytes.Buffer // both streams; read after the end only
	done    chan error
}

// spawn starts a child in its own process group.
func spawn(t *testing.T, name string, args ...string) *process {
	t.Helper()
	p := &process{command: exec.Command(name, args...), output: new(bytes.Buffer), done: make(chan error, 1)}
	p.command.Stdout, p.command.Stderr = p.output, p.output
	p.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.done <- p.command.Wait() }()
	return p
}

// stop asks the child to end, and makes it end when it does not.
func (p *process) stop(t *testing.T) error {
	t.Helper()
	_ = p.command.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-p.done:
		return err
	case <-time.After(patience):
		_ = p.command.Process.Kill()
		return fmt.Errorf("killed, because it had not ended %v after SIGTERM: %w", patience, <-p.done)
	}
}

// run gives the output of a program and its exit status.
func run(t *testing.T, name string, args ...string) (string, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	command := exec.CommandContext(ctx, name, args...)
	// A daemon that the program starts keeps its output open.
	command.WaitDelay = 5 * time.Second
	out, err := command.CombinedOutput()
	if command.ProcessState == nil || ctx.Err() != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out), command.ProcessState.ExitCode()
}
