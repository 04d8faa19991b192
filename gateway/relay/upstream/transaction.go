package upstream

import (
	"fmt"

	"github.com/sendgate/sendgate/policy"
)

const (
	// maxRecipients of a transaction, unless the server states its own bound. Postfix's default
	// (smtpd_recipient_limit) is 1000; RFC 5321 4.5.3.1.8 asks for 100.
	maxRecipients = 1000
	// maxGroup commands are sent before their answers are read. It keeps the answers of a group within
	// any socket buffer, so that neither side waits for the other to read (RFC 2920 3.1).
	maxGroup = 100
)

// replyUnsafe answers for a recipient that cannot be written; see ErrUnsafe.
var replyUnsafe = Reply{501, "5.1.3", "The address cannot be sent safely"}

// A transaction is MAIL, its recipients and, if wanted, DATA.
type transaction struct {
	client     *Client
	from       policy.Address
	options    *MailOptions
	recipients []policy.Recipient
	withData   bool

	mail    Reply
	results []Result // one for each recipient; a reply that is set beforehand stands, nothing is sent
	data    Reply    // zero when DATA was not sent

	reset, forward bool
}

// The commands of a transaction are numbered: the first three, a RCPT for each recipient, DATA.
const (
	stepReset = iota
	stepForward
	stepMail
	stepRcpt
)

func (t *transaction) steps() int { return stepRcpt + len(t.recipients) + 1 }

// skips reports whether a command is not sent.
func (t *transaction) skips(step int) bool {
	switch {
	case step == stepReset:
		return !t.reset
	case step == stepForward:
		return !t.forward
	case step == stepMail:
		return false
	case step < stepRcpt+len(t.recipients):
		return t.results[step-stepRcpt].Reply.Code != 0
	}
	return !t.withData
}

// run sends the commands and reads their answers, in groups when the server pipelines. It returns an
// error when the connection can no longer be used (lost, out of step, answered 421) or nothing was sent
// (ErrUnsafe).
func (c *Conn) run(t *transaction) error {
	if r, refused := c.caps.refusal(t.from, t.options); refused {
		t.mail = r
		return nil
	}
	t.reset, t.forward = c.dirty, len(c.caps.XForward) > 0
	for i := range t.recipients {
		if !c.caps.SMTPUTF8 && !t.recipients[i].Address.IsASCII() {
			t.results[i].Reply = replyNoUTF8
		}
	}
	c.accepted = 0
	for sent, got, end := 0, 0, t.steps(); got < end && !t.refused(); {
		next, err := c.send(t, sent)
		if err != nil {
			return err
		}
		if next == sent {
			break
		}
		sent = next
		for ; got < sent; got++ {
			if err := c.receive(t, got); err != nil {
				return err
			}
		}
	}
	return nil
}

// refused reports that MAIL was answered and not taken.
func (t *transaction) refused() bool { return t.mail.Code != 0 && !t.mail.Positive() }

// send writes one group of commands, from a step on, and gives the step after it.
func (c *Conn) send(t *transaction, step int) (int, error) {
	group := 1
	if c.caps.Pipelining {
		group = maxGroup
	}
	c.timeout = c.up.config.Timeouts.Command
	data := t.steps() - 1
	for waiting, asked := 0, 0; step <= data && waiting < group; step++ {
		if t.skips(step) {
			continue
		}
		if step == data && asked == 0 && c.accepted == 0 {
			break // nobody is left to send to
		}
		sent, err := c.write(t, step)
		if err != nil {
			return step, err
		}
		if sent {
			waiting++
		}
		if sent && step >= stepRcpt {
			asked++
		}
	}
	return step, c.flush()
}

// write puts one command into the buffer. An error on the way to the server is kept by the buffer and
// reported by the flush.
func (c *Conn) write(t *transaction, step int) (sent bool, err error) {
	w := c.writer()
	line := w.AvailableBuffer()
	switch {
	case step == stepReset:
		line = append(line, "RSET\r\n"...)
	case step == stepForward:
		line = t.client.appendXForward(line, c.caps.XForward, t.options.ID)
	case step == stepMail:
		if line, err = c.caps.appendMail(line, t.from, t.options, t.needsUTF8()); err != nil {
			c.release()
			return false, err
		}
	case step < stepRcpt+len(t.recipients):
		i := step - stepRcpt
		if line, err = c.caps.appendRcpt(line, &t.recipients[i]); err != nil {
			t.results[i].Reply = replyUnsafe
			return false, nil
		}
	default:
		line = append(line, "DATA\r\n"...)
	}
	w.Write(line)
	return true, nil
}

// needsUTF8 reports whether a recipient makes SMTPUTF8 necessary (RFC 6531 3.4).
func (t *transaction) needsUTF8() bool {
	for i := range t.recipients {
		if !t.recipients[i].Address.IsASCII() {
			return true
		}
	}
	return false
}

// receive reads the answer to one command.
func (c *Conn) receive(t *transaction, step int) error {
	if t.skips(step) {
		return nil
	}
	timeouts := &c.up.config.Timeouts
	timeout := timeouts.Command
	if step == t.steps()-1 {
		timeout = timeouts.Data
	}
	r, err := c.reply(timeout)
	if err != nil {
		return err
	}
	if r.closing() {
		c.close()
		return &replyError{"a command", r}
	}
	return c.note(t, step, r)
}

// note takes an answer down. One that no command may have (RFC 5321 4.3.2) means that we are out of
// step, and what follows could not be believed.
func (c *Conn) note(t *transaction, step int, r Reply) error {
	last := t.steps() - 1
	if goesOn := r.Code/100 == 3; goesOn != (step == last && r.Code < 400) {
		c.close()
		return fmt.Errorf("%w: %s is no answer to this command", errReplyForm, r)
	}
	switch {
	case step == stepReset:
		c.dirty = !r.Positive()
	case step == stepForward:
		// It is for the server's log only: mail goes without.
	case step == stepMail:
		t.mail = r
		c.dirty = c.dirty || r.Positive()
	case step == last:
		t.data = r
	default:
		t.results[step-stepRcpt].Reply = r
		if r.Positive() {
			c.accepted++
		}
	}
	return nil
}
