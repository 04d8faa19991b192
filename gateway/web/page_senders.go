package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
)

const (
	sendersPause  = 5 * time.Second
	sendersListed = 200
	// maxSearched is as long as a part of an identity can be in the API.
	maxSearched = 320
)

// A sendersPage is what the template of the list is given.
type sendersPage struct {
	offer
	Q         string
	Suspended []Sender
	Others    []Sender
	Full      bool   // there may be more
	Named     string // somebody of whom nothing is listed, but whose page can be opened
}

func (s *Server) sendersPages(mux *http.ServeMux) {
	mux.Handle("GET /senders", s.page("senders", s.buildSenders))
	mux.Handle("GET /senders/live", s.streamParts(sendersPause, "senders", []string{"_senders_list"}, s.buildSenders))
	mux.Handle("GET /senders/{identity}", s.page("sender", s.buildSenderPage))
	mux.Handle("GET /senders/{identity}/live", s.streamParts(sendersPause, "sender", []string{"_sender_state", "_sender_usage"}, s.buildSender))
	s.senderActs(mux)
}

func (s *Server) buildSenders(v *visit) (any, error) {
	p := &sendersPage{offer: offerTo(v), Q: v.form("q")}
	if len(p.Q) > maxSearched {
		p.Q = ""
	}
	out, err := call[listSendersInput, listSendersOutput](s, v, "list-senders", &listSendersInput{Q: p.Q, Limit: sendersListed})
	if err != nil {
		return nil, err
	}
	list := out.Body.Senders
	p.Full = len(list) == sendersListed
	named := p.Q != "" && !strings.ContainsAny(p.Q, " \t\"")
	for i := range list {
		named = named && !strings.EqualFold(list[i].Identity, p.Q)
		if list[i].Suspension != nil {
			p.Suspended = append(p.Suspended, list[i])
		} else {
			p.Others = append(p.Others, list[i])
		}
	}
	if named {
		p.Named = p.Q
	}
	return p, nil
}

// A senderPage is what the template of one sender is given.
type senderPage struct {
	offer
	*SenderDetail
	Person  bool          // an identity, not a domain, a network or the gateway
	Limits  []senderLimit // what counts, with the rule behind it
	Rules   []LimitRule   // that can be changed for the sender
	Chart   chart
	Search  string // query for the sender's messages
	Spans   []string
	Pauses  []string // for how long somebody can be suspended
	Waiting int      // messages that wait for approval
	SignIns []SignIn // of a person
}

// A senderLimit is a limit that counts for a sender, and what the configuration says of it.
type senderLimit struct {
	Usage
	Rule *LimitRule // nil when it is gone from the configuration
}

// buildSenderPage adds to what is live what is not: sign-ins are read from many timelines.
func (s *Server) buildSenderPage(v *visit) (any, error) {
	p, err := s.buildSender(v)
	if one, ok := p.(*senderPage); ok && one.Person && one.May("sender-sign-ins") {
		places, err := call[senderInput, signInsOutput](s, v, "sender-sign-ins", &senderInput{v.r.PathValue("identity")})
		if err != nil {
			return nil, s.worded(v, "senders", err)
		}
		one.SignIns = places.Body.SignIns
	}
	return p, err
}

func (s *Server) buildSender(v *visit) (any, error) {
	identity := v.r.PathValue("identity")
	out, err := call[senderInput, senderOutput](s, v, "get-sender", &senderInput{identity})
	if err != nil {
		return nil, s.worded(v, "senders", err)
	}
	rules, err := call[struct{}, rulesOutput](s, v, "rules", &struct{}{})
	if err != nil {
		return nil, err
	}
	kind := keyKind(identity)
	p := &senderPage{offer: offerTo(v), SenderDetail: out.Body, Person: kind == policy.ByIdentity, Spans: grantSpans, Pauses: suspendSpans}
	if p.Person {
		p.Search = searchFor(identity)
	}
	for _, r := range rules.Body.Limits {
		if r.Key == kind && r.Per != 0 && r.Action != policy.Pace {
			p.Rules = append(p.Rules, r)
		}
	}
	for _, u := range p.Usage {
		l := senderLimit{Usage: u}
		if i := slices.IndexFunc(rules.Body.Limits, func(r LimitRule) bool { return r.Name == u.Rule }); i >= 0 {
			l.Rule = &rules.Body.Limits[i]
		}
		p.Limits = append(p.Limits, l)
	}
	for _, c := range p.Messages.States {
		if c.State == policy.StateApprovalPending {
			p.Waiting = c.Messages
		}
	}
	p.Chart = s.senderChart(v, p.Messages.Hours)
	return p, nil
}

// senderChart draws what was sent in each hour; nothing where nothing was.
func (s *Server) senderChart(v *visit, hours []SenderHour) (c chart) {
	series := []chartSeries{{Name: s.renderer.Say(v.lang, "senders.messages")}, {Name: s.renderer.Say(v.lang, "senders.recipients")}}
	sent := false
	for _, h := range hours {
		c.Times = append(c.Times, h.Start.Unix())
		series[0].Values = append(series[0].Values, h.Messages)
		series[1].Values = append(series[1].Values, h.Recipients)
		sent = sent || h.Messages > 0
	}
	if !sent {
		return chart{}
	}
	c.Series = series
	return c
}

// senderAt is the address of a sender's page.
func senderAt(identity string) string { return "/senders/" + url.PathEscape(identity) }
