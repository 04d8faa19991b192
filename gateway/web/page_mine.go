package web

import (
	"net/http"
	"slices"
	"time"

	"github.com/sendgate/sendgate/policy"
)

const (
	mineListed = 20
	minePause  = 5 * time.Second // between two looks at one's own live mail
	mineRows   = 5               // recipients of a message that are not folded
	mineNamed  = 50              // recipients of a message that are shown at all
)

// A minePage is what a user sees of the own mail of the last day.
type minePage struct {
	Mails   []mineMail
	Next    string // cursor
	Later   bool   // not the first page
	Cursor  string
	Recalls []recallHead // the latest
}

// A mineMail is a message with its recipients.
type mineMail struct {
	*MessageDetail
	Rows   []Recipient
	Folded []Recipient
	Left   int    // recipients that are not shown
	Held   bool   // and can be let go
	Recall string // id of the latest recall
}

func (s *Server) minePages(mux *http.ServeMux) {
	mux.Handle("GET /mine", s.page("mine", s.buildMine))
	mux.Handle("GET /mine/live", s.streamParts(minePause, "mine", []string{"_recalls_mine"}, s.buildMine))
	mux.Handle("POST /mine/{id}/release", s.act(func(v *visit) (to, said string, err error) {
		_, err = call[messageInput, messageOutput](s, v, "release-message", &messageInput{v.r.PathValue("id")})
		return "/mine", "mine.said.released", s.worded(v, "mine", err)
	}))
}

// buildMine shows own mail to who has some; others have the list of all messages.
func (s *Server) buildMine(v *visit) (any, error) {
	if v.role() != "user" {
		return nil, redirect("/messages")
	}
	out, err := call[listMessagesInput, listMessagesOutput](s, v, "list-messages", &listMessagesInput{
		Q: "after:24h", Limit: mineListed, Cursor: v.form("cursor"),
	})
	if err != nil {
		return nil, s.worded(v, "mine", err)
	}
	p := &minePage{Next: out.Body.Next, Cursor: v.form("cursor"), Later: v.form("cursor") != ""}
	for i := range out.Body.Messages {
		m, err := call[messageInput, messageOutput](s, v, "get-message", &messageInput{out.Body.Messages[i].ID})
		if err != nil {
			continue // it was pruned meanwhile
		}
		p.Mails = append(p.Mails, mineMailOf(m.Body))
	}
	recalls, err := call[listRecallsInput, listRecallsOutput](s, v, "list-recalls", &listRecallsInput{Limit: mineRows})
	if err != nil {
		return nil, s.worded(v, "mine", err)
	}
	for i := range recalls.Body.Recalls {
		p.Recalls = append(p.Recalls, recallHead{&recalls.Body.Recalls[i]})
	}
	return p, nil
}

func mineMailOf(d *MessageDetail) mineMail {
	m := mineMail{MessageDetail: d}
	for i := range d.Recipients {
		r := &d.Recipients[i]
		if r.Recall != nil && r.Recall.ID > m.Recall { // ids are in the order of time
			m.Recall = r.Recall.ID
		}
		m.Held = m.Held || r.State == policy.StateHeld && !r.Superseded
	}
	rows := slices.DeleteFunc(slices.Clone(d.Recipients), func(r Recipient) bool { return r.Superseded })
	if len(rows) > mineNamed {
		m.Left, rows = len(rows)-mineNamed, rows[:mineNamed]
	}
	if len(rows) > mineRows+1 { // one more costs no more room than a line that says so
		rows, m.Folded = rows[:mineRows], rows[mineRows:]
	}
	m.Rows = rows
	return m
}
