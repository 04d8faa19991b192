package web

import (
	"net/http"
	"slices"
	"strconv"
	"time"
)

const (
	limitsPause  = 5 * time.Second
	limitsListed = 200
	limitsNear   = 80 // percent
)

// nearChoices are the percentages from which on usage can be listed.
var nearChoices = []int{50, 80, 90, 100}

// A limitsPage is what the template of the limits is given.
type limitsPage struct {
	offer
	UsageList
	Near  int
	Nears []int
	Full  bool // there may be more
	Rules Rules
}

func (s *Server) limitsPages(mux *http.ServeMux) {
	mux.Handle("GET /limits", s.page("limits", s.buildLimits))
	mux.Handle("GET /limits/live", s.streamParts(limitsPause, "limits", []string{"_limits_near"}, s.buildNear))
	mux.Handle("GET /limits/test", s.page("limits_test", s.buildRuleTest))
}

func (s *Server) buildLimits(v *visit) (any, error) {
	p, err := s.nearPage(v)
	if err != nil {
		return nil, err
	}
	rules, err := call[struct{}, rulesOutput](s, v, "rules", &struct{}{})
	if err != nil {
		return nil, err
	}
	p.Rules = rules.Body
	return p, nil
}

// buildNear is what changes while one looks.
func (s *Server) buildNear(v *visit) (any, error) { return s.nearPage(v) }

func (s *Server) nearPage(v *visit) (*limitsPage, error) {
	p := &limitsPage{offer: offerTo(v), Near: limitsNear, Nears: nearChoices}
	if n, err := strconv.Atoi(v.form("near")); err == nil && slices.Contains(nearChoices, n) {
		p.Near = n
	}
	out, err := call[listLimitsInput, listLimitsOutput](s, v, "list-limits", &listLimitsInput{Near: p.Near, Limit: limitsListed})
	if err != nil {
		return nil, err
	}
	p.UsageList, p.Full = out.Body, len(out.Body.Limits) == limitsListed
	return p, nil
}
