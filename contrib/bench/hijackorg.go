package main

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/anomaly"
	"github.com/sendgate/sendgate/policy/limit"
	"github.com/sendgate/sendgate/policy/similar"
)

// Days of the simulation: four weeks, and one in which accounts are attacked on the Tuesday.
const (
	days       = 35
	attackDay  = 29
	learnDays  = 14
	publicRest = 18 // a public holiday
)

var hijackStart = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC) // a Monday

// An organisation is people with a memory of their mail.
type organisation struct {
	rand   *rand.Rand
	cfg    anomaly.Config
	watch  *anomaly.Watch
	circle *limit.Correspondents
	index  *similar.Index
	people []*person
	serial uint64
	review time.Duration // after which a person lets pass what is innocent; 0: never

	messages, looked int
	spent            time.Duration
}

// A note is a message on its way: its facts and its text.
type note struct {
	at    time.Time
	facts anomaly.Facts
	to    []policy.Address // external
	text  string
}

// locate knows no operators; the second octet of simulated addresses is their country.
func locate(a netip.Addr) (network, country string) {
	if b := a.As4(); b[0] == 10 {
		return "", string([]byte{'A' + b[1]%26, 'A'})
	}
	return "", ""
}

func newOrganisation(seed uint64, senders int, review time.Duration) (*organisation, error) {
	cfg := anomaly.DefaultConfig()
	cfg.Services = []string{"bulk"}
	watch, err := anomaly.New(cfg, locate)
	if err != nil {
		return nil, err
	}
	index, err := newHijackIndex()
	if err != nil {
		return nil, err
	}
	o := &organisation{
		rand: rand.New(rand.NewPCG(seed, 7)), review: review, cfg: cfg, watch: watch, index: index,
		circle: limit.NewCorrespondents(limit.DefaultCorrespondentsConfig()),
	}
	for _, r := range roles() {
		for range max(1, senders*r.share/100) {
			o.people = append(o.people, o.person(r))
		}
	}
	return o, nil
}

func (o *organisation) between(a, b int) int { return a + o.rand.IntN(b-a+1) }

func (o *organisation) chance(p float64) bool { return o.rand.Float64() < p }

func (o *organisation) id() (id policy.ID) {
	o.serial++
	id[0] = 1
	binary.BigEndian.PutUint64(id[8:], o.serial)
	return id
}

// live lets everybody work for a day. It gives the notes by sender.
func (o *organisation) live(day int) map[string][]note {
	var all []note
	own := map[string][]note{}
	for _, p := range o.people {
		all = append(all, o.day(p, day)...)
	}
	slices.SortStableFunc(all, func(a, b note) int { return a.at.Compare(b.at) })
	byLogin := map[string]*person{}
	for _, p := range o.people {
		byLogin[p.login] = p
	}
	for i := range all {
		n := &all[i]
		o.know(n)
		o.send(byLogin[n.facts.Identity], n, day)
		own[n.facts.Identity] = append(own[n.facts.Identity], *n)
	}
	return own
}

// volume gives the number of messages of a day, and of those to known partners only.
func (o *organisation) volume(p *person, day int) (n, runs int) {
	weekday := day % 7
	rest := weekday >= 5 && !p.role.week || day == publicRest
	if day < p.joins || day >= p.away[0] && day < p.away[1] || rest && !o.chance(0.05) {
		return 0, 0
	}
	n = o.between(p.daily/2, p.daily+p.daily/2)
	if rest {
		n = 1 + n/10
	}
	monthEnd := day == 27 || day == 28 || day == 29
	switch {
	case p.role.invoices() && monthEnd:
		runs = len(p.partners) / 2
	case p.role.name == "newsletter" && weekday == 1:
		runs = len(p.partners)
	case monthEnd && !p.role.replies && o.chance(0.3):
		runs = n
	}
	return n, runs
}

// day writes the mail of a person.
func (o *organisation) day(p *person, day int) []note {
	n, runs := o.volume(p, day)
	if n+runs == 0 {
		return nil
	}
	var list []note
	for range n {
		list = append(list, o.note(p, day))
	}
	at := o.moment(p, day)
	for range runs { // one after the other
		list = append(list, o.to(p, day, at, p.partners[o.rand.IntN(len(p.partners))]))
		at = at.Add(time.Duration(o.between(1, 20)) * time.Second)
	}
	cold := 0
	if o.chance(p.role.cold) {
		cold = o.between(8, 25)
	}
	if p.fair == day {
		cold = o.between(20, 60)
	}
	at = o.moment(p, day)
	for range cold { // by hand
		list = append(list, o.to(p, day, at, o.stranger(p)))
		at = at.Add(time.Duration(o.between(60, 700)) * time.Second)
	}
	return list
}

// moment is a time at work, seldom outside it.
func (o *organisation) moment(p *person, day int) time.Time {
	hour := float64(p.role.begin) + 9*o.rand.Float64()
	if o.chance(0.02) {
		hour = 24 * o.rand.Float64()
	}
	return hijackStart.Add(time.Duration(day)*24*time.Hour + time.Duration(hour*float64(time.Hour)))
}

// note writes one message as people do.
func (o *organisation) note(p *person, day int) note {
	n := o.to(p, day, o.moment(p, day))
	if !o.chance(p.role.outside) {
		n.facts.Internal = o.between(1, 4)
		return n
	}
	many := 1
	if o.chance(0.15) {
		many = o.between(2, 5)
	}
	for range many {
		if !o.chance(p.role.fresh) {
			n.to = append(n.to, p.partners[o.rand.IntN(len(p.partners))])
			continue
		}
		a := o.stranger(p)
		if p.role.replies && o.chance(0.8) || o.chance(0.3) {
			o.circle.Heard(p.login, a.Key(), n.at.Add(-time.Hour))
		}
		n.to = append(n.to, a)
		if o.chance(0.4) {
			p.partners = append(p.partners, a)
		}
	}
	return n
}

// to begins a message.
func (o *organisation) to(p *person, day int, at time.Time, to ...policy.Address) note {
	f := anomaly.Facts{ID: o.id(), Identity: p.login, Client: o.place(p, day), Agent: p.agent, ForeignFrom: o.chance(p.role.from), Bare: o.chance(0.01)}
	if p.role.service {
		f.Groups = []string{"bulk"}
	}
	return note{at: at, facts: f, to: to}
}

// place is where somebody is.
func (o *organisation) place(p *person, day int) netip.Addr {
	for i, trip := range p.trips {
		if day >= trip && day < trip+2+i && !o.chance(0.1) {
			return netip.AddrFrom4([4]byte{10, byte(1 + trip%5), byte(trip), byte(i)})
		}
	}
	switch x := o.rand.IntN(20); {
	case x < 15 || p.role.service || p.role.invoices():
		return p.networks[0]
	case x < 18:
		return p.networks[1]
	case x < 19:
		return p.networks[2]
	}
	return netip.AddrFrom4([4]byte{10, 0, byte(100 + (day*31+len(p.login)*7+p.daily)%100), 1}) // somewhere in town, that day
}

// know tells strangers from correspondents.
func (o *organisation) know(n *note) {
	keys := make([]string, len(n.to))
	for i, a := range n.to {
		keys[i] = a.Key()
	}
	for i, r := range o.circle.Relations(n.facts.Identity, keys) {
		n.facts.External = append(n.facts.External, anomaly.Recipient{Address: n.to[i], Stranger: !r.Sent && !r.Heard, Heard: r.Heard})
		o.circle.Learn(n.facts.Identity, keys[i], n.at)
	}
}

// send hands a message to the watch as a gateway would.
func (o *organisation) send(p *person, n *note, day int) {
	if day >= attackDay && day < attackDay+2 {
		o.compare(p, n)
	}
	if !p.review.IsZero() && n.at.After(p.review) {
		o.watch.Release(p.review, p.login, false)
		p.review = time.Time{}
	}
	began := time.Now()
	v := o.watch.Look(n.at, n.facts)
	if v.Suspend != nil {
		o.watch.Suspended(n.at, p.login, v.Suspend.Until, true)
		p.suspended = true
	}
	if v.Stage >= anomaly.Hold && p.review.IsZero() && o.review > 0 {
		p.review = inOffice(n.at.Add(o.review))
	}
	n.facts.Held = v.Stage == anomaly.Hold
	if v.Stage != anomaly.Suspend {
		o.watch.Learn(n.at, n.facts)
	}
	o.spent += time.Since(began)
	o.looked++
	if day >= learnDays {
		o.messages++
		if v.Stage >= anomaly.Pace {
			p.disturbed[v.Reasons[0].Code]++
		}
	}
	for _, r := range n.facts.External {
		if v.Stage < anomaly.Hold && (r.Stranger && o.chance(0.02) || o.chance(0.002)) {
			o.watch.Bounce(n.at, n.facts.ID, p.login, anomaly.NoSuchUser, r.Address)
		}
	}
}

// inOffice moves a time into the hours in which somebody looks at what is held: 8 to 18 on all days.
func inOffice(t time.Time) time.Time {
	day := t.Truncate(24 * time.Hour)
	switch h := t.Hour(); {
	case h < 8:
		return day.Add(8 * time.Hour)
	case h >= 18:
		return day.Add(32 * time.Hour)
	}
	return t
}

// compare looks for copies of the text.
func (o *organisation) compare(p *person, n *note) {
	text := writeText(o.rand)
	if p.role.invoices() {
		text = fmt.Sprintf("Dear customer, your invoice %d. %s", o.rand.IntN(1e6), p.form)
	}
	m := o.index.Take(n.at, n.facts.ID, p.login, o.index.Signature(text, similar.Hints{Sender: p.login}), strangersOf(n.facts.External))
	n.facts.SameText, n.facts.SharedText = m.Distinct.Day, m.Hijack
}

func strangersOf(list []anomaly.Recipient) (to []policy.Address) {
	for _, r := range list {
		if r.Stranger {
			to = append(to, r.Address)
		}
	}
	return to
}

// victims picks accounts that have worked for a while, one of each role and then another.
func (o *organisation) victims(n int) []*person {
	var list []*person
	for _, p := range o.people {
		if !p.role.service && p.joins < learnDays {
			list = append(list, p)
		}
	}
	o.rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	turn, count := map[*person]int{}, map[string]int{}
	for _, p := range list {
		turn[p] = count[p.role.name]
		count[p.role.name]++
	}
	slices.SortStableFunc(list, func(a, b *person) int { return turn[a] - turn[b] })
	return list[:min(n, len(list))]
}
