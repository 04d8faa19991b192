package e2e

import (
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"
)

// names is a resolver on loopback that knows a few domains; no other one exists.
type names struct {
	address string
	records map[string][]dns.RR
	away    atomic.Bool // no question is answered
}

// startNames serves records in the form of a zone file until the test ends.
func startNames(t *testing.T, records ...string) *names {
	t.Helper()
	n := &names{records: map[string][]dns.RR{}}
	for _, text := range records {
		rr, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		n.records[rr.Header().Name] = append(n.records[rr.Header().Name], rr)
	}
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n.address = packets.LocalAddr().String()
	started, ended := make(chan struct{}), make(chan error, 1)
	server := &dns.Server{PacketConn: packets, Handler: n, NotifyStartedFunc: func() { close(started) }}
	go func() { ended <- server.ActivateAndServe() }()
	<-started
	t.Cleanup(func() {
		_ = server.Shutdown()
		<-ended
	})
	return n
}

// ServeDNS answers one question.
func (n *names) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	if n.away.Load() {
		return
	}
	m := new(dns.Msg).SetReply(q)
	m.RecursionAvailable = true
	records, ok := n.records[strings.ToLower(q.Question[0].Name)]
	if !ok {
		m.Rcode = dns.RcodeNameError
	}
	for _, rr := range records {
		if rr.Header().Rrtype == q.Question[0].Qtype {
			m.Answer = append(m.Answer, rr)
		}
	}
	_ = w.WriteMsg(m)
}
