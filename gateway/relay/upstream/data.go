package upstream

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// ErrInDoubt is returned by Commit when the final dot was sent and no answer came: the server may
// have taken the message or not.
var ErrInDoubt = errors.New("the connection was lost after the message was sent: it may have been taken")

// ErrAborted is returned for a body that was given up.
var ErrAborted = errors.New("the message was given up")

// lateTimeout is how long we look for an answer that was sent before the connection broke.
const lateTimeout = time.Second

// Data is the body of a message on its way. Lines that begin with a dot get another (RFC 5321 4.5.2), a missing
// last CRLF is added, nothing else is changed. The message is given away by Commit and by nothing
// else: a Data that is dropped, aborted, or whose writing failed has never sent its final dot.
type Data struct {
	c       *Conn
	out     *bufio.Writer
	ctx     context.Context
	stop    func() bool
	last    [2]byte // the last octets written
	early   Reply
	err     error // why writing failed
	done    bool
	replies int
}

// Data sends DATA. When the server does not ask for the body, its Reply says why and the Data is nil. ctx
// holds until Commit or Abort.
func (c *Conn) Data(ctx context.Context) (*Data, Reply, error) {
	stop := c.guard(ctx)
	r, err := c.startData()
	if err != nil || r.Code != 354 {
		c.unguard(stop)
		return nil, r, because(ctx, "DATA", err)
	}
	d := c.body(ctx)
	d.stop = stop
	return d, r, nil
}

func (c *Conn) startData() (Reply, error) {
	c.timeout = c.up.config.Timeouts.Command
	c.writer().WriteString("DATA\r\n")
	if err := c.flush(); err != nil {
		return Reply{}, err
	}
	r, err := c.reply(c.up.config.Timeouts.Data)
	switch {
	case err != nil:
		return Reply{}, err
	case r.Code < 400 && r.Code != 354:
		c.close()
		return Reply{}, fmt.Errorf("%w: %s is no answer to DATA", errReplyForm, r)
	case r.closing():
		c.close()
	}
	return r, nil
}

// body is what follows a 354.
func (c *Conn) body(ctx context.Context) *Data {
	c.timeout = c.up.config.Timeouts.Block
	d := &Data{c: c, out: c.writer(), ctx: ctx, last: [2]byte{'\r', '\n'}, replies: 1}
	if c.up.config.Protocol == LMTP {
		d.replies = c.accepted // RFC 2033 4.2
	}
	return d
}

// Write sends a piece of the body.
func (d *Data) Write(p []byte) (int, error) {
	if d.done {
		return 0, ErrAborted
	}
	if d.err == nil {
		d.err = d.write(p)
	}
	if d.err != nil {
		d.fail()
		return 0, because(d.ctx, "send the message", d.err)
	}
	return len(p), nil
}

// write stuffs dots after any LF, so that servers which take a bare one for an end of line cannot be
// made to see an end of the message either. None comes here.
func (d *Data) write(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	if p[0] == '.' && d.last[1] == '\n' {
		d.out.WriteByte('.')
	}
	d.remember(p)
	for {
		i := bytes.Index(p, lineDot)
		if i < 0 {
			_, err := d.out.Write(p)
			return err
		}
		d.out.Write(p[:i+1])
		if err := d.out.WriteByte('.'); err != nil {
			return err
		}
		p = p[i+1:]
	}
}

var lineDot = []byte("\n.")

func (d *Data) remember(p []byte) {
	if len(p) == 1 {
		d.last = [2]byte{d.last[1], p[0]}
		return
	}
	d.last = [2]byte(p[len(p)-2:])
}

// ReadFrom sends everything of r. An error that is not the server's is the reader's, and the body
// must then be aborted.
func (d *Data) ReadFrom(r io.Reader) (n int64, err error) {
	block := d.c.up.buffers.block()
	defer d.c.up.buffers.blocks.Put(block)
	for {
		m, err := r.Read(block[:])
		if m > 0 {
			if _, err := d.Write(block[:m]); err != nil {
				return n, err
			}
			n += int64(m)
		}
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, fmt.Errorf("read the message: %w", err)
		}
	}
}

// Early is the refusal that the server gave before the end, found when a write had failed: servers
// say 552 and close when a message is too large.
func (d *Data) Early() (Reply, bool) { return d.early, d.early.Code != 0 }

// fail closes the connection after a write that failed, having looked for an answer.
func (d *Data) fail() {
	if d.c.broken {
		return
	}
	d.out = nil
	d.c.release()
	if d.ctx.Err() == nil {
		if r, err := d.c.reply(lateTimeout); err == nil && r.Code >= 400 {
			d.early = r
		}
	}
	d.c.close()
}

// Commit sends the final dot and reads the answer: one for SMTP, one for each accepted recipient for LMTP. An error that is
// ErrInDoubt means that the dot was sent; the replies that came before it are given. After
// any other error the server does not have the message.
func (d *Data) Commit() ([]Reply, error) {
	if d.done {
		return nil, ErrAborted
	}
	d.done = true
	defer d.end()
	if d.err == nil {
		d.err = d.finish()
	}
	if d.err != nil {
		d.fail()
		return nil, because(d.ctx, "send the message", d.err)
	}
	return d.answers()
}

// finish sends what is left and the dot. When it fails, the kernel did not take all of it, and the
// dot is what comes last: the server cannot have seen it.
func (d *Data) finish() error {
	switch {
	case d.last == [2]byte{'\r', '\n'}:
	case d.last[1] == '\r':
		d.out.WriteByte('\n')
	default:
		d.out.WriteString("\r\n")
	}
	d.out.WriteString(".\r\n")
	d.out = nil
	// Not wire.flush: it would close before we have looked for an answer.
	err := d.c.out.Flush()
	d.c.release()
	return err
}

func (d *Data) answers() ([]Reply, error) {
	replies := make([]Reply, 0, d.replies)
	for len(replies) < d.replies {
		r, err := d.c.reply(d.c.up.config.Timeouts.End)
		if err == nil && r.Code/100 == 3 {
			err = fmt.Errorf("%w: %s is no answer to the end of a message", errReplyForm, r)
			d.c.close()
		}
		if err != nil {
			return replies, fmt.Errorf("%w: %w", ErrInDoubt, because(d.ctx, "end of message", err))
		}
		replies = append(replies, r)
		for r.closing() && len(replies) < d.replies {
			replies = append(replies, r) // it speaks for the rest
		}
		if r.closing() {
			d.c.close()
		}
	}
	d.c.dirty, d.c.accepted = false, 0
	return replies, nil
}

// Abort gives the message up: the connection is closed without the final dot, since everything that
// could be said on it would be taken for a part of the body. It does nothing after Commit.
func (d *Data) Abort() {
	if d.done {
		return
	}
	d.done = true
	d.c.close()
	d.end()
}

func (d *Data) end() {
	d.out = nil
	if d.stop != nil {
		d.c.unguard(d.stop)
	}
}
