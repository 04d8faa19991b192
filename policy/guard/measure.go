package guard

import (
	"net/netip"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/limit"
)

// facts are what limits count of a message. They are found out when they are asked for, once.
type facts struct {
	groups   []string         // of the sender
	grouped  bool             // groups were asked for
	keys     []string         // of the recipients' addresses
	internal []bool           // by recipient
	known    []limit.Relation // by recipient, to the sender
	visible  int64            // external addresses in To and Cc; -1 until asked for
}

// demands gives what a message asks of the limits that match it, and the rules by the same indexes.
func (g *Guard) demands(all *settings, s *policy.Submission) (list []limit.Demand, rules []*policy.LimitRule) {
	var room asked
	list, rules, _ = g.measure(&room, all, s, &facts{visible: -1})
	return list, rules
}

// asked is room for what a message asks of the usual number of limits.
type asked struct {
	demands [12]limit.Demand
	rules   [12]*policy.LimitRule
	lines   [12]limit.Line // what was said to them
	amounts [12]limit.Amount
}

// measure is demands with the rules that could not be applied. It uses the room while it is enough.
func (g *Guard) measure(in *asked, all *settings, s *policy.Submission, f *facts) (list []limit.Demand, rules, failed []*policy.LimitRule) {
	groups := f.groupsOf(all, s.Envelope)
	list, rules = in.demands[:0], in.rules[:0]
	var room [4]share
	for i := range all.Config.Limits {
		l := &all.Config.Limits[i]
		if l.Action == policy.Pace {
			continue
		}
		shares, ok := g.tryShares(room[:0], all, s, i, f, groups)
		if !ok {
			failed = append(failed, l)
		}
		for _, share := range shares {
			list = append(list, limit.Demand{
				Rule: l.Name, Key: share.key, Window: time.Duration(l.Per), Limit: l.Limit, Amount: share.amount, WarnAt: l.Warn,
				Hard: keepsBack(l.Action), Shadow: all.shadow(l, s.Time),
			})
			rules = append(rules, l)
		}
	}
	return list, rules, failed
}

// tryShares is shares, if limit i matches; false when it cannot be told. One broken rule must not reach the
// others.
func (g *Guard) tryShares(list []share, all *settings, s *policy.Submission, i int, f *facts, groups []string) (_ []share, ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	if !all.matchers[i].Matches(s, groups) {
		return nil, true
	}
	return g.shares(list, all, s, i, f), true
}

// keepsBack reports whether nothing is taken when a limit with this action is exceeded.
func keepsBack(a policy.Action) bool {
	return a == policy.Hold || a == policy.Approval || a == policy.Defer || a == policy.Reject
}

// A share is what a message asks of one limit for one key.
type share struct {
	key    string
	amount int64
}

// place is the key of a recipient domain, or of the mail service that it shares with others.
func (all *settings) place(k policy.Key, domain string) string {
	if k == policy.ByRecipientDomain {
		return "to:" + domain
	}
	if all.Domains != nil {
		if group := all.Domains.Group(domain); group != "" {
			return "dest:" + group
		}
	}
	return "dest:" + domain
}

// shares appends what a message asks of a limit. One that names none of the recipients asks for nothing.
func (g *Guard) shares(list []share, all *settings, s *policy.Submission, rule int, f *facts) []share {
	e, l := s.Envelope, &all.Config.Limits[rule]
	if l.Key == policy.ByRecipientDomain || l.Key == policy.ByDestination {
		at := map[string]int{}
		for i := range e.Recipients {
			n, key := g.amount(all, s, rule, f, i), all.place(l.Key, e.Recipients[i].Address.Domain())
			if n == 0 {
				continue
			}
			j, ok := at[key]
			if !ok {
				j = len(list)
				at[key] = j
				list = append(list, share{key: key})
			}
			if whole(l.Unit) {
				list[j].amount = n
			} else {
				list[j].amount += n
			}
		}
		return list
	}
	total := int64(0)
	for i := range e.Recipients {
		n := g.amount(all, s, rule, f, i)
		if n > 0 && whole(l.Unit) {
			total = n
			break
		}
		total += n
	}
	if total == 0 {
		return nil
	}
	return append(list, share{key: keyOf(l.Key, e), amount: total})
}

// whole reports whether a unit is counted once for a message, not for each recipient.
func whole(u policy.Unit) bool {
	return u == policy.Messages || u == policy.Bytes || u == policy.VisibleRecipients
}

// amount is what recipient i adds, of a unit that is counted once: what the message adds.
func (g *Guard) amount(all *settings, s *policy.Submission, rule int, f *facts, i int) int64 {
	e := s.Envelope
	if !all.matchers[rule].MatchesRecipient(e.Recipients[i].Address) {
		return 0
	}
	one := func(yes bool) int64 {
		if yes {
			return 1
		}
		return 0
	}
	switch all.Config.Limits[rule].Unit {
	case policy.Messages, policy.Recipients:
		return 1
	case policy.Bytes:
		return e.Size
	case policy.VisibleRecipients:
		return f.visibleIn(all, s)
	case policy.InternalRecipients:
		return one(f.isInternal(all, e, i))
	case policy.FirstTimeRecipients:
		return one(f.isFirst(g, all, e, i))
	}
	return one(!f.isInternal(all, e, i))
}

// groupsOf gives the groups of the sender.
func (f *facts) groupsOf(all *settings, e *policy.Envelope) []string {
	if !f.grouped {
		f.groups, f.grouped = all.Directory.Groups(e.Identity), true
	}
	return f.groups
}

// keysOf gives the keys of the recipients' addresses.
func (f *facts) keysOf(e *policy.Envelope) []string {
	if f.keys == nil {
		f.keys = make([]string, len(e.Recipients))
		for i := range e.Recipients {
			f.keys[i] = e.Recipients[i].Address.Key()
		}
	}
	return f.keys
}

func (f *facts) isInternal(all *settings, e *policy.Envelope, i int) bool {
	if f.internal == nil {
		f.internal = make([]bool, len(e.Recipients))
		for i := range e.Recipients {
			f.internal[i] = all.isInternal(e.Recipients[i].Address)
		}
	}
	return f.internal[i]
}

// isFirst reports whether recipient i is external and not known to the sender.
func (f *facts) isFirst(g *Guard, all *settings, e *policy.Envelope, i int) bool {
	if f.isInternal(all, e, i) {
		return false
	}
	r := f.relation(g, e, i)
	return !r.Sent && !r.Heard
}

// relation tells what recipient i is to the sender.
func (f *facts) relation(g *Guard, e *policy.Envelope, i int) limit.Relation {
	if f.known == nil {
		f.known = g.people.Relations(e.Identity, f.keysOf(e))
	}
	return f.known[i]
}

// keyOf names whom a limit counts for. Identities stand as they are, everything else behind a prefix.
func keyOf(k policy.Key, e *policy.Envelope) string {
	switch k {
	case policy.BySenderDomain:
		return "from:" + e.Sender.Domain()
	case policy.ByNetwork:
		return "net:" + network(e.Client)
	case policy.ByGateway:
		return "gateway:"
	}
	return e.Identity
}

// network is the address of an IPv4 client, of an IPv6 client its /64.
func network(a netip.Addr) string {
	if !a.IsValid() {
		return "unknown"
	}
	if a = a.Unmap().WithZone(""); a.Is4() {
		return a.String()
	}
	return netip.PrefixFrom(a, 64).Masked().String()
}
