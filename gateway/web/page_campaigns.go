package web

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	campaignsPause  = 5 * time.Second
	campaignsListed = 100
	campaignsMin    = 2
	waitingShown    = 20 // links to messages that wait because of a campaign
	// maxChartHours bounds the hours of a chart: a campaign that goes on for months has its last.
	maxChartHours = 30 * 24
)

// minChoices are from how many messages on campaigns can be listed.
var minChoices = []int{2, 10, 50, 200}

// A campaignsPage is what the template of the list is given.
type campaignsPage struct {
	CampaignList
	Min  int
	Mins []int
}

func (s *Server) campaignsPages(mux *http.ServeMux) {
	mux.Handle("GET /campaigns", s.page("campaigns", s.buildCampaigns))
	mux.Handle("GET /campaigns/live", s.streamParts(campaignsPause, "campaigns", []string{"_campaigns_list"}, s.buildCampaigns))
	mux.Handle("GET /campaigns/{id}", s.page("campaign", s.buildCampaign))
	s.campaignPageActs(mux)
}

func (s *Server) buildCampaigns(v *visit) (any, error) {
	p := &campaignsPage{Min: campaignsMin, Mins: minChoices}
	if n, err := strconv.Atoi(v.form("min")); err == nil && slices.Contains(minChoices, n) {
		p.Min = n
	}
	out, err := call[listCampaignsInput, listCampaignsOutput](s, v, "list-campaigns", &listCampaignsInput{Min: p.Min, Limit: campaignsListed})
	if err != nil {
		return nil, err
	}
	p.CampaignList = out.Body
	return p, nil
}

// A campaignPage is what the template of one campaign is given.
type campaignPage struct {
	offer
	*CampaignDetail
	Shown  []*shownSample
	Chart  chart
	Spans  []string
	Queued []string // ids of some messages that wait
	More   int      // how many others
}

// Decided reports whether a decision is in force.
func (p *campaignPage) Decided() bool { return p.Decision != nil && !p.Decision.Over }

// A shownSample is a sample with its text cut at the differences.
type shownSample struct {
	CampaignSample
	Pieces []piece
}

// Percent is how much the sample is like the one by which it was recognised.
func (s *shownSample) Percent() int { return int(100*s.Similarity + 0.5) }

// A piece is some text that two samples share, or that one of them has alone.
type piece struct {
	Op    string // same, removed, added
	Text  string
	Apart bool // a space goes before it
}

func (s *Server) buildCampaign(v *visit) (any, error) {
	out, err := call[campaignInput, campaignOutput](s, v, "get-campaign", &campaignInput{v.r.PathValue("id")})
	if err != nil {
		return nil, s.worded(v, "campaigns", err)
	}
	p := &campaignPage{offer: offerTo(v), CampaignDetail: out.Body, Chart: s.campaignChart(v, out.Body.Hours), Spans: allowSpans}
	for _, one := range p.Samples {
		p.Shown = append(p.Shown, &shownSample{one, piecesOf(one.Edits)})
	}
	p.Queued = p.WaitingIDs[:min(waitingShown, len(p.WaitingIDs))]
	p.More = p.Waiting - len(p.Queued)
	return p, nil
}

// piecesOf writes tokens as text.
func piecesOf(edits []Edit) (list []piece) {
	before := ""
	for _, e := range edits {
		one := piece{Op: e.Op}
		var text strings.Builder
		for i, token := range e.Tokens {
			apart := before != "" && apart(before, token)
			switch {
			case i == 0:
				one.Apart = apart
			case apart:
				text.WriteByte(' ')
			}
			text.WriteString(token)
			before = token
		}
		one.Text = text.String()
		list = append(list, one)
	}
	return list
}

// apart reports whether a space goes between two tokens: not between ideographs.
func apart(a, b string) bool {
	last, _ := utf8.DecodeLastRuneInString(a)
	first, _ := utf8.DecodeRuneInString(b)
	return !ideograph(last) || !ideograph(first)
}

func ideograph(r rune) bool { return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana) }

// campaignChart draws hour by hour, with those in which nothing was sent, and one at each end.
func (s *Server) campaignChart(v *visit, hours []CampaignHour) (c chart) {
	if len(hours) == 0 {
		return c
	}
	c.Hourly, c.Series = true, []chartSeries{{Name: s.renderer.Say(v.lang, "campaigns.recipients")}, {Name: s.renderer.Say(v.lang, "campaigns.messages")}}
	sent := map[int64]CampaignHour{}
	for _, h := range hours {
		sent[h.Start.Unix()] = h
	}
	end := hours[len(hours)-1].Start.Add(time.Hour)
	at := hours[0].Start.Add(-time.Hour)
	if end.Sub(at) > maxChartHours*time.Hour {
		at = end.Add(-maxChartHours * time.Hour)
	}
	for ; !at.After(end); at = at.Add(time.Hour) {
		h := sent[at.Unix()]
		c.Times = append(c.Times, at.Unix())
		c.Series[0].Values = append(c.Series[0].Values, int(h.Recipients))
		c.Series[1].Values = append(c.Series[1].Values, int(h.Messages))
	}
	return c
}

// campaignPageActs are what can be decided about a campaign. Each leads back to its page.
func (s *Server) campaignPageActs(mux *http.ServeMux) {
	for _, verb := range []string{"approve", "slow", "cancel", "withdraw", "allow"} {
		mux.Handle("POST /campaigns/{id}/"+verb, s.act(func(v *visit) (string, string, error) {
			id := v.r.PathValue("id")
			out, err := s.decideOnPage(v, verb, id)
			if err != nil {
				return "", "", s.worded(v, "campaigns", err)
			}
			return "/campaigns/" + out.Body.Campaign.ID, s.said(v, "campaigns.said."+verb, out.Body.Messages), nil
		}))
	}
}

func (s *Server) decideOnPage(v *visit, verb, id string) (*campaignActOutput, error) {
	reason, err := v.reason()
	if err != nil {
		return nil, err
	}
	if verb == "cancel" {
		in := &campaignCancelInput{id, CampaignCancel{CampaignRequest{reason}, v.form("bounce") != ""}}
		return call[campaignCancelInput, campaignActOutput](s, v, "cancel-campaign", in)
	}
	if verb != "allow" {
		return call[campaignActInput, campaignActOutput](s, v, verb+"-campaign", &campaignActInput{id, CampaignRequest{reason}})
	}
	span, until, err := v.ending()
	if err != nil {
		return nil, err
	}
	return call[campaignAllowInput, campaignActOutput](s, v, "allow-campaign", &campaignAllowInput{id, AllowRequest{For: span, Until: until, Reason: reason}})
}
