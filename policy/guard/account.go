package guard

import (
	"net/netip"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/anomaly"
	"github.com/sendgate/sendgate/policy/similar"
)

// Rules in an event that ends a suspension: what becomes of what counted against the account. Without one it
// is forgiven.
const (
	Forget = "forget" // all that was learned of the account goes, too
	Keep   = "keep"   // it stays
)

// behaved tells the watch of a message that was accepted. m is what the comparison of texts said.
func (g *Guard) behaved(id policy.ID, e *policy.Envelope, ev *policy.Event, f *facts, m *similar.Match) {
	if g.watch == nil {
		return
	}
	var room [8]anomaly.Recipient
	known := g.known(room[:0], g.settings.Load(), e, f)
	known.ID = id
	if ev.Charge != nil && ev.Charge.First != (policy.ID{}) {
		known.ID = ev.Charge.First // of which it is a client's retry
	}
	read(&known, m)
	for i := range ev.Findings {
		f := &ev.Findings[i]
		known.Held = known.Held || f.Decided && f.Action == policy.Approval
		known.Bare = known.Bare || f.Kind == anomalyRule && f.Source == string(anomaly.Bare)
	}
	g.watch.Learn(ev.Time, known)
}

// underReview notes a message that a person is to look at for the conduct of its account.
func (g *Guard) underReview(id policy.ID, ev *policy.Event) {
	for i := range ev.Findings {
		if f := &ev.Findings[i]; f.Kind == anomalyRule && f.Decided && f.Action == policy.Approval {
			g.mu.Lock()
			g.reviews[id] = true
			g.mu.Unlock()
			return
		}
	}
}

// reviewed takes up the end of that. Who lets the message pass speaks for the account.
func (g *Guard) reviewed(id policy.ID, e *policy.Envelope, ev *policy.Event, again bool) {
	g.mu.Lock()
	was := g.reviews[id]
	delete(g.reviews, id)
	g.mu.Unlock()
	if !was || again || ev.Kind != policy.Approved || g.watch == nil {
		return
	}
	if _, suspended := g.Suspended(ev.Time, e.Identity); !suspended {
		g.watch.Release(ev.Time, e.Identity, false)
	}
}

// bounced tells the watch that recipients do not take a message.
func (g *Guard) bounced(id policy.ID, e *policy.Envelope, ev *policy.Event) {
	if g.watch == nil {
		return
	}
	all, said := g.settings.Load(), ev.Reply
	if said == "" {
		said = ev.Evidence
	}
	for i := range e.Recipients {
		a := e.Recipients[i].Address
		if !ev.Concerns(i) {
			continue
		}
		if ev.Member != "" {
			a = ev.Member
		}
		if !all.isInternal(a) {
			g.watch.Bounce(ev.Time, id, e.Identity, anomaly.FailureOf(said), a)
		}
	}
}

// signIn tells the watch that an account was used from somewhere. What was refused says nothing about the
// account: anybody can try.
func (g *Guard) signIn(ev *policy.Event) {
	client, err := netip.ParseAddr(ev.Evidence)
	if g.watch == nil || err != nil {
		return
	}
	refused := strings.HasPrefix(ev.Reply, "4") || strings.HasPrefix(ev.Reply, "5")
	g.watch.SignIn(ev.Time, ev.Subject, client, !refused)
}

// judged tells the watch that a suspension begins or ends.
func (g *Guard) judged(ev *policy.Event) {
	switch {
	case g.watch == nil:
	case ev.Kind == policy.Suspended:
		g.watch.Suspended(ev.Time, ev.Subject, ev.Until, ev.Actor == anomalyRule)
	case ev.Rule == Keep:
		g.watch.Unbar(ev.Time, ev.Subject)
	default:
		g.watch.Release(ev.Time, ev.Subject, ev.Rule == Forget)
	}
}

// Heard makes known that somebody outside wrote to one of ours, who may answer without writing to a stranger.
func (g *Guard) Heard(now time.Time, to, from policy.Address) {
	all := g.settings.Load()
	if from == "" || all.isInternal(from) || !all.isInternal(to) {
		return
	}
	g.people.Heard(all.Directory.Canonical("", to, ""), from.Key(), now)
}
