package main

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// supervise stands for systemd: it takes what a service tells.
func supervise(t *testing.T, socket string, env map[string]string) (*net.UnixConn, *manager, *observer.ObservedLogs) {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: strings.Replace(socket, "@", "\x00", 1), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	t.Setenv("NOTIFY_SOCKET", socket)
	for name, value := range env {
		t.Setenv(name, value)
	}
	core, logs := observer.New(zapcore.DebugLevel)
	return c, newManager(zap.New(core)), logs
}

// hear takes one message; empty when none comes.
func hear(t *testing.T, c *net.UnixConn) string {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4096)
	n, err := c.Read(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func TestSystemdIsTold(t *testing.T) {
	for _, socket := range []string{filepath.Join(t.TempDir(), "notify"), "@sendgate-test-" + strconv.Itoa(os.Getpid())} {
		c, m, _ := supervise(t, socket, nil)
		m.tell("READY=1", "STATUS=serving")
		if got := hear(t, c); got != "READY=1\nSTATUS=serving" {
			t.Errorf("%s: %q", socket, got)
		}
		if os.Getenv("NOTIFY_SOCKET") != "" {
			t.Error("programs that are started could speak in our name")
		}
		m.reloading(func() {})
		if got := hear(t, c); !strings.HasPrefix(got, "RELOADING=1\nMONOTONIC_USEC=") {
			t.Errorf("%q", got)
		}
		if got := hear(t, c); got != "READY=1" {
			t.Errorf("%q", got)
		}
		if err := m.patiently(func() error { return errors.New("the journal is damaged") }); err == nil {
			t.Error("the error is lost")
		}
		if got := hear(t, c); got != "EXTEND_TIMEOUT_USEC=60000000" {
			t.Errorf("%q", got)
		}
	}
}

func TestNobodyListens(t *testing.T) {
	m := newManager(zap.NewNop())
	m.tell("READY=1")
	m.watch(t.Context(), func(context.Context) error { t.Error("asked"); return nil })
	if err := m.patiently(func() error { return nil }); err != nil {
		t.Error(err)
	}
	_, m, logs := supervise(t, filepath.Join(t.TempDir(), "notify"), nil)
	m.socket = "/nowhere/notify"
	m.tell("READY=1")
	if logs.FilterMessage("systemd cannot be told how this service is").Len() != 1 {
		t.Errorf("%v", logs.All())
	}
}

func TestTheWatchdogIsToldOnlyWhileAllIsWell(t *testing.T) {
	c, m, logs := supervise(t, filepath.Join(t.TempDir(), "notify"), map[string]string{"WATCHDOG_USEC": "40000", "WATCHDOG_PID": strconv.Itoa(os.Getpid())})
	if m.watchdog != 40*time.Millisecond {
		t.Fatalf("every %v", m.watchdog)
	}
	var bad atomic.Bool
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.watch(ctx, func(context.Context) error {
			if bad.Load() {
				return errors.New("the journal\ndoes not commit")
			}
			return nil
		})
	}()
	for range 3 {
		if got := hear(t, c); got != "WATCHDOG=1" {
			t.Errorf("%q", got)
		}
	}
	bad.Store(true)
	const ill = "STATUS=the journal; does not commit"
	for got := ""; got != ill; { // after what was told while all was well
		if got = hear(t, c); got == "" {
			t.Fatal("it is not told what is wrong")
		}
	}
	if got := hear(t, c); got != ill {
		t.Errorf("%q", got)
	}
	bad.Store(false)
	for got := ""; got != "WATCHDOG=1"; {
		if got = hear(t, c); got == "" {
			t.Fatal("it is not told that all is well again")
		}
	}
	cancel()
	<-done
	if logs.FilterMessage("the watchdog is not told that all is well: systemd restarts the service unless this ends").Len() == 0 {
		t.Errorf("%v", logs.All())
	}
}

func TestAWatchdogOfAnotherProcess(t *testing.T) {
	_, m, _ := supervise(t, filepath.Join(t.TempDir(), "notify"), map[string]string{"WATCHDOG_USEC": "40000", "WATCHDOG_PID": "1"})
	if m.watchdog != 0 {
		t.Errorf("every %v", m.watchdog)
	}
}
