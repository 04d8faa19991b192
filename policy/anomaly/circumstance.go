package anomaly

import "time"

// Shares below and above which something is not, or is, the rule.
const (
	seldom  = 0.1
	usually = 0.5
	mostly  = 0.8
)

// few is the number of recipients below which their sort says nothing.
const few = 10

// circumstance looks at how the message comes about.
func (e *evidence) circumstance() {
	if e.mature {
		e.surroundings()
	}
	if e.f.ForeignFrom && e.a.Habits.Known && e.a.Habits.Foreign < seldom {
		e.add(From, Numbers{})
	}
	if e.strangers == 0 {
		return
	}
	w := &e.a.Window
	all, n := w.hour(external)+len(e.f.External), w.hour(strangers)+e.strangers
	if all >= few && float64(n) > mostly*float64(all) && e.a.Habits.Strange < usually {
		e.add(Strangers, Numbers{Seen: float64(n), Of: float64(all), Limit: mostly * float64(all), Window: time.Hour})
	}
	atFree := w.hour(freeMail)
	for i := range e.f.External {
		if r := &e.f.External[i]; r.Stranger && e.w.isFree(r.Address) {
			atFree++
		}
	}
	if n >= few && float64(atFree) > usually*float64(n) && e.a.Habits.Free < usually {
		e.add(FreeMail, Numbers{Seen: float64(atFree), Of: float64(n), Limit: usually * float64(n), Window: time.Hour})
	}
	bares := w.hour(bare)
	if e.f.Bare {
		bares++
	}
	if bares >= few/2 {
		e.add(Bare, Numbers{Seen: float64(bares), Limit: few / 2, Window: time.Hour})
	}
}

// surroundings compares network, country, program and hour with those of before.
func (e *evidence) surroundings() {
	a := e.a
	network, country := e.w.place(e.f.Client)
	if s := a.Networks.find(network); network != 0 && a.Networks.anyFamiliar() && (s == nil || !s.familiar()) {
		e.add(Network, Numbers{})
		if country != 0 && !a.Networks.knows(country) {
			e.add(Country, Numbers{})
		}
	}
	agent := agentKey(e.f.Agent)
	if s := a.Agents.find(agent); agent != 0 && a.Agents.anyFamiliar() && (s == nil || !s.familiar()) {
		e.add(Agent, Numbers{})
	}
	if !a.Baseline.inHours(e.hourOfWeek()) {
		e.add(Hours, Numbers{})
	}
}
