package domain

import (
	"iter"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/zap/zaptest"
)

// An authority is a name server on loopback. It knows its records and nothing else, unless a name
// has a behaviour of its own.
type authority struct {
	address string
	records map[string][]dns.RR
	behave  map[string]dns.HandlerFunc

	mu    sync.Mutex
	asked map[string]int // "MX gmail.com."
	byTCP int
}

const soa = "  3600 IN SOA ns.test. root.test. 1 7200 900 1209600 120"

// newAuthority serves records in the form of a zone file. Names below none of them do not exist.
func newAuthority(t *testing.T, records ...string) *authority {
	t.Helper()
	s := &authority{records: map[string][]dns.RR{}, behave: map[string]dns.HandlerFunc{}, asked: map[string]int{}}
	for _, text := range records {
		rr, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		s.records[rr.Header().Name] = append(s.records[rr.Header().Name], rr)
	}
	packets, listener := bothNetworks(t)
	s.address = packets.LocalAddr().String()
	for _, server := range []*dns.Server{{PacketConn: packets, Handler: s}, {Listener: listener, Handler: s}} {
		ended := make(chan error, 1)
		started := make(chan struct{})
		server.NotifyStartedFunc = func() { close(started) }
		go func() { ended <- server.ActivateAndServe() }()
		<-started
		t.Cleanup(func() {
			_ = server.Shutdown()
			<-ended
		})
	}
	return s
}

// bothNetworks opens a port that is free for UDP and for TCP.
func bothNetworks(t *testing.T) (net.PacketConn, net.Listener) {
	t.Helper()
	for range 20 {
		packets, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listener, err := net.Listen("tcp", packets.LocalAddr().String())
		if err == nil {
			return packets, listener
		}
		_ = packets.Close()
	}
	t.Fatal("no port is free for UDP and TCP")
	return nil, nil
}

func (s *authority) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	name := strings.ToLower(q.Question[0].Name)
	s.mu.Lock()
	s.asked[dns.TypeToString[q.Question[0].Qtype]+" "+name]++
	if w.LocalAddr().Network() == "tcp" {
		s.byTCP++
	}
	behave := s.behave[name]
	s.mu.Unlock()
	if behave != nil {
		behave(w, q)
		return
	}
	_ = w.WriteMsg(s.answer(q))
}

// answer follows aliases and says NXDOMAIN for names without records, as a resolver does.
func (s *authority) answer(q *dns.Msg) *dns.Msg {
	m := new(dns.Msg).SetReply(q)
	m.RecursionAvailable = true
	name := strings.ToLower(q.Question[0].Name)
	for range 5 {
		records, ok := s.records[name]
		if !ok {
			m.Rcode = dns.RcodeNameError
			break
		}
		next := ""
		for _, rr := range records {
			if rr.Header().Rrtype == q.Question[0].Qtype {
				m.Answer = append(m.Answer, rr)
			} else if alias, ok := rr.(*dns.CNAME); ok {
				m.Answer = append(m.Answer, rr)
				next = alias.Target
			}
		}
		if next == "" {
			break
		}
		name = next
	}
	if len(m.Answer) == 0 || m.Rcode != dns.RcodeSuccess {
		m.Ns = []dns.RR{mustRR("test." + soa)}
	}
	return m
}

func mustRR(text string) dns.RR {
	rr, err := dns.NewRR(text)
	if err != nil {
		panic(err)
	}
	return rr
}

func (s *authority) set(name string, behave dns.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.behave[name] = behave
}

func (s *authority) count(question string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[question]
}

func (s *authority) total() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.asked {
		n += k
	}
	return n
}

// fails answers with a code.
func fails(code int) dns.HandlerFunc {
	return func(w dns.ResponseWriter, q *dns.Msg) { _ = w.WriteMsg(new(dns.Msg).SetRcode(q, code)) }
}

// silent never answers.
func silent(dns.ResponseWriter, *dns.Msg) {}

// A clock stands still until it is moved.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// A bench is a resolver that asks authorities.
type bench struct {
	*Resolver
	clock *clock
}

// newBench makes a resolver that waits long for an answer, since the machine may be busy; change may alter its
// configuration.
func newBench(t *testing.T, change func(*Config), history []string, servers ...*authority) *bench {
	t.Helper()
	c := DefaultConfig()
	c.Timeout, c.Limit = 30*time.Second, time.Minute
	for _, s := range servers {
		c.Resolvers = append(c.Resolvers, s.address)
	}
	if change != nil {
		change(&c)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	clock := newClock()
	r := New(c, func() iter.Seq[string] { return slices.Values(history) }, clock.Now, zaptest.NewLogger(t))
	r.verifyFor = c.Timeout
	t.Cleanup(r.Close)
	return &bench{r, clock}
}

// hasty is for what waits for the silent.
func hasty(c *Config) { c.Timeout = 400 * time.Millisecond }

func (b *bench) look(t *testing.T, domain string) Answer {
	t.Helper()
	return b.Lookup(t.Context(), domain)
}

// within fails when f takes longer than d.
func within(t *testing.T, d time.Duration, f func()) {
	t.Helper()
	begun := time.Now()
	f()
	if took := time.Since(begun); took > d {
		t.Errorf("took %v, more than %v", took, d)
	}
}
