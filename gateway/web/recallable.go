package web

import (
	"fmt"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// A Recallable says whether a message can be taken back. The recall itself may still find recipients from
// whom it cannot: a dry run names them.
type Recallable struct {
	Available   bool         `json:"available"`
	Until       time.Time    `json:"until,omitzero" doc:"until when it can be asked for; absent for what is older and still waits, which has no end"`
	Restriction *Restriction `json:"restriction,omitempty" doc:"why it cannot be taken back"`
}

// A RecallState is the latest that a recall has said about a recipient.
type RecallState struct {
	ID     string              `json:"id" doc:"of the recall"`
	Code   policy.RecallCode   `json:"code" example:"removed_from_mailbox"`
	Status policy.RecallStatus `json:"status" enum:"success,fail,processing"`
	Text   policy.Label        `json:"text"`
	Time   time.Time           `json:"time"`
}

func recallState(n policy.RecallNote) *RecallState {
	if n.Code == "" {
		return nil
	}
	return &RecallState{n.Job.String(), n.Code, n.Code.Status(), n.Code.Label(), n.Time.UTC()}
}

// recallable says whether a message can be taken back now by somebody with a role. What still waits can be taken back at
// any age.
func (s *Server) recallable(m *store.Message, role string) Recallable {
	window, on := s.recallWindow(role)
	until := m.Envelope.Received.Add(window).UTC()
	age := s.now().Sub(m.Envelope.Received)
	switch {
	case !on:
		return unavailable(policy.RefusedDisabled, policy.Label{EN: "recalls are switched off", ZH: "撤回功能未开启"})
	case m.Envelope.Front == policy.Internal:
		return unavailable(policy.RefusedChannel, policy.Label{EN: "what sendgate writes itself is not taken back", ZH: "系统自动发出的邮件不支持撤回"})
	case m.Envelope.Direction == policy.Inbound:
		return unavailable(policy.RefusedChannel, policy.Label{EN: "what came from outside is not taken back", ZH: "外部来信不支持撤回"})
	case recalled(m):
		return unavailable(policy.RefusedRecalled, policy.Label{EN: "it has been taken back", ZH: "邮件已撤回"})
	case age <= window:
		return Recallable{Available: true, Until: until}
	case waits(m):
		return Recallable{Available: true}
	}
	limit, old := Span(window), Span(age.Truncate(time.Minute))
	return unavailable(policy.RefusedWindow, policy.Label{
		EN: fmt.Sprintf("a message can be taken back for %s, and this one is %s old", limit, old),
		ZH: fmt.Sprintf("发出后 %s 内可以撤回，该邮件已发出 %s", limit, old),
	})
}

func unavailable(code string, text policy.Label) Recallable {
	return Recallable{Restriction: &Restriction{code, text}}
}

// recalled reports whether a message was taken back from everybody.
func recalled(m *store.Message) bool {
	n := m.States[policy.StateCanceled] + m.States[policy.StateRecalled]
	return n > 0 && n == m.Counted()
}

// waits reports whether somebody's copy has not left yet.
func waits(m *store.Message) bool {
	for _, state := range []policy.State{
		policy.StateAccepted, policy.StateHeld, policy.StateApprovalPending, policy.StateOffered, policy.StateQueued, policy.StateDeferred,
	} {
		if m.States[state] > 0 {
			return true
		}
	}
	return false
}
