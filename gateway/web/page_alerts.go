package web

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
)

const (
	alertsPause  = 3 * time.Second
	alertsListed = 200
	alertLinks   = 5 // messages that are linked from an alert
)

// alertRanks order what is open: what matters most comes first.
var alertRanks = []string{"critical", "warning", "info"}

// aboutSenders are the kinds of alerts whose subject is somebody who sends, by what can be done there.
var aboutSenders = map[string]string{
	"limit_warning": "alerts.raise", "limit_exceeded": "alerts.raise", "suspended": "alerts.unsuspend", "hijack": "alerts.suspend",
	"unsuspended": "alerts.sender", "boost_given": "alerts.sender", "domain_refused": "alerts.sender", "approval_waiting": "alerts.sender",
	"approval_expired": "alerts.sender", "pulled_back": "alerts.sender", "mass_recall": "alerts.sender",
}

// An alertsPage is what the template is given.
type alertsPage struct {
	offer
	Closed bool // what is looked at
	Open   int  // how many are open
	Rows   []shownAlert
}

// A shownAlert is an alert with the places that it leads to.
type shownAlert struct {
	Alert
	Sender string // identity, when it is about one
	Places []alertPlace
	Links  []string // ids of messages
	More   int      // how many others
	Ack    bool     // it can be acknowledged
}

// An alertPlace is where something can be done about an alert.
type alertPlace struct{ To, Key string }

func (s *Server) alertsPages(mux *http.ServeMux) {
	mux.Handle("GET /alerts", s.page("alerts", s.buildAlerts))
	mux.Handle("GET /alerts/live", s.stream(livePage{alertsPause, "alerts", []string{"_alerts_tabs", "_alerts_list"}, s.buildAlerts, true}))
	mux.Handle("POST /alerts/{id}/acknowledge", s.act(func(v *visit) (string, string, error) {
		_, err := call[alertInput, alertOutput](s, v, "acknowledge-alert", &alertInput{v.r.PathValue("id")})
		return "/alerts", "alerts.said.acknowledged", s.worded(v, "alerts", err)
	}))
}

func (s *Server) buildAlerts(v *visit) (any, error) {
	out, err := call[listAlertsInput, listAlertsOutput](s, v, "list-alerts", &listAlertsInput{Limit: 1000})
	if err != nil {
		return nil, err
	}
	p := &alertsPage{offer: offerTo(v), Closed: v.form("closed") != "", Open: 0}
	for i := range out.Body.Alerts {
		a := &out.Body.Alerts[i]
		if a.Closed.IsZero() {
			p.Open++
		}
		if a.Closed.IsZero() == !p.Closed && len(p.Rows) < alertsListed {
			p.Rows = append(p.Rows, p.show(a))
		}
	}
	if !p.Closed {
		slices.SortStableFunc(p.Rows, func(a, b shownAlert) int { return a.rank() - b.rank() })
	}
	return p, nil
}

// rank puts what nobody has seen before what somebody has, and by severity.
func (a *shownAlert) rank() int {
	n := slices.Index(alertRanks, a.Severity)
	if n < 0 {
		n = len(alertRanks)
	}
	if !a.Acknowledged.IsZero() {
		n += len(alertRanks) + 1
	}
	return n
}

func (p *alertsPage) show(a *Alert) shownAlert {
	v := shownAlert{Alert: *a, Ack: a.Acknowledged.IsZero() && p.May("acknowledge-alert")}
	if id, err := policy.ParseID(a.Campaign); err != nil || id.IsZero() {
		v.Campaign = "" // of an account that behaves oddly, not of a mailing
	}
	if aboutSenders[a.Kind] != "" && v.Campaign == "" && !strings.ContainsAny(a.Subject, " \t\r\n") {
		v.Sender = a.Subject
	}
	v.Places = placesOf(&v)
	v.Links = a.Messages[:min(alertLinks, len(a.Messages))]
	v.More = len(a.Messages) - len(v.Links)
	return v
}

// placesOf says where something can be done about an alert, the most likely first.
func placesOf(a *shownAlert) (list []alertPlace) {
	switch a.Kind {
	case "approval_waiting":
		list = append(list, alertPlace{"/approvals", "alerts.approvals"})
	case "pulled_back", "restored":
		list = append(list, alertPlace{linkTo("/approvals", "batch", a.Rule), "alerts.batch"})
	case "mass_recall":
		list = append(list, alertPlace{"/recalls", "alerts.recalls"})
	case "bypass":
		list = append(list, alertPlace{"/overview", "alerts.bypass"})
	case "webhook_failing":
		list = append(list, alertPlace{webhooksAt, "alerts.webhooks"})
	case "store_bounded":
		list = append(list, alertPlace{"/settings/about", "alerts.store"})
	case "disk_low", "unknown_rate", "tracking_gap":
		list = append(list, alertPlace{"/overview", "alerts.health"})
	}
	if a.Campaign != "" {
		list = append(list, alertPlace{"/campaigns/" + a.Campaign, "alerts.campaign"})
	}
	if a.Sender != "" {
		list = append(list, alertPlace{senderAt(a.Sender), aboutSenders[a.Kind]})
	}
	return list
}
