package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// Sent is a message of the demo's traffic and the answer that its sender got.
type Sent struct {
	From    string
	To      []string
	Subject string
	Reply   string // the last reply, "250 2.0.0 Held as ..." or a refusal
}

// Traffic sends some mail to the gateway at addr: from several people, in English and Chinese, to
// the inside and the outside; one to somebody unknown, who is refused at RCPT; one that asks for no
// hold; one that is deferred first; one that is returned. People authenticate where AUTH is
// offered. A refusal is an outcome; the error says that the dialogue itself broke down, and then
// the rest is not sent.
func Traffic(ctx context.Context, addr string, now time.Time) ([]Sent, error) {
	var all []Sent
	for i, l := range letters() {
		answer, err := l.send(ctx, addr, l.message(i, now))
		if err != nil {
			return all, fmt.Errorf("send %q to %s: %w", l.subject, addr, err)
		}
		all = append(all, Sent{From: l.from + "@" + Domain, To: l.to, Subject: l.subject, Reply: answer})
	}
	return all, nil
}

// send hands one message over and gives the last reply.
func (l letter) send(ctx context.Context, addr, message string) (string, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	client := smtp.NewClient(conn)
	response, err := l.dialogue(client, message)
	var refusal *smtp.SMTPError
	if errors.As(err, &refusal) {
		code := refusal.EnhancedCode
		return fmt.Sprintf("%d %d.%d.%d %s", refusal.Code, code[0], code[1], code[2], refusal.Message), client.Quit()
	}
	if err != nil {
		return "", errors.Join(err, ctx.Err())
	}
	return "250 " + response.StatusText, client.Quit()
}

func (l letter) dialogue(client *smtp.Client, message string) (*smtp.DataResponse, error) {
	if err := client.Hello("desk." + Domain); err != nil {
		return nil, err
	}
	if l.name() != "" && client.SupportsAuth(sasl.Plain) {
		if err := client.Auth(sasl.NewPlainClient("", l.from, Password)); err != nil {
			return nil, err
		}
	}
	if err := client.Mail(l.from+"@"+Domain, &smtp.MailOptions{UTF8: l.utf8()}); err != nil {
		return nil, err
	}
	for _, to := range l.to {
		if err := client.Rcpt(to, nil); err != nil {
			return nil, err
		}
	}
	w, err := client.Data()
	if err != nil {
		return nil, err
	}
	// Not closed after an error: that would end the message and have it accepted half.
	if _, err := io.WriteString(w, message); err != nil {
		return nil, err
	}
	return w.CloseWithResponse()
}
