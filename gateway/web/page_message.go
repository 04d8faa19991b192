package web

import (
	"cmp"
	"math"
	"net/http"
	"time"
)

const (
	messagePause = 2 * time.Second // between two looks at a live message
	maxShownRows = 200             // recipients of a message that are shown unless all are asked for
	maxShownPast = 200             // events, likewise
)

// messageParts are the pieces of a message's page that change while one looks.
var messageParts = []string{"_message_state", "_message_acts", "_message_recipients", "_message_timeline"}

// messagePages are those of one message.
func (s *Server) messagePages(mux *http.ServeMux) {
	mux.Handle("GET /messages/{id}", s.page("message", s.buildMessage))
	mux.Handle("GET /messages/{id}/live", s.streamParts(messagePause, "message", messageParts, s.buildMessage))
	mux.Handle("GET /messages/{id}/source", s.page("message_source", s.buildSource))
	for _, act := range []struct{ name, said string }{
		{"release", "messages.said.release"}, {"hold", "messages.said.hold"}, {"cancel", "messages.said.cancel"},
		{"resend", "messages.said.resend"}, {"approve", "messages.said.approve"},
	} {
		mux.Handle("POST /messages/{id}/"+act.name, s.act(func(v *visit) (string, string, error) {
			to := "/messages/" + v.r.PathValue("id")
			bounce, err := s.actOnMessage(v, v.r.PathValue("id"), act.name)
			return to, cmp.Or(bounceSaid[bounce], act.said), s.inWords(v, err)
		}))
	}
}

// bounceSaid is what is said after a cancel with a bounce.
var bounceSaid = map[Bounce]string{
	BounceSent: "messages.said.cancel.sent", BouncePending: "messages.said.cancel.pending", BounceNone: "messages.said.cancel.none",
	BounceLimited: "messages.said.cancel.limited",
}

// actOnMessage does what a form asks for with one message. A cancel with a bounce says whether the sender is told.
func (s *Server) actOnMessage(v *visit, id, act string) (bounce Bounce, err error) {
	switch reason := v.form("reason"); act {
	case "release":
		_, err = call[messageInput, messageOutput](s, v, "release-message", &messageInput{id})
	case "hold":
		_, err = call[holdInput, messageOutput](s, v, "hold-message", &holdInput{id, HoldRequest{For: v.form("for")}})
	case "cancel":
		var out *messageOutput
		out, err = call[cancelInput, messageOutput](s, v, "cancel-message", &cancelInput{id, CancelRequest{Reason: reason, Bounce: v.form("bounce") != ""}})
		if err == nil {
			bounce = out.Body.Bounce
		}
	case "resend":
		_, err = call[resendInput, messageOutput](s, v, "resend-message", &resendInput{id, ResendRequest{Reason: reason}})
	case "approve":
		_, err = call[messageInput, messageOutput](s, v, "approve-message", &messageInput{id})
	}
	return bounce, err
}

func (s *Server) buildMessage(v *visit) (any, error) {
	id := v.r.PathValue("id")
	out, err := call[messageInput, messageOutput](s, v, "get-message", &messageInput{id})
	if err != nil {
		return nil, s.inWords(v, err)
	}
	p := s.messageView(v, out.Body)
	why, err := call[messageInput, explainOutput](s, v, "explain-message", &messageInput{id})
	if err != nil {
		return nil, s.inWords(v, err)
	}
	p.Steps = decidingSteps(why.Body.Steps)
	p.Campaigns = s.campaignsOf(v, id, p.Steps)
	return p, nil
}

// decidingSteps are those in which rules looked.
func decidingSteps(steps []Step) (deciding []explainedStep) {
	for i := range steps {
		e := explainedStep{Step: steps[i]}
		for _, f := range e.Findings {
			if f.Decided || f.Exceeded || f.Warn || f.Campaign != "" {
				e.Telling = append(e.Telling, f)
			} else {
				e.Passed = append(e.Passed, f)
			}
		}
		if len(e.Findings) > 0 {
			deciding = append(deciding, e)
		}
	}
	return deciding
}

// campaignsOf looks up the near-duplicates that the findings name. One that is forgotten is left out.
func (s *Server) campaignsOf(v *visit, id string, steps []explainedStep) (list []nearDuplicates) {
	seen := map[string]bool{}
	for i := range steps {
		for _, f := range steps[i].Findings {
			if f.Campaign == "" || seen[f.Campaign] {
				continue
			}
			seen[f.Campaign] = true
			if out, err := call[campaignInput, campaignOutput](s, v, "get-campaign", &campaignInput{f.Campaign}); err == nil {
				list = append(list, nearDuplicates{out.Body, percentAlike(out.Body.Samples, id)})
			}
		}
	}
	return list
}

// percentAlike is how alike a message is to the sample by which it was recognised; 0 where that is not kept.
func percentAlike(samples []CampaignSample, id string) int {
	for i := range samples {
		if samples[i].ID == id {
			return int(math.Round(100 * samples[i].Similarity))
		}
	}
	return 0
}

// A sourcePage shows what the message says.
type sourcePage struct {
	*MessageSource
	Subject string
}

func (s *Server) buildSource(v *visit) (any, error) {
	part := sourceHeader
	if v.form("part") == sourceBody {
		part = sourceBody
	}
	id := v.r.PathValue("id")
	out, err := call[sourceInput, sourceOutput](s, v, "view-source", &sourceInput{id, part})
	if err != nil {
		return nil, s.inWords(v, err)
	}
	m, err := call[messageInput, messageOutput](s, v, "get-message", &messageInput{id})
	if err != nil {
		return nil, s.inWords(v, err)
	}
	return &sourcePage{out.Body, m.Body.Subject}, nil
}
