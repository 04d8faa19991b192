package guard

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/anomaly"
	"github.com/sendgate/sendgate/policy/limit"
	"github.com/sendgate/sendgate/policy/similar"
)

// Domains checks the domain of a recipient. It must answer within the context, and let pass what it
// cannot find out.
type Domains interface {
	// Check gives a verdict that refuses, or the zero verdict.
	Check(ctx context.Context, recipient policy.Address) policy.Verdict
	// Group names the mail service that a domain shares with others, from what is known without waiting;
	// empty when nothing is.
	Group(domain string) string
}

// Settings are what a reload replaces.
type Settings struct {
	Config    policy.Config
	Directory *policy.Directory
	Domains   Domains // nil checks nothing
	// Refused is told of recipients that were refused for their domain: the dialogue may end in a message
	// without them, so that no event does. It must not block.
	Refused func(e *policy.Envelope, v policy.Verdict)
	// Trial is until when limits only say what they would do.
	Trial time.Time
	// Bypassed says whether limits only say what they would do because somebody wants it so for now; nil is
	// never. It is called for every message and must not block.
	Bypassed func() bool
	// Lifted says whether suspensions are among what is only said: mail of suspended accounts is refused in the
	// verdict, which then has the charge of all others, for it will pass. As Bypassed, without which it is never so.
	Lifted func() bool
	// Similar are the thresholds of near-duplicates; without a seed nothing is compared. Only New looks
	// at it.
	Similar similar.Config
	// Anomaly says what is unusual for an account and what follows. Only New looks at Enabled, to watch, and
	// Reload no more than at whether anything still follows.
	Anomaly anomaly.Config
	// Suspend is given the suspensions that accounts bring on themselves; it has to write them down. They
	// are in force already. It must not block.
	Suspend func(policy.Event)
	// Contact is whom a refused sender is to ask, in the texts; empty names nobody.
	Contact string
}

// A Guard decides on submissions. See the package comment.
type Guard struct {
	settings atomic.Pointer[settings]
	counters *limit.Counters
	people   *limit.Correspondents
	waiting  *limit.Waiting
	index    *similar.Index // nil when nothing is compared
	watch    *anomaly.Watch // nil when accounts are not watched

	flowing sync.Mutex // what Flow takes, and events that end a wait; locked before mu

	mu        sync.Mutex
	fresh     fresh
	suspended map[string]Suspension // by identity
	kept      map[policy.ID]*kept
	reviews   map[policy.ID]bool                 // held for the conduct of their account
	pardoned  map[string]map[policy.ID]time.Time // by identity: campaigns that a person lets pass, until when
	swept     time.Time                          // when what nobody accepted was dropped from kept
	plan      map[policy.ID]limit.Estimate       // of what waits, some seconds old
	planned   time.Time
}

// settings are Settings with what is made of them.
type settings struct {
	Settings
	hold     *policy.Rules
	rules    map[string]*policy.LimitRule
	matchers []*policy.Matcher // by the indexes of Config.Limits
	internal *policy.Patterns
	always   map[string]bool // to whom suspended accounts may write
}

// isInternal reports whether an address is the organisation's own.
func (all *settings) isInternal(a policy.Address) bool {
	return a.Domain() == "" || all.internal.Match(a)
}

// New makes a Guard with an empty memory.
func New(s Settings) *Guard {
	g := &Guard{
		counters: limit.New(limit.DefaultConfig()), people: limit.NewCorrespondents(limit.DefaultCorrespondentsConfig()),
		waiting: limit.NewWaiting(), suspended: map[string]Suspension{}, kept: map[policy.ID]*kept{},
		reviews: map[policy.ID]bool{}, pardoned: map[string]map[policy.ID]time.Time{},
	}
	if s.Similar.Seed != ([16]byte{}) {
		g.index, _ = similar.New(s.Similar) // its error is a configuration that was checked before
	}
	if s.Anomaly.Enabled {
		g.watch, _ = anomaly.New(s.Anomaly, nil) // likewise
	}
	g.Reload(s)
	return g
}

// Reload takes over new rules. What was counted stays.
func (g *Guard) Reload(s Settings) {
	all := &settings{
		Settings: s, hold: policy.NewRules(s.Config, s.Directory), rules: make(map[string]*policy.LimitRule, len(s.Config.Limits)),
		internal: policy.NewPatterns(s.Config.Internal), always: map[string]bool{},
	}
	for _, a := range append(slices.Clone(s.Anomaly.Suspension.Always), s.Contact) {
		if address, err := policy.ParseAddress(a); err == nil && address != "" {
			all.always[address.Key()] = true
		}
	}
	if g.watch != nil {
		_ = g.watch.Reload(s.Anomaly) // a configuration that was checked before
	}
	for i := range s.Config.Limits {
		r := &all.Config.Limits[i]
		all.rules[r.Name] = r
		all.matchers = append(all.matchers, policy.NewMatcher(&r.Match))
	}
	g.settings.Store(all)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.planned = time.Time{}
}

// concerned reports whether rules apply to a message at all.
func concerned(e *policy.Envelope) bool {
	return e.Direction != policy.Inbound && e.Front != policy.Internal && e.Sender != ""
}

// Decide applies the rules. Inbound mail, mail from the null sender and what sendgate itself wrote
// pass.
func (g *Guard) Decide(ctx context.Context, s policy.Submission) policy.Verdict {
	if !concerned(s.Envelope) {
		return policy.Verdict{}
	}
	all := g.settings.Load()
	switch s.Stage {
	case policy.StageMail:
		return policy.Verdict{}
	case policy.StageRcpt:
		return g.recipient(ctx, all, &s)
	}
	f := facts{visible: -1}
	ends := !all.lifted() // what is refused; else it passes, and all of it counts
	var v policy.Verdict
	if s.Stage != policy.StageContent {
		if v = g.message(ctx, all, &s, &f); ends && refuses(&v) {
			return v
		}
	}
	w, match := g.content(all, &s, &f)
	v = both(v, w)
	if ends && refuses(&v) {
		return v
	}
	w = g.conduct(all, &s, &f, s.Content, match)
	if ends && refuses(&w) && s.Stage != policy.StageContent {
		g.Forget(s.Time, s.ID)
		return w
	}
	return both(v, w)
}

func refuses(v *policy.Verdict) bool { return v.Action == policy.Reject || v.Action == policy.Defer }

// both puts together what was said about a message. Mostly nothing was.
func both(v, w policy.Verdict) policy.Verdict {
	if w.Action == policy.Pass && w.Charge == nil && w.Findings == nil {
		return v
	}
	return v.And(w)
}

// Forget gives back what a message took that was not accepted after all.
func (g *Guard) Forget(now time.Time, id policy.ID) {
	g.leave(id)
	g.counters.Release(now, id)
	g.mu.Lock()
	g.fresh.take(id)
	g.mu.Unlock()
}

// Key is whom limits count for, of what a person calls him: an address or a login in any spelling. Keys
// of other things than identities stay as they are.
func (g *Guard) Key(name string) string {
	if name == "" || strings.Contains(name, "#") {
		return name
	}
	for _, prefix := range []string{"from:", "to:", "dest:", "net:", "gateway:"} {
		if strings.HasPrefix(name, prefix) {
			return name
		}
	}
	return g.settings.Load().Directory.Canonical(name, "", "")
}

// recipient decides on one recipient by itself.
func (g *Guard) recipient(ctx context.Context, all *settings, s *policy.Submission) policy.Verdict {
	e := s.Envelope
	for _, r := range e.Recipients {
		if v := g.barred(all, s.Time, e.Identity, r.Address); v.Action != policy.Pass && !all.lifted() {
			return v
		}
		if all.Domains != nil {
			if v := all.Domains.Check(ctx, r.Address); v.Action != policy.Pass {
				if all.Refused != nil {
					all.Refused(e, v)
				}
				return v
			}
		}
	}
	if e.Login == "" { // a mail server sends the rest in another message; a person's program gives up
		return all.tooMany(s)
	}
	return policy.Verdict{}
}

// minRecipients is how many recipients a server has to take (RFC 5321 4.5.3.1.8).
const minRecipients = 100

// tooMany answers for recipients beyond what one message may have.
func (all *settings) tooMany(s *policy.Submission) policy.Verdict {
	groups := all.Directory.Groups(s.Envelope.Identity)
	for i := range all.Config.Limits {
		l := &all.Config.Limits[i]
		if l.Per != 0 || l.Unit != policy.Recipients || l.Action != policy.Reject || all.shadow(l, s.Time) || !all.matchers[i].Matches(s, groups) {
			continue
		}
		if most := max(l.Limit, minRecipients); int64(s.Already) >= most {
			return policy.Verdict{
				Action: policy.Defer, Rule: l.Name, Code: 452, Status: "4.5.3", Text: tooManyText(most),
				Reason: "more recipients than the limit " + l.Name + " allows in one message",
			}
		}
	}
	return policy.Verdict{}
}

// shadow reports whether a limit only says what it would do.
func (all *settings) shadow(l *policy.LimitRule, now time.Time) bool {
	return l.Shadow || now.Before(all.Trial) || all.Bypassed != nil && all.Bypassed()
}

// lifted reports whether suspensions are only said.
func (all *settings) lifted() bool { return all.Lifted != nil && all.Lifted() }
