package domain

import (
	"context"
	"testing"

	"github.com/miekg/dns"
)

// canceled is a context that has ended.
func canceled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// The library's Exchange does not look at the question of an answer.
func TestQuirkExchangeTakesAnyQuestion(t *testing.T) {
	s := newAuthority(t)
	s.set("asked.org.", altered(s, func(m *dns.Msg) { m.Question[0].Name = "forged.org." }))
	m, _, err := new(dns.Client).Exchange(new(dns.Msg).SetQuestion("asked.org.", dns.TypeMX), s.address)
	if err != nil || m.Question[0].Name != "forged.org." {
		t.Errorf("%v %v: once can be replaced by Exchange", m, err)
	}
}

// The library's Exchange ends at a packet that it cannot read, which anybody may have sent.
func TestQuirkExchangeEndsAtGarbage(t *testing.T) {
	s := newAuthority(t)
	s.set("asked.org.", func(w dns.ResponseWriter, q *dns.Msg) {
		_, _ = w.Write([]byte("this is no DNS message"))
		_ = w.WriteMsg(s.answer(q))
	})
	_, _, err := new(dns.Client).Exchange(new(dns.Msg).SetQuestion("asked.org.", dns.TypeMX), s.address)
	if err == nil {
		t.Error("garbage is ignored: once can be replaced by Exchange")
	}
}

// A record without data is read as an empty one, which must not pass for a null MX.
func TestQuirkRecordWithoutData(t *testing.T) {
	q := new(dns.Msg).SetQuestion("empty.org.", dns.TypeMX)
	m := new(dns.Msg).SetReply(q)
	m.RecursionAvailable = true
	m.Answer = []dns.RR{&dns.ANY{Hdr: dns.RR_Header{Name: "empty.org.", Rrtype: dns.TypeMX, Class: dns.ClassINET, Ttl: 60}}}
	octets, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	read := answering(octets, q)
	if read == nil || len(read.Answer) != 1 {
		t.Fatalf("%v", read)
	}
	if mx, ok := read.Answer[0].(*dns.MX); !ok || mx.Mx != "" {
		t.Errorf("the library reads %v", read.Answer[0])
	}
	if r, err := interpret(read, "empty.org.", dns.TypeMX); err != nil || len(r.records) != 0 {
		t.Errorf("%+v %v", r, err)
	}
}

// FuzzAnswer reads answers of any octets.
func FuzzAnswer(f *testing.F) {
	q := new(dns.Msg).SetQuestion("mail.org.", dns.TypeMX)
	q.Id = 1
	m := new(dns.Msg).SetReply(q)
	m.RecursionAvailable = true
	m.Answer = []dns.RR{mustRR("mail.org. 60 IN CNAME a.org."), mustRR("a.org. 60 IN MX 0 .")}
	m.Ns = []dns.RR{mustRR("org." + soa)}
	octets, err := m.Pack()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(octets)
	f.Add(octets[:40])
	f.Fuzz(func(t *testing.T, octets []byte) {
		m := answering(octets, q)
		if m == nil {
			return
		}
		r, err := interpret(m, "mail.org.", dns.TypeMX)
		if err != nil {
			return
		}
		if r.ttl < 0 || r.ttl > maxTTL || len(r.hosts()) > len(r.records) || len(r.records) > 0 && r.nxdomain {
			t.Errorf("%+v", r)
		}
	})
}
