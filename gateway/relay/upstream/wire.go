package upstream

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// bufferSize is what is gathered before something is written: a pipelined group of commands, or a
// message with its final dot, when it fits.
const bufferSize = 32 << 10

var errGone = errors.New("the connection is closed")

// buffers are shared by all connections of an upstream: a writer is needed only from the first
// command of a group to its flush, so that idle connections cost little.
type buffers struct {
	writers sync.Pool // of *bufio.Writer
	blocks  sync.Pool // of *[bufferSize]byte
}

func (b *buffers) writer(w *wire) *bufio.Writer {
	if bw, ok := b.writers.Get().(*bufio.Writer); ok {
		bw.Reset((*stream)(w))
		return bw
	}
	return bufio.NewWriterSize((*stream)(w), bufferSize)
}

func (b *buffers) block() *[bufferSize]byte {
	if p, ok := b.blocks.Get().(*[bufferSize]byte); ok {
		return p
	}
	return new([bufferSize]byte)
}

// A wire is a connection with buffers and a sliding deadline: no single read or write lasts longer
// than timeout. After the first error it is closed for good.
type wire struct {
	raw      net.Conn // what the server answered; closing it ends everything
	conn     net.Conn // raw, or TLS over it
	in       *bufio.Reader
	out      *bufio.Writer // nil between groups
	buffers  *buffers
	timeout  time.Duration
	deadline time.Time
	broken   bool
}

func newWire(conn net.Conn, b *buffers) *wire {
	w := &wire{raw: conn, conn: conn, buffers: b}
	w.in = bufio.NewReaderSize((*stream)(w), maxReplyLine)
	return w
}

// A stream is the wire as its buffers see it.
type stream wire

// Read reads from the connection.
func (s *stream) Read(p []byte) (int, error) {
	if err := (*wire)(s).arm(); err != nil {
		return 0, err
	}
	return s.conn.Read(p)
}

// Write writes to the connection.
func (s *stream) Write(p []byte) (int, error) {
	if err := (*wire)(s).arm(); err != nil {
		return 0, err
	}
	return s.conn.Write(p)
}

// arm moves the deadline when it has slipped by more than a sixteenth, so that a stream of small writes
// does not pay for a timer each.
func (w *wire) arm() error {
	want := time.Now().Add(w.timeout)
	if !w.deadline.IsZero() && w.deadline.Sub(want).Abs() <= w.timeout/16 {
		return nil
	}
	w.deadline = want
	return w.conn.SetDeadline(want)
}

// writer gives the buffer of the current group.
func (w *wire) writer() *bufio.Writer {
	if w.out == nil {
		w.out = w.buffers.writer(w)
	}
	return w.out
}

// flush sends the group in one write and gives the buffer back.
func (w *wire) flush() error {
	if w.broken {
		w.release()
		return errGone
	}
	if w.out == nil {
		return nil
	}
	err := w.out.Flush()
	w.release()
	if err != nil {
		w.close()
	}
	return err
}

// release forgets what was not flushed.
func (w *wire) release() {
	if w.out != nil {
		w.out.Reset(nil)
		w.buffers.writers.Put(w.out)
		w.out = nil
	}
}

// reply reads the next reply, waiting for at most timeout for each piece of it.
func (w *wire) reply(timeout time.Duration) (Reply, error) {
	if w.broken {
		return Reply{}, errGone
	}
	w.timeout = timeout
	r, err := readReply(w.in)
	if err != nil {
		w.close()
	}
	return r, err
}

// close drops the connection without a word; nothing that is still in the buffer is sent.
func (w *wire) close() error {
	w.release()
	if w.broken {
		return nil
	}
	w.broken = true
	return w.raw.Close()
}

// guard closes the connection when ctx ends. The returned function ends the guard.
func (w *wire) guard(ctx context.Context) (stop func() bool) {
	if ctx.Done() == nil {
		return func() bool { return true }
	}
	return context.AfterFunc(ctx, func() { w.raw.Close() })
}

// because gives the reason for an error: the end of the context, if that is why the connection was
// closed.
func because(ctx context.Context, doing string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return fmt.Errorf("%s: %w", doing, err)
}
