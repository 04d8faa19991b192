package web

import (
	"net/http"
	"slices"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// recallPause is between two looks at a live recall.
const recallPause = time.Second

// recallParts are the pieces of a recall's page that change while one looks. None renders to nothing: a browser does
// not tell of an event without data (HTML Standard 9.2.6), and what stood there would stay.
var recallParts = []string{"_recalls_now", "_recalls_acts", "_recalls_table", "_recalls_groups", "_recalls_related", "_recalls_restore"}

// A recallPage is what the template of one recall is given.
type recallPage struct {
	offer
	recallHead
	Table   recallTable
	Mails   []recallMail // the first of the messages
	More    int          // messages that are not named
	All     bool
	CanStop bool // it can still be cancelled
	Approve bool // it waits for a second person, and the viewer may be that
	Asked   bool // by the viewer
	Restore int  // recipients whose mail can be put back
}

// Live reports whether something is still to come.
func (p *recallPage) Live() bool { return p.Status == recallInProgress && !p.All }

// Subject names a message of the recall; the id where it is none of the first.
func (p *recallPage) Subject(id string) string { return subjectOf(p.Mails, id) }

func subjectOf(mails []recallMail, id string) string {
	if i := slices.IndexFunc(mails, func(m recallMail) bool { return m.ID == id }); i >= 0 && mails[i].Subject != "" {
		return mails[i].Subject
	}
	return id
}

func (s *Server) recallPages(mux *http.ServeMux) {
	mux.Handle("GET /recalls/{id}", s.page("recall", s.buildRecall))
	mux.Handle("GET /recalls/{id}/live", s.streamParts(recallPause, "recall", recallParts, s.buildRecall))
	for _, act := range []struct{ name, operation, said string }{
		{"cancel", "cancel-recall", "recalls.said.cancelled"}, {"approve", "approve-recall", "recalls.said.approved"},
	} {
		mux.Handle("POST /recalls/{id}/"+act.name, s.act(func(v *visit) (to, said string, err error) {
			id := v.r.PathValue("id")
			_, err = call[recallIDInput, recallOutput](s, v, act.operation, &recallIDInput{id})
			return "/recalls/" + id, act.said, s.worded(v, "recalls", err)
		}))
	}
	mux.Handle("POST /recalls/{id}/restore", s.act(s.restoreFromPage))
	mux.Handle("POST /recalls/{id}/related/{message}/cancel", s.act(s.cancelRelated))
}

func (s *Server) buildRecall(v *visit) (any, error) {
	out, err := call[recallIDInput, recallOutput](s, v, "get-recall", &recallIDInput{v.r.PathValue("id")})
	if err != nil {
		return nil, s.worded(v, "recalls", err)
	}
	r, who := out.Body, whoIs(v.ctx)
	p := &recallPage{offer: offerTo(v), recallHead: recallHead{r}, All: v.form("all") != "", Asked: r.Actor == who.actor}
	p.Table = s.recallTable(v, r, p.All)
	p.CanStop = r.Status == recallInProgress && p.May("cancel-recall")
	p.Approve = r.Overall == policy.RecallAwaitingApproval && p.May("approve-recall")
	if p.May("restore-recall") {
		for i := range r.Recipients {
			if r.Recipients[i].Code == policy.RemovedFromMailbox {
				p.Restore++
			}
		}
	}
	p.name(s, v)
	return p, nil
}

// name reads the first messages. One that is not kept any more has no name.
func (p *recallPage) name(s *Server, v *visit) {
	ids := p.MessageIDs
	if len(ids) > recallNamed {
		p.More, ids = len(ids)-recallNamed, ids[:recallNamed]
	}
	for _, id := range ids {
		m, err := s.recallMail(v, id)
		if err != nil {
			m = recallMail{ID: id}
		}
		p.Mails = append(p.Mails, m)
	}
}

// restoreFromPage puts back what was chosen, or everything when that button was pressed.
func (s *Server) restoreFromPage(v *visit) (to, said string, err error) {
	id := v.r.PathValue("id")
	in := &restoreInput{ID: id}
	if v.form("all") == "" {
		addresses := v.r.PostForm["recipient"]
		if len(addresses) == 0 {
			return "/recalls/" + id, "", errTold{"recalls.pick_one"}
		}
		in.Body = &RestoreRequest{Recipients: addresses}
	}
	_, err = call[restoreInput, recallOutput](s, v, "restore-recall", in)
	return "/recalls/" + id, "recalls.said.restored", s.worded(v, "recalls", err)
}

// cancelRelated takes back a reply or a forward that is still held, for the reason of the recall.
func (s *Server) cancelRelated(v *visit) (to, said string, err error) {
	to = "/recalls/" + v.r.PathValue("id")
	out, err := call[recallIDInput, recallOutput](s, v, "get-recall", &recallIDInput{v.r.PathValue("id")})
	if err != nil {
		return to, "", s.worded(v, "recalls", err)
	}
	message := v.r.PathValue("message")
	if !slices.ContainsFunc(out.Body.Related, func(r RecallRelated) bool { return r.MessageID == message }) {
		return to, "", s.worded(v, "recalls", errNotFound)
	}
	in := &cancelInput{message, CancelRequest{Reason: out.Body.Reason}}
	_, err = call[cancelInput, messageOutput](s, v, "cancel-message", in)
	return to, "recalls.said.related", s.worded(v, "recalls", err)
}
