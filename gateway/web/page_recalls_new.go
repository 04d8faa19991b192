package web

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/sendgate/sendgate/policy"
)

// The steps of a new recall: messages are found, it is said how, and a dry run shows what it would come to.
const (
	stepFind = "find"
	stepHow  = "how"
	stepPlan = "plan"
)

// recallNamed bounds the messages of which the page shows more than their number.
const recallNamed = 10

// A recallForm is what somebody has said so far.
type recallForm struct {
	Messages   []string
	Query      string
	Reason     string
	ReadToo    bool
	GroupMode  string
	Notify     string
	Recipients string // separated by space, commas or semicolons
	Correction string
}

// A recallNewPage is what the template is given.
type recallNewPage struct {
	offer
	Step       string
	Form       recallForm
	Find       *recallFind
	Mails      []recallMail
	More       int    // messages that are not named
	Open       bool   // further messages than were counted
	Wrong      string // why it does not go on
	Existing   string // id of the recall that there is already
	Plan       *recallPlan
	Own        bool // of a user: own mail only
	ReasonDue  bool
	MayReadToo bool
	GroupModes []string
	Notices    []string
}

// A recallMail is a message that shall be taken back.
type recallMail struct {
	ID, From, Subject string
	Message           *MessageDetail
}

// A recallPlan is what a recall would come to.
type recallPlan struct {
	recallHead
	Table                  recallTable
	Can, Cannot, Uncertain int
	Preview                bool // somebody may have seen more of it than we know
	Unread                 bool // what was read stays, although it was asked for
	Recipients             int
}

// recallFormOf reads the fields; what has a fixed set of values has one of these.
func recallFormOf(v *visit) recallForm {
	f := recallForm{
		Query: v.form("q"), ReadToo: v.form("read_too") != "", Recipients: v.form("recipients"), Correction: v.form("correction"),
		GroupMode: oneOf(v.form("group_mode"), recallGroupModes), Notify: oneOf(v.form("notify"), recallNotices), Reason: v.form("reason"),
	}
	for _, id := range v.r.Form["message"] {
		if id = strings.TrimSpace(id); id != "" && !slices.Contains(f.Messages, id) && len(f.Messages) < maxPicked {
			f.Messages = append(f.Messages, id)
		}
	}
	return f
}

var (
	recallGroupModes = []string{string(policy.AllOrNothing), string(policy.BestEffort)}
	recallNotices    = []string{string(policy.NotifyNone), string(policy.NotifyRead), string(policy.NotifyAll)}
)

func oneOf(value string, values []string) string {
	if slices.Contains(values, value) {
		return value
	}
	return ""
}

// request asks the API.
func (f *recallForm) request(dryRun bool) *recallInput {
	unread := !f.ReadToo
	return &recallInput{RecallRequest{
		MessageIDs: f.Messages, Query: f.Query, Reason: f.Reason, UnreadOnly: &unread, GroupMode: f.GroupMode, Notify: f.Notify,
		Recipients: addressList(f.Recipients), Correction: f.Correction, DryRun: dryRun,
	}}
}

// addressList cuts a text into addresses.
func addressList(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" \t\r\n,;，；、", r) })
}

func (s *Server) recallNewPage(v *visit, f recallForm) *recallNewPage {
	role := v.role()
	return &recallNewPage{
		offer: offerTo(v), Form: f, Own: role == "user", ReasonDue: s.settings.Load().reasonRequired, MayReadToo: s.readToo != nil && s.readToo(role),
		GroupModes: recallGroupModes, Notices: recallNotices,
	}
}

// newRecall begins with the messages named, else with a search for them.
func (s *Server) newRecall(v *visit) (any, error) {
	if err := s.allow(v.ctx, "recall"); err != nil {
		return nil, s.worded(v, "recalls", err)
	}
	p := s.recallNewPage(v, recallFormOf(v))
	switch {
	case len(p.Form.Messages) > 0 || p.Form.Query != "":
		return p, s.askHow(v, p)
	case p.Own:
		return nil, redirect("/mine")
	}
	return p, s.findForRecall(v, p)
}

// askHow shows the messages and asks for the rest.
func (s *Server) askHow(v *visit, p *recallNewPage) error {
	p.Step = stepHow
	ids := p.Form.Messages
	if p.Form.Query != "" {
		out, err := call[listMessagesInput, listMessagesOutput](s, v, "list-messages", &listMessagesInput{Q: p.Form.Query, Limit: listSize})
		if err != nil {
			return s.worded(v, "recalls", err)
		}
		for i := range out.Body.Messages {
			ids = append(slices.Clip(ids), out.Body.Messages[i].ID)
		}
		p.Open = out.Body.Next != ""
	}
	if len(ids) > recallNamed {
		p.More, ids = len(ids)-recallNamed, ids[:recallNamed]
	}
	for _, id := range ids {
		m, err := s.recallMail(v, id)
		if err != nil {
			return s.worded(v, "recalls", err)
		}
		p.Mails = append(p.Mails, m)
	}
	return nil
}

// Subject names one of the messages; the id where it is none of the first.
func (p *recallNewPage) Subject(id string) string { return subjectOf(p.Mails, id) }

// Chosen counts the messages.
func (p *recallNewPage) Chosen() int { return len(p.Mails) + p.More }

func (s *Server) recallMail(v *visit, id string) (recallMail, error) {
	out, err := call[messageInput, messageOutput](s, v, "get-message", &messageInput{id})
	if err != nil {
		return recallMail{}, err
	}
	return recallMail{ID: out.Body.ID, From: out.Body.From, Subject: out.Body.Subject, Message: out.Body}, nil
}

// planRecall shows what the recall would come to, or asks again.
func (s *Server) planRecall(v *visit) (any, error) {
	p := s.recallNewPage(v, recallFormOf(v))
	_, long := v.reason()
	switch {
	case v.form("back") != "":
		return p, s.askHow(v, p)
	case long != nil:
		return p, s.askAgain(v, p, long)
	case p.ReasonDue && p.Form.Reason == "":
		return p, s.askAgain(v, p, errRecallReason)
	}
	return p, s.foresee(v, p)
}

var errRecallReason = problem(http.StatusUnprocessableEntity, policy.RefusedReason, "say why")

// foresee runs the request dry.
func (s *Server) foresee(v *visit, p *recallNewPage) error {
	out, err := call[recallInput, recallOutput](s, v, "recall", p.Form.request(true))
	if err != nil {
		return s.askAgain(v, p, err)
	}
	if out.Body.Status == recallUnavailable {
		return s.unavailable(v, p, out.Body)
	}
	if err := s.askHow(v, p); err != nil {
		return err
	}
	p.Step, p.Plan = stepPlan, s.recallPlan(v, out.Body, &p.Form)
	return nil
}

// startRecall begins it and leads to its page.
func (s *Server) startRecall(v *visit) (any, error) {
	p := s.recallNewPage(v, recallFormOf(v))
	if _, err := v.reason(); err != nil {
		return p, s.askAgain(v, p, err)
	}
	out, err := call[recallInput, recallOutput](s, v, "recall", p.Form.request(false))
	switch {
	case err != nil:
		return p, s.askAgain(v, p, err)
	case out.Body.Status == recallUnavailable:
		return p, s.unavailable(v, p, out.Body)
	}
	return nil, redirect("/recalls/" + out.Body.ID)
}

// unavailable says what of the rules is in the way.
func (s *Server) unavailable(v *visit, p *recallNewPage, r *Recall) error {
	p.Wrong, p.Existing = r.Restriction.Text.In(v.lang), r.ID
	return s.askHow(v, p)
}

// askAgain says what is wrong with a request, on the form; what is no fault of the request is an error.
func (s *Server) askAgain(v *visit, p *recallNewPage, err error) error {
	err = s.worded(v, "recalls", err)
	var wrong *Problem
	if !errors.As(err, &wrong) || wrong.Status >= http.StatusInternalServerError || wrong.Status == http.StatusForbidden {
		return err
	}
	p.Wrong = wrong.Detail
	if failed := s.askHow(v, p); failed != nil {
		return err // what it says is the better reason
	}
	return nil
}

func (s *Server) recallPlan(v *visit, r *Recall, f *recallForm) *recallPlan {
	p := &recallPlan{
		recallHead: recallHead{r}, Table: s.recallTable(v, r, false), Recipients: len(r.Recipients), Unread: f.ReadToo && r.UnreadOnly,
	}
	for i := range r.Recipients {
		switch one := &r.Recipients[i]; {
		case one.Status == policy.RecallFail:
			p.Cannot++
		case one.Status == policy.RecallSuccess, one.Code == policy.RecallPlanned, one.Code == policy.RecallStaged:
			p.Can++
		default:
			p.Uncertain++
		}
		code := r.Recipients[i].Code
		p.Preview = p.Preview || code != policy.RemovedFromHold && code != policy.RemovedFromQueue && code != policy.NeverDelivered
	}
	return p
}
