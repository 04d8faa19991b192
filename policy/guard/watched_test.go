package guard

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/anomaly"
	"github.com/sendgate/sendgate/policy/similar"
)

// helpdesk is whom suspended accounts may write to.
const helpdesk = "help@support.example"

// told is an event as the journal has it.
type told struct {
	at time.Time
	id policy.ID
	e  *policy.Envelope
	ev policy.Event
}

// A watched desk knows ann since three weeks. It writes down all that it is told.
type watched struct {
	*desk
	set       Settings
	serial    uint64
	journal   []told
	suspended []policy.Event
}

func newWatched(t *testing.T, change func(*Settings)) *watched {
	t.Helper()
	w := &watched{desk: newDesk(t)}
	w.set = w.settings()
	w.set.Anomaly = anomaly.DefaultConfig()
	w.set.Anomaly.Suspension.Always = []string{helpdesk}
	w.set.Similar = similar.DefaultConfig()
	w.set.Similar.Seed = [16]byte{1}
	w.set.Suspend = func(e policy.Event) { w.suspended = append(w.suspended, e) }
	if change != nil {
		change(&w.set)
	}
	w.g = New(w.set)
	w.now = noon.AddDate(0, 0, -20)
	for range 20 {
		for _, to := range many(3, "partner.example") {
			w.send(w.mail(to))
			w.now = w.now.Add(10 * time.Minute)
		}
		w.now = w.now.Add(24*time.Hour - 30*time.Minute)
	}
	w.now = noon
	return w
}

// mail is one of ann from where she always sits.
func (w *watched) mail(to ...string) policy.Submission {
	s := w.desk.mail(to...)
	w.serial++
	s.ID = policy.ID{}
	binary.BigEndian.PutUint64(s.ID[8:], w.serial)
	s.Envelope.From, s.Envelope.Helo, s.Envelope.MessageID = "Ann <ann@corp.example>", "annspc", fmt.Sprint(w.serial)
	return s
}

// strangers are addresses in no order, n of them, that nobody has seen.
func (w *watched) strangers(n int) (to []string) {
	for i := range n {
		to = append(to, fmt.Sprintf("x%d-%d@s%d.example", (i*7919)%1000, w.serial, (i*31)%97))
	}
	return to
}

// send decides, and writes into the journal what a front does.
func (w *watched) send(s policy.Submission) policy.Verdict {
	w.t.Helper()
	s.Time = w.now
	v := w.decide(s)
	events := []policy.Event{{Kind: policy.Accepted, Charge: v.Charge, Findings: v.Findings}}
	switch v.Action {
	case policy.Hold:
		events = append(events, policy.Event{Kind: policy.Held, Until: v.Until, Rule: v.Rule, Findings: v.Findings})
	case policy.Approval:
		events = append(events, policy.Event{Kind: policy.ApprovalRequested, Until: v.Until, Rule: v.Rule})
	case policy.Reject, policy.Defer:
		events = []policy.Event{{Kind: policy.Refused, Findings: v.Findings}}
	}
	for _, e := range events {
		w.tell(s.ID, s.Envelope, e)
	}
	return v
}

// tell has an event observed, and commits it.
func (w *watched) tell(id policy.ID, e *policy.Envelope, ev policy.Event) {
	if ev.Time.IsZero() {
		ev.Time = w.now
	}
	w.journal = append(w.journal, told{w.now, id, e, ev})
	w.g.Observe(w.now, id, e, ev)
}

// commit writes down the suspensions that wait for it.
func (w *watched) commit() {
	for _, e := range w.suspended {
		w.tell(policy.ID{}, nil, e)
	}
	w.suspended = nil
}

// stranger is a submission of ann from elsewhere with another program.
func (w *watched) stranger(to ...string) policy.Submission {
	s := w.mail(to...)
	s.Envelope.Client, s.Envelope.Helo = netip.MustParseAddr("203.0.113.77"), "bulk-mailer"
	return s
}

// about gives the finding for the whole of a message.
func about(v policy.Verdict) policy.Finding {
	for _, f := range v.Findings {
		if f.Kind == anomalyRule {
			return f
		}
	}
	return policy.Finding{}
}

// codes names the reasons.
func codes(v policy.Verdict) (list []string) {
	for _, f := range v.Findings {
		if f.Kind == anomalyRule {
			list = append(list, f.Source)
		}
	}
	return list
}
