package web

import (
	"context"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// What Recall.Status can be.
const (
	recallDone        = "done"
	recallInProgress  = "in_progress"
	recallUnavailable = "unavailable"
)

// A Recall is what a recall has come to so far.
type Recall struct {
	ID          string       `json:"id,omitempty" doc:"absent for a dry run, and when it did not begin"`
	Status      string       `json:"status" enum:"done,in_progress,unavailable" doc:"unavailable: the rules do not allow it, see restriction; nothing was done, and what else stands here is the request, or the recall that there is already"`
	Restriction *Restriction `json:"restriction,omitempty" doc:"why it did not begin"`
	Overall     string       `json:"overall" enum:"all_success,partial,all_failed,rejected,in_progress,awaiting_approval,cancelled" doc:"rejected: it did not begin, or nobody approved it in time"`
	Requested   time.Time    `json:"requested"`
	Ended       time.Time    `json:"ended,omitzero" doc:"absent while it runs"`
	Actor       string       `json:"actor" doc:"who asked"`
	Reason      string       `json:"reason,omitempty"`

	MessageCount int      `json:"message_count"`
	MessageIDs   []string `json:"message_ids,omitempty" nullable:"false" doc:"absent in lists"`
	Query        string   `json:"query,omitempty" doc:"what found the messages"`
	Chosen       []string `json:"chosen,omitempty" nullable:"false" doc:"the recipients asked for; absent for all, and in lists"`
	UnreadOnly   bool     `json:"unread_only"`
	GroupMode    string   `json:"group_mode,omitempty" enum:"all_or_nothing,best_effort"`
	Notify       string   `json:"notify,omitempty" enum:"none,read,all"`
	Correction   string   `json:"correction,omitempty" doc:"id of the message that replaces it"`

	ApproveUntil time.Time `json:"approve_until,omitzero" doc:"until when a second person may approve it; absent when nobody has to"`
	ApprovedBy   string    `json:"approved_by,omitempty"`

	SuccessCount    int  `json:"success_count"`
	FailureCount    int  `json:"failure_count"`
	ProcessingCount int  `json:"processing_count"`
	Percent         int  `json:"percent" doc:"share of the recipients that are at an end"`
	Corrected       bool `json:"corrected,omitempty" doc:"later evidence has contradicted what was said before"`
	DryRun          bool `json:"dry_run"`

	Recipients []RecallRecipient `json:"recipients,omitempty" nullable:"false" doc:"absent in lists and events"`
	Groups     []RecallGroup     `json:"groups,omitempty" nullable:"false" doc:"groups whose members are among the recipients; absent in lists and events"`
	Related    []RecallRelated   `json:"related,omitempty" nullable:"false" doc:"replies and forwards of the messages that have passed sendgate"`
}

// A Restriction is why something cannot be taken back.
type Restriction struct {
	Code string       `json:"code" enum:"recall_disabled,channel_not_allowed,window_expired,already_recalled,recall_in_progress,reason_required,rate_limited"`
	Text policy.Label `json:"text"`
}

func restriction(r *policy.RecallRefusal) *Restriction { return &Restriction{r.Code, r.Text} }

// A RecallRecipient says what a recall came to for one recipient of one message.
type RecallRecipient struct {
	MessageID string              `json:"message_id,omitempty" doc:"sendgate's own id of the message; absent when no message has the recipient"`
	Address   string              `json:"address"`
	Group     string              `json:"group,omitempty" doc:"address of the group or alias that this is a member of"`
	Status    policy.RecallStatus `json:"status" enum:"success,fail,processing"`
	Code      policy.RecallCode   `json:"code" example:"removed_from_hold"`
	Text      policy.Label        `json:"text" doc:"the code in words, with when and what the other side said"`
	Detail    string              `json:"detail,omitempty" doc:"folder and evidence"`
	Time      time.Time           `json:"time,omitzero"`
}

// A RecallGroup sums up the members of a group.
type RecallGroup struct {
	MessageID       string   `json:"message_id"`
	Address         string   `json:"address"`
	SuccessCount    int      `json:"success_count"`
	FailureCount    int      `json:"failure_count"`
	ProcessingCount int      `json:"processing_count"`
	Percent         int      `json:"percent" doc:"share of the members that are at an end"`
	BlockedBy       int      `json:"blocked_by,omitempty" doc:"how many members keep the others from being taken back"`
	Blockers        []string `json:"blockers,omitempty" nullable:"false" doc:"who they are; for administrators"`
}

// A RecallRelated is a reply to or a forward of a message that is taken back.
type RecallRelated struct {
	MessageID      string       `json:"message_id" doc:"sendgate's own id"`
	Of             string       `json:"of" doc:"id of the message that is taken back"`
	From           string       `json:"from"`
	Subject        string       `json:"subject"`
	RecipientCount int          `json:"recipient_count"`
	State          policy.State `json:"state"`
	Label          policy.Label `json:"label"`
	Held           bool         `json:"held" doc:"it can still be cancelled"`
}

func (s *Server) recallAnswer(ctx context.Context, r *policy.RecallReport) *recallOutput {
	return &recallOutput{s.recallSeen(ctx, r)}
}

// recallSummary is a recall without its recipients.
func recallSummary(r *policy.RecallReport) *Recall {
	q := &r.Request
	v := &Recall{
		Status: recallDone, Overall: r.Overall, Requested: r.Requested.UTC(), Ended: r.Ended.UTC(), Actor: q.Requester.Actor, Reason: q.Reason,
		MessageCount: len(q.Messages), Query: q.Query, UnreadOnly: q.UnreadOnly, GroupMode: string(q.GroupMode), Notify: string(q.Notify),
		Correction: idText(q.Correction), ID: idText(r.ID), ApproveUntil: r.ApproveUntil.UTC(), ApprovedBy: r.ApprovedBy,
		SuccessCount: r.Counts.Success, FailureCount: r.Counts.Fail, ProcessingCount: r.Counts.Processing, Percent: r.Counts.Percent(),
		Corrected: r.Corrected, DryRun: r.DryRun,
	}
	if !r.DryRun && (r.Overall == policy.RecallInProgress || r.Overall == policy.RecallAwaitingApproval) {
		v.Status = recallInProgress
	}
	return v
}

// recallView is all of a recall, as far as a role may see it.
func recallView(r *policy.RecallReport, role string) *Recall {
	v := recallSummary(r)
	v.Chosen = r.Request.Recipients
	for _, id := range r.Request.Messages {
		v.MessageIDs = append(v.MessageIDs, id.String())
	}
	names := role == "admin"
	veiled := blockedGroups(r, names)
	for i := range r.Lines {
		v.Recipients = append(v.Recipients, recallLine(&r.Lines[i], veiled))
	}
	for _, a := range r.Missing {
		v.Recipients = append(v.Recipients, RecallRecipient{
			Address: a, Status: policy.RecallFail, Code: policy.InvalidAddress, Text: policy.InvalidAddress.Label(),
		})
	}
	for i := range r.Groups {
		v.Groups = append(v.Groups, recallGroup(&r.Groups[i], names))
	}
	for i := range r.Related {
		v.Related = append(v.Related, relatedView(&r.Related[i]))
	}
	return v
}

// groupKey is a group of one message.
type groupKey struct {
	message policy.ID
	group   string
}

// blockedGroups are those that somebody may not see the blockers of.
func blockedGroups(r *policy.RecallReport, names bool) map[groupKey]bool {
	blocked := map[groupKey]bool{}
	for i := range r.Groups {
		if g := &r.Groups[i]; g.BlockedBy > 0 && !names {
			blocked[groupKey{g.Message, g.Address.Key()}] = true
		}
	}
	return blocked
}

// recallLine shows a recipient. In a group where somebody keeps the others from being taken back it does
// not tell who that is: to have read a message is the recipient's own affair.
func recallLine(l *policy.RecallLine, veiled map[groupKey]bool) RecallRecipient {
	v := RecallRecipient{
		MessageID: l.Message.String(), Address: string(l.Address), Group: string(l.Group), Status: l.Code.Status(), Code: l.Code,
		Text: l.Text, Detail: l.Detail, Time: l.Time.UTC(),
	}
	if l.Group != "" && v.Status == policy.RecallFail && veiled[groupKey{l.Message, l.Group.Key()}] {
		v.Code, v.Text, v.Detail = policy.GroupMemberBlocked, policy.GroupMemberBlocked.Label(), ""
		v.Time = time.Time{} // that of who was read first is earlier
	}
	return v
}

func recallGroup(g *policy.RecallGroup, names bool) RecallGroup {
	v := RecallGroup{
		MessageID: g.Message.String(), Address: string(g.Address), SuccessCount: g.Counts.Success, FailureCount: g.Counts.Fail,
		ProcessingCount: g.Counts.Processing, Percent: g.Counts.Percent(), BlockedBy: g.BlockedBy,
	}
	if names {
		for _, a := range g.Blockers {
			v.Blockers = append(v.Blockers, string(a))
		}
	}
	return v
}

func relatedView(r *policy.RecallRelated) RecallRelated {
	return RecallRelated{
		MessageID: r.Message.String(), Of: r.Of.String(), From: string(r.Sender), Subject: r.Subject, RecipientCount: r.Recipients,
		State: r.State, Label: r.State.Label(), Held: r.Held,
	}
}

// idText is empty for no id.
func idText(id policy.ID) string {
	if id == (policy.ID{}) {
		return ""
	}
	return id.String()
}
