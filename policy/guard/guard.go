package guard

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sendgate/sendgate/policy"
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
	// Similar are the thresholds of near-duplicates; without a seed nothing is compared. Only New looks
	// at it.
	Similar similar.Config
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

	flowing sync.Mutex // what Flow takes, and events that end a wait; locked before mu

	mu        sync.Mutex
	fresh     fresh
	suspended map[string]Suspension // by identity
	kept      map[policy.ID]*kept
	swept     time.Time                    // when what nobody accepted was dropped from kept
	plan      map[policy.ID]limit.Estimate // of what waits, some seconds old
	planned   time.Time
}

// settings are Settings with what is made of them.
type settings struct {
	Settings
	hold     *policy.Rules
	rules    map[string]*policy.LimitRule
	matchers []*policy.Matcher // by the indexes of Config.Limits
	internal *policy.Patterns
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
	}
	if s.Similar.Seed != ([16]byte{}) {
		g.index, _ = similar.New(s.Similar) // its error is a configuration that was checked before
	}
	g.Reload(s)
	return g
}

// Reload takes over new rules. What was counted stays.
func (g *Guard) Reload(s Settings) {
	all := &settings{
		Settings: s, hold: policy.NewRules(s.Config, s.Directory), rules: make(map[string]*policy.LimitRule, len(s.Config.Limits)),
		internal: policy.NewPatterns(s.Config.Internal),
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
	case policy.StageContent:
		return g.content(all, &s)
	}
	v := g.message(ctx, all, &s)
	if s.Content == nil || v.Action == policy.Reject || v.Action == policy.Defer {
		return v
	}
	if w := g.content(all, &s); w.Action != policy.Pass || w.Charge != nil {
		v = v.And(w)
	}
	return v
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
		if v := g.barred(all, s.Time, e.Identity, r.Address); v.Action != policy.Pass {
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
	return l.Shadow || now.Before(all.Trial)
}
