package milter

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"net/netip"
	"slices"
	"strings"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/content"
)

// A transaction is one message from MAIL to its end.
type transaction struct {
	settings *Settings
	envelope policy.Envelope
	id       policy.ID // none before its end
	header   header
	octets   int64     // of the body so far
	hash     hash.Hash // of the body; nil when it does not come
	decided  bool      // the rules were asked about the whole
	failure  error     // it cannot be decided
	refusal  reply     // that could not be said before the end
	tooMany  bool      // recipients
	report   *report
	reading  *reading
	heard    *heard // of inbound mail; nil where nobody listens
}

var (
	errNoMessage    = errors.New("the end of a message that did not begin")
	errNoQueueID    = errors.New("no queue id (macro i) came: see milter_end_of_data_macros")
	errNoQuarantine = errors.New("the MTA does not offer quarantine")
)

// newTransaction begins a message. login is {auth_authen}, fallback is {mail_addr}.
func (s *session) newTransaction(path, login, fallback string) *transaction {
	settings := s.milter.settings.Load()
	t := &transaction{settings: settings, envelope: policy.Envelope{
		Front:     policy.Milter,
		Direction: policy.Inbound,
		Login:     content.Cut(cleanForeign(login), maxName),
		Client:    s.client,
		Helo:      s.helo,
	}}
	if path == "" && settings.Reports != nil && s.terms.sizes() {
		t.report = &report{}
	}
	if login == "" && !contains(settings.Config.Networks, s.client) {
		t.heard = s.hear(settings, path, fallback)
		return t
	}
	e := &t.envelope
	e.Direction = policy.Outbound
	if path != "" {
		if e.Sender, t.failure = s.address(path, fallback); t.failure != nil {
			t.failure = fmt.Errorf("sender: %w", t.failure)
		}
		t.reading = s.read(settings)
	}
	if s.terms.sizes() {
		t.hash = sha256.New()
	}
	e.Identity = settings.Directory.Canonical(e.Login, e.Sender, addressText(s.client))
	return t
}

// outbound reports whether the message concerns us at all.
func (t *transaction) outbound() bool { return t.envelope.Direction == policy.Outbound }

// add takes a recipient.
func (t *transaction) add(a policy.Address) {
	if len(t.envelope.Recipients) >= t.settings.Config.MaxRecipients {
		t.tooMany = true
		return
	}
	t.envelope.Recipients = append(t.envelope.Recipients, policy.Recipient{Address: a})
}

// address reads an address as it stood in MAIL or RCPT. Where it has no domain, Postfix's own form of
// it ({mail_addr}, {rcpt_addr}) has one, else it gets Postfix's name.
func (s *session) address(path, fallback string) (policy.Address, error) {
	a, err := policy.ParseAddress(path)
	if err == nil || strings.Contains(path, "@") {
		return a, err
	}
	if a, err := policy.ParseAddress(fallback); err == nil && a.Domain() != "" {
		return a, nil
	}
	if s.host == "" {
		return "", err
	}
	return policy.NewAddress(path, s.host)
}

// complete fills in what is known at the end of the message.
func (t *transaction) complete(m *Milter, sized bool) {
	e := &t.envelope
	e.Received = m.clock()
	e.Subject, e.From, e.MessageID = t.header.First("Subject"), t.header.First("From"), t.header.First("Message-ID")
	e.References = policy.References(t.header.Written("In-Reply-To"), t.header.Written("References"))
	if sized {
		e.Size = t.size()
	}
}

// digest recognises the body; it is zero when the body does not come.
func (t *transaction) digest() (d [16]byte) {
	if t.hash != nil {
		copy(d[:], t.hash.Sum(nil))
	}
	return d
}

// size counts octets as they go over the wire; Postfix sends folds as LF and strips the space after
// the colon.
func (t *transaction) size() int64 {
	n := t.octets + int64(len("\r\n"))
	for _, f := range t.header.Fields {
		n += int64(len(f.Name) + len(": ") + len(f.Value) + strings.Count(f.Value, "\n") + len("\r\n"))
	}
	return n
}

// maxName bounds names of hosts (RFC 1035 2.3.4) and logins.
const maxName = 255

func contains(networks []netip.Prefix, a netip.Addr) bool {
	return a.IsValid() && slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(a) })
}

// addressText is empty for an unknown client.
func addressText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}
