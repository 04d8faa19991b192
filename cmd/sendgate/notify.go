package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// A manager is systemd as far as a service of Type=notify speaks with it (sd_notify(3)). Where nobody listens, as in a
// container or at a terminal, all of it does nothing.
type manager struct {
	socket   string        // "" is nobody
	watchdog time.Duration // 0: nobody watches
	log      *zap.Logger
}

// More time that is asked for while the journal is opened or closed, and how often.
const (
	moreTime  = 60 * time.Second
	moreEvery = 20 * time.Second
)

// newManager takes from the environment whom to tell, and takes it out of there: programs that are started from here
// must not speak in our name.
func newManager(log *zap.Logger) *manager {
	m := &manager{socket: os.Getenv("NOTIFY_SOCKET"), log: log}
	usec, err := strconv.ParseUint(os.Getenv("WATCHDOG_USEC"), 10, 62)
	pid := os.Getenv("WATCHDOG_PID")
	if err == nil && (pid == "" || pid == strconv.Itoa(os.Getpid())) {
		m.watchdog = time.Duration(usec) * time.Microsecond
	}
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
		_ = os.Unsetenv(name) // fails for names that are none
	}
	return m
}

// tell sends assignments. What systemd does not hear it finds out by its timers.
func (m *manager) tell(assignments ...string) {
	if m.socket == "" {
		return
	}
	err := send(m.socket, strings.Join(assignments, "\n"))
	if err != nil {
		m.log.Warn("systemd cannot be told how this service is", zap.Error(err))
	}
}

func send(socket, text string) error {
	if strings.HasPrefix(socket, "@") {
		socket = "\x00" + socket[1:] // of the abstract namespace
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return err
	}
	_, err = c.Write([]byte(text))
	if closeErr := c.Close(); err == nil {
		err = closeErr
	}
	return err
}

// patiently asks for more time while something is done that takes as long as it takes.
func (m *manager) patiently(do func() error) error {
	if m.socket == "" {
		return do()
	}
	done := make(chan struct{})
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		tick := time.NewTicker(moreEvery)
		defer tick.Stop()
		for {
			m.tell("EXTEND_TIMEOUT_USEC=" + strconv.FormatInt(moreTime.Microseconds(), 10))
			select {
			case <-tick.C:
			case <-done:
				return
			}
		}
	}()
	err := do()
	close(done)
	<-asked
	return err
}

// reloading says that the configuration is read again, and after do that it is done.
func (m *manager) reloading(do func()) {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		m.log.Warn("the monotonic clock cannot be read", zap.Error(err))
	}
	m.tell("RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", now.Nano()/1000))
	do()
	m.tell("READY=1")
}

// watch tells the watchdog that all is well, twice in its time, as long as alive says so, until ctx ends.
func (m *manager) watch(ctx context.Context, alive func(context.Context) error) {
	if m.socket == "" || m.watchdog <= 0 {
		return
	}
	tick := time.NewTicker(m.watchdog / 2)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if err := alive(ctx); err == nil {
			m.tell("WATCHDOG=1")
		} else if ctx.Err() == nil {
			m.log.Error("the watchdog is not told that all is well: systemd restarts the service unless this ends", zap.Error(err))
			m.tell("STATUS=" + strings.ReplaceAll(err.Error(), "\n", "; "))
		}
	}
}
