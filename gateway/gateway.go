package gateway

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sendgate/sendgate/gateway/alert"
	"github.com/sendgate/sendgate/gateway/hold"
	"github.com/sendgate/sendgate/gateway/milter"
	"github.com/sendgate/sendgate/gateway/notify"
	"github.com/sendgate/sendgate/gateway/postfix"
	"github.com/sendgate/sendgate/gateway/relay"
	"github.com/sendgate/sendgate/gateway/track"
	"github.com/sendgate/sendgate/gateway/web"
	"github.com/sendgate/sendgate/gateway/web/signin"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// A Gateway is a running sendgate.
type Gateway struct {
	log       *zap.Logger
	store     *store.Store
	routes    *routes
	scheduler *hold.Scheduler
	feed      *store.Subscription
	relay     *relay.Relay
	milter    *milter.Milter  // nil when not configured
	keeper    *postfix.Keeper // with the milter
	tracking  *tracking
	limits    *limits
	logins    *logins
	pullback  *pullback
	queue     holder
	asking    *asking // the rules, behind requests by mail
	bypass    *bypass
	drain     *drain
	recalls   *recalls
	reports   *recallReporter
	alerts    *alerts
	domains   *domains // nil when they are not checked
	mailLog   *mailLog
	hooks     *hooks
	roll      roll // of the upstreams, for readiness
	meters    *meters
	web       *web.Server
	desk      *signin.Desk
	people    *mailLogins

	started Config // what holds for keys that only a restart changes
	mu      sync.Mutex
	config  Config // as last loaded
}

// New opens the journal and builds every part. Nothing listens yet. version is shown by the API.
func New(cfg Config, version string, log *zap.Logger) (*Gateway, error) {
	return Open(context.Background(), cfg, version, log)
}

// Open is New that gives up when ctx ends, with an error that is the context's, also in the middle of what takes
// minutes with a big journal. The next start goes on from there.
func Open(ctx context.Context, cfg Config, version string, log *zap.Logger) (*Gateway, error) {
	directory, err := policy.NewDirectory(cfg.Identities)
	if err != nil {
		return nil, err
	}
	g, err := openJournal(ctx, &cfg, version, log)
	if err != nil {
		return nil, err
	}
	openRules := func(cfg *Config, d *policy.Directory) error { return g.openRules(ctx, cfg, d) }
	// Whoever is asked is there before who asks.
	for _, open := range []func(*Config, *policy.Directory) error{
		g.openVoices,     // first, so that what the parts below write down is told, too
		openRules,        // they know the past before mail comes
		g.openWays,       // out of here
		g.openTracking,   // asks Postfix's queue
		g.openWatch,      // for gaps in the logs that are tracked, too
		g.openHold,       // lets mail go along the ways as the rules allow
		g.openTakingBack, // out of the hold, the queue and mailboxes
		g.openFronts,     // ask the rules, and take requests for recalls out of the mail
		g.openDesk,       // asks the ways out for passwords
	} {
		if err := open(&cfg, directory); err != nil {
			return nil, errors.Join(err, g.close())
		}
	}
	if err := g.openWeb(&cfg, version); err != nil { // shows and steers all of this
		return nil, errors.Join(err, g.close())
	}
	return g, nil
}

// openJournal opens the store, with what counts and remembers from its first batch on.
func openJournal(ctx context.Context, cfg *Config, version string, log *zap.Logger) (*Gateway, error) {
	c := cfg.Store
	c.Node, c.Log = cfg.Hostname, log.Named("store")
	commits := newCommitTimes()
	c.Took = func(d time.Duration) { commits.Observe(d.Seconds()) }
	journal, err := store.OpenContext(ctx, c)
	if err != nil {
		return nil, err
	}
	return &Gateway{
		log: log, store: journal, started: *cfg, config: *cfg,
		meters: newMeters(journal, commits, cfg, version, time.Now),
		logins: newLogins(journal, time.Now, log.Named("logins")),
	}, nil
}

// openVoices builds what tells programs what happens: the mail log and the webhooks.
func (g *Gateway) openVoices(cfg *Config, _ *policy.Directory) (err error) {
	known := newFacts(g.store)
	if g.mailLog, err = openMailLog(cfg, g.store, known, g.log.Named("mail")); err != nil {
		return err
	}
	g.hooks, err = openHooks(cfg, g.store, known, g.tell, g.log.Named("webhook"))
	return err
}

// openRules builds what decides. The check of domains and the bypass are there before the rules, which ask both.
func (g *Gateway) openRules(ctx context.Context, cfg *Config, directory *policy.Directory) (err error) {
	past := newHistory()
	g.domains = openDomains(cfg, past, time.Now, g.log.Named("domain"))
	if g.bypass, err = openBypass(g.store, g.tell, time.Now, g.log.Named("mail")); err != nil {
		return err
	}
	rules := g.guardSettings(cfg, directory)
	if rules.Similar, err = withSeed(cfg.Similar, g.store); err != nil {
		return err
	}
	g.limits, err = openLimits(ctx, g.store, cfg.Store.Dir, rules, past, time.Now, g.log.Named("limits"))
	return err
}

// openWays builds what mail leaves by: the upstreams and, with the milter, Postfix's hold queue.
func (g *Gateway) openWays(cfg *Config, _ *policy.Directory) (err error) {
	if g.routes, err = newRoutes(cfg.Upstreams, cfg.Hostname, g.log.Named("upstream")); err != nil {
		return err
	}
	if len(cfg.Milter.Listen) > 0 {
		g.keeper, err = postfix.NewKeeper(postfix.New(cfg.Postfix), g.store, time.Now, g.log.Named("postfix"))
	}
	return err
}

// openTracking builds what finds out what becomes of mail.
func (g *Gateway) openTracking(cfg *Config, _ *policy.Directory) error {
	var lister track.Lister
	if g.keeper != nil {
		lister = queue{g.keeper}
	}
	t, err := track.New(cfg.Track, g.store, lister, time.Now, g.log.Named("track"))
	if err != nil {
		return err
	}
	g.tracking = newTracking(t, g.log.Named("track"))
	return nil
}

// openWatch builds what tells people what they should know.
func (g *Gateway) openWatch(cfg *Config, directory *policy.Directory) (err error) {
	people := alert.People{Config: cfg.Policy, Directory: directory}
	g.alerts, err = openAlerts(cfg, people, g.store, g.tracking, g.log.Named("alert"))
	return err
}

// openHold builds what lets mail go, pulls it back from a suspended account, and drains.
func (g *Gateway) openHold(cfg *Config, _ *policy.Directory) (err error) {
	g.feed = g.store.Subscribe(0)
	reporter := notify.New(cfg.Hostname, cfg.Delivery.Retry.ExpireAfter, g.store, time.Now)
	sender := measuredSender{deliverer{g.routes, g.keeper, sparing(g.mailLog.voice)}, g.meters.delivery}
	g.scheduler, err = hold.New(cfg.Delivery, g.store, g.feed, sender, reporter, time.Now, g.mailLog.voice, g.limits)
	if err != nil {
		return err
	}
	g.openPullback(cfg)
	g.queue = holder{g.scheduler, g.store, g.keeper, newReturns(g.store, reporter, g.tellable, time.Now, g.log.Named("mail"))}
	g.drain = newDrain(g.store, g.queue, g.isSuspended, time.Now, g.log.Named("mail"))
	return nil
}

// openTakingBack builds recalls with their reports, and what takes requests for them out of the mail.
func (g *Gateway) openTakingBack(cfg *Config, directory *policy.Directory) (err error) {
	if g.reports, err = g.openReports(cfg); err != nil {
		return err
	}
	if err := g.openRecalls(cfg, directory, g.queue, g.reports); err != nil {
		return err
	}
	g.asking = g.openAsking(cfg, g.reports, func(s *policy.Submission) []byte { return s.Head })
	return nil
}

// openFronts builds what takes mail.
func (g *Gateway) openFronts(cfg *Config, directory *policy.Directory) (err error) {
	if g.keeper != nil {
		if g.milter, err = milter.New(cfg.Hostname, g.store, g.milterSettings(cfg, directory), time.Now, g.mailLog.voice); err != nil {
			return err
		}
	}
	g.relay = relay.New(cfg.Hostname, g.store, g.relaySettings(cfg, directory), time.Now, g.mailLog.voice)
	return nil
}

// openWeb builds the API and the dashboard on the other parts, and registers their metrics.
func (g *Gateway) openWeb(cfg *Config, version string) error {
	registry := prometheus.NewRegistry()
	if err := g.register(registry); err != nil {
		return err
	}
	g.web = web.New(apiConfig(cfg), web.Needs{
		Desk: g.desk, Configuration: g.effective, SignIns: g.logins.of, URL: dashboardURL(cfg),
		Journal: statusJournal{g.store, g.reports.links}, Holder: g.queue,
		Recalls: g.recalls, RecallWindow: g.recalls.window, RecallReadToo: g.recalls.readToo, MailboxOf: g.recalls.mailboxOf, LegalHold: g.recalls.legalHold,
		Eraser:  erasing{g.limits, g.alerts, g.recalls, g.logins, g.queue.returns},
		Metrics: registry, Parts: g.parts, Margin: g.margin,
		Tracking: g.tracking.sources, Import: g.importLog,
		Limits: limitsAPI{g.limits, g.loaded}, Alerts: alertsAPI{g.alerts.Desk},
		Bypasses: g.bypass, Drains: g.drain, Webhooks: hooksAPI{g.hooks},
		Campaigns: campaignsAPI{g.limits, g.queue},
		Version:   version, Now: time.Now, Log: g.log.Named("api"),
	})
	return nil
}

// Check connects to every upstream and tries what the configuration relies on: reachability, TLS and
// the trusted path. Errors are joined.
func Check(ctx context.Context, cfg Config, log *zap.Logger) error {
	r, err := newRoutes(cfg.Upstreams, cfg.Hostname, log)
	if err != nil {
		return err
	}
	var errs []error
	for _, u := range r.upstreams {
		if err := u.Check(ctx); err != nil {
			errs = append(errs, fmt.Errorf("upstream %s: %w", u.Name(), err))
		}
	}
	return errors.Join(append(errs, r.close())...)
}
