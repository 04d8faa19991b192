package recall

import (
	"slices"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// allowed says whether somebody may ask for this at all: enabled, own mail, the channel, the window, in this
// order. It changes nothing.
func (e *Engine) allowed(req *policy.RecallRequest, works []*work, cfg *Config, now time.Time) error {
	for _, w := range works {
		if !e.mayTake(&req.Requester, &w.message.Envelope) {
			return refuseSender()
		}
	}
	for _, w := range works {
		if !channel(&w.message.Envelope) {
			return refuseChannel()
		}
	}
	return e.inWindow(req, works, cfg, now)
}

// mayTake reports whether a message is somebody's to take back: of a user who has sent it, by login or from an
// own address, which is the envelope's, because the From field can say anything; of an administrator or an
// operator in the bounds of their domains. Nobody owns what has the null sender.
func (e *Engine) mayTake(who *policy.RecallRequester, m *policy.Envelope) bool {
	switch who.Role {
	case admin, operator:
		return inDomains(who.Domains, m.Sender)
	case user:
		return who.Identity != "" && m.Sender != "" &&
			(strings.EqualFold(who.Identity, m.Identity) || e.Directory.Owns(who.Identity, m.Sender))
	}
	return false
}

func inDomains(domains []string, sender policy.Address) bool {
	return len(domains) == 0 || slices.ContainsFunc(domains, func(d string) bool {
		return policy.MatchAddress("@"+strings.TrimPrefix(d, "@"), sender)
	})
}

// channel reports whether mail that came this way is taken back: not what sendgate writes itself, and not what
// came from outside.
func channel(m *policy.Envelope) bool {
	return m.Front != policy.Internal && m.Direction != policy.Inbound
}

// inWindow refuses when the time is over for all that is asked for: nothing is in a queue any more, which has
// no age limit. Where it is over for some only, they get the code window_expired_while_pending.
func (e *Engine) inWindow(req *policy.RecallRequest, works []*work, cfg *Config, now time.Time) error {
	var longest, least time.Duration
	for i, w := range works {
		age := now.Sub(w.message.Envelope.Received)
		if i == 0 || age < least {
			least = age
		}
		for _, r := range w.indexes() {
			_, _, name, _ := e.Mailboxes.For(w.rows[r].Address)
			window := cfg.window(req.Requester.Role, name)
			if age <= window || queued(w.rows[r].State) {
				return nil
			}
			longest = max(longest, window)
		}
	}
	return refuseWindow(longest, least)
}

// queued reports whether a recipient's message may still be in a queue.
func queued(s policy.State) bool {
	switch s {
	case policy.StateAccepted, policy.StateHeld, policy.StateApprovalPending, policy.StateOffered, policy.StateQueued, policy.StateDeferred:
		return true
	}
	return false
}

// fresh refuses what was taken back before, and what is being taken back by another recall. The caller has
// locked the door, so that no recall begins meanwhile.
func (e *Engine) fresh(req *policy.RecallRequest, works []*work) error {
	if existing, ok := recalled(works); ok {
		return refuseRecalled(existing)
	}
	for _, j := range e.open() {
		if j.overlaps(req, works) {
			return refuseInProgress(j.id)
		}
	}
	return nil
}

// recalled reports whether everything asked for has been taken back, and names the latest recall that did so.
func recalled(works []*work) (existing policy.ID, all bool) {
	for _, w := range works {
		for _, i := range w.indexes() {
			r := &w.rows[i]
			if r.State != policy.StateCanceled && r.State != policy.StateRecalled {
				return existing, false
			}
			if r.Recall.Job.Compare(existing) > 0 {
				existing = r.Recall.Job
			}
		}
	}
	return existing, true
}

// A used is a recall of a user that counts for its limits.
type used struct {
	at         time.Time
	who        string
	recall     policy.ID
	recipients int
}

// spent counts the recalls and recipients of a user in the last hour, and forgets what is older.
func (e *Engine) spent(who *policy.RecallRequester, now time.Time) (recalls, recipients int) {
	e.used = slices.DeleteFunc(e.used, func(u used) bool { return now.Sub(u.at) >= time.Hour })
	for _, u := range e.used {
		if u.who == person(who) {
			recalls++
			recipients += u.recipients
		}
	}
	return recalls, recipients
}

// person names who asks, over all the ways of asking.
func person(r *policy.RecallRequester) string {
	if r.Identity != "" {
		return strings.ToLower(r.Identity)
	}
	return r.Actor
}
