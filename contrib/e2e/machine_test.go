package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sendgate/sendgate/gateway/machinetest"
)

const patience = machinetest.Patience

var (
	need      = machinetest.Need
	lack      = machinetest.Lack
	required  = machinetest.Required
	directory = machinetest.Directory
	addresses = machinetest.Addresses
	port      = machinetest.Port
	write     = machinetest.Write
)

// The programs of Debian that the tests run.
const (
	postfixBin    = "/usr/sbin/postfix"
	smtpSourceBin = "/usr/sbin/smtp-source"
	dovecotBin    = "/usr/sbin/dovecot"
	swaksBin      = "/usr/bin/swaks"
)

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
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
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
