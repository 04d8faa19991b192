package gateway

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/sendgate/sendgate/gateway/alert"
	"github.com/sendgate/sendgate/gateway/notify/webhook"
	"github.com/sendgate/sendgate/gateway/web"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// hooks tell programs what happens.
type hooks struct {
	*webhook.Subscribers
	log *zap.Logger
}

// A followed journal is what subscribers are told from.
type followed struct{ *store.Store }

// Follow reads every record from a batch on.
func (f followed) Follow(from uint64) (webhook.Feed, error) { return subscribeFrom(f.Store, from) }

func openHooks(cfg *Config, journal *store.Store, known *facts, tell func(alert.Occurrence), log *zap.Logger) (*hooks, error) {
	s, err := webhook.NewSubscribers(cfg.Webhooks, cfg.Hostname, followed{journal}, known, func(c webhook.Condition) {
		tell(troubleOf(c, time.Now()))
	}, log)
	if err != nil {
		return nil, err
	}
	return &hooks{s, log}, nil
}

// run posts until ctx ends. Whatever happens to webhooks, mail goes on.
func (h *hooks) run(ctx context.Context) error {
	if err := h.Run(ctx); err != nil && !errors.Is(err, store.ErrClosed) {
		h.log.Error("a webhook is told no more events until the next start; they wait in the journal", zap.Error(err))
	}
	return nil
}

// troubleOf is what people are told of a webhook.
func troubleOf(c webhook.Condition, now time.Time) alert.Occurrence {
	o := alert.Occurrence{Kind: alert.WebhookFailing, Subject: c.Webhook, Time: now, Ends: c.State == webhook.Well}
	behind := strconv.Itoa(int(webhook.Behind.Minutes()))
	switch c.State {
	case webhook.Disabled:
		o.Text = policy.Label{
			EN: c.Host + " says that it is gone for good (" + c.Detail + "): nothing more is posted to it",
			ZH: c.Host + " 表示已永久失效（" + c.Detail + "），已停止推送",
		}
	case webhook.Failing:
		o.Text = policy.Label{
			EN: c.Host + " has taken no event for " + behind + " minutes (" + c.Detail + "): they wait in the journal",
			ZH: c.Host + " 已超过 " + behind + " 分钟未接收事件（" + c.Detail + "），事件保留在日志库中等待推送",
		}
	}
	return o
}

// hooksAPI is what the API sees of webhooks.
type hooksAPI struct{ hooks *hooks }

// List says how the webhooks are.
func (a hooksAPI) List() []web.Webhook {
	statuses := a.hooks.Statuses()
	all := make([]web.Webhook, len(statuses))
	for i, s := range statuses {
		all[i] = web.Webhook{
			Name: s.Name, Host: s.Host, Events: s.Events, Signed: s.Signed, State: s.State, Behind: s.Behind, LagSeconds: int64(s.Lag.Seconds()),
			Delivered: s.Delivered, LastDelivery: s.LastDelivery, Error: s.Error, ErrorAt: s.ErrorAt, NextTry: s.NextTry, Retries: s.Retries,
		}
	}
	return all
}

// Test posts a test event.
func (a hooksAPI) Test(ctx context.Context, name string) error {
	return unknownHook(a.hooks.Test(ctx, name))
}

// Resume goes on with a webhook.
func (a hooksAPI) Resume(name string, skip bool) error {
	return unknownHook(a.hooks.Resume(name, skip))
}

func unknownHook(err error) error {
	if errors.Is(err, webhook.ErrNoSubscriber) {
		return store.ErrNotFound
	}
	return err
}
