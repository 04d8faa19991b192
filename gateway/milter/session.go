package milter

import (
	"fmt"
	"net"
	"net/netip"
	"net/textproto"
	"runtime/debug"
	"strings"

	gomilter "github.com/emersion/go-milter"
	"github.com/sendgate/sendgate/policy/content"
	"go.uber.org/zap"
)

// A session is the dialogue on one connection: one client of Postfix, any number of messages. The
// library calls it from one goroutine.
type session struct {
	milter *Milter
	wire   *wire
	terms  terms

	client netip.Addr
	helo   string
	host   string // Postfix's name, macro j
	daemon string // the service that took the connection, macro {daemon_name}

	mail *transaction // nil outside of a message
}

// Connect begins a dialogue.
func (s *session) Connect(_, _ string, _ uint16, addr net.IP, m *gomilter.Modifier) (gomilter.Response, error) {
	s.client = clientAddr(addr, m.Macros)
	s.helo, s.mail = "", nil
	s.daemon = content.Cut(cleanForeign(m.Macros["{daemon_name}"]), maxName)
	s.note(m)
	return s.goOn(gomilter.OptNoConnReply)
}

// Helo may come more than once, as after STARTTLS.
func (s *session) Helo(name string, m *gomilter.Modifier) (gomilter.Response, error) {
	s.helo = content.Cut(cleanForeign(name), maxName)
	s.note(m)
	return s.goOn(gomilter.OptNoHeloReply)
}

// MailFrom begins a message.
func (s *session) MailFrom(from string, m *gomilter.Modifier) (gomilter.Response, error) {
	s.wire.Busy()
	return s.answer(gomilter.OptNoMailReply, func() reply { return s.begin(from, m) })
}

// RcptTo adds a recipient, unless it is refused.
func (s *session) RcptTo(to string, m *gomilter.Modifier) (gomilter.Response, error) {
	return s.answer(gomilter.OptNoRcptReply, func() reply { return s.recipient(to, m) })
}

// Header keeps a field of outbound mail.
func (s *session) Header(name, value string, m *gomilter.Modifier) (gomilter.Response, error) {
	if t := s.mail; t != nil && t.outbound() {
		t.header.add(name, value)
	}
	if t := s.mail; t != nil {
		t.report.field(name, value)
		t.reading.field(name, value)
	}
	s.note(m)
	return s.goOn(gomilter.OptNoHeaderReply)
}

// Headers is the end of the header, where it cannot be left out.
func (s *session) Headers(_ textproto.MIMEHeader, m *gomilter.Modifier) (gomilter.Response, error) {
	s.note(m)
	return s.goOn(gomilter.OptNoEOHReply)
}

// BodyChunk counts, and lets read who wants to.
func (s *session) BodyChunk(chunk []byte, m *gomilter.Modifier) (gomilter.Response, error) {
	if s.mail != nil {
		if s.mail.octets == 0 {
			s.mail.report.endHeader()
		}
		s.mail.octets += int64(len(chunk))
		if s.mail.hash != nil {
			s.mail.hash.Write(chunk)
		}
		s.mail.report.body(chunk)
		s.mail.readBody(chunk)
	}
	s.note(m)
	return s.goOn(gomilter.OptNoBodyReply)
}

// Body is the end of the message: here it is decided. It is always answered.
func (s *session) Body(m *gomilter.Modifier) (gomilter.Response, error) {
	s.wire.gather()
	r := s.guard(func() reply { return s.end(m) })
	s.wire.conclude()
	s.mail = nil
	return r, nil
}

// Abort ends a message; Postfix sends it after a finished one as well, so it says nothing about the
// client.
func (s *session) Abort(m *gomilter.Modifier) error {
	s.mail = nil
	s.note(m)
	s.wire.Idle(nil)
	return nil
}

// note takes what any event may bring, and empties the library's maps: macros of an earlier event
// would stand there until the next ones come, and fields until ABORT comes (quirk tests
// TestQuirkMacrosStay, TestQuirkHeadersGrow).
func (s *session) note(m *gomilter.Modifier) {
	if host := m.Macros["j"]; host != "" {
		s.host = content.Cut(cleanForeign(host), maxName)
	}
	if id := m.Macros["i"]; validQueueID(id) && s.mail != nil {
		s.mail.envelope.QueueID = id
	}
	clear(m.Macros)
	clear(m.Headers)
}

// goOn continues; where no answer is expected there is none. A nil reply in a Response would be
// answered (quirk test TestQuirkTypedNilIsAnswered).
func (s *session) goOn(silent gomilter.OptProtocol) (gomilter.Response, error) {
	if s.terms.silent(silent) {
		return nil, nil
	}
	return reply{}, nil
}

// answer asks for a reply, and keeps one that cannot be said until the end of the message.
func (s *session) answer(silent gomilter.OptProtocol, ask func() reply) (gomilter.Response, error) {
	r := s.guard(ask)
	if !s.terms.silent(silent) {
		return r, nil
	}
	if s.mail != nil && r.refuses() {
		s.mail.refusal = r
	}
	return nil, nil
}

// guard turns a panic into the answer for what cannot be decided.
func (s *session) guard(ask func() reply) (r reply) {
	defer func() {
		if v := recover(); v != nil {
			s.milter.log.Error("panic", zap.Any("value", v), zap.ByteString("stack", debug.Stack()))
			r = s.undecided(s.mail, fmt.Errorf("panic: %v", v))
		}
	}()
	return ask()
}

// clientAddr is the client's address. The library cannot read Sendmail's form of an IPv6 address
// (quirk test TestQuirkIPv6PrefixIsUnknown); macros may have it.
func clientAddr(ip net.IP, macros map[string]string) netip.Addr {
	if a, ok := netip.AddrFromSlice(ip); ok {
		return a.Unmap()
	}
	_, bracketed, _ := strings.Cut(macros["_"], "[") // "host.example [192.0.2.1]"
	bracketed, _, _ = strings.Cut(bracketed, "]")
	for _, text := range []string{macros["{client_addr}"], bracketed} {
		if len(text) > 5 && strings.EqualFold(text[:5], "IPv6:") {
			text = text[5:]
		}
		if a, err := netip.ParseAddr(text); err == nil {
			return a.Unmap().WithZone("")
		}
	}
	return netip.Addr{}
}

// validQueueID accepts the short and the long form of Postfix; both are letters and digits.
func validQueueID(id string) bool {
	if id == "" || len(id) > 64 {
		return false
	}
	for i := range len(id) {
		c := id[i]
		if !('0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z') {
			return false
		}
	}
	return true
}
