package web

import (
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// A Message is a line of a list.
type Message struct {
	ID         string       `json:"id" doc:"sendgate's own id, a ULID"`
	From       string       `json:"from" doc:"envelope sender; empty is the null sender"`
	Subject    string       `json:"subject"`
	Received   time.Time    `json:"received"`
	State      policy.State `json:"state" doc:"of all recipients together; mixed when they came to different ends"`
	Label      policy.Label `json:"label"`
	Recipients int          `json:"recipients" doc:"how many there are"`
	To         []string     `json:"to,omitempty" nullable:"false" doc:"in a search: the first three recipients of a message that has few"`
	Size       int64        `json:"size" doc:"octets"`
	HeldUntil  time.Time    `json:"held_until,omitzero" doc:"as long as it is held: until when it can surely be taken back"`
	Identity   string       `json:"identity" doc:"whom it is counted for"`
	MessageID  string       `json:"message_id,omitempty" doc:"the Message-ID field"`
}

// A MessageList is one page of messages, newest first.
type MessageList struct {
	Messages []Message `json:"messages" nullable:"false"`
	Next     string    `json:"next,omitempty" doc:"cursor of the next page; absent on the last"`
}

// A MessageDetail is everything known of one message.
type MessageDetail struct {
	ID         string           `json:"id" doc:"sendgate's own id, a ULID"`
	From       string           `json:"from" doc:"envelope sender; empty is the null sender"`
	FromHeader string           `json:"from_header,omitempty" doc:"the From field"`
	Subject    string           `json:"subject"`
	Received   time.Time        `json:"received"`
	Client     string           `json:"client,omitempty" doc:"address of the client"`
	Identity   string           `json:"identity" doc:"whom it is counted for"`
	Login      string           `json:"login,omitempty" doc:"SASL login"`
	MessageID  string           `json:"message_id,omitempty" doc:"the Message-ID field"`
	Direction  policy.Direction `json:"direction,omitempty"`
	Front      policy.Front     `json:"front"`
	Size       int64            `json:"size" doc:"octets"`
	State      policy.State     `json:"state" doc:"of all recipients together; mixed when they came to different ends"`
	Label      policy.Label     `json:"label"`
	Revision   uint64           `json:"revision" doc:"counts decisions"`
	HeldUntil  time.Time        `json:"held_until,omitzero" doc:"as long as it is held: until when it can surely be taken back"`
	Recall     Recallable       `json:"recall" doc:"whether it can be taken back now by somebody with your role; for an auditor, by an operator"`
	Recipients []Recipient      `json:"recipients" nullable:"false" doc:"each group is followed by its members, each attempt by the one that repeats it"`
	Timeline   []TimelineEntry  `json:"timeline" nullable:"false" doc:"oldest first"`
	Bounce     Bounce           `json:"bounce,omitempty" enum:"sent,pending,none,limited" doc:"only in the answer to a cancel with bounce: whether the sender is told; pending until the mail server has deleted the message"`
}

// A Recipient is one recipient of a message and what became of it. A group or an alias whose members
// are known is one row, and each member another; so is each later attempt of a recipient.
type Recipient struct {
	Address         string       `json:"address"`
	OriginalAddress string       `json:"original_address,omitempty" doc:"of a member: the address of the group or alias; else ORCPT, where it was given"`
	Group           string       `json:"group,omitempty" doc:"address of the group or alias that this is a member of"`
	Members         int          `json:"members,omitempty" doc:"of a group or alias: how many members are known"`
	Attempt         int          `json:"attempt,omitempty" doc:"from 2 on: which attempt this is, after a resend"`
	Superseded      bool         `json:"superseded,omitempty" doc:"other rows stand for this one: a later attempt, or the members of a group in a group; it is not counted"`
	State           policy.State `json:"state" doc:"of a group: that of its members together"`
	Label           policy.Label `json:"label"`
	Since           time.Time    `json:"since" doc:"when the state was reached"`
	Reply           string       `json:"reply,omitempty" doc:"the last SMTP reply, verbatim"`
	Evidence        string       `json:"evidence,omitempty" doc:"from what the state is known, verbatim"`
	Reason          string       `json:"reason,omitempty"`
	Attempts        int          `json:"attempts" doc:"deliveries tried, by sendgate or by the server behind that has it"`
	NextTry         time.Time    `json:"next_try,omitzero" doc:"by sendgate, or as far as is known by the server that has it"`
	QueueID         string       `json:"queue_id,omitempty" doc:"the next hop's id of the message"`
	Upstream        string       `json:"upstream,omitempty"`
	MayBeDuplicate  bool         `json:"may_be_duplicate,omitempty" doc:"a crash left open whether it was sent before"`
	Recall          *RecallState `json:"recall,omitempty" doc:"the latest that a recall has said"`
}

// A TimelineEntry is one event of a message.
type TimelineEntry struct {
	Time           time.Time   `json:"time"`
	Kind           policy.Kind `json:"kind"`
	Actor          string      `json:"actor,omitempty" doc:"who acted: smtp, hold, api:NAME, socket:uid N"`
	Node           string      `json:"node,omitempty"`
	Recipients     []string    `json:"recipients,omitempty" nullable:"false" doc:"the addresses it is about, as in the envelope"`
	Member         string      `json:"member,omitempty" doc:"the final address it is about, where the recipient is a group or an alias"`
	Until          time.Time   `json:"until,omitzero" doc:"of a hold: when it is let go; after a failed try: the next one"`
	NextTry        time.Time   `json:"next_try,omitzero" doc:"when the server that has it will try again"`
	RecallUntil    time.Time   `json:"recall_until,omitzero" doc:"of a hold: until when it can surely be taken back, the time that people are shown"`
	Rule           string      `json:"rule,omitempty"`
	Reason         string      `json:"reason,omitempty"`
	Reply          string      `json:"reply,omitempty"`
	Evidence       string      `json:"evidence,omitempty"`
	QueueID        string      `json:"queue_id,omitempty"`
	Upstream       string      `json:"upstream,omitempty"`
	MayBeDuplicate bool        `json:"may_be_duplicate,omitempty"`
	Recall         string      `json:"recall,omitempty" doc:"id of the recall that did it; its reason is a code"`
	Findings       []Remark    `json:"findings,omitempty" nullable:"false" doc:"what rules said that was broken, nearly broken, or decided; explain has the rest"`
}

func (s *Server) summary(m *store.Message) Message {
	state, label := policy.Aggregate(m.States)
	return Message{
		ID: m.ID.String(), From: string(m.Envelope.Sender), Subject: m.Envelope.Subject,
		Received: m.Envelope.Received.UTC(), State: state, Label: label, Recipients: m.Counted(),
		Size: m.Envelope.Size, HeldUntil: s.heldUntil(m), Identity: m.Envelope.Identity, MessageID: m.Envelope.MessageID,
	}
}

// heldUntil is the time that people are shown: the margin before the release.
func (s *Server) heldUntil(m *store.Message) time.Time {
	if m.States[policy.StateHeld] == 0 || m.Due.IsZero() {
		return time.Time{}
	}
	return m.Due.Add(-s.margin()).UTC()
}

// detail reads everything about a message.
func (s *Server) detail(id policy.ID, role string) (*MessageDetail, error) {
	m, err := s.journal.Message(id)
	if err != nil {
		return nil, err
	}
	rows, err := s.journal.Recipients(id)
	if err != nil {
		return nil, err
	}
	records, err := s.journal.Timeline(id)
	if err != nil {
		return nil, err
	}
	state, label := policy.Aggregate(m.States)
	e := &m.Envelope
	d := &MessageDetail{
		ID: m.ID.String(), From: string(e.Sender), FromHeader: e.From, Subject: e.Subject, Received: e.Received.UTC(),
		Identity: e.Identity, Login: e.Login, MessageID: e.MessageID, Direction: e.Direction, Front: e.Front,
		Size: e.Size, State: state, Label: label, Revision: m.Revision, HeldUntil: s.heldUntil(&m),
		Recall: s.recallable(&m, role), Recipients: recipientViews(rows), Timeline: []TimelineEntry{},
	}
	if role == "user" {
		veilRecipients(d.Recipients)
	}
	if e.Client.IsValid() {
		d.Client = e.Client.String()
	}
	addresses := addressesOfRows(rows)
	for _, r := range records {
		for i := range r.Events {
			entry := s.eventView(&r.Events[i])
			entry.Recipients = addresses.of(&r.Events[i])
			if entry.Recall != "" {
				entry.Member = memberOf(rows, &r.Events[i])
			}
			if role == "user" {
				veil(&entry)
			}
			d.Timeline = append(d.Timeline, entry)
		}
	}
	return d, nil
}

// memberOf gives the member of a group that a recall's event is about, empty when it is about somebody else.
func memberOf(rows policy.Rows, e *policy.Event) string {
	if len(e.Recipients) != 1 || e.Recipients[0] < 0 || e.Recipients[0] >= len(rows) || rows[e.Recipients[0]].Group == 0 {
		return ""
	}
	return string(rows[e.Recipients[0]].Address)
}

func (s *Server) eventView(e *policy.Event) TimelineEntry {
	v := TimelineEntry{
		Time: e.Time.UTC(), Kind: e.Kind, Actor: e.Actor, Node: e.Node, Until: e.Until.UTC(), Rule: e.Rule,
		Member: string(e.Member), NextTry: e.NextTry.UTC(), Reason: e.Reason, Reply: e.Reply, Evidence: e.Evidence, QueueID: e.QueueID, Upstream: e.Upstream,
		MayBeDuplicate: e.MayBeDuplicate, Findings: remarks(e.Findings),
	}
	if (e.Kind == policy.Held || e.Kind == policy.HoldChanged) && !e.Until.IsZero() {
		v.RecallUntil = v.Until.Add(-s.margin())
	}
	if e.Kind == policy.RecallOutcome || e.Kind == policy.Restored {
		v.Recall = e.Subject
	}
	return v
}
