package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"
)

// A replyError is an answer that ended what we were doing.
type replyError struct {
	doing string
	reply Reply
}

func (e *replyError) Error() string { return fmt.Sprintf("%s was answered %s", e.doing, e.reply) }

// errHandshake marks a failed STARTTLS, after which opportunistic TLS goes on in clear text.
var errHandshake = errors.New("TLS handshake")

var (
	errNoStartTLS = errors.New("the server does not offer STARTTLS")
	errInjected   = errors.New("the server sent something in clear text after its answer to STARTTLS")
	errNoXClient  = errors.New("the server does not grant XCLIENT with ADDR and LOGIN to us")
)

// A purpose says how far a new connection is prepared.
type purpose int

const (
	forCapabilities purpose = iota // EHLO only
	forProbe                       // in the client's name where that is granted; it may log in itself
	forDelivery                    // logged in, or in the client's name, where the trusted path wants it
)

// dial gives a connection to one server on which MAIL may follow.
func (u *Upstream) dial(ctx context.Context, s *server, why purpose, client *Client) (*Conn, error) {
	c, err := u.greet(ctx, s, u.config.TLS != TLSNone)
	if u.config.TLS == TLSOpportunistic && errors.Is(err, errHandshake) && ctx.Err() == nil {
		if !s.clear.Swap(true) {
			u.warn(s, "no TLS with this server, going on in clear text", err)
		}
		c, err = u.greet(ctx, s, false)
	}
	if err != nil {
		return nil, err
	}
	u.known.set(c.caps, nil)
	stop := c.guard(ctx)
	err = c.identify(why, client)
	if !stop() {
		err = context.Cause(ctx)
	}
	if err != nil {
		c.Close()
		return nil, because(ctx, "identify", err)
	}
	return c, nil
}

// greet connects and goes on to the answer to EHLO, over TLS if there is to be TLS.
func (u *Upstream) greet(ctx context.Context, s *server, secure bool) (*Conn, error) {
	conn, err := u.connect(ctx, s)
	if err != nil {
		return nil, because(ctx, "connect", err)
	}
	c := &Conn{wire: newWire(conn, &u.buffers), up: u, server: s, since: time.Now()}
	stop := c.guard(ctx)
	err = c.open(ctx, secure)
	if !stop() {
		err = context.Cause(ctx)
	}
	if err != nil {
		c.Close()
		return nil, because(ctx, "greet", err)
	}
	return c, nil
}

func (u *Upstream) connect(ctx context.Context, s *server) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, u.config.Timeouts.Connect)
	defer cancel()
	network, address := s.target()
	return u.network(ctx, network, address)
}

// open runs the dialogue from the greeting on.
func (c *Conn) open(ctx context.Context, secure bool) error {
	if c.up.config.TLS == TLSImplicit {
		if err := c.handshake(ctx); err != nil {
			return err
		}
	}
	if err := c.expect(220, "the connection", c.up.config.Timeouts.Greeting); err != nil {
		return err
	}
	if err := c.hello(); err != nil {
		return err
	}
	if secure && c.up.config.TLS != TLSImplicit {
		return c.startTLS(ctx)
	}
	return nil
}

// expect reads a reply that must have the code.
func (c *Conn) expect(code int, doing string, timeout time.Duration) error {
	r, err := c.reply(timeout)
	if err != nil {
		return err
	}
	if r.Code != code {
		return &replyError{doing, r}
	}
	return nil
}

// hello says EHLO, or HELO to servers that know no EHLO (RFC 5321 3.2), or LHLO.
func (c *Conn) hello() error {
	if c.up.config.Protocol == LMTP {
		return c.greetAs("LHLO")
	}
	err := c.greetAs("EHLO")
	var refused *replyError
	if errors.As(err, &refused) && refused.reply.Permanent() {
		return c.greetAs("HELO")
	}
	return err
}

func (c *Conn) greetAs(verb string) error {
	r, err := c.command(verb + " " + c.up.hostname)
	if err != nil {
		return err
	}
	if r.Code != 250 {
		return &replyError{verb, r}
	}
	c.caps = parseCapabilities(r.Text)
	c.caps.RequireTLS = c.caps.RequireTLS && c.secure && c.up.config.checksCertificate()
	return nil
}

// startTLS changes to TLS where it is offered and says EHLO again (RFC 3207 4.2).
func (c *Conn) startTLS(ctx context.Context) error {
	verified := c.up.config.TLS == TLSVerified
	if !c.caps.StartTLS {
		if verified {
			return errNoStartTLS
		}
		return nil
	}
	r, err := c.command("STARTTLS")
	if err != nil {
		return err
	}
	if r.Code != 220 {
		if verified || r.closing() {
			return &replyError{"STARTTLS", r}
		}
		return nil
	}
	if c.in.Buffered() > 0 {
		return errInjected
	}
	if err := c.handshake(ctx); err != nil {
		return err
	}
	return c.hello()
}

func (c *Conn) handshake(ctx context.Context) error {
	config := c.up.tls.Clone()
	if config.ServerName == "" {
		config.ServerName = c.server.host()
	}
	secure := tls.Client(c.raw, config)
	if err := c.raw.SetDeadline(time.Now().Add(c.up.config.Timeouts.Connect)); err != nil {
		return err
	}
	if err := secure.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("%w: %w", errHandshake, err)
	}
	c.conn, c.deadline, c.secure = secure, time.Time{}, true
	return nil
}

// identify makes the server see who is speaking.
func (c *Conn) identify(why purpose, client *Client) error {
	config := &c.up.config
	switch {
	case why == forDelivery && config.TrustedPath == TrustLogin:
		return c.login()
	case config.TrustedPath != TrustXClient:
		return nil
	case why == forDelivery && client.Login != "":
		if !impersonates(c.caps.XClient) {
			return errNoXClient
		}
		return c.impersonate(client)
	case why == forProbe && len(c.caps.XClient) > 0:
		return c.impersonate(client)
	}
	return nil
}

// impersonate sends XCLIENT. The server begins anew with a greeting.
func (c *Conn) impersonate(client *Client) error {
	c.timeout = c.up.config.Timeouts.Command
	w := c.writer()
	if _, err := w.Write(client.appendXClient(w.AvailableBuffer(), c.caps.XClient)); err != nil {
		return err
	}
	if err := c.flush(); err != nil {
		return err
	}
	if err := c.expect(220, "XCLIENT", c.up.config.Timeouts.Greeting); err != nil {
		return err
	}
	return c.hello()
}
