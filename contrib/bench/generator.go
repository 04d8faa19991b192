package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// A load is what the generator sends: so many messages over so many sessions at a time, each message
// over a connection of its own or all of a session over one.
type load struct {
	addr     string
	sessions int
	messages int
	reuse    bool
	body     int  // octets of the body
	fresh    bool // every recipient is new
}

// send sends everything and gives the time of each transaction, MAIL to the final reply, in ms.
// Commands are not pipelined, as with Postfix's smtp-source.
func (l load) send(ctx context.Context) (series, error) {
	var next atomic.Int64
	message := []byte(filler[:l.body])
	times := make([]series, l.sessions)
	err := parallel(l.sessions, func(i int) error {
		var c *client
		defer func() { c.close() }()
		for {
			n := int(next.Add(1)) - 1
			if n >= l.messages {
				return nil
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if c == nil {
				var err error
				if c, err = dial(l.addr); err != nil {
					return err
				}
			}
			start := time.Now()
			to := "customer" + strconv.Itoa(n%recipients)
			if l.fresh {
				to = "new" + strconv.FormatInt(start.UnixNano(), 36) + "." + strconv.Itoa(n)
			}
			if err := c.message(n, to, message); err != nil {
				return fmt.Errorf("message %d: %w", n, err)
			}
			times[i] = append(times[i], float64(time.Since(start).Microseconds())/1000)
			if !l.reuse {
				c.close()
				c = nil
			}
		}
	})
	return merge(times), err
}

// A client is one SMTP connection of the generator.
type client struct {
	conn net.Conn
	r    *bufio.Reader
	buf  []byte
}

func dial(addr string) (*client, error) {
	conn, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		return nil, err
	}
	c := &client{conn: conn, r: bufio.NewReader(conn)}
	if err := c.expect("220"); err != nil {
		return nil, err
	}
	return c, c.command("250", "EHLO bench.example")
}

// senders and recipients are drawn from so many, as in an organisation that writes to customers.
const senders, recipients = 500, 1000

func (c *client) message(n int, to string, body []byte) error {
	user := strconv.Itoa(n % senders)
	if err := c.command("250", "MAIL FROM:<user"+user+"@corp.example>"); err != nil {
		return err
	}
	if err := c.command("250", "RCPT TO:<"+to+"@customers.example>"); err != nil {
		return err
	}
	if err := c.command("354", "DATA"); err != nil {
		return err
	}
	c.buf = fmt.Appendf(c.buf[:0], "From: User <user%s@corp.example>\r\nTo: customer@customers.example\r\nSubject: Quarterly report %d\r\n"+
		"Message-ID: <%d.%d@bench.example>\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\n\r\n", user, n, time.Now().UnixNano(), n)
	c.buf = append(c.buf, body...)
	c.buf = append(c.buf, "\r\n.\r\n"...)
	if _, err := c.conn.Write(c.buf); err != nil {
		return err
	}
	return c.expect("250")
}

func (c *client) command(want, line string) error {
	c.buf = append(append(c.buf[:0], line...), '\r', '\n')
	if _, err := c.conn.Write(c.buf); err != nil {
		return err
	}
	return c.expect(want)
}

func (c *client) expect(want string) error {
	_ = c.conn.SetReadDeadline(time.Now().Add(60 * time.Second))
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return err
		}
		if !strings.HasPrefix(line, want) {
			return fmt.Errorf("the server says %q", strings.TrimSpace(line))
		}
		if len(line) > 3 && line[3] == ' ' {
			return nil
		}
	}
}

func (c *client) close() {
	if c != nil {
		_, _ = c.conn.Write([]byte("QUIT\r\n"))
		_ = c.conn.Close()
	}
}
