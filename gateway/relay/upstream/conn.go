package upstream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// quitTimeout is how long a goodbye may take; nothing depends on it.
const quitTimeout = 5 * time.Second

// A Conn is one connection to a server of the upstream. It belongs to one goroutine at a time. A
// Reply with nil error is the server's answer, whatever it says; an error means that there was none,
// and the connection is closed unless the error is [ErrUnsafe].
type Conn struct {
	*wire
	up     *Upstream
	server *server
	client Client // in whose name it was opened
	key    poolKey
	caps   Capabilities
	secure bool // TLS
	authed bool

	since    time.Time // connected
	idle     time.Time // put into the pool
	reused   bool      // it has carried a message before
	messages int
	dirty    bool // a transaction is open: RSET goes before the next MAIL
	accepted int  // recipients of the open transaction
}

// Capabilities gives what the server offers on this connection.
func (c *Conn) Capabilities() Capabilities { return c.caps }

// Server is the address that was dialed, as configured.
func (c *Conn) Server() string { return c.server.Address }

// Secure reports whether the connection is under TLS.
func (c *Conn) Secure() bool { return c.secure }

// Mail begins a transaction; one that is still open is reset first. XFORWARD goes before it where it
// is offered, and our own login where the trusted path is login and nobody has authenticated. What
// the server lacks (SMTPUTF8, REQUIRETLS) is answered 553 or 550 in its place.
func (c *Conn) Mail(ctx context.Context, from policy.Address, o MailOptions) (Reply, error) {
	r, _, err := c.MailRcpt(ctx, from, o, nil)
	return r, err
}

// MailRcpt is Mail with all the recipients at once, pipelined where the server offers it. There is one
// reply for each recipient; when MAIL is refused, or the server closes with 421, it is that.
func (c *Conn) MailRcpt(ctx context.Context, from policy.Address, o MailOptions, recipients []policy.Recipient) (Reply, []Reply, error) {
	stop := c.guard(ctx)
	defer c.unguard(stop)
	if err := c.login(); err != nil {
		c.close()
		return Reply{}, nil, because(ctx, "log in", err)
	}
	t := transaction{client: &c.client, from: from, options: &o, recipients: recipients, results: make([]Result, len(recipients))}
	err := c.run(&t)
	last := t.mail // what stands for answers that did not come
	if refused, ok := errors.AsType[*replyError](err); ok {
		last, err = refused.reply, nil
		if t.mail.Code == 0 {
			t.mail = last
		}
	}
	replies := make([]Reply, len(recipients))
	for i := range t.results {
		if replies[i] = t.results[i].Reply; replies[i].Code == 0 || t.refused() {
			replies[i] = last
		}
	}
	return t.mail, replies, because(ctx, "MAIL", err)
}

// Rcpt adds a recipient to the open transaction.
func (c *Conn) Rcpt(ctx context.Context, r policy.Recipient) (Reply, error) {
	if !c.caps.SMTPUTF8 && !r.Address.IsASCII() {
		return replyNoUTF8, nil
	}
	w := c.writer()
	line, err := c.caps.appendRcpt(w.AvailableBuffer(), &r)
	if err != nil {
		c.release()
		return Reply{}, err
	}
	stop := c.guard(ctx)
	defer c.unguard(stop)
	c.timeout = c.up.config.Timeouts.Command
	w.Write(line) // fits, or its error stays until the flush
	reply, err := c.exchange()
	if err == nil && reply.Positive() {
		c.accepted++
	}
	return reply, because(ctx, "RCPT", err)
}

// Reset ends the open transaction.
func (c *Conn) Reset(ctx context.Context) error {
	stop := c.guard(ctx)
	defer c.unguard(stop)
	r, err := c.command("RSET")
	if err == nil && r.Code != 250 {
		err = &replyError{"RSET", r}
		c.close()
	}
	c.dirty, c.accepted = false, 0
	return because(ctx, "RSET", err)
}

// Quit says goodbye, waits a moment for the answer and closes.
func (c *Conn) Quit() error {
	c.release()
	if c.broken {
		return nil
	}
	c.hail()
	_, err := c.reply(quitTimeout)
	c.close()
	if err != nil {
		return fmt.Errorf("QUIT: %w", err)
	}
	return nil
}

// Close closes without a word. It may be called twice.
func (c *Conn) Close() error { return c.close() }

// hangUp says goodbye and waits for nothing.
func (c *Conn) hangUp() {
	if !c.broken {
		c.hail()
	}
	c.close()
}

func (c *Conn) hail() {
	c.timeout = quitTimeout
	c.writer().WriteString("QUIT\r\n")
	_ = c.flush() // the connection ends either way
}

// command sends one line and reads the answer.
func (c *Conn) command(line string) (Reply, error) {
	c.timeout = c.up.config.Timeouts.Command
	w := c.writer()
	w.WriteString(line)
	w.WriteString("\r\n")
	return c.exchange()
}

// exchange sends what was written and reads one answer. After a 421 the server closes, and so do we.
func (c *Conn) exchange() (Reply, error) {
	if err := c.flush(); err != nil {
		return Reply{}, err
	}
	r, err := c.reply(c.up.config.Timeouts.Command)
	if err == nil && r.closing() {
		c.close()
	}
	return r, err
}

// unguard ends a guard; a connection that the context has closed meanwhile is not used again.
func (c *Conn) unguard(stop func() bool) {
	if !stop() {
		c.close()
	}
}

// maxRecipients is how many recipients one transaction may have.
func (c *Conn) maxRecipients() int {
	if n := c.caps.RecipientsMax; n > 0 {
		return n
	}
	return maxRecipients
}
