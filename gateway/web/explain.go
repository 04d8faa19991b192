package web

import (
	"context"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// An Explanation says why a message went the way it went.
type Explanation struct {
	ID       string       `json:"id" doc:"sendgate's own id of the message"`
	From     string       `json:"from" doc:"envelope sender; empty is the null sender"`
	Identity string       `json:"identity" doc:"whom it is counted for"`
	Subject  string       `json:"subject"`
	State    policy.State `json:"state"`
	Label    policy.Label `json:"label"`
	Steps    []Step       `json:"steps" nullable:"false" doc:"what was decided, oldest first, each with everything that the rules said then"`
}

// A Step is a decision about a message, or what a person did with it.
type Step struct {
	Time       time.Time    `json:"time"`
	Kind       policy.Kind  `json:"kind" doc:"of the event"`
	Actor      string       `json:"actor,omitempty"`
	Rule       string       `json:"rule,omitempty" doc:"that decided; absent for a default"`
	Reason     string       `json:"reason,omitempty"`
	Until      time.Time    `json:"until,omitzero"`
	Recipients []string     `json:"recipients,omitempty" nullable:"false" doc:"absent when it is about all"`
	Text       policy.Label `json:"text" doc:"what happened, in a sentence"`
	Findings   []Finding    `json:"findings" nullable:"false" doc:"every rule that looked, with its numbers"`
}

type explainOutput struct{ Body *Explanation }

func (s *Server) explainMessage(ctx context.Context, in *messageInput) (*explainOutput, error) {
	id, err := s.existing(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	m, err := s.journal.Message(id)
	if err != nil {
		return nil, s.fail("read message", err)
	}
	rows, err := s.journal.Recipients(id)
	if err != nil {
		return nil, s.fail("read recipients", err)
	}
	records, err := s.journal.Timeline(id)
	if err != nil {
		return nil, s.fail("read timeline", err)
	}
	v := &Explanation{ID: id.String(), From: string(m.Envelope.Sender), Identity: m.Envelope.Identity, Subject: m.Envelope.Subject, Steps: []Step{}}
	v.State, v.Label = policy.Aggregate(m.States)
	addresses := addressesOfRows(rows)
	var findings verdicts
	for _, r := range records {
		for i := range r.Events {
			e := &r.Events[i]
			findings.add(e)
			if step, ok := stepOf(e, findings.of(e), addresses); ok {
				v.Steps = append(v.Steps, step)
			}
		}
	}
	return &explainOutput{v}, nil
}

// stepOf explains an event by the finding that decided it, nil for none. One that only reports what
// servers did explains nothing.
func stepOf(e *policy.Event, by *policy.Finding, addresses rowAddresses) (Step, bool) {
	text, ok := stepText(e, by)
	if !ok && len(e.Findings) == 0 {
		return Step{}, false
	}
	v := Step{
		Time: e.Time.UTC(), Kind: e.Kind, Actor: e.Actor, Rule: e.Rule, Reason: e.Reason, Until: e.Until.UTC(), Text: text,
		Findings: make([]Finding, len(e.Findings)),
	}
	if e.Recipients != nil {
		v.Recipients = addresses.of(e)
	}
	for i := range e.Findings {
		v.Findings[i] = findingView(&e.Findings[i])
	}
	return v, true
}
