package gateway

import (
	"errors"
	"sync"
	"time"

	"github.com/sendgate/sendgate/gateway/postfix"
	"github.com/sendgate/sendgate/policy"
)

// pulledBack is the rule in requests for approval, and pulledKind the kind of their finding.
const (
	pulledBack = "pulled back"
	pulledKind = "pulled_back"
)

// An incident is a suspension that is in force.
type incident struct {
	batch policy.ID
	event policy.Event

	mu       sync.Mutex
	messages int                // that were pulled back
	late     int                // that had left
	again    map[policy.ID]bool // that could not be pulled back yet
}

// note takes up what came of a message.
func (in *incident) note(id policy.ID, recipients int, err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	delete(in.again, id)
	switch {
	case errors.Is(err, postfix.ErrNotFound):
		in.late++
	case err != nil:
		in.again[id] = true
	case recipients > 0:
		in.messages++
	}
}

// request is the event by which a message waits for a person.
func (in *incident) request(until time.Time) policy.Event {
	e := &in.event
	at := e.Time.Local().Format("2006-01-02 15:04")
	why := policy.Label{
		EN: "Pulled back: " + e.Subject + " was suspended from sending to other organisations at " + at,
		ZH: "已撤回待审：" + e.Subject + " 于 " + at + " 被暂停对外发送邮件",
	}
	return policy.Event{
		Actor: e.Actor, Until: until, Rule: pulledBack, Reason: why.EN, Subject: in.batch.String(),
		Findings: []policy.Finding{
			{Rule: pulledBack, Kind: pulledKind, Key: e.Subject, Source: in.batch.String(), Decided: true, Action: policy.Approval, Next: until, Detail: why},
			{Rule: pulledBack, Kind: "approval", Action: policy.Reject, Next: until},
		},
	}
}

// lasts reports whether the suspension is in force.
func (in *incident) lasts(now time.Time) bool {
	return in.event.Until.IsZero() || now.Before(in.event.Until)
}
