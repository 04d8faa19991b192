package guard

import (
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/limit"
)

// planEvery is how old an estimate may be.
const planEvery = 10 * time.Second

// Admitted is a waiting message that may go now, with what it took. It stays so ([Guard.Going]) until an
// event tells what became of it.
type Admitted struct {
	ID       policy.ID
	Charge   *policy.Charge
	Findings []policy.Finding
}

// Flow gives the messages that wait for a limit and fit now, at most n, in fair order: senders take
// turns, small messages first.
func (g *Guard) Flow(now time.Time, n int) (list []Admitted) {
	all := g.settings.Load()
	list = g.flow(all, now, n)
	g.estimate(all, now)
	g.dropNoted(now)
	return list
}

func (g *Guard) flow(all *settings, now time.Time, n int) (list []Admitted) {
	g.flowing.Lock()
	defer g.flowing.Unlock()
	results := map[policy.ID]limit.Result{}
	entries := g.waiting.Next(now, n, func(e limit.Entry) limit.Result {
		if g.early(now, e.ID) {
			return limit.Result{}
		}
		r := g.takeWhole(now, e.ID, all.today(now, e.Demands))
		if r.Fits {
			results[e.ID] = r
		}
		return r
	})
	for _, e := range entries {
		r := results[e.ID]
		a := Admitted{ID: e.ID, Charge: chargeOf(r.Taken), Findings: all.findings(&r)}
		if g.admitted(&a) {
			list = append(list, a)
		} else { // it was taken back meanwhile
			g.counters.Release(now, e.ID)
		}
	}
	return list
}

// takeWhole takes for a message that waits. One that has become larger than a limit, because that was
// lowered or a boost has ended, fills the whole window: it was accepted, and has to go some time.
func (g *Guard) takeWhole(now time.Time, id policy.ID, demands []limit.Demand) limit.Result {
	for {
		r := g.counters.Take(now, id, limit.Fingerprint{}, demands)
		if l := r.Blocking(); l == nil || !l.Never || !shrink(demands, l) {
			return r
		}
	}
}

// shrink lowers a demand to the limit that it can never meet.
func shrink(demands []limit.Demand, l *limit.Line) bool {
	for i := range demands {
		if d := &demands[i]; d.Rule == l.Rule && d.Key == l.Key && d.Amount > l.Limit {
			d.Amount = l.Limit
			return true
		}
	}
	return false
}

// when estimates by the limits of today when there is room for a demand.
func (g *Guard) when(all *settings, now time.Time, d limit.Demand, ahead int64) (time.Time, bool) {
	list := all.today(now, []limit.Demand{d})
	if len(list) == 0 || list[0].Shadow || !list[0].Hard {
		return now, true
	}
	if r := g.counters.Test(now, list); r.Lines[0].Never {
		shrink(list, &r.Lines[0])
	}
	return g.counters.When(now, list[0], ahead)
}

// estimate plans anew when everything that waits will go. It is a pass over all of it, so that it is not
// made for each.
func (g *Guard) estimate(all *settings, now time.Time) {
	g.mu.Lock()
	since := now.Sub(g.planned)
	g.mu.Unlock()
	if since >= 0 && since < planEvery {
		return
	}
	list := g.waiting.Plan(func(d limit.Demand, ahead int64) (time.Time, bool) { return g.when(all, now, d, ahead) }, now)
	plan := make(map[policy.ID]limit.Estimate, len(list))
	for _, e := range list {
		plan[e.ID] = e
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.plan, g.planned = plan, now
}

// Waits reports whether a message waits for a limit, and when it will probably go.
func (g *Guard) Waits(id policy.ID) (until time.Time, finding policy.Finding, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	k := g.kept[id]
	if k == nil || k.noted.IsZero() && !k.queued {
		return time.Time{}, policy.Finding{}, false
	}
	f := policy.Finding{
		Rule: k.line.Rule, Kind: "limit", Unit: k.line.Unit, Key: k.line.Key, Window: k.line.Window, Limit: k.line.Limit,
		Next: k.line.Next, Exceeded: true, Decided: true, Action: policy.Hold,
	}
	if e, planned := g.plan[id]; planned {
		f.Rule, f.Key, f.Next = e.Rule, e.Key, e.At
		if rule := g.settings.Load().rules[e.Rule]; rule != nil {
			f.Unit, f.Window, f.Limit = rule.Unit, time.Duration(rule.Per), rule.Limit
		}
	}
	if f.Next.Before(k.earliest) {
		f.Next = k.earliest
	}
	return f.Next, f, true
}

// today puts the limits of today into demands of the past. Those of rules that are gone fall away.
func (all *settings) today(now time.Time, demands []limit.Demand) []limit.Demand {
	list := make([]limit.Demand, 0, len(demands))
	for _, d := range demands {
		rule := all.rules[d.Rule]
		if rule == nil {
			continue
		}
		d.Limit, d.Window, d.WarnAt = rule.Limit, time.Duration(rule.Per), rule.Warn
		d.Hard, d.Shadow = keepsBack(rule.Action), all.shadow(rule, now)
		list = append(list, d)
	}
	return list
}

// findings gives those of a result whose demands are of today.
func (all *settings) findings(r *limit.Result) []policy.Finding {
	list := make([]policy.Finding, 0, len(r.Lines))
	for i := range r.Lines {
		if rule := all.rules[r.Lines[i].Rule]; rule != nil {
			list = append(list, finding(&r.Lines[i], rule))
		}
	}
	return list
}

// Usage tells what has counted for a key under each limit.
func (g *Guard) Usage(now time.Time, key string) []policy.Finding {
	all := g.settings.Load()
	return all.lines(g.counters.Usage(now, key, all.limits(now)))
}

// Near lists the limits that are used to a fraction or more, the fullest first, at most n.
func (g *Guard) Near(now time.Time, fraction float64, n int) []policy.Finding {
	all := g.settings.Load()
	return all.lines(g.counters.Near(now, fraction, all.limits(now), n))
}

// Grants lists the overrides and boosts of a key, or of all keys with "".
func (g *Guard) Grants(now time.Time, key string) []limit.Grant {
	if key == "" {
		return g.counters.AllGrants(now)
	}
	return g.counters.Grants(now, key)
}

func (all *settings) limits(now time.Time) limit.Limits {
	return func(rule, key string) (limit.Demand, bool) {
		l := all.rules[rule]
		if l == nil {
			return limit.Demand{}, false
		}
		return limit.Demand{
			Rule: rule, Key: key, Window: time.Duration(l.Per), Limit: l.Limit, WarnAt: l.Warn, Hard: keepsBack(l.Action), Shadow: all.shadow(l, now),
		}, true
	}
}

func (all *settings) lines(lines []limit.Line) []policy.Finding {
	return all.findings(&limit.Result{Lines: lines})
}
