package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/sendgate/sendgate/policy"
)

// A Delivery is a message for some of its recipients.
type Delivery struct {
	ID         policy.ID
	Envelope   *policy.Envelope // its own Recipients are not looked at
	Recipients []policy.Recipient
	// Open gives the body as it has to arrive. It is called for each transaction, and again when a
	// transaction has to be begun anew.
	Open func() (io.ReadCloser, error)
}

// A Result is what became of one recipient: a Reply (2xx delivered, 4xx to be tried again, 5xx
// refused for good), or an Err when there was none, which is temporary.
type Result struct {
	Reply  Reply
	Err    error
	Server string // the address of the server that answered
	// MayBeDuplicate is set when the message was sent and the answer did not arrive: the server may
	// have it.
	MayBeDuplicate bool
	// DSNDropped is set when the message went without its NOTIFY, ORCPT, RET or ENVID, because the
	// server does not offer DSN: nobody behind it will send the notices asked for (RFC 3461 5.2.2).
	DSNDropped bool
}

// replyUnsafeSender answers for a message whose MAIL cannot be written; see ErrUnsafe.
var replyUnsafeSender = Reply{501, "5.1.7", "The sender or a parameter cannot be sent safely"}

// Deliver sends a message and gives one Result for each of its recipients. It waits for a free
// connection, takes an idle one or goes through the servers until one answers, and needs several
// transactions when there are more recipients than the server takes at once.
func (u *Upstream) Deliver(ctx context.Context, d Delivery) []Result {
	results := make([]Result, len(d.Recipients))
	if err := u.pool.enter(ctx); err != nil {
		fail(results, err)
		return results
	}
	defer u.pool.leave()
	p := parcel{up: u, Delivery: &d, options: mailOptions(&d), client: clientOf(&d)}
	if u.config.TrustedPath == TrustXClient && p.client.Login != "" {
		p.key = poolKey{p.client.Addr, p.client.Login}
	}
	for done := 0; done < len(results); {
		done += p.deliver(ctx, d.Recipients[done:], results[done:])
	}
	return results
}

// A parcel is a delivery with what follows from it.
type parcel struct {
	*Delivery
	up      *Upstream
	options MailOptions
	client  Client
	key     poolKey
}

func clientOf(d *Delivery) Client {
	e := d.Envelope
	return Client{Addr: e.Client, Helo: e.Helo, Protocol: e.Protocol, Login: e.Login, ID: d.ID.String()}
}

func mailOptions(d *Delivery) MailOptions {
	e := d.Envelope
	return MailOptions{Size: e.Size, Body: e.Body, UTF8: e.UTF8, RequireTLS: e.RequireTLS, Ret: e.Ret, EnvID: e.EnvID, ID: d.ID.String()}
}

// fail gives the same error to all.
func fail(results []Result, err error) {
	r := Result{Err: err}
	if refused, ok := errors.AsType[*replyError](err); ok && refused.reply.closing() {
		r = Result{Reply: refused.reply}
	}
	for i := range results {
		results[i] = r
	}
}

// deliver sends to the first recipients, as many as one transaction takes, over the first
// connection that carries it as far as the body. It gives the number of recipients that are done.
func (p *parcel) deliver(ctx context.Context, recipients []policy.Recipient, results []Result) int {
	r := route{up: p.up, why: forDelivery, client: &p.client, key: p.key}
	for {
		c := r.pooled()
		if c == nil {
			p.up.pool.makeRoom()
			var err error
			if c, err = r.connect(ctx); err != nil {
				fail(results, err)
				return len(results)
			}
		}
		n := min(len(recipients), c.maxRecipients())
		reused := c.reused
		n, err := p.transact(ctx, c, recipients[:n], results[:n])
		p.up.pool.put(c)
		if err == nil {
			return n
		}
		if !reused {
			r.failed(ctx, c.server, err)
		}
	}
}

// transact runs one transaction and gives the number of recipients that it settled. An error means
// that the body was not begun and the message may go over another connection.
func (p *parcel) transact(ctx context.Context, c *Conn, recipients []policy.Recipient, results []Result) (int, error) {
	clear(results)
	body, err := p.Open()
	if err != nil {
		fail(results, fmt.Errorf("open the message: %w", err))
		return len(results), nil
	}
	defer body.Close()
	stop := c.guard(ctx)
	defer c.unguard(stop)
	t := transaction{
		client: &p.client, from: p.Envelope.Sender, options: &p.options,
		recipients: recipients, results: results, withData: true,
	}
	switch err := c.run(&t); {
	case errors.Is(err, ErrUnsafe):
		t.mail = replyUnsafeSender
	case err != nil:
		c.close()
		return 0, because(ctx, "begin the message", err)
	}
	c.messages++
	n := len(results)
	switch {
	case t.refused():
		settle(results, t.mail)
		c.dismiss(&t)
	case c.accepted == 0:
		c.dismiss(&t)
	case t.data.Code != 354:
		settleAccepted(results, Result{Reply: t.data})
	default:
		n = cutSurplus(results)
		c.give(ctx, body, results[:n])
	}
	p.finish(c, recipients[:n], results[:n])
	return n, nil
}

// dismiss gets rid of a server that asks for a body although it has taken no recipient, which
// pipelining makes possible: it is sent an empty one, to be refused (RFC 2920 3.1).
func (c *Conn) dismiss(t *transaction) {
	if t.data.Code != 354 {
		return
	}
	if t.refused() || c.up.config.Protocol == LMTP {
		c.close() // no server should come here (RFC 2033 4.2)
		return
	}
	_, _ = c.command(".") // the recipients have their answers already
}

// give sends the body to the accepted recipients and notes their answers.
func (c *Conn) give(ctx context.Context, body io.Reader, results []Result) {
	d := c.body(ctx)
	_, err := d.ReadFrom(body)
	var replies []Reply
	if err == nil {
		replies, err = d.Commit()
	} else {
		d.Abort()
	}
	if r, early := d.Early(); early {
		settleAccepted(results, Result{Reply: r})
		return
	}
	lost := Result{Err: err, MayBeDuplicate: errors.Is(err, ErrInDoubt)}
	if c.up.config.Protocol != LMTP {
		if err == nil {
			lost = Result{Reply: replies[0]}
		}
		settleAccepted(results, lost)
		return
	}
	for i := range results {
		switch {
		case !results[i].Reply.Positive():
		case len(replies) > 0:
			results[i], replies = Result{Reply: replies[0]}, replies[1:]
		default:
			results[i] = lost
		}
	}
}

// settle gives the answer to MAIL to all recipients.
func settle(results []Result, r Reply) {
	for i := range results {
		results[i].Reply = r
	}
}

// settleAccepted gives one result to those whose RCPT was taken.
func settleAccepted(results []Result, r Result) {
	for i := range results {
		if results[i].Reply.Positive() {
			results[i] = r
		}
	}
}

// cutSurplus gives the number of recipients before the first that was one too many for the
// transaction (RFC 5321 4.5.3.1.10). From there on they go into the next, if none of them was taken.
func cutSurplus(results []Result) int {
	n := len(results)
	for n > 0 && tooMany(results[n-1].Reply) {
		n--
	}
	return n
}

func tooMany(r Reply) bool {
	return r.Code == 452 && (r.Status == "" || r.Status == "4.5.3") || r.Code == 552 && r.Status == "5.5.3"
}

// finish completes the results of a transaction.
func (p *parcel) finish(c *Conn, recipients []policy.Recipient, results []Result) {
	for i := range results {
		r := &results[i]
		r.Server = c.server.Address
		r.DSNDropped = !c.caps.DSN && r.Reply.Positive() && (p.options.wantsDSN() || wantsDSN(&recipients[i]))
	}
}
