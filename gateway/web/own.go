package web

import (
	"context"
	"net/http"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// What the role user does with own mail is less than what an operator does with it: it does not get around limits
// and approvals, and does not tell who has read what.

var errResendOwn = problem(http.StatusForbidden, "not_returned", "only recipients whom the message did not reach, because it was returned, can be sent it again")

// soon is when a hold ends that its own sender ends: the limits are asked then, as at every end of a hold.
const soon = time.Second

// release lets held mail go now. An operator's word goes before the limits.
func (s *Server) release(ctx context.Context, id policy.ID) error {
	if role(ctx) == "user" {
		return s.holder.Hold(ctx, id, s.now().Add(soon), actor(ctx))
	}
	return s.holder.Release(ctx, id, actor(ctx))
}

// mayResend keeps a user from sending what was delivered once more, past the limits, and what was taken back
// while it waited for approval.
func (s *Server) mayResend(ctx context.Context, id policy.ID, chosen []int) error {
	if role(ctx) != "user" || chosen == nil {
		return nil
	}
	rows, err := s.journal.Recipients(id)
	if err != nil {
		return s.fail("read recipients", err)
	}
	for _, i := range chosen {
		if rows[i].State.Label() != policy.LabelReturned {
			return errResendOwn
		}
	}
	return nil
}

// veil takes from an event what only those see who look after the mail of others: in which folder a copy was
// and whether it was read, and who of a group keeps the others from being taken back.
func veil(e *TimelineEntry) {
	if e.Recall == "" {
		return
	}
	e.Evidence = ""
	if e.Member != "" && policy.RecallCode(e.Reason).Status() == policy.RecallFail {
		e.Reason = string(policy.GroupMemberBlocked)
	}
}

// veilRecipients does the same for what a recall has said about each recipient.
func veilRecipients(views []Recipient) {
	for i := range views {
		r := views[i].Recall
		if r != nil && views[i].Group != "" && r.Status == policy.RecallFail {
			r.Code, r.Text = policy.GroupMemberBlocked, policy.GroupMemberBlocked.Label()
		}
	}
}
