package web

import (
	"net/http"
	"strings"
	"time"
)

const (
	webhooksPause = 2 * time.Second
	webhooksAt    = "/settings/webhooks"
)

// A shownWebhook is a webhook as its row needs it.
type shownWebhook struct {
	Webhook
	Lag time.Duration
}

// Failed reports whether the last that its receiver has said was no success.
func (w *shownWebhook) Failed() bool { return w.Error != "" && !w.ErrorAt.Before(w.LastDelivery) }

// Names are the kinds of events that it is told.
func (w *shownWebhook) Names() string {
	names := make([]string, len(w.Events))
	for i, k := range w.Events {
		names[i] = string(k)
	}
	return strings.Join(names, ", ")
}

func (s *Server) webhooksPages(mux *http.ServeMux) {
	mux.Handle("GET "+webhooksAt+"/live", s.stream(livePage{webhooksPause, "settings", []string{"_settings_webhooks_list"}, func(v *visit) (any, error) {
		d := &settingsData{offer: offerTo(v), Tab: "webhooks"}
		return d, s.fillSettings(v, d)
	}, true}))
	mux.Handle("POST "+webhooksAt+"/{name}/test", s.act(s.testWebhookOnPage))
	mux.Handle("POST "+webhooksAt+"/{name}/resume", s.act(s.resumeWebhookOnPage))
}

func (s *Server) fillWebhooks(v *visit, d *settingsData) error {
	out, err := call[struct{}, webhookListOutput](s, v, "list-webhooks", &struct{}{})
	if err != nil {
		return err
	}
	for _, w := range out.Body.Webhooks {
		d.Webhooks = append(d.Webhooks, shownWebhook{w, time.Duration(w.LagSeconds) * time.Second})
	}
	return nil
}

func (s *Server) testWebhookOnPage(v *visit) (to, said string, err error) {
	name := v.r.PathValue("name")
	out, err := call[webhookInput, webhookTestOutput](s, v, "test-webhook", &webhookInput{name})
	if err != nil {
		return webhooksAt, "", s.worded(v, "webhooks", err)
	}
	if !out.Body.Delivered {
		p := problem(http.StatusBadGateway, "webhook_refused", s.renderer.Say(v.lang, "webhooks.said.not_delivered", name)+" "+out.Body.Error)
		p.chinese = p.Detail // with what the receiver said
		return webhooksAt, "", p
	}
	return webhooksAt, s.said(v, "webhooks.said.delivered", name, out.Body.Milliseconds), nil
}

func (s *Server) resumeWebhookOnPage(v *visit) (to, said string, err error) {
	skip := v.form("skip") != ""
	in := &webhookResumeInput{Name: v.r.PathValue("name"), Body: WebhookResume{Skip: skip}}
	if _, err := call[webhookResumeInput, webhookOutput](s, v, "resume-webhook", in); err != nil {
		return webhooksAt, "", s.worded(v, "webhooks", err)
	}
	if skip {
		return webhooksAt, "webhooks.said.skipped", nil
	}
	return webhooksAt, "webhooks.said.resumed", nil
}
