package web

import (
	"slices"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// A messagePage is what the template of one message is given.
type messagePage struct {
	*MessageDetail
	May       messageMay
	Primary   string // the act that fits the state best: approve, release, resend, recall or none
	Can       messageCan
	Rows      []Recipient // those shown
	RowsLeft  int         // how many are not
	Past      []pastEvent
	PastLeft  int // older events that are not shown
	All       bool
	Steps     []explainedStep
	Campaigns []nearDuplicates
	Holds     []string
	ReasonDue bool // a reason is required to cancel
}

// nearDuplicates are the messages that say nearly the same as the one shown.
type nearDuplicates struct {
	*CampaignDetail
	Percent int // how alike, 0 when that is not known
}

// An explainedStep tells the findings that somebody has to know from those that only passed.
type explainedStep struct {
	Step
	Telling, Passed []Finding
}

// messageCan says which acts a message is in a state for.
type messageCan struct{ Release, Approve, Cancel, Resend, Recall bool }

// A pastEvent is an event of the timeline, ready to be shown.
type pastEvent struct {
	TimelineEntry
	Label  policy.Label // of a result of a recall: its code in words
	Lead   bool         // a decision: shown stronger
	Names  []string     // of the recipients when it is about some of them
	Others int          // beside the names
	Run    []pastEvent  // of tries that failed alike: each of them, this is the last
}

// shownNames bounds the addresses of one event.
const shownNames = 3

// Live reports whether something is still to happen to somebody's copy.
func (p *messagePage) Live() bool {
	return !p.All && slices.ContainsFunc(p.Recipients, func(r Recipient) bool {
		return !r.Superseded && r.State.Label() == policy.LabelDelivering
	})
}

// Acts reports whether there is something to do beside the act that stands out.
func (p *messagePage) Acts() bool {
	return p.May.Act && (p.Can.Release || p.Can.Cancel || p.Can.Resend && p.Primary != "resend") ||
		p.May.Recall && p.Can.Recall && p.Primary != "recall"
}

// RecallTo is where the message is taken back.
func (p *messagePage) RecallTo() string { return recallPageOf(p.ID) }

func (s *Server) messageView(v *visit, d *MessageDetail) *messagePage {
	p := &messagePage{
		MessageDetail: d, May: mayWithMessages(v), Can: canDo(d), All: v.form("all") != "", Holds: holdTimes,
		Rows: d.Recipients, ReasonDue: s.settings.Load().reasonRequired,
	}
	p.Primary = primaryAct(p)
	if n := len(p.Rows); n > maxShownRows && !p.All {
		p.Rows, p.RowsLeft = p.Rows[:maxShownRows], n-maxShownRows
	}
	everybody := envelopeSize(d)
	for i := range d.Timeline {
		p.Past = append(p.Past, pastView(&d.Timeline[i], everybody))
	}
	p.Past = foldRuns(p.Past)
	if n := len(p.Past); n > maxShownPast && !p.All {
		p.Past, p.PastLeft = p.Past[n-maxShownPast:], n-maxShownPast
	}
	return p
}

// envelopeSize counts the recipients as the sender named them.
func envelopeSize(d *MessageDetail) (n int) {
	for i := range d.Recipients {
		if r := &d.Recipients[i]; r.Group == "" && r.Attempt == 0 {
			n++
		}
	}
	return n
}

// noticeLabels say of what a sender was notified.
var noticeLabels = map[string]policy.Label{
	"failed": {EN: "of the failure", ZH: "投递失败"}, "delayed": {EN: "of the delay", ZH: "投递延迟"},
	"relayed": {EN: "that it was passed on", ZH: "邮件已送出"}, "stopped": {EN: "that it was stopped", ZH: "邮件已被终止发送"},
}

func pastView(e *TimelineEntry, everybody int) pastEvent {
	p := pastEvent{TimelineEntry: *e, Lead: e.Kind.Decision()}
	if e.Kind == policy.RecallOutcome && e.Reason != "" {
		p.Label, p.Reason = policy.RecallCode(e.Reason).Label(), ""
	}
	if told, ok := noticeLabels[e.Reason]; ok && e.Kind == policy.Notified {
		p.Label, p.Reason = told, ""
	}
	if n := len(e.Recipients); n > 0 && n < everybody {
		p.Names = e.Recipients[:min(n, shownNames)]
		p.Others = n - len(p.Names)
	}
	switch {
	case !e.RecallUntil.IsZero():
		p.Until = e.RecallUntil // the time that people are shown
	case e.Kind == policy.Deferred && p.NextTry.IsZero():
		p.NextTry, p.Until = e.Until, time.Time{}
	case !lasts(e.Kind): // it goes on at once
		p.Until = time.Time{}
	}
	return p
}

// canDo looks at what the recipients have come to.
func canDo(d *MessageDetail) (can messageCan) {
	can.Recall = d.Recall.Available
	for i := range d.Recipients {
		r := &d.Recipients[i]
		if r.Superseded || r.Members > 0 {
			continue
		}
		switch r.State {
		case policy.StateHeld:
			can.Release, can.Cancel = true, true
		case policy.StateApprovalPending:
			can.Approve, can.Cancel = true, true
		case policy.StateAccepted, policy.StateQueued, policy.StateDeferred:
			can.Cancel = true
		}
		can.Resend = can.Resend || r.State.Failed() && d.Front != policy.Milter
	}
	return can
}

// primaryAct is the one that stands out.
func primaryAct(p *messagePage) string {
	switch {
	case p.May.Approve && p.Can.Approve:
		return "approve"
	case p.May.Act && p.Can.Release:
		return "release"
	case p.May.Act && p.Can.Resend:
		return "resend"
	case p.May.Recall && p.Can.Recall:
		return "recall"
	}
	return ""
}
