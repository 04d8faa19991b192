package web

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// A Webhook is a program that is told of events.
type Webhook struct {
	Name         string        `json:"name"`
	Host         string        `json:"host" doc:"where it is; the rest of the URL may be a secret"`
	Events       []policy.Kind `json:"events" nullable:"false" doc:"the kinds that it is told; empty: all"`
	Signed       bool          `json:"signed" doc:"whether requests bear a signature"`
	State        string        `json:"state" enum:"ok,failing,disabled" doc:"disabled: its receiver answered 410, and somebody has to resume it"`
	Behind       uint64        `json:"behind" doc:"batches of the journal that it was not told of yet"`
	LagSeconds   int64         `json:"lag_seconds" doc:"age of the oldest event that it has not taken"`
	Delivered    uint64        `json:"delivered" doc:"events since the start of the process"`
	LastDelivery time.Time     `json:"last_delivery,omitzero"`
	Error        string        `json:"error,omitempty" doc:"why the last try that failed did"`
	ErrorAt      time.Time     `json:"error_at,omitzero"`
	NextTry      time.Time     `json:"next_try,omitzero"`
	Retries      int           `json:"retries,omitempty" doc:"tries that have failed since the last event was taken"`
}

// Webhooks are the programs that are told of events. [store.ErrNotFound] is for a name that there is not; another
// error of Test is what became of it.
type Webhooks interface {
	List() []Webhook
	Test(ctx context.Context, name string) error
	Resume(name string, skip bool) error
}

// A WebhookList lists them in the order of the configuration.
type WebhookList struct {
	Webhooks []Webhook `json:"webhooks" nullable:"false"`
}

// A WebhookTest says what became of a test event.
type WebhookTest struct {
	Delivered    bool   `json:"delivered"`
	Error        string `json:"error,omitempty"`
	Milliseconds int64  `json:"milliseconds" doc:"how long the receiver took"`
}

// A WebhookResume goes on with a webhook.
type WebhookResume struct {
	Skip bool `json:"skip,omitempty" doc:"give up the events that wait, and go on from now"`
}

var errNoWebhook = problem(http.StatusNotFound, "webhook_not_found", "the configuration has no webhook of this name")

type (
	webhookListOutput struct{ Body WebhookList }
	webhookTestOutput struct{ Body WebhookTest }
	webhookOutput     struct{ Body Webhook }
	webhookInput      struct {
		Name string `path:"name" maxLength:"63" doc:"name of the webhook"`
	}
	webhookResumeInput struct {
		Name string `path:"name" maxLength:"63" doc:"name of the webhook"`
		Body WebhookResume
	}
)

// registerWebhooks adds the operations about programs that are told of events.
func (s *Server) registerWebhooks(api huma.API, op operations) {
	publish(s, api, op.get("list-webhooks", "/webhooks", "Programs that are told of events, and how far"), s.listWebhooks)
	publish(s, api, op.post("test-webhook", "/webhooks/{name}/test", "Post a test event to a webhook now; needs the role admin"), s.testWebhook)
	publish(s, api, op.post("resume-webhook", "/webhooks/{name}/resume", "Go on with a webhook that fails or is disabled; needs the role admin"), s.resumeWebhook)
}

func (s *Server) allWebhooks() []Webhook {
	if s.webhooks == nil {
		return []Webhook{}
	}
	all := s.webhooks.List()
	for i := range all {
		w := &all[i]
		w.Events = append([]policy.Kind{}, w.Events...)
		w.LastDelivery, w.ErrorAt, w.NextTry = w.LastDelivery.UTC(), w.ErrorAt.UTC(), w.NextTry.UTC()
	}
	return all
}

func (s *Server) listWebhooks(context.Context, *struct{}) (*webhookListOutput, error) {
	return &webhookListOutput{WebhookList{s.allWebhooks()}}, nil
}

func (s *Server) testWebhook(ctx context.Context, in *webhookInput) (*webhookTestOutput, error) {
	if s.webhooks == nil {
		return nil, errNoWebhook
	}
	s.actedOn(ctx, "test_webhook", in.Name)
	begun := time.Now()
	err := s.webhooks.Test(ctx, in.Name)
	if errors.Is(err, store.ErrNotFound) {
		return nil, errNoWebhook
	}
	t := WebhookTest{Delivered: err == nil, Milliseconds: time.Since(begun).Milliseconds()}
	if err != nil {
		t.Error = err.Error()
	}
	return &webhookTestOutput{t}, nil
}

func (s *Server) resumeWebhook(ctx context.Context, in *webhookResumeInput) (*webhookOutput, error) {
	if s.webhooks == nil || s.webhooks.Resume(in.Name, in.Body.Skip) != nil {
		return nil, errNoWebhook
	}
	s.actedOn(ctx, "resume_webhook", in.Name, zap.Bool("skip", in.Body.Skip))
	for _, w := range s.allWebhooks() {
		if w.Name == in.Name {
			return &webhookOutput{w}, nil
		}
	}
	return nil, errNoWebhook
}
