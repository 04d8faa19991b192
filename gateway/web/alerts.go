package web

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

var (
	errAlertNotFound     = problem(http.StatusNotFound, "not_found", "there is no such alert, or it is older than alerts are kept")
	errAlertAcknowledged = problem(http.StatusConflict, "already_acknowledged", "somebody has acknowledged the alert before")
)

// Alerts are the incidents that people are told about.
type Alerts interface {
	// List gives the incidents, newest first; those that are open only, or those of the past, too.
	List(open bool) []Alert
	// Acknowledge notes that a person has seen an incident. [store.ErrNotFound] when there is none.
	Acknowledge(ctx context.Context, id, actor string) error
}

// An Alert is an incident: everything of one kind that happened to one subject.
type Alert struct {
	ID             string       `json:"id"`
	Kind           string       `json:"kind" example:"limit_exceeded"`
	Severity       string       `json:"severity" enum:"info,warning,critical"`
	Subject        string       `json:"subject" doc:"whom or what it is about: an identity, a domain, a part of sendgate"`
	Rule           string       `json:"rule,omitempty"`
	Campaign       string       `json:"campaign,omitempty" doc:"id of the campaign that it is about"`
	Window         Span         `json:"window,omitempty" doc:"of the rule"`
	Title          policy.Label `json:"title"`
	Text           policy.Label `json:"text" doc:"what happened, newest"`
	Advice         policy.Label `json:"advice,omitzero" doc:"what to do"`
	Count          int          `json:"count" doc:"messages, or times that it happened"`
	Samples        []string     `json:"samples,omitempty" nullable:"false" doc:"subjects of some messages"`
	Messages       []string     `json:"messages,omitempty" nullable:"false" doc:"ids of the newest messages"`
	Opened         time.Time    `json:"opened"`
	Last           time.Time    `json:"last" doc:"when it happened last"`
	Until          time.Time    `json:"until,omitzero" doc:"when it ends, where that is known"`
	Closed         time.Time    `json:"closed,omitzero" doc:"absent while it is open"`
	Acknowledged   time.Time    `json:"acknowledged,omitzero" doc:"when a person said to have seen it"`
	AcknowledgedBy string       `json:"acknowledged_by,omitempty"`
}

// An AlertList lists incidents.
type AlertList struct {
	Alerts []Alert `json:"alerts" nullable:"false" doc:"newest first"`
}

type listAlertsInput struct {
	Open  bool `query:"open" default:"true" doc:"only what is open"`
	Limit int  `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

type listAlertsOutput struct{ Body AlertList }

func (s *Server) listAlerts(ctx context.Context, in *listAlertsInput) (*listAlertsOutput, error) {
	all := seen(ctx, s.alerts.List(in.Open), s.seesAlert)
	out := &listAlertsOutput{AlertList{Alerts: make([]Alert, min(len(all), in.Limit))}}
	for i := range out.Body.Alerts {
		out.Body.Alerts[i] = all[i].inUTC()
	}
	return out, nil
}

type alertInput struct {
	ID string `path:"id" maxLength:"100" doc:"id of the alert"`
}

type alertOutput struct{ Body Alert }

func (s *Server) acknowledgeAlert(ctx context.Context, in *alertInput) (*alertOutput, error) {
	before, ok := s.alert(in.ID)
	switch {
	case !ok:
		return nil, errAlertNotFound
	case !before.Acknowledged.IsZero():
		return nil, errAlertAcknowledged
	}
	if err := s.alerts.Acknowledge(ctx, in.ID, actor(ctx)); errors.Is(err, store.ErrNotFound) {
		return nil, errAlertNotFound
	} else if err != nil {
		return nil, s.refused("acknowledge", err)
	}
	s.log.Info("act", zap.String("verb", "acknowledge"), zap.String("alert", in.ID), zap.String("actor", actor(ctx)))
	s.audit(ctx, "acknowledge", in.ID)
	after, ok := s.alert(in.ID)
	if !ok {
		return nil, errAlertNotFound
	}
	return &alertOutput{after}, nil
}

// alert finds one incident by its id.
func (s *Server) alert(id string) (Alert, bool) {
	for _, a := range s.alerts.List(false) {
		if a.ID == id {
			return a.inUTC(), true
		}
	}
	return Alert{}, false
}

func (a Alert) inUTC() Alert {
	a.Opened, a.Last, a.Until, a.Closed = a.Opened.UTC(), a.Last.UTC(), a.Until.UTC(), a.Closed.UTC()
	a.Acknowledged = a.Acknowledged.UTC()
	return a
}
