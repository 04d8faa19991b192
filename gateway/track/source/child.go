package source

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// A child is a running journalctl and the goroutine that reads it.
type child struct {
	cmd     *exec.Cmd
	out     io.Closer
	cancel  context.CancelFunc
	entries chan *entry // closed at the end of what it prints
	failed  error       // why reading ended; read after entries is closed
	stderr  complaint
}

// A complaint keeps the first octets written to it.
type complaint struct{ text []byte }

const maxComplaint = 1024

// Write never fails, so that the child is not stopped by it.
func (c *complaint) Write(p []byte) (int, error) {
	c.text = append(c.text, p[:min(len(p), maxComplaint-len(c.text))]...)
	return len(p), nil
}

// startChild starts a program and reads entries from it.
func startChild(ctx context.Context, program string, args []string) (*child, error) {
	ctx, cancel := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, program, args...)
	c := &child{cmd: cmd, cancel: cancel, entries: make(chan *entry, 256)}
	cmd.Env = append(os.Environ(), "LC_ALL=C", "SYSTEMD_COLORS=0")
	cmd.Stderr = &c.stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		return nil, fmt.Errorf("start journalctl: %w", err)
	}
	c.out = out
	go c.read(ctx, out)
	return c, nil
}

// read ends with the output, or when nobody wants more.
func (c *child) read(ctx context.Context, out io.Reader) {
	defer close(c.entries)
	r := exportReader{bufio.NewReaderSize(out, chunk)}
	for {
		e, err := r.next()
		switch {
		case errors.Is(err, io.EOF):
			return
		case ctx.Err() != nil:
			return
		case err != nil:
			c.failed = fmt.Errorf("read from journalctl: %w", err)
			return
		case e.cursor == "":
			c.failed = fmt.Errorf("read from journalctl: %w: an entry without cursor", errExport)
			return
		}
		select {
		case c.entries <- e:
		case <-ctx.Done():
			return
		}
	}
}

// errEnded stands for an end without any sign of failure.
var errEnded = errors.New("exit status 0")

// stop ends the child if it still prints and says why it ended; nil is success.
func (c *child) stop() error {
	select {
	case _, open := <-c.entries:
		if open {
			c.end()
		}
	default:
		c.end()
	}
	for range c.entries { // so that its reader ends
	}
	if c.failed != nil {
		c.end()
	}
	err := c.cmd.Wait() // after the end of its output it ends by itself
	c.cancel()
	if text := c.said(); err != nil && text != "" {
		err = fmt.Errorf("%w: %q", err, text)
	}
	return errors.Join(c.failed, err)
}

// end tells the child to end, kills it later, and ends its reader.
func (c *child) end() {
	c.cancel()
	c.out.Close()
}

// said is what it wrote to its standard error, after stop.
func (c *child) said() string { return strings.TrimSpace(string(c.stderr.text)) }

// refusedCursor says whether the complaint is about the cursor ("Failed to seek to cursor: Invalid
// argument").
func (c *child) refusedCursor() bool { return strings.Contains(c.said(), "to cursor") }
