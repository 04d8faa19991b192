package domain

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// payload is the size of UDP answers that passes everywhere (DNS flag day 2020).
const payload = 1232

// asideFor is how long a resolver that did not answer is asked last.
const asideFor = 30 * time.Second

// lostAfter is after how many silences nobody waits for a resolver.
const lostAfter = 3

// A server is a resolver that is asked.
type server struct {
	address  string
	aside    atomic.Int64 // until then it is asked last, in Unix nanoseconds
	silences atomic.Int32 // since it last answered
}

// silent sets the server aside. It reports whether that is new.
func (s *server) silent(now time.Time) bool {
	s.silences.Add(1)
	return s.aside.Swap(now.Add(asideFor).UnixNano()) <= now.UnixNano()
}

func (s *server) answered() {
	s.silences.Store(0)
	s.aside.Store(0)
}

// lost reports whether there is no hope of an answer: one silence may be the fault of a domain whose
// own servers are silent.
func (s *server) lost(now time.Time) bool {
	return s.silences.Load() >= lostAfter && s.aside.Load() > now.UnixNano()
}

// ask puts one question: without EDNS0 again to a server that does not understand it (RFC 6891 7),
// by TCP again when the answer was cut.
func (s *server) ask(ctx context.Context, name string, qtype uint16) (reply, error) {
	q := new(dns.Msg).SetQuestion(dns.Fqdn(name), qtype)
	q.SetEdns0(payload, false)
	m, err := s.exchange(ctx, q)
	if err == nil && (m.Rcode == dns.RcodeFormatError || m.Rcode == dns.RcodeNotImplemented) {
		q = new(dns.Msg).SetQuestion(dns.Fqdn(name), qtype)
		m, err = s.exchange(ctx, q)
	}
	if err != nil {
		return reply{}, err
	}
	return interpret(m, q.Question[0].Name, qtype)
}

func (s *server) exchange(ctx context.Context, q *dns.Msg) (*dns.Msg, error) {
	m, err := s.once(ctx, "udp", q)
	if err == nil && m.Truncated {
		m, err = s.once(ctx, "tcp", q)
		if err == nil && m.Truncated {
			err = errors.New("truncated over TCP")
		}
	}
	return m, err
}

// once sends a question and waits for its answer. Over UDP everything that is not the answer is
// ignored: a forged packet must not end the wait. Client.Exchange of the library compares the id
// only, and stops at a packet that it cannot read.
func (s *server) once(ctx context.Context, network string, q *dns.Msg) (*dns.Msg, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, s.address)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	conn := &dns.Conn{Conn: c, UDPSize: payload}
	if err := conn.WriteMsg(q); err != nil {
		return nil, err
	}
	for {
		octets, err := conn.ReadMsgHeader(nil)
		if err != nil && !errors.Is(err, dns.ErrShortRead) {
			return nil, err
		}
		if m := answering(octets, q); err == nil && m != nil {
			return m, nil
		}
		if network == "tcp" {
			return nil, errors.New("the answer is to another question")
		}
	}
}

// answering parses octets; it gives nil when they are no answer to the question. A cut answer may
// end within a record: its header is enough to ask again.
func answering(octets []byte, q *dns.Msg) *dns.Msg {
	m := new(dns.Msg)
	err := m.Unpack(octets)
	if m.Id != q.Id || !m.Response || m.Opcode != dns.OpcodeQuery || err != nil && !m.Truncated {
		return nil
	}
	if len(m.Question) != 1 {
		// Some servers do not repeat the question in an error.
		if len(m.Question) == 0 && m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError {
			return m
		}
		return nil
	}
	a, b := m.Question[0], q.Question[0]
	if a.Qtype != b.Qtype || a.Qclass != b.Qclass || !strings.EqualFold(a.Name, b.Name) {
		return nil
	}
	return m
}

// A finding is what one server says about a domain.
type finding struct {
	state    State
	mx       []string
	implicit bool
	ttl      time.Duration // as the records say
	reason   string
}

// examine asks for MX, and for addresses where there is none. The error says why the server was of
// no help.
func (s *server) examine(ctx context.Context, domain string, timeout time.Duration) (finding, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	mx, err := s.ask(ctx, domain, dns.TypeMX)
	if err != nil {
		return finding{}, fmt.Errorf("%s: MX: %w", s.address, err)
	}
	if len(mx.records) > 0 {
		return s.exchangers(mx), nil
	}
	// Some name servers answer NXDOMAIN to every type that they do not know: an address is believed more.
	ttl, missing := mx.ttl, mx.nxdomain
	for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
		address, err := s.ask(ctx, domain, qtype)
		if err != nil {
			return finding{}, fmt.Errorf("%s: %s: %w", s.address, dns.TypeToString[qtype], err)
		}
		ttl = min(ttl, address.ttl)
		if len(address.records) > 0 {
			return finding{state: Exists, mx: []string{domain}, implicit: true, ttl: ttl, reason: s.address + ": no MX, but an address"}, nil
		}
		if missing && address.nxdomain {
			return finding{state: NoDomain, ttl: ttl, reason: s.address + ": NXDOMAIN"}, nil
		}
		missing = missing || address.nxdomain
	}
	return finding{state: NoMail, ttl: ttl, reason: s.address + ": neither MX nor address"}, nil
}

func (s *server) exchangers(mx reply) finding {
	if hosts := mx.hosts(); len(hosts) > 0 {
		return finding{state: Exists, mx: hosts, ttl: mx.ttl, reason: s.address + ": MX"}
	}
	return finding{state: NullMX, ttl: mx.ttl, reason: s.address + ": null MX"}
}
