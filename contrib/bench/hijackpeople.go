package main

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/anomaly"
)

// A role says how somebody works with mail.
type role struct {
	name     string
	share    int     // of the people, in percent
	daily    [2]int  // messages a day
	outside  float64 // share that goes outside
	fresh    float64 // share of that to strangers
	partners int     // known ones outside
	free     float64 // share of strangers at free-mail domains
	replies  bool    // strangers have written first
	from     float64 // share with a foreign From
	begin    int     // hour
	week     bool    // works at weekends
	cold     float64 // chance that a day has a round of cold mail
	service  bool
}

// invoices reports whether it is an application that writes to all customers at the end of the month.
func (r *role) invoices() bool { return r.name == "invoices" || r.name == "billing" }

func roles() []role {
	return []role{
		{name: "office", share: 48, daily: [2]int{6, 25}, outside: 0.4, fresh: 0.03, partners: 30, free: 0.1, begin: 8},
		{name: "sales", share: 14, daily: [2]int{15, 45}, outside: 0.75, fresh: 0.12, partners: 120, free: 0.1, begin: 8, cold: 0.08},
		{name: "retail", share: 6, daily: [2]int{20, 50}, outside: 0.9, fresh: 0.15, partners: 150, free: 0.8, begin: 9, week: true, replies: true},
		{name: "support", share: 3, daily: [2]int{50, 120}, outside: 0.95, fresh: 0.4, partners: 200, free: 0.4, begin: 7, week: true, replies: true, from: 0.9},
		{name: "personnel", share: 5, daily: [2]int{8, 25}, outside: 0.6, fresh: 0.25, partners: 40, free: 0.7, begin: 8, cold: 0.04},
		{name: "manager", share: 8, daily: [2]int{15, 60}, outside: 0.5, fresh: 0.05, partners: 100, free: 0.1, begin: 7, from: 0.02},
		{name: "assistant", share: 4, daily: [2]int{15, 40}, outside: 0.5, fresh: 0.04, partners: 80, free: 0.1, begin: 8, from: 0.4},
		{name: "night shift", share: 4, daily: [2]int{5, 15}, outside: 0.3, fresh: 0.03, partners: 20, free: 0.1, begin: 21, week: true},
		{name: "occasional", share: 4, daily: [2]int{0, 2}, outside: 0.5, fresh: 0.1, partners: 5, free: 0.3, begin: 8},
		{name: "invoices", share: 1, daily: [2]int{5, 30}, outside: 1, fresh: 0.02, partners: 400, free: 0.2, begin: 6},
		{name: "billing", share: 1, daily: [2]int{5, 30}, outside: 1, fresh: 0.02, partners: 400, free: 0.2, begin: 6, service: true},
		{name: "newsletter", share: 2, daily: [2]int{0, 1}, outside: 1, fresh: 0.1, partners: 500, free: 0.5, begin: 9, service: true},
	}
}

// A person is a sender with habits.
type person struct {
	login    string
	role     role
	daily    int
	partners []policy.Address
	networks []netip.Addr
	agent    string
	joins    int    // day on which the account begins
	away     [2]int // days of a holiday
	trips    [3]int // first days of journeys, two to four days each
	fair     int    // day with new contacts by the dozen; -1: none
	serial   int
	form     string    // the text of an application
	review   time.Time // when a person looks at what is held; zero: nothing is

	disturbed map[anomaly.Code]int
	suspended bool
}

// person makes somebody. Half of the partners are known from before; applications write to customers
// who were known already, as after an import of old logs.
func (o *organisation) person(r role) *person {
	p := &person{
		login: fmt.Sprintf("%s%d@corp.example", strings.ReplaceAll(r.name, " ", ""), len(o.people)), role: r,
		daily: o.between(r.daily[0], r.daily[1]), fair: -1, disturbed: map[anomaly.Code]int{},
		agent:    fmt.Sprintf("Mailer%c 1.%d", 'A'+rune(o.rand.IntN(3)), o.rand.IntN(9)),
		networks: []netip.Addr{o.host(0), o.host(0), o.host(0)}, // office, home, telephone
	}
	p.form = writeText(o.rand)
	p.networks[0] = netip.AddrFrom4([4]byte{10, 0, 0, byte(o.rand.IntN(250))})
	for range o.between(r.partners/2, r.partners) {
		a := o.stranger(p)
		p.partners = append(p.partners, a)
		if o.chance(0.5) || r.invoices() && o.chance(0.9) {
			o.circle.Heard(p.login, a.Key(), hijackStart)
		}
	}
	if o.chance(0.04) && !r.service {
		p.joins = o.between(3, 27)
	}
	if o.chance(0.3) {
		from := o.between(0, days)
		p.away = [2]int{from, from + o.between(3, 14)}
	}
	for i := range p.trips {
		p.trips[i] = -10
		if (r.name == "sales" || r.name == "manager") && o.chance(0.4) || o.chance(0.03) {
			p.trips[i] = o.between(0, days)
		}
	}
	if r.name == "sales" && o.chance(0.1) || r.name == "office" && o.chance(0.01) {
		p.fair = o.between(0, days)
	}
	return p
}

// host gives an address in a network of a country.
func (o *organisation) host(country byte) netip.Addr {
	return netip.AddrFrom4([4]byte{10, country, byte(o.rand.IntN(256)), byte(o.rand.IntN(256))})
}

func freeDomain(r *rand.Rand) string {
	return []string{"gmail.com", "qq.com", "outlook.com", "163.com", "yahoo.com"}[r.IntN(5)]
}

// stranger invents an address.
func (o *organisation) stranger(p *person) policy.Address {
	p.serial++
	name := fmt.Sprintf("%c%c%c%d", 'a'+rune(o.rand.IntN(26)), 'a'+rune(o.rand.IntN(26)), 'a'+rune(o.rand.IntN(26)), p.serial)
	if o.chance(p.role.free) {
		return policy.Address(name + "@" + freeDomain(o.rand))
	}
	return policy.Address(fmt.Sprintf("%s@company%d.example", name, o.rand.IntN(3000)))
}
