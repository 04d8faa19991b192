package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/mail"
	"strings"
	"time"

	"github.com/sendgate/sendgate/gateway/notify/webhook"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// A Mailer writes notices into the journal, as mail.
type Mailer struct {
	hostname string
	from     string
	language string
	journal  Journal
	now      func() time.Time
}

// NewMailer makes a Mailer for a valid configuration. hostname is the gateway's own name.
func NewMailer(hostname string, c Config, journal Journal, now func() time.Time) *Mailer {
	from := mail.Address{Name: "sendgate", Address: "postmaster@" + hostname}
	if a, err := mail.ParseAddress(c.From); err == nil {
		from = *a
	}
	return &Mailer{hostname: hostname, from: from.String(), language: c.Language, journal: journal, now: now}
}

// Mail writes a notice to mailboxes as one message under this id, released at once. It is durable when
// the error is nil. When there is a message of this id already, it is the one, and nothing is done.
// Without a mailbox nothing is written.
func (m *Mailer) Mail(ctx context.Context, id policy.ID, to []policy.Address, n webhook.Notice) error {
	mailboxes := mailboxesIn(to)
	if len(mailboxes) == 0 {
		return nil
	}
	l := Letter{ID: id, Hostname: m.hostname, From: m.from, To: mailboxes, Language: m.language, Time: m.now(), Notice: n}
	return m.send(ctx, l.draft())
}

// send commits a mail, once for its id.
func (m *Mailer) send(ctx context.Context, d *draft) error {
	var text bytes.Buffer
	if err := d.compose(&text); err != nil {
		return err
	}
	e := policy.Envelope{
		Received: d.time, Front: policy.Internal, Direction: policy.Outbound, Identity: "sendgate",
		Size: int64(text.Len()), UTF8: d.utf8(), From: d.from, Subject: d.subject(), MessageID: d.messageID(),
	}
	for _, a := range d.to { // a notice that cannot be delivered is not worth another one (RFC 3461 4.1)
		e.Recipients = append(e.Recipients, policy.Recipient{Address: a, Notify: []string{"NEVER"}})
	}
	if !isASCII(text.Bytes()) {
		e.Body = "8BITMIME"
	}
	err := m.commit(ctx, d, &e, text.Bytes())
	if errors.Is(err, store.ErrConflict) {
		return nil
	}
	return err
}

func (m *Mailer) commit(ctx context.Context, d *draft, e *policy.Envelope, text []byte) error {
	body := m.journal.NewBody(d.id)
	if _, err := body.Write(text); err != nil {
		body.Discard()
		return fmt.Errorf("write notice: %w", err)
	}
	_, err := m.journal.Commit(ctx, store.Change{Message: d.id, Envelope: e, Body: body, Events: []policy.Event{
		{Kind: policy.Accepted, Time: d.time, Actor: actor, Reason: d.reason, Evidence: d.evidence},
		{Kind: policy.Released, Time: d.time, Actor: actor, Until: d.time},
	}})
	if err != nil {
		body.Discard()
		return fmt.Errorf("commit notice: %w", err)
	}
	return nil
}

// mailboxesIn leaves out what is no mailbox, and what is named twice.
func mailboxesIn(to []policy.Address) (list []policy.Address) {
	seen := map[string]bool{}
	for _, a := range to {
		if a.Domain() != "" && !seen[a.Key()] && !strings.ContainsAny(string(a), "\r\n") {
			seen[a.Key()] = true
			list = append(list, a)
		}
	}
	return list
}
