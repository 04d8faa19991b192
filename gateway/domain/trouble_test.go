package domain

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"
	"go.uber.org/zap/zaptest/observer"

	"github.com/sendgate/sendgate/policy"
)

// altered makes a behaviour that answers after change.
func altered(s *authority, change func(m *dns.Msg)) dns.HandlerFunc {
	return func(w dns.ResponseWriter, q *dns.Msg) {
		m := s.answer(q)
		change(m)
		_ = w.WriteMsg(m)
	}
}

// What a resolver cannot say passes, and costs no more than the limit.
func TestTroublePasses(t *testing.T) {
	s := newAuthority(t)
	for _, c := range []struct {
		outcome, reason string
		behave          dns.HandlerFunc
	}{
		{"SERVFAIL", "answered SERVFAIL", fails(dns.RcodeServerFailure)},
		{"REFUSED", "answered REFUSED", fails(dns.RcodeRefused)},
		{"an unknown code", "answered RCODE 3000", func(w dns.ResponseWriter, q *dns.Msg) {
			m := new(dns.Msg).SetReply(q)
			m.SetEdns0(payload, false)
			m.Rcode = 3000
			_ = w.WriteMsg(m)
		}},
		{"silence", "i/o timeout", silent},
		{"lame", errLame.Error(), altered(s, func(m *dns.Msg) { m.RecursionAvailable = false })},
		{"a referral", errReferral.Error(), altered(s, func(m *dns.Msg) {
			m.Rcode, m.Ns = dns.RcodeSuccess, []dns.RR{mustRR("org. 300 IN NS ns.org.")}
		})},
		{"aliases in a circle", errChain.Error(), altered(s, func(m *dns.Msg) {
			m.Rcode, m.Answer = dns.RcodeSuccess, []dns.RR{mustRR(m.Question[0].Name + " 300 IN CNAME " + m.Question[0].Name)}
		})},
		{"an alias that is not followed", errChain.Error(), altered(s, func(m *dns.Msg) {
			m.RecursionAvailable, m.Authoritative, m.Rcode, m.Ns = false, true, dns.RcodeSuccess, nil
			m.Answer = []dns.RR{mustRR(m.Question[0].Name + " 300 IN CNAME elsewhere.net.")}
		})},
		{"only forged ids", "i/o timeout", altered(s, func(m *dns.Msg) { m.Id++ })},
		{"only another question's answer", "i/o timeout", altered(s, func(m *dns.Msg) { m.Question[0].Name = "forged.org." })},
		{"a question instead of an answer", "i/o timeout", altered(s, func(m *dns.Msg) { m.Response = false })},
		{"two questions", "i/o timeout", altered(s, func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) })},
		{"no question", "i/o timeout", altered(s, func(m *dns.Msg) { m.Question = nil })},
		{"truncated over TCP too", "truncated over TCP", altered(s, func(m *dns.Msg) { m.Truncated = true })},
		{"octets that are no message", "i/o timeout", func(w dns.ResponseWriter, _ *dns.Msg) {
			_, _ = w.Write([]byte("not a DNS message"))
			_, _ = w.Write([]byte("short"))
		}},
		{"a resolver that understands nothing", "answered FORMERR", fails(dns.RcodeFormatError)},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			t.Parallel()
			name := strings.ReplaceAll(strings.ToLower(c.outcome), " ", "-") + ".org"
			s.set(name+".", c.behave)
			var change func(*Config)
			if strings.Contains(c.reason, "timeout") {
				change = hasty
			}
			b := newBench(t, change, nil, s)
			within(t, 25*time.Second, func() {
				a := b.look(t, name)
				if a.State != Unknown || !strings.Contains(a.Reason, c.reason) || a.Verdict().Action != policy.Pass {
					t.Errorf("%+v", a)
				}
			})
		})
	}
}

func TestNoResolver(t *testing.T) {
	file := filepath.Join(t.TempDir(), "resolv.conf")
	for _, text := range []string{"", "search corp.org\n"} {
		if text != "" {
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		r := newResolver(DefaultConfig(), file, nil, newClock().Now, zaptest.NewLogger(t))
		if a := r.Lookup(t.Context(), "dead.org"); a.State != Unknown || a.Reason != "no resolver" {
			t.Errorf("%+v", a)
		}
		r.Close()
	}
}

func TestResolversOfTheMachine(t *testing.T) {
	file := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(file, []byte("nameserver 192.0.2.53\nnameserver 2001:db8::53\nnameserver fe80::1%eth0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(addresses(DefaultConfig(), file, zaptest.NewLogger(t)), " ")
	if want := "192.0.2.53:53 [2001:db8::53]:53 [fe80::1%eth0]:53"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// A closed port costs nothing.
func TestResolverIsNotThere(t *testing.T) {
	packets, err := net.Dial("udp", "127.0.0.1:9") // keeps its port, and has no ear for anybody else
	if err != nil {
		t.Fatal(err)
	}
	defer packets.Close()
	b := newBench(t, func(c *Config) { c.Resolvers = []string{packets.LocalAddr().String()} }, nil)
	within(t, b.config.Timeout, func() {
		if a := b.look(t, "dead.org"); a.State != Unknown {
			t.Errorf("%+v", a)
		}
	})
}

// What is no answer is ignored, and the right one still counts.
func TestForgedPacketsAreIgnored(t *testing.T) {
	s := newAuthority(t, "mail.org. 300 IN MX 10 mx.mail.org.")
	s.set("mail.org.", func(w dns.ResponseWriter, q *dns.Msg) {
		forged := new(dns.Msg).SetRcode(q, dns.RcodeNameError)
		forged.RecursionAvailable = true
		forged.Id++
		_ = w.WriteMsg(forged)
		forged = new(dns.Msg).SetRcode(q, dns.RcodeNameError)
		forged.RecursionAvailable = true
		forged.Question[0].Name = "forged.org."
		_ = w.WriteMsg(forged)
		_, _ = w.Write([]byte{1, 2, 3})
		_ = w.WriteMsg(s.answer(q))
	})
	b := newBench(t, nil, nil, s)
	if a := b.look(t, "mail.org"); a.State != Exists {
		t.Errorf("%+v", a)
	}
}

func TestTruncatedAnswerIsAskedForByTCP(t *testing.T) {
	s := newAuthority(t, "mail.org. 300 IN MX 10 mx.mail.org.")
	s.set("mail.org.", func(w dns.ResponseWriter, q *dns.Msg) {
		m := s.answer(q)
		if w.LocalAddr().Network() == "udp" {
			m.Truncated, m.Answer = true, nil
		}
		_ = w.WriteMsg(m)
	})
	s.set("cut.org.", func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		m.RecursionAvailable = true
		m.Answer = []dns.RR{mustRR("cut.org. 300 IN MX 10 mx.mail.org.")}
		if w.LocalAddr().Network() == "udp" {
			m.Truncated = true
			octets, err := m.Pack()
			if err != nil {
				t.Error(err)
			}
			_, _ = w.Write(octets[:len(octets)-5])
			return
		}
		_ = w.WriteMsg(m)
	})
	b := newBench(t, nil, nil, s)
	for _, domain := range []string{"mail.org", "cut.org"} {
		if a := b.look(t, domain); a.State != Exists || a.MX[0] != "mx.mail.org" {
			t.Errorf("%+v", a)
		}
	}
	if s.byTCP != 2 {
		t.Errorf("asked %d times by TCP", s.byTCP)
	}
}

func TestServerWithoutEDNS(t *testing.T) {
	s := newAuthority(t, "mail.org. 300 IN MX 10 mx.mail.org.")
	s.set("mail.org.", func(w dns.ResponseWriter, q *dns.Msg) {
		if q.IsEdns0() != nil {
			m := new(dns.Msg).SetRcode(q, dns.RcodeFormatError)
			m.Question = nil // as old servers do
			_ = w.WriteMsg(m)
			return
		}
		_ = w.WriteMsg(s.answer(q))
	})
	b := newBench(t, nil, nil, s)
	if a := b.look(t, "mail.org"); a.State != Exists {
		t.Errorf("%+v", a)
	}
}

// Name servers that answer NXDOMAIN to types they do not know must not stop mail.
func TestAnAddressIsBelievedMoreThanNXDOMAIN(t *testing.T) {
	s := newAuthority(t, "old.org. 300 IN A 192.0.2.1", "odd.org. 300 IN TXT x")
	s.set("old.org.", func(w dns.ResponseWriter, q *dns.Msg) {
		m := s.answer(q)
		if q.Question[0].Qtype != dns.TypeA {
			m.Rcode = dns.RcodeNameError
		}
		_ = w.WriteMsg(m)
	})
	b := newBench(t, nil, nil, s)
	if a := b.look(t, "old.org"); a.State != Exists || !a.Implicit {
		t.Errorf("%+v", a)
	}
}

// Some resolvers send no SOA.
func TestNegativeAnswerWithoutSOA(t *testing.T) {
	s := newAuthority(t, "text.org. 300 IN TXT x")
	bare := altered(s, func(m *dns.Msg) { m.Ns = nil })
	s.set("dead.org.", bare)
	s.set("text.org.", bare)
	b := newBench(t, nil, nil, s)
	if a := b.look(t, "dead.org"); a.State != NoDomain {
		t.Errorf("%+v", a)
	}
	if a := b.look(t, "text.org"); a.State != NoMail {
		t.Errorf("%+v", a)
	}
}

func TestResolversAreAskedInTurn(t *testing.T) {
	good := newAuthority(t, "mail.org. 300 IN MX 10 mx.mail.org.", "two.org. 300 IN MX 10 mx.mail.org.", "three.org. 300 IN MX 10 mx.mail.org.")
	for outcome, behave := range map[string]dns.HandlerFunc{"silent": silent, "SERVFAIL": fails(dns.RcodeServerFailure)} {
		t.Run(outcome, func(t *testing.T) {
			t.Parallel()
			bad := newAuthority(t)
			for _, name := range []string{"mail.org.", "two.org.", "three.org."} {
				bad.set(name, behave)
			}
			b := newBench(t, func(c *Config) { c.Timeout = 3 * time.Second }, nil, bad, good)
			if a := b.look(t, "mail.org"); a.State != Exists {
				t.Errorf("%+v", a)
			}
			before := bad.total()
			if a := b.look(t, "two.org"); a.State != Exists {
				t.Errorf("%+v", a)
			}
			aside := bad.total() == before
			if want := outcome == "silent"; aside != want {
				t.Errorf("set aside: %v", aside)
			}
			b.clock.move(asideFor + time.Second)
			b.look(t, "three.org")
			if bad.count("MX three.org.") == 0 {
				t.Error("not asked again after its time")
			}
		})
	}
}

// A lost packet does not make a domain unknown.
func TestSilenceIsAskedTwice(t *testing.T) {
	t.Parallel()
	s := newAuthority(t, "mail.org. 300 IN MX 10 mx.mail.org.")
	var once sync.Once
	s.set("mail.org.", func(w dns.ResponseWriter, q *dns.Msg) {
		lost := false
		once.Do(func() { lost = true })
		if !lost {
			_ = w.WriteMsg(s.answer(q))
		}
	})
	b := newBench(t, func(c *Config) { c.Timeout = 3 * time.Second }, nil, s)
	if a := b.look(t, "mail.org"); a.State != Exists || s.count("MX mail.org.") != 2 {
		t.Errorf("%+v after %d questions", a, s.count("MX mail.org."))
	}
}

func TestAgreement(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		outcome string
		agree   int
		second  dns.HandlerFunc // nil: NXDOMAIN
		want    State
	}{
		{"one is enough", 1, fails(dns.RcodeServerFailure), NoDomain},
		{"two say the same", 2, nil, NoDomain},
		{"the other does not know", 2, fails(dns.RcodeServerFailure), Unknown},
		{"the other is silent", 2, silent, Unknown},
		{"the other knows it", 2, func(w dns.ResponseWriter, q *dns.Msg) {
			m := new(dns.Msg).SetReply(q)
			m.RecursionAvailable, m.Answer = true, []dns.RR{mustRR("split.org. 300 IN MX 10 mx.split.org.")}
			_ = w.WriteMsg(m)
		}, Exists},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			first, second := newAuthority(t), newAuthority(t)
			if c.second != nil {
				second.set("split.org.", c.second)
			}
			b := newBench(t, func(cfg *Config) {
				if cfg.Agree = c.agree; c.want == Unknown {
					hasty(cfg)
				}
			}, nil, first, second)
			if a := b.look(t, "split.org"); a.State != c.want {
				t.Errorf("%+v", a)
			}
		})
	}
}

// Any number of lookups of a dead domain are one question of each type.
func TestLookupsOfOneDomainAskOnce(t *testing.T) {
	s := newAuthority(t)
	release := make(chan struct{})
	s.set("dead.org.", func(w dns.ResponseWriter, q *dns.Msg) {
		<-release
		_ = w.WriteMsg(s.answer(q))
	})
	b := newBench(t, nil, nil, s)
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() {
			if a := b.Lookup(context.Background(), "dead.org"); a.State != NoDomain {
				t.Errorf("%+v", a)
			}
		})
	}
	close(release)
	all.Wait()
	if mx, a := s.count("MX dead.org."), s.count("A dead.org."); mx != 1 || a != 1 || s.total() != 2 {
		t.Errorf("asked %d times for MX and %d times for A: %v", mx, a, s.asked)
	}
}

// A caller waits no longer than it wants; the answer is there for the next.
func TestCallerDoesNotWait(t *testing.T) {
	s := newAuthority(t)
	release := make(chan struct{})
	s.set("dead.org.", func(w dns.ResponseWriter, q *dns.Msg) {
		<-release
		_ = w.WriteMsg(s.answer(q))
	})
	b := newBench(t, nil, nil, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if a := b.Lookup(ctx, "dead.org"); a.State != Unknown || a.Reason != "no answer in time" {
		t.Errorf("%+v", a)
	}
	close(release)
	if a := b.look(t, "dead.org"); a.State != NoDomain || s.count("MX dead.org.") != 1 {
		t.Errorf("%+v after %d questions", a, s.count("MX dead.org."))
	}
}

// Close does not wait for silent resolvers.
func TestCloseEndsWhatIsAsked(t *testing.T) {
	s := newAuthority(t, "mail.org. 300 IN MX 10 mx.mail.org.")
	asked := make(chan struct{}, 10)
	s.set("dead.org.", func(dns.ResponseWriter, *dns.Msg) { asked <- struct{}{} })
	b := newBench(t, nil, nil, s)
	b.look(t, "mail.org")
	answers := make(chan Answer)
	go func() { answers <- b.Lookup(context.Background(), "dead.org") }()
	<-asked
	within(t, b.config.Timeout, b.Close)
	if a := <-answers; a.State != Unknown {
		t.Errorf("%+v", a)
	}
	if a := b.look(t, "mail.org"); a.State != Exists {
		t.Errorf("the cache is gone: %+v", a)
	}
	if a := b.look(t, "other.org"); a.State != Unknown || a.Reason != "shutting down" {
		t.Errorf("%+v", a)
	}
}

// With the DNS down a message to many domains is not held up by each of them, and what comes after
// is checked again.
func TestNobodyWaitsForLostResolvers(t *testing.T) {
	t.Parallel()
	s := newAuthority(t)
	b := newBench(t, func(c *Config) { c.Timeout = time.Second }, nil, s)
	release := make(chan struct{})
	for i := range 50 {
		s.set(fmt.Sprintf("d%d.org.", i), func(w dns.ResponseWriter, q *dns.Msg) {
			select {
			case <-release:
				_ = w.WriteMsg(s.answer(q))
			default:
			}
		})
	}
	for i := range 2 {
		b.look(t, fmt.Sprintf("d%d.org", i))
	}
	within(t, time.Minute, func() { // 48 waits would be 96 s
		for i := 2; i < 50; i++ {
			if a := b.look(t, fmt.Sprintf("d%d.org", i)); a.State != Unknown || a.Reason != "no resolver answers" {
				t.Errorf("%+v", a)
			}
		}
	})
	b.flying.Wait() // what is still asked could be silence again
	b.config.Timeout = 30 * time.Second
	close(release)
	b.clock.move(time.Minute) // the failures are forgotten
	if a := b.look(t, "d0.org"); a.State != NoDomain {
		t.Errorf("%+v", a)
	}
	if b.lost() {
		t.Error("lost after an answer")
	}
}

// The log says once that a resolver is silent.
func TestSilenceIsLoggedOnce(t *testing.T) {
	s := newAuthority(t)
	s.set("a.org.", silent)
	s.set("b.org.", silent)
	core, logs := observer.New(zap.WarnLevel)
	c := DefaultConfig()
	c.Resolvers, c.Timeout, c.Limit = []string{s.address}, 100*time.Millisecond, time.Minute
	r := New(c, nil, newClock().Now, zap.New(core))
	defer r.Close()
	r.Lookup(t.Context(), "a.org")
	r.Lookup(t.Context(), "b.org")
	all := logs.FilterMessage("resolver does not answer").All()
	if len(all) != 1 || all[0].ContextMap()["resolver"] != s.address {
		t.Errorf("%v", logs.All())
	}
}

// Only so many domains are asked for at a time.
func TestTooManyDomains(t *testing.T) {
	s := newAuthority(t)
	b := newBench(t, func(c *Config) { c.Timeout, c.Limit = 100*time.Millisecond, 100*time.Millisecond }, nil, s)
	for range atOnce {
		b.running <- struct{}{}
	}
	if a := b.look(t, "dead.org"); a.State != Unknown || a.Reason != "too many domains are being asked for" || s.total() != 0 {
		t.Errorf("%+v", a)
	}
}
