package main

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/anomaly"
	"github.com/sendgate/sendgate/policy/similar"
)

// An attackStyle is a way to use somebody else's account.
type attackStyle struct {
	name       string
	hourly     int // strangers, or in a day
	daily      bool
	days       int  // how long; 0: one
	beyond     bool // shown, but not a part of the result
	begin      int  // hour of the day
	batch      int  // strangers in a message
	random     bool
	dictionary bool
	networks   int  // at once; 0: one
	spoof      bool // with a foreign From
	bare       bool
	own        bool    // to correspondents of the account, who are no strangers
	unknown    float64 // share of addresses that do not exist
}

func attackStyles() []attackStyle {
	return []attackStyle{
		{name: "blast", hourly: 1800, begin: 10, batch: 1, unknown: 0.1},
		{name: "batches of 40", hourly: 800, begin: 11, batch: 40, unknown: 0.1, spoof: true},
		{name: "drip 20/h, random", hourly: 20, begin: 9, batch: 1, random: true, unknown: 0.05},
		{name: "trickle 5/h, random", hourly: 5, begin: 8, batch: 1, random: true, unknown: 0.02},
		{name: "night 100/h", hourly: 100, begin: 2, batch: 1, unknown: 0.1, bare: true},
		{name: "60/h, personalised", hourly: 60, begin: 10, batch: 1, unknown: 0.05},
		{name: "60/h, random", hourly: 60, begin: 13, batch: 1, random: true, unknown: 0.05},
		{name: "dictionary 200/h", hourly: 200, begin: 10, batch: 1, random: true, dictionary: true, unknown: 0.6},
		{name: "botnet 60/h", hourly: 60, begin: 10, batch: 1, random: true, networks: 30, unknown: 0.1},
		{name: "36 a day for five days, random", hourly: 36, daily: true, days: 5, beyond: true, begin: 8, batch: 1, random: true, unknown: 0.02},
		{name: "own contacts 200/h", hourly: 200, begin: 10, batch: 1, own: true, beyond: true},
	}
}

// An attack is one intruder in one account.
type attack struct {
	style  attackStyle
	org    *organisation
	victim *person
	abroad bool // through a network that the account never used
	watch  *anomaly.Watch
	index  *similar.Index
	rand   *rand.Rand
}

// An outcome is whom the intruder reached.
type outcome struct {
	before  int // the first message was held or refused
	total   int // in the whole time
	stopped bool
}

// maxAddresses is how long the intruder's list is.
const maxAddresses = 3000

// run sends beside the account's own mail of the first day.
func (a *attack) run(own []note) (out outcome) {
	a.rand = rand.New(rand.NewPCG(uint64(len(a.style.name)), uint64(a.victim.serial)))
	notes := a.notes()
	bad := map[policy.ID]bool{}
	for i := range notes {
		bad[notes[i].facts.ID] = true
	}
	notes = append(notes, own...)
	slices.SortStableFunc(notes, func(x, y note) int { return x.at.Compare(y.at) })
	type failure struct {
		at time.Time
		id policy.ID
		to policy.Address
	}
	var failures []failure
	for i := range notes {
		n := &notes[i]
		for len(failures) > 0 && failures[0].at.Before(n.at) {
			a.watch.Bounce(failures[0].at, failures[0].id, a.victim.login, anomaly.NoSuchUser, failures[0].to)
			failures = failures[1:]
		}
		if !a.send(n, bad[n.facts.ID]) {
			out.stopped = out.stopped || bad[n.facts.ID]
			continue
		}
		if !bad[n.facts.ID] {
			continue
		}
		out.total += len(n.facts.External)
		if !out.stopped {
			out.before += len(n.facts.External)
		}
		for _, r := range n.facts.External {
			if a.rand.Float64() < a.style.unknown {
				failures = append(failures, failure{n.at.Add(40 * time.Second), n.facts.ID, r.Address})
			}
		}
	}
	return out
}

// send reports whether a message went out.
func (a *attack) send(n *note, compare bool) bool {
	held := false
	if compare {
		m := a.index.Take(n.at, n.facts.ID, a.victim.login, a.index.Signature(n.text, similar.Hints{Sender: a.victim.login}), strangersOf(n.facts.External))
		n.facts.SameText, n.facts.SharedText = m.Distinct.Day, m.Hijack
		held = m.Level >= similar.Review
	}
	v := a.watch.Look(n.at, n.facts)
	if v.Suspend != nil {
		a.watch.Suspended(n.at, a.victim.login, v.Suspend.Until, true)
	}
	if v.Stage == anomaly.Suspend {
		return false
	}
	n.facts.Held = held || v.Stage == anomaly.Hold
	a.watch.Learn(n.at, n.facts)
	return !n.facts.Held
}

// notes writes what the intruder sends.
func (a *attack) notes() (list []note) {
	s := a.style
	at := hijackStart.Add(attackDay*24*time.Hour + time.Duration(s.begin)*time.Hour + time.Duration(a.rand.IntN(3600))*time.Second)
	end, gap := at.Add(time.Duration(max(s.days, 1))*24*time.Hour), time.Hour*time.Duration(s.batch)/time.Duration(s.hourly)
	if s.daily {
		gap *= 24
	}
	text, serial := writeText(a.rand), 0
	for serial < maxAddresses && at.Before(end) {
		n := note{at: at, text: text, facts: anomaly.Facts{ID: a.org.id(), Identity: a.victim.login, Client: a.client(), Agent: a.victim.agent, ForeignFrom: s.spoof, Bare: s.bare}}
		if a.abroad {
			n.facts.Agent = "python-smtplib"
		}
		n.text = fmt.Sprintf("Dear Mr. %s, about order %d\n\n%s", writeWord(a.rand), a.rand.IntN(1e6), text)
		if s.random {
			n.text = writeText(a.rand)
		}
		for range s.batch {
			n.facts.External = append(n.facts.External, anomaly.Recipient{Address: a.target(serial), Stranger: !s.own, Heard: s.own})
			serial++
		}
		list = append(list, n)
		at = at.Add(time.Duration(float64(gap) * (0.5 + a.rand.Float64())))
	}
	return list
}

func (a *attack) client() netip.Addr {
	if a.style.networks > 0 {
		return netip.AddrFrom4([4]byte{10, byte(a.rand.IntN(6)), byte(200 + a.rand.IntN(a.style.networks)), 9})
	}
	if a.abroad {
		return netip.AddrFrom4([4]byte{10, 20, 77, 9})
	}
	return a.victim.networks[0]
}

// target gives an address of the list.
func (a *attack) target(serial int) policy.Address {
	if a.style.dictionary {
		return policy.Address(fmt.Sprintf("%c%c%c@victims.example", 'a'+rune(serial/676%26), 'a'+rune(serial/26%26), 'a'+rune(serial%26)))
	}
	if a.rand.IntN(2) == 0 {
		return policy.Address(fmt.Sprintf("%s%d@%s", writeWord(a.rand), serial, freeDomain(a.rand)))
	}
	return policy.Address(fmt.Sprintf("%s%d@target%d.example", writeWord(a.rand), serial, a.rand.IntN(5000)))
}

var hijackWords = strings.Fields(`account address amount annual answer article attached balance bank begin board budget building
business calendar cancel change client column company complete concern confirm contact contract copy correct cost country
customer delivery department deposit detail discount document draft effort engine estimate expect factory figure finance
follow forward future garden general harbour holiday hotel improve include increase invoice journal journey kitchen language
ledger letter library machine manage market material meeting member message minister monthly morning network notice number
office order outline package parcel partner payment pencil people period planning pocket present price problem process
product profit project promise quality quarter question railway reason receipt record region report request result revenue
review river safety sample schedule season section service settle shipment signature solution station status storage student
subject summer supply support system table target technical ticket timber today tomorrow tourist traffic transfer travel
treaty unit update urgent vacation value vehicle village visit volume warehouse weather website weekly welcome winter worker`)

func writeWord(r *rand.Rand) string { return hijackWords[r.IntN(len(hijackWords))] }

// writeText gives 60 to 120 words.
func writeText(r *rand.Rand) string {
	var b strings.Builder
	for i := range 60 + r.IntN(60) {
		if i%12 == 11 {
			b.WriteString(". ")
		}
		b.WriteString(writeWord(r) + " ")
	}
	return b.String()
}
