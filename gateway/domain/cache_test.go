package domain

import (
	"fmt"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func TestHowLongAnAnswerIsUsed(t *testing.T) {
	s := newAuthority(t,
		"short.org. 1 IN MX 10 mx.short.org.",
		"middle.org. 600 IN MX 10 mx.middle.org.",
		"long.org. 86400 IN MX 10 mx.long.org.",
		"alias.org. 60 IN CNAME long.org.",
		"implicit.org. 86400 IN A 192.0.2.1",
		"null.org. 86400 IN MX 0 .",
	)
	s.set("new.org.", altered(s, func(m *dns.Msg) { m.Ns = []dns.RR{mustRR("org. 86400 IN SOA ns. root. 1 7200 900 1209600 86400")} }))
	s.set("brief.org.", altered(s, func(m *dns.Msg) { m.Ns = []dns.RR{mustRR("org. 5 IN SOA ns. root. 1 7200 900 1209600 86400")} }))
	s.set("bare.org.", altered(s, func(m *dns.Msg) { m.Ns = nil }))
	s.set("broken.org.", fails(dns.RcodeServerFailure))
	for _, c := range []struct {
		outcome, domain string
		want            time.Duration
	}{
		{"not less than half a minute", "short.org", 30 * time.Second},
		{"as the record says", "middle.org", 10 * time.Minute},
		{"not more than an hour", "long.org", time.Hour},
		{"the shortest of a chain", "alias.org", time.Minute},
		{"an implicit MX by the SOA too", "implicit.org", 2 * time.Minute},
		{"no such domain, by the minimum of the SOA", "dead.org", 2 * time.Minute},
		{"no such domain, not longer than a quarter of an hour", "new.org", 15 * time.Minute},
		{"no such domain, by the time to live of the SOA", "brief.org", 30 * time.Second},
		{"no such domain, without SOA", "bare.org", 30 * time.Second},
		{"a null MX not longer than a quarter of an hour", "null.org", 15 * time.Minute},
		{"a failure", "broken.org", 30 * time.Second},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			b := newBench(t, nil, nil, s)
			question := "MX " + c.domain + "."
			before := s.count(question)
			b.look(t, c.domain)
			b.clock.move(c.want - time.Second)
			b.look(t, c.domain)
			if n := s.count(question) - before; n != 1 {
				t.Errorf("asked %d times within its time", n)
			}
			b.clock.move(2 * time.Second)
			b.look(t, c.domain)
			if n := s.count(question) - before; n != 2 {
				t.Errorf("asked %d times after its time", n)
			}
		})
	}
}

// A domain that took mail is not forgotten because the DNS fails; one that did not may be let pass.
func TestStaleAnswers(t *testing.T) {
	s := newAuthority(t, "mail.org. 60 IN MX 10 mx.mail.org.")
	b := newBench(t, nil, nil, s)
	b.look(t, "mail.org")
	b.look(t, "dead.org")
	b.clock.move(time.Hour)
	s.set("mail.org.", fails(dns.RcodeServerFailure))
	s.set("dead.org.", fails(dns.RcodeServerFailure))
	asked := s.count("MX mail.org.")
	for range 2 { // the second without a question
		if a := b.look(t, "mail.org"); a.State != Exists || !a.Stale || a.MX[0] != "mx.mail.org" || a.Group != "mail.org" {
			t.Errorf("%+v", a)
		}
	}
	if n := s.count("MX mail.org.") - asked; n != 1 {
		t.Errorf("asked %d times", n)
	}
	if a := b.look(t, "dead.org"); a.State != Unknown {
		t.Errorf("%+v", a)
	}
	b.clock.move(time.Minute)
	if a := b.look(t, "mail.org"); !a.Stale || s.count("MX mail.org.")-asked != 2 {
		t.Errorf("not tried again: %+v", a)
	}
	b.clock.move(keptStale)
	if a := b.look(t, "mail.org"); a.State != Unknown || a.Stale {
		t.Errorf("used for ever: %+v", a)
	}
	s.set("mail.org.", nil)
	b.clock.move(time.Minute)
	if a := b.look(t, "mail.org"); a.State != Exists || a.Stale {
		t.Errorf("not renewed: %+v", a)
	}
}

// A caller in a hurry gets the old answer.
func TestStaleAnswerForThoseWhoDoNotWait(t *testing.T) {
	s := newAuthority(t, "mail.org. 60 IN MX 10 mx.mail.org.")
	b := newBench(t, nil, nil, s)
	b.look(t, "mail.org")
	b.clock.move(time.Hour)
	s.set("mail.org.", silent)
	if a := b.Lookup(canceled(t), "mail.org"); a.State != Exists || !a.Stale {
		t.Errorf("%+v", a)
	}
}

func TestCacheIsBounded(t *testing.T) {
	s := newAuthority(t)
	b := newBench(t, func(c *Config) { c.CacheEntries = 3 }, nil, s)
	for i := range 3 {
		b.look(t, fmt.Sprintf("d%d.org", i))
	}
	b.look(t, "d0.org") // used last
	b.look(t, "d3.org")
	if n := b.entries(); n != 3 {
		t.Errorf("%d entries", n)
	}
	before := s.total()
	b.look(t, "d0.org")
	if s.total() != before {
		t.Error("the entry that was used last is gone")
	}
	b.look(t, "d1.org")
	if s.total() == before {
		t.Error("the entry that was used longest ago is there")
	}
}
