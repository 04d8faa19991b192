package anomaly

import (
	"math"
	"time"
)

// unusual reports whether a count is above its floor and far above what is usual.
func (e *evidence) unusual(n *Numbers) bool {
	return n.Seen >= n.Limit && n.Z() >= e.w.cfg().Deviations
}

// floor raises a floor for an account that a person vouched for and that has no baseline yet.
func (e *evidence) floor(n int) float64 {
	if e.a.Vouched && !e.mature {
		return float64(2 * n)
	}
	return float64(n)
}

// rising is from where on a count is a reason together with others.
func rising(floor float64) float64 { return math.Ceil(floor * 2 / 3) }

func (e *evidence) hourOfWeek() int {
	u := e.now.UTC()
	return int(u.Weekday())*24 + u.Hour()
}

// hour looks at the strangers of the last hour.
func (e *evidence) hour() {
	b := &e.a.Baseline
	floor := e.floor(e.w.cfg().Hour)
	n := Numbers{Seen: float64(e.a.Window.hour(strangers) + e.strangers), Limit: rising(floor), Spread: 1, Window: time.Hour}
	if e.mature {
		n.Usual, n.Spread = b.expect(e.hourOfWeek(), cell.strangers, b.HourStrangers)
	}
	if !e.unusual(&n) {
		return
	}
	code := Rising
	switch {
	case n.Seen >= 2*floor:
		code, n.Limit = Flood, 2*floor
	case n.Seen >= floor:
		code, n.Limit = VolumeHour, floor
	}
	e.add(code, n)
}

// day looks at the strangers of the last 24 hours.
func (e *evidence) day() {
	usual := e.a.Baseline.DayStrangers
	floor := e.floor(e.w.cfg().Day)
	n := Numbers{Seen: float64(e.a.Window.day().strangers + e.strangers), Limit: rising(floor), Spread: 1, Window: 24 * time.Hour}
	if e.mature {
		n.Usual = float64(usual.Mean)
		n.Spread = floorSpread(n.Usual, usual.spread())
	}
	if !e.unusual(&n) {
		return
	}
	code := RisingDay
	if n.Seen >= floor {
		code, n.Limit = VolumeDay, floor
	}
	e.add(code, n)
}

// week looks at the strangers of today and the six days before: of who stays below the day's floor.
func (e *evidence) week() {
	usual := e.a.Baseline.DayStrangers
	seen, days := e.a.Window.week()
	n := Numbers{Seen: float64(seen + e.strangers), Limit: e.floor(e.w.cfg().Week), Spread: 1, Window: 7 * 24 * time.Hour}
	if e.mature {
		n.Usual = float64(usual.Mean) * float64(days)
		n.Spread = floorSpread(n.Usual, usual.spread()*math.Sqrt(float64(days)))
	}
	if e.unusual(&n) {
		e.add(VolumeWeek, n)
	}
}

// volume looks at all external recipients of the last hour.
func (e *evidence) volume() {
	if !e.mature {
		return
	}
	b := &e.a.Baseline
	n := Numbers{Seen: float64(e.a.Window.hour(external) + len(e.f.External)), Limit: float64(e.w.cfg().External), Window: time.Hour}
	n.Usual, n.Spread = b.expect(e.hourOfWeek(), cell.external, b.HourExternal)
	if e.unusual(&n) {
		e.external = true
		e.add(External, n)
	}
}

// ramp bounds a new account.
func (e *evidence) ramp() {
	r := &e.w.cfg().Ramp
	since, idle := e.a.woke(e.now, r)
	if since == 0 {
		return
	}
	if idle > 0 {
		e.add(Dormant, Numbers{Seen: float64(idle), Limit: r.Idle.Hours() / 24})
	}
	heard := int(e.a.Heard)
	if since != e.a.Woke { // with this message
		heard = 0
	}
	most := min(r.Day+r.Grow*heard, r.Most)
	n := e.a.Window.day().unheard + len(e.f.External) - e.f.heard()
	if n > most {
		e.add(NewAccount, Numbers{Seen: float64(n), Limit: float64(most), Window: 24 * time.Hour})
	}
}
