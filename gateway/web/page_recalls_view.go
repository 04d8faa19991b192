package web

import (
	"slices"
	"strings"

	"github.com/sendgate/sendgate/policy"
)

// recallLines bounds the recipients that a page shows of a recall unless all are asked for.
const recallLines = 200

// A recallHead is a recall as lists and titles show it.
type recallHead struct{ *Recall }

// Class is the colour of the result as a whole.
func (h recallHead) Class() string {
	switch h.Overall {
	case policy.RecallAllSuccess:
		return "good"
	case policy.RecallPartial, policy.RecallAwaitingApproval:
		return "warn"
	case policy.RecallAllFailed:
		return "bad"
	case policy.RecallInProgress:
		return "delivering"
	}
	return ""
}

// Who is the person or the program that asked.
func (h recallHead) Who() string { return personOf(h.Actor) }

// Approver is who approved it.
func (h recallHead) Approver() string { return personOf(h.ApprovedBy) }

// Total counts the recipients.
func (h recallHead) Total() int { return h.SuccessCount + h.FailureCount + h.ProcessingCount }

// Done counts those that are at an end.
func (h recallHead) Done() int { return h.SuccessCount + h.FailureCount }

// personOf is an actor of events as people know it: who signs in, and who writes, by the name alone.
func personOf(actor string) string {
	for _, way := range []string{"user:", "mail:"} {
		if name, ok := strings.CutPrefix(actor, way); ok {
			return name
		}
	}
	return actor
}

// A recallRow is what a recall came to, or would come to, for one recipient.
type recallRow struct {
	RecallRecipient
	Class string // colour
	Word  string // key of the status in a word
	Said  string // what came of it, in the viewer's language
	Taken bool   // out of the mailbox: it can be put back
}

// foreseen are the codes that a dry run words as what is still to come.
var foreseen = []policy.RecallCode{policy.RemovedFromHold, policy.RemovedFromQueue, policy.RecallPlanned, policy.WaitingArrival, policy.WaitingInFlight}

// recallRow words one recipient.
func (s *Server) recallRow(v *visit, r *RecallRecipient, plan bool) recallRow {
	row := recallRow{RecallRecipient: *r, Said: r.Text.In(v.lang), Word: "recalls.status." + string(r.Status), Taken: r.Code == policy.RemovedFromMailbox}
	status := r.Status
	if plan {
		row.Taken = false
		if r.Code == policy.RecallPlanned || r.Code == policy.RecallStaged {
			status = policy.RecallSuccess
		}
		row.Word = "recalls.plan." + string(status)
		if slices.Contains(foreseen, r.Code) {
			row.Said = s.renderer.Say(v.lang, "recalls.foreseen."+string(r.Code))
		}
	}
	switch status {
	case policy.RecallSuccess:
		row.Class = "good"
	case policy.RecallFail:
		row.Class = "bad"
	default:
		row.Class = "delivering"
	}
	return row
}

// recallGroupRows is a group of a message with its members.
type recallGroupRows struct {
	RecallGroup
	Rows        []recallRow
	Left        int // members that are not shown
	Can, Cannot int // of a dry run: members from whom it can be taken back, and not
}

func (g *recallGroupRows) add(r recallRow) {
	g.Rows = append(g.Rows, r)
	switch r.Class {
	case "good":
		g.Can++
	case "bad":
		g.Cannot++
	}
}

// A recallTable is the recipients of a recall: members under their group, and everybody else.
type recallTable struct {
	Plan   bool
	Many   bool // several messages: each row names its own
	Rows   []recallRow
	Left   int // rows that are not shown
	Groups []recallGroupRows
}

// recallTable sorts the recipients. Those of whom there is something bad to say come first.
func (s *Server) recallTable(v *visit, r *Recall, all bool) recallTable {
	t := recallTable{Plan: r.DryRun, Many: r.MessageCount > 1}
	most := recallLines
	if all {
		most = len(r.Recipients)
	}
	groups := map[[2]string]int{}
	for i := range r.Groups {
		groups[[2]string{r.Groups[i].MessageID, strings.ToLower(r.Groups[i].Address)}] = i
		t.Groups = append(t.Groups, recallGroupRows{RecallGroup: r.Groups[i]})
	}
	for i := range r.Recipients {
		one := &r.Recipients[i]
		row := s.recallRow(v, one, r.DryRun)
		if g, ok := groups[[2]string{one.MessageID, strings.ToLower(one.Group)}]; ok && one.Group != "" {
			t.Groups[g].add(row)
			continue
		}
		t.Rows = append(t.Rows, row)
	}
	t.Rows, t.Left = worstFirst(t.Rows, most)
	for i := range t.Groups {
		t.Groups[i].Rows, t.Groups[i].Left = worstFirst(t.Groups[i].Rows, most)
	}
	return t
}

func worstFirst(rows []recallRow, most int) (shown []recallRow, left int) {
	rank := map[string]int{"bad": 0, "delivering": 1, "good": 2}
	slices.SortStableFunc(rows, func(a, b recallRow) int { return rank[a.Class] - rank[b.Class] })
	if len(rows) > most {
		return rows[:most], len(rows) - most
	}
	return rows, 0
}
