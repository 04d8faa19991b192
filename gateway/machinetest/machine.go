// Package machinetest is what tests need of their machine that start other people's servers on it, such as Postfix
// and Dovecot: programs that have to be there, private directories, ports, patience.
//
// # Failure
//
// Where a program or root is missing a test is skipped, and says what; with SENDGATE_E2E=require in the environment, as
// the project's test script sets it, the test fails.
package machinetest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// Patience is how long a test waits for something that takes a moment. It is long because the race detector and other
// tests may share two processors with it.
const Patience = 60 * time.Second

// Required reports whether a test that cannot be run here fails.
func Required() bool { return os.Getenv("SENDGATE_E2E") == "require" }

// Lack skips a test that cannot be run here, or fails it where it has to be.
func Lack(t testing.TB, format string, args ...any) {
	t.Helper()
	if Required() {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// Need lacks programs that are not installed, and root, without which mail servers do not start.
func Need(t testing.TB, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := os.Stat(p); err != nil {
			Lack(t, "%s is not installed: see contrib/test", p)
		}
	}
	if os.Geteuid() != 0 {
		Lack(t, "mail servers start only as root")
	}
}

// Directory makes a private directory that a server's own users may pass through; those of [testing.T.TempDir] are
// closed to them.
func Directory(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sendgate-test-")
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

// Write makes a file, and the directories above it.
func Write(t testing.TB, text string, path ...string) (name string) {
	t.Helper()
	name = filepath.Join(path...)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// given counts the ports that this process has tried. It gives none twice: what a test has not listened on yet, or is
// about to listen on again, must not become another's.
var given atomic.Uint32

// Addresses finds free ports, all different.
func Addresses(t testing.TB, n int) (all []string) {
	t.Helper()
	for tries := 0; len(all) < n; tries++ {
		// Below the range from which the kernel serves everybody who asks for port 0 (ip(7)): it would
		// give the port away again before the program that it is for has started. Processes that run at
		// the same time begin far from each other.
		port := 10_000 + (uint32(os.Getpid())*611+given.Add(1))%20_000
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
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

// Port is the port of an address.
func Port(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

// Eventually waits until the condition holds; the text says what was waited for.
func Eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.NewTimer(Patience)
	defer deadline.Stop()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for !condition() {
		select {
		case <-deadline.C:
			t.Fatalf("after %v still not: %s", Patience, what)
		case <-again.C:
		}
	}
}
