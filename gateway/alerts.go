package gateway

import (
	"context"
	"fmt"
	"time"

	"github.com/sendgate/sendgate/gateway/alert"
	"github.com/sendgate/sendgate/gateway/notify"
	"github.com/sendgate/sendgate/gateway/notify/webhook"
	"github.com/sendgate/sendgate/gateway/web"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

const (
	// watchPause is how often it is looked at what no event tells: the disk, the logs.
	watchPause = time.Minute
	// lowSpace is how many times the reserve there should be.
	lowSpace = 2
	// unknownMost is the share of recipients that may be unknown.
	unknownMost = 0.0001
)

// alerts tells people what happens.
type alerts struct {
	*alert.Desk
	hooks    *webhook.Sender
	feed     *store.Subscription
	store    *store.Store
	tracking *tracking
	reserve  int64 // MiB
	log      *zap.Logger
	low      bool
	early    store.Early          // that was told
	gaps     map[string]time.Time // the newest gap of a source that was told
}

func openAlerts(cfg *Config, people alert.People, journal *store.Store, t *tracking, log *zap.Logger) (*alerts, error) {
	hooks, err := webhook.New(cfg.Notices.Webhooks, log)
	if err != nil {
		return nil, fmt.Errorf("notices: %w", err)
	}
	post := carrier{notify.NewMailer(cfg.Hostname, cfg.Notices, journal, time.Now), hooks}
	desk, err := alert.New(alertSettings(cfg), people, journal, post, time.Now, log)
	if err != nil {
		return nil, err
	}
	feed, err := alertFeed(desk, journal)
	if err != nil {
		return nil, fmt.Errorf("notices: %w", err)
	}
	return &alerts{
		Desk: desk, hooks: hooks, feed: feed, store: journal, tracking: t, reserve: cfg.Store.MinFree,
		log: log, gaps: map[string]time.Time{},
	}, nil
}

// alertFeed begins where a desk is, and for one without a mark with what a restore has put up.
func alertFeed(desk *alert.Desk, journal *store.Store) (*store.Subscription, error) {
	last := journal.LastBatch()
	anew, err := journal.Restored()
	if err != nil {
		return nil, err
	}
	if anew == 0 {
		anew = last
	}
	return subscribeFrom(journal, desk.Begin(last, anew))
}

func alertSettings(cfg *Config) alert.Settings {
	n := &cfg.Notices
	return alert.Settings{
		Admins: n.Addresses(), Hooks: len(n.Webhooks) > 0, Senders: n.Senders, Quiet: n.Quiet, CloseAfter: n.CloseAfter, HourlyMax: n.HourlyMax,
		Dashboard: dashboardURL(cfg),
	}
}

// run tells people until ctx ends. Whatever happens here, mail goes on.
func (a *alerts) run(ctx context.Context) error {
	hooks := make(chan struct{})
	go func() { defer close(hooks); a.hooks.Run(ctx) }()
	watch := make(chan struct{})
	go func() { defer close(watch); a.watch(ctx) }()
	err := a.Run(ctx, a.feed)
	<-hooks
	<-watch
	if err != nil && ctx.Err() == nil {
		a.log.Error("nobody is told any more what happens, until the next start", zap.Error(err))
	}
	return nil
}

// watch looks at what stands in no event.
func (a *alerts) watch(ctx context.Context) {
	tick := time.NewTicker(watchPause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			a.watchDisk(now)
			a.watchBound(now)
			a.watchTracking(now)
		}
	}
}

func (a *alerts) watchDisk(now time.Time) {
	free := a.store.Stats().FreeMiB
	low := free < lowSpace*a.reserve
	if low == a.low {
		return
	}
	a.low = low
	a.Raise(alert.Occurrence{
		Kind: alert.DiskLow, Subject: "store", Time: now, Severity: alert.Critical, Ends: !low,
		Text: policy.Label{
			EN: fmt.Sprintf("%d MiB are free in the data directory; below %d MiB no mail is accepted", free, a.reserve),
			ZH: fmt.Sprintf("数据目录剩余 %d MiB；低于 %d MiB 时将不再接收邮件", free, a.reserve),
		},
	})
}

// watchBound tells when something was deleted before its time because the journal has a bound.
func (a *alerts) watchBound(now time.Time) {
	u, err := a.store.Usage()
	if err != nil || u.Early == a.early {
		return
	}
	a.early = u.Early
	o := alert.Occurrence{Kind: alert.StoreBounded, Subject: "store", Time: now, Text: boundText(&u)}
	if u.Early.Over {
		o.Severity = alert.Critical
	}
	a.Raise(o)
}

func boundText(u *store.Usage) policy.Label {
	e := &u.Early
	l := policy.Label{
		EN: fmt.Sprintf("%d MiB are used, %d MiB are allowed. Since the start %d bodies and %d messages were deleted before their time", u.Total>>20, u.MaxSize>>20, e.Bodies, e.Messages),
		ZH: fmt.Sprintf("已用 %d MiB，上限 %d MiB。启动以来提前删除了 %d 封邮件的原文和 %d 封邮件的全部记录", u.Total>>20, u.MaxSize>>20, e.Bodies, e.Messages),
	}
	if e.Over {
		l.EN += "; nothing is left that may be deleted, and the store goes on growing"
		l.ZH += "；已没有可以删除的内容，存储仍会继续增长"
	}
	return l
}

func (a *alerts) watchTracking(now time.Time) {
	s := a.tracking.Status()
	for _, g := range s.Gaps {
		if !g.To.After(a.gaps[g.Source]) || now.Sub(g.To) > time.Hour {
			continue
		}
		a.gaps[g.Source] = g.To
		span := g.From.Local().Format(time.DateTime) + " – " + g.To.Local().Format(time.DateTime)
		a.Raise(alert.Occurrence{
			Kind: alert.TrackingGap, Subject: g.Source, Time: now, Severity: alert.Warning,
			Text: policy.Label{EN: "Lines are missing: " + span + " (" + g.Reason + ")", ZH: "日志缺失：" + span + "（" + g.Reason + "）"},
		})
	}
	if s.UnknownRatio > unknownMost {
		a.Raise(alert.Occurrence{
			Kind: alert.UnknownRate, Subject: "tracking", Time: now, Severity: alert.Warning,
			Text: policy.Label{
				EN: fmt.Sprintf("%.3f %% of the recipients of the last 24 h are unknown", 100*s.UnknownRatio),
				ZH: fmt.Sprintf("最近 24 小时有 %.3f %% 的收件人状态未知", 100*s.UnknownRatio),
			},
		})
	}
}

// A carrier posts notices as mail and to chats.
type carrier struct {
	mailer *notify.Mailer
	hooks  *webhook.Sender
}

// Mail writes a notice as a message of ours.
func (c carrier) Mail(ctx context.Context, id policy.ID, to []policy.Address, n alert.Notice) error {
	return c.mailer.Mail(ctx, id, to, forHooks(n))
}

// Hook posts a notice to all webhooks.
func (c carrier) Hook(n alert.Notice) { c.hooks.Notify(forHooks(n)) }

func forHooks(n alert.Notice) webhook.Notice {
	w := webhook.Notice{
		Kind: string(n.Kind), Severity: webhook.Severity(n.Severity), Title: n.Title, Lines: n.Lines,
		IncidentID: n.Incident, Update: n.Update, Time: n.Time,
	}
	for _, f := range n.Facts {
		w.Facts = append(w.Facts, webhook.Fact(f))
	}
	return w
}

// alertsAPI is what the API sees of the incidents.
type alertsAPI struct{ desk *alert.Desk }

// List gives the incidents, newest first.
func (a alertsAPI) List(open bool) []web.Alert {
	incidents := a.desk.List(open)
	all := make([]web.Alert, len(incidents))
	for i := range incidents {
		in := &incidents[i]
		all[i] = web.Alert{
			ID: in.ID, Kind: string(in.Kind), Severity: string(in.Severity), Subject: in.Subject, Rule: in.Rule, Window: web.Span(in.Window),
			Title: in.Title, Text: in.Text, Advice: in.Advice, Count: in.Count, Samples: in.Samples, Opened: in.Opened, Last: in.Last,
			Until: in.Until, Closed: in.Closed, Acknowledged: in.Acknowledged, AcknowledgedBy: in.AcknowledgedBy,
		}
		if in.Kind == alert.Campaign || in.Kind == alert.Hijack {
			all[i].Campaign = in.Subject
		}
		for _, id := range in.Messages {
			all[i].Messages = append(all[i].Messages, id.String())
		}
	}
	return all
}

// Acknowledge notes that a person has seen an incident.
func (a alertsAPI) Acknowledge(_ context.Context, id, actor string) error {
	return a.desk.Acknowledge(id, actor)
}
