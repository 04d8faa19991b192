package postfix

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"go.uber.org/zap"
)

// scanDeferred makes the queue manager look through the deferred queue for what is due. Just
// released mail is; what waits for its retry keeps waiting (Postfix, global/mail_proto.h).
const scanDeferred = "D"

// scanPause keeps scans, each of which reads the whole deferred queue's directory, apart.
const scanPause = 100 * time.Millisecond

// A waker tells the queue manager to look, at most once in a scanPause.
type waker struct {
	trigger func() error
	asked   chan struct{}
	log     *zap.Logger
}

func newWaker(trigger func() error, log *zap.Logger) *waker {
	return &waker{trigger: trigger, asked: make(chan struct{}, 1), log: log}
}

// wake returns at once. A scan begins after it was called.
func (w *waker) wake() {
	select {
	case w.asked <- struct{}{}:
	default: // one is asked for that has not begun
	}
}

// run works until the context ends.
func (w *waker) run(ctx context.Context) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-pause.C:
		case <-ctx.Done():
			return
		}
		select {
		case <-w.asked:
		case <-ctx.Done():
			return
		}
		if err := w.trigger(); err != nil {
			w.log.Warn("cannot wake the queue manager; it looks by itself within queue_run_delay, or when Postfix starts",
				zap.Error(err))
		}
		pause.Reset(scanPause)
	}
}

// triggerQueueManager writes the octet to public/qmgr, which is a stream socket, or a FIFO where
// master.cf comes from a Postfix before 3.0.
func triggerQueueManager(queueDirectory string) error {
	name := filepath.Join(queueDirectory, "public", "qmgr")
	info, err := os.Stat(name)
	if err != nil {
		return fmt.Errorf("wake the queue manager: %w", err)
	}
	if info.Mode().Type() == fs.ModeNamedPipe {
		f, err := os.OpenFile(name, os.O_WRONLY|syscall.O_NONBLOCK, 0)
		if err != nil {
			return fmt.Errorf("wake the queue manager: %w", err)
		}
		defer f.Close()
		_, err = f.WriteString(scanDeferred)
		return err
	}
	c, err := net.DialTimeout("unix", name, time.Second)
	if err != nil {
		return fmt.Errorf("wake the queue manager: %w", err)
	}
	defer c.Close()
	if err := c.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	_, err = c.Write([]byte(scanDeferred))
	return err
}
