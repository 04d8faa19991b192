package recall

import (
	"fmt"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// A stage is where a row is to be taken out of.
type stage int

const (
	atEnd     stage = iota // nothing is to be done
	inQueue                // ours, or Postfix's
	inMailbox              // or on the way there
)

// inside reports whether a mailbox of the organisation is meant: one that can be reached, or that should be.
func (e *Engine) inside(a policy.Address) bool {
	_, _, _, ok := e.Mailboxes.For(a)
	return ok || e.Directory.Internal(a)
}

// judge says from its row alone what can be done for a recipient, and what a recall would come to where
// nothing further decides.
func (e *Engine) judge(j *job, w *work, i int) (policy.RecallCode, stage) {
	r := &w.rows[i]
	inside := e.inside(r.Address)
	switch r.State {
	case policy.StateAccepted, policy.StateHeld, policy.StateApprovalPending:
		return policy.RemovedFromHold, inQueue
	case policy.StateQueued, policy.StateDeferred:
		if r.Due.IsZero() && r.State == policy.StateQueued {
			return policy.WaitingInFlight, inQueue
		}
		return policy.RemovedFromQueue, inQueue
	case policy.StateOffered:
		return policy.WaitingInFlight, inQueue
	case policy.StateCanceled:
		return policy.AlreadyRecalled, inQueue
	case policy.StateRecalled:
		return policy.AlreadyRecalled, atEnd
	case policy.StateBounced, policy.StateExpired, policy.StateAsyncBounced, policy.StateBlocked, policy.StateNeverQueued:
		return policy.NeverDelivered, atEnd
	case policy.StateHandedOver, policy.StateRelayedRemote:
		if inside {
			return policy.WaitingArrival, inMailbox
		}
		return e.left(j, w, i), atEnd
	case policy.StateDeliveredMailbox:
		return policy.RecallPlanned, inMailbox
	}
	if inside {
		return policy.RecallUnknown, inMailbox
	}
	return policy.RecallUnknown, atEnd
}

// left is the code of a recipient whose message is at another organisation: as the member of a group or an
// alias of ours it was forwarded there.
func (e *Engine) left(j *job, w *work, i int) policy.RecallCode {
	r := &w.rows[i]
	switch {
	case r.Group > 0 && e.Directory.Internal(w.rows[r.Group-1].Address):
		return policy.ForwardedExternal
	case !j.requested.IsZero() && r.Since.After(j.requested):
		return policy.DeliveredBeforeRecall
	}
	return policy.ExternalRecipient
}

// proof is when a row came to its state and what the other side said: "2026-11-21T10:00:00Z: 250 2.0.0 Ok".
func proof(r *policy.Row) string {
	said := r.Reply
	if said == "" {
		said = r.Evidence
	}
	return strings.TrimSuffix(r.Since.UTC().Format(time.RFC3339)+": "+said, ": ")
}

// worded is a code in words, with proof where somebody outside has said it.
func worded(l *line, r *policy.Row) policy.Label {
	text := l.code.Label()
	switch l.code {
	case policy.ExternalRecipient, policy.DeliveredBeforeRecall, policy.ForwardedExternal, policy.NeverDelivered:
		p := proof(r)
		return policy.Label{EN: fmt.Sprintf("%s (%s)", text.EN, p), ZH: fmt.Sprintf("%s（%s）", text.ZH, p)}
	case policy.RecallRestored:
		at := l.time.UTC().Format(time.RFC3339)
		return policy.Label{EN: fmt.Sprintf("%s by %s, %s", text.EN, l.actor, at), ZH: fmt.Sprintf("%s（%s，%s）", text.ZH, l.actor, at)}
	}
	return text
}
