package mailboxtest

import (
	"bytes"
	"net"
	"os/exec"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sendgate/sendgate/gateway/machinetest"
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
		case <-time.After(machinetest.Patience):
			t.Errorf("%s does not end", name)
		}
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what it left
		<-done
		if t.Failed() {
			t.Logf("%s:\n%s", name, output.String())
		}
	})
}

func answers(address string) bool {
	c, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return false
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
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
