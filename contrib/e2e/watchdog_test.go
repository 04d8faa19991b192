package e2e

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestTheWatchdogOfSystemd has sendgate be unable to take connections: then systemd hears nothing of all being well.
func TestTheWatchdogOfSystemd(t *testing.T) {
	socket := startNotify(t)
	t.Setenv("WATCHDOG_USEC", "1000000")
	world := startSink(t)
	g := startGateway(t, settings{upstream: fmt.Sprintf("servers: [{address: %q}]\ntls: none\n", world.address), hold: time.Minute})
	socket.hears(t, "READY=1")
	socket.hears(t, "WATCHDOG=1")
	socket.hears(t, "WATCHDOG=1")
	pid := g.process.command.Process.Pid
	few := descriptors(t, pid, 0)
	over, ended := make(chan struct{}), make(chan struct{})
	go func() { // somebody who knocks
		defer close(ended)
		for {
			select {
			case <-over:
				return
			case <-time.After(50 * time.Millisecond):
				answers(g.smtp, "220 ")
			}
		}
	}()
	// No socket can be made either, and systemd hears nothing: it would restart the service after WatchdogSec.
	quiet := 0
	eventually(t, "systemd hears nothing twice in turn", func() bool {
		if quiet++; socket.hear(t) != "" {
			quiet = 0
		}
		return quiet == 2
	})
	descriptors(t, pid, few)
	socket.hears(t, "WATCHDOG=1")
	close(over)
	<-ended
	check(t, g.process.command.Process.Signal(syscall.SIGHUP))
	socket.hears(t, "RELOADING=1")
	socket.hears(t, "READY=1")
}

// A notified is where a service tells systemd how it is.
type notified struct{ *net.UnixConn }

// startNotify stands for systemd in the environment of what is started from now on.
func startNotify(t *testing.T) notified {
	t.Helper()
	name := filepath.Join(directory(t), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	check(t, err)
	t.Cleanup(func() { check(t, c.Close()) })
	t.Setenv("NOTIFY_SOCKET", name)
	return notified{c}
}

// hear gives what is told next, and nothing when that takes three seconds.
func (n notified) hear(t *testing.T) string {
	t.Helper()
	check(t, n.SetReadDeadline(time.Now().Add(3*time.Second)))
	b := make([]byte, 4096)
	size, err := n.Read(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ""
	}
	check(t, err)
	return string(b[:size])
}

// hears waits until something is told that begins so.
func (n notified) hears(t *testing.T, words string) (text string) {
	t.Helper()
	eventually(t, "systemd hears "+words, func() bool {
		text = n.hear(t)
		return strings.HasPrefix(text, words)
	})
	return text
}

// descriptors bounds the descriptors of a process, and gives the bound there was.
func descriptors(t *testing.T, pid int, most uint64) (before uint64) {
	t.Helper()
	var limit unix.Rlimit
	check(t, unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &limit))
	before, limit.Cur = limit.Cur, most
	check(t, unix.Prlimit(pid, unix.RLIMIT_NOFILE, &limit, nil))
	return before
}
