package anomaly

import "time"

// judge weighs a message with what is known of its account. reached is the stage of the score alone.
func (w *Watch) judge(a *account, now time.Time, f *Facts) (v Verdict, reached Stage) {
	if a.Barred.holds(now) {
		return w.suspended(a, f), Pass
	}
	if f.Allowed || len(f.External) == 0 {
		return Verdict{}, Pass
	}
	e := evidence{w: w, a: a, f: f, now: now, strangers: f.Strangers(), mature: a.mature(now, &w.cfg().Config)}
	e.conduct()
	e.circumstance()
	v.Score, v.Reasons = w.score(e.reasons)
	reached = w.cfg().Stages.of(v.Score)
	v.Stage = reached
	if kept := w.kept(a, now); kept > v.Stage {
		v.Stage = kept
		v.Reasons = append(v.Reasons, w.reason(Recent, Numbers{Seen: float64(now.Unix()-a.StageAt) / 60, Window: w.cfg().Calm}))
	}
	if e.strangers == 0 && v.Stage < Suspend && !e.external {
		v.Stage = min(v.Stage, Tag)
	}
	if w.cfg().service(f.Groups) {
		return v.capped(Log), min(reached, Log)
	}
	if v.Stage == Suspend {
		v.Suspend = a.Barred.term(now, &w.cfg().Suspension)
	}
	return v, reached
}

func (v Verdict) capped(most Stage) Verdict {
	v.Stage = min(v.Stage, most)
	return v
}

// score adds up. Of the volumes only the heaviest stays; circumstance alone stops below the pace,
// and what is not hard below a suspension.
func (w *Watch) score(reasons []Reason) (score int, kept []Reason) {
	heaviest := -1
	for i := range reasons {
		if r := &reasons[i]; r.Code.volume() && (heaviest < 0 || r.Weight > reasons[heaviest].Weight) {
			heaviest = i
		}
	}
	conduct, hard := false, false
	for i, r := range reasons {
		if r.Weight == 0 || r.Code.volume() && i != heaviest {
			continue
		}
		conduct, hard = conduct || r.Code.conduct(), hard || r.Code.hard()
		score += r.Weight
		kept = append(kept, r)
	}
	if !conduct {
		score = min(score, w.cfg().Stages.Pace-1)
	}
	if !hard {
		score = min(score, w.cfg().Stages.Suspend-1)
	}
	return score, kept
}

func (w *Watch) reason(c Code, n Numbers) Reason {
	return Reason{Code: c, Weight: w.cfg().weight(c), Numbers: n, Text: label(c, n)}
}

// evidence gathers the reasons for one message.
type evidence struct {
	w         *Watch
	a         *account
	f         *Facts
	now       time.Time
	strangers int  // of this message
	mature    bool // the account has a baseline
	external  bool // External is one of the reasons
	reasons   []Reason
}

func (e *evidence) add(c Code, n Numbers) { e.reasons = append(e.reasons, e.w.reason(c, n)) }

// conduct looks at what the account does.
func (e *evidence) conduct() {
	if e.w.old(e.now) {
		e.hour()
		e.day()
		e.week()
		e.volume()
		e.ramp()
	}
	e.bounces()
	e.networks()
	if e.strangers == 0 {
		return
	}
	s := e.a.Sequence
	s.follow(e.f.External)
	if n := s.run(); n >= orderly {
		e.add(Order, Numbers{Seen: float64(n), Limit: orderly})
	}
	if n := e.f.SameText; n >= e.w.cfg().SameText {
		e.add(SameText, Numbers{Seen: float64(n), Limit: float64(e.w.cfg().SameText), Window: 24 * time.Hour})
	}
	if e.f.SharedText {
		e.add(SharedText, Numbers{})
	}
}

// bounces looks at what came back.
func (e *evidence) bounces() {
	w, limit := &e.a.Window, &e.w.cfg().Bounces
	if n := w.hour(bounced); n >= limit.Hour {
		e.add(HardBounces, Numbers{Seen: float64(n), Limit: float64(limit.Hour), Window: time.Hour})
	}
	if d := w.day(); d.external >= limit.Of && d.bounced*100 >= limit.Percent*d.external {
		e.add(BounceShare, Numbers{
			Seen: float64(d.bounced), Of: float64(d.external), Limit: float64(limit.Percent*d.external) / 100, Window: 24 * time.Hour,
		})
	}
	sent := w.hour(external)
	if n := w.sum(unknown, minutes10); n >= limit.Unknown && n*100 >= limit.Percent*sent {
		e.add(UnknownUsers, Numbers{Seen: float64(n), Of: float64(sent), Limit: float64(limit.Unknown), Window: 10 * time.Minute})
	}
}

// networks looks at how many the account was used from within an hour.
func (e *evidence) networks() {
	network, country := e.w.place(e.f.Client)
	n, countries := e.a.Networks.recent(minute(e.now)-min(minute(e.now), 60), network, country)
	limit := &e.w.cfg().Networks
	switch {
	case n > limit.Hour:
		e.add(Several, Numbers{Seen: float64(n), Limit: float64(limit.Hour), Window: time.Hour})
	case countries > limit.Countries:
		e.add(Several, Numbers{Seen: float64(countries), Limit: float64(limit.Countries), Window: time.Hour})
	}
}
