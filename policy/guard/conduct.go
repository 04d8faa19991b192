package guard

import (
	"strings"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/anomaly"
	"github.com/sendgate/sendgate/policy/content"
	"github.com/sendgate/sendgate/policy/similar"
)

// anomalyRule is the rule in verdicts about conduct, the kind of their findings, and the author of the
// suspensions that follow from them.
const anomalyRule = "anomaly"

// linkOnly is the number of octets besides links below which a text says hardly more than they do.
const linkOnly = 40

// conduct says whether a message is like its account. What is to be known of its text is in c and m, nil
// before it was read. The zero verdict says nothing.
func (g *Guard) conduct(all *settings, s *policy.Submission, f *facts, c *content.Content, m *similar.Match) (v policy.Verdict) {
	if g.watch == nil || !all.Anomaly.Enabled {
		return policy.Verdict{}
	}
	defer func() {
		if recover() != nil { // what breaks here must not stop mail
			v = policy.Verdict{}
		}
	}()
	var room [8]anomaly.Recipient
	known := g.known(room[:0], all, s.Envelope, f)
	known.ID = s.ID
	later := s.Stage == policy.StageContent
	if !later && c == nil && g.index != nil && len(known.External) > 0 && g.pardons(s) {
		return policy.Verdict{} // it may be what a person let pass: that is seen when the text is
	}
	before := anomaly.Pass
	if later && !g.pardons(s) {
		if !all.telling(m) && !terse(c) { // nothing is known that was not at the header
			return policy.Verdict{}
		}
		before = g.watch.Look(s.Time, known).Stage
	}
	read(&known, m)
	terse := terse(c) && known.Strangers() > 0
	known.Bare = known.Bare || terse
	w := g.watch.Look(s.Time, known)
	if w.Stage > before {
		v = g.obey(all, s, &w)
	}
	if terse { // the journal does not have the text, and tells this again
		v.Findings = append(v.Findings, policy.Finding{
			Rule: anomalyRule, Kind: anomalyRule, Key: s.Envelope.Identity, Source: string(anomaly.Bare), Action: policy.Log, Detail: terseText(),
		})
	}
	return v
}

// telling reports whether a comparison of texts says anything about the account.
func (all *settings) telling(m *similar.Match) bool {
	return m != nil && (m.Hijack || m.Distinct.Day >= all.Anomaly.SameText || lenient(&m.Decision))
}

// lenient reports whether a person let the text pass.
func lenient(d *similar.Decision) bool {
	return d.Kind == similar.Allowed || d.Kind == similar.Approved
}

// read puts what a comparison of texts said among the facts.
func read(known *anomaly.Facts, m *similar.Match) {
	if m != nil {
		known.SameText, known.SharedText, known.Allowed = m.Distinct.Day, m.Hijack, lenient(&m.Decision)
	}
}

// terse reports whether a text is hardly more than a link.
func terse(c *content.Content) bool {
	if c == nil || len(c.Links) == 0 || len(c.Attachments) > 0 {
		return false
	}
	rest := len(c.Text)
	for _, link := range c.Links {
		if strings.Contains(c.Text, link) {
			rest -= len(link)
		}
	}
	return rest < linkOnly
}

// known gathers what the envelope tells of a message, and of its recipients; it uses the room while that is
// enough.
func (g *Guard) known(room []anomaly.Recipient, all *settings, e *policy.Envelope, f *facts) anomaly.Facts {
	k := anomaly.Facts{
		Identity: e.Identity, Groups: f.groupsOf(all, e), External: room, Client: e.Client, Agent: e.Helo, Bare: strings.TrimSpace(e.Subject) == "",
	}
	for i := range e.Recipients {
		if f.isInternal(all, e, i) {
			k.Internal++
			continue
		}
		r := f.relation(g, e, i)
		k.External = append(k.External, anomaly.Recipient{Address: e.Recipients[i].Address, Stranger: !r.Sent && !r.Heard, Heard: r.Heard})
	}
	k.ForeignFrom = len(k.External) > 0 && all.foreign(e)
	return k
}

// foreign reports whether the author of a message is somebody else than the account: the address is neither
// one of its own nor, where the directory does not know it, called as the login is.
func (all *settings) foreign(e *policy.Envelope) bool {
	from := addresses(e.From)
	if len(from) == 0 {
		return false
	}
	identity, _, _ := strings.Cut(e.Identity, "#")
	if all.Directory.Owns(identity, from[0]) {
		return false
	}
	local, domain, _ := strings.Cut(from[0].Key(), "@")
	local, _, _ = strings.Cut(local, "+")
	return local+"@"+domain != identity && (local != identity || !all.isInternal(from[0]))
}
