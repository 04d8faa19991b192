package relay

import (
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-smtp"
	"github.com/sendgate/sendgate/gateway/relay/upstream"
	"github.com/sendgate/sendgate/policy"
)

// A transaction is what a client has said of one message before its content.
type transaction struct {
	envelope policy.Envelope
	routes   []*upstream.Upstream      // of each recipient
	refused  map[string]upstream.Reply // by upstreams that did not take the sender
	id       policy.ID                 // given when the content comes
}

func newTransaction(s *session, sender policy.Address, o *smtp.MailOptions) *transaction {
	return &transaction{
		refused: map[string]upstream.Reply{},
		envelope: policy.Envelope{
			Received:   s.relay.clock(),
			Front:      policy.Relay,
			Direction:  policy.Outbound,
			Sender:     sender,
			Identity:   s.settings.Directory.Canonical(s.login, sender, s.clientText()),
			Login:      s.login,
			Client:     s.peer.client,
			Helo:       s.helo,
			Protocol:   protocolName(s.wire.extended, s.wire.secure, s.login != "", o.UTF8),
			Size:       o.Size,
			Body:       string(o.Body),
			UTF8:       o.UTF8,
			RequireTLS: o.RequireTLS,
			Ret:        string(o.Return),
			EnvID:      o.EnvelopeID,
		},
	}
}

// clientText is empty for an unknown client.
func (s *session) clientText() string {
	if !s.peer.client.IsValid() {
		return ""
	}
	return s.peer.client.String()
}

// newRecipient reads a RCPT as go-smtp hands it on. Its error is an answer.
func newRecipient(to string, o *smtp.RcptOptions) (policy.Recipient, error) {
	address, err := mailbox(to)
	if err != nil || !utf8.ValidString(o.OriginalRecipient) {
		return policy.Recipient{}, errBadRecipient
	}
	r := policy.Recipient{
		Address:      address,
		Original:     o.OriginalRecipient,
		OriginalType: strings.ToLower(string(o.OriginalRecipientType)),
	}
	for _, n := range o.Notify {
		r.Notify = append(r.Notify, string(n))
	}
	return r, nil
}

func (t *transaction) add(r policy.Recipient, up *upstream.Upstream) {
	t.envelope.Recipients = append(t.envelope.Recipients, r)
	t.routes = append(t.routes, up)
}

// only gives the upstream that all recipients go to, or nil.
func (t *transaction) only() *upstream.Upstream {
	for _, up := range t.routes {
		if up != t.routes[0] {
			return nil
		}
	}
	return t.routes[0]
}

// options are the parameters of MAIL for the upstream.
func (t *transaction) options() upstream.MailOptions {
	e := &t.envelope
	return upstream.MailOptions{
		Size: e.Size, Body: e.Body, UTF8: e.UTF8, RequireTLS: e.RequireTLS, Ret: e.Ret, EnvID: e.EnvID,
	}
}
