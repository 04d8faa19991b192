package web

import (
	"context"
	"time"

	"github.com/sendgate/sendgate/policy"
)

const (
	overviewSenders = 8
	overviewLimits  = 8
	overviewAlerts  = 5
	overviewNear    = 0.8
)

// An Overview is what an administrator looks at first.
type Overview struct {
	Time     time.Time `json:"time"`
	Flow     Flow      `json:"flow"`
	Today    Stats     `json:"today" doc:"the last 24 hours"`
	Held     Queue     `json:"held" doc:"messages that are held and go by themselves"`
	Approval Queue     `json:"approval" doc:"messages that wait for a person"`
	Alerts   []Alert   `json:"alerts" nullable:"false" doc:"the newest that are open"`
	Open     int       `json:"open_alerts" doc:"how many are open"`
	Near     []Usage   `json:"near" nullable:"false" doc:"who has used most of a limit, the fullest first"`
	Trial    time.Time `json:"trial,omitzero" doc:"until then limits only tell"`
	Ready    bool      `json:"ready" doc:"mail can be accepted"`
	Parts    []Part    `json:"parts" nullable:"false" doc:"the store, upstreams, helper, mailboxes"`
}

// A Queue is what waits in one state.
type Queue struct {
	Messages int       `json:"messages"`
	Oldest   time.Time `json:"oldest,omitzero" doc:"when the one that waits longest came in"`
}

type overviewOutput struct{ Body Overview }

func (s *Server) overview(ctx context.Context, _ *struct{}) (*overviewOutput, error) {
	now := s.now()
	stats, err := s.getStats(ctx, &statsInput{Hours: 24})
	if err != nil {
		return nil, err
	}
	v := Overview{
		Time: now.UTC(), Flow: s.flowSeen(ctx, now), Today: stats.Body,
		Near: usageViews(s.near(ctx, overviewNear, overviewLimits)), Trial: s.trial(), Alerts: []Alert{},
	}
	for _, q := range []struct {
		of    *Queue
		state policy.State
	}{{&v.Held, policy.StateHeld}, {&v.Approval, policy.StateApprovalPending}} {
		*q.of = s.queue(q.state)
	}
	open := seen(ctx, s.alerts.List(true), s.seesAlert)
	v.Open = len(open)
	v.Alerts = append(v.Alerts, open[:min(overviewAlerts, len(open))]...)
	r := s.ready()
	v.Ready, v.Parts = r.Ready, r.Parts
	return &overviewOutput{v}, nil
}

// flowSeen names of the senders those within reach; the numbers are of the whole gateway.
func (s *Server) flowSeen(ctx context.Context, now time.Time) Flow {
	if !whoIs(ctx).bounded() {
		return s.flow.view(now, overviewSenders)
	}
	v := s.flow.view(now, nearMost)
	v.TopSenders = seen(ctx, v.TopSenders, func(ctx context.Context, c *SenderCount) bool { return s.seesSender(ctx, c.Identity) })
	v.TopSenders = v.TopSenders[:min(overviewSenders, len(v.TopSenders))]
	return v
}

// queue counts the messages in a state.
func (s *Server) queue(state policy.State) (q Queue) {
	var oldest policy.ID
	if q.Messages, oldest = s.journal.Waiting(state); q.Messages > 0 {
		q.Oldest = oldest.Timestamp().UTC()
	}
	return q
}
