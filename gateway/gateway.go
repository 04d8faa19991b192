package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sendgate/sendgate/gateway/alert"
	"github.com/sendgate/sendgate/gateway/ask"
	"github.com/sendgate/sendgate/gateway/hold"
	"github.com/sendgate/sendgate/gateway/milter"
	"github.com/sendgate/sendgate/gateway/notify"
	"github.com/sendgate/sendgate/gateway/postfix"
	"github.com/sendgate/sendgate/gateway/relay"
	"github.com/sendgate/sendgate/gateway/track"
	"github.com/sendgate/sendgate/gateway/web"
	"github.com/sendgate/sendgate/gateway/web/signin"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/guard"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
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
func New(cfg Config, version string, log *zap.Logger) (g *Gateway, err error) {
	directory, err := policy.NewDirectory(cfg.Identities)
	if err != nil {
		return nil, err
	}
	storeConfig := cfg.Store
	storeConfig.Node, storeConfig.Log = cfg.Hostname, log.Named("store")
	commits := newCommitTimes()
	storeConfig.Took = func(d time.Duration) { commits.Observe(d.Seconds()) }
	journal, err := store.Open(storeConfig)
	if err != nil {
		return nil, err
	}
	meters := newMeters(journal, commits, &cfg, version, time.Now)
	g = &Gateway{log: log, store: journal, meters: meters, logins: newLogins(journal, time.Now, log.Named("logins")), started: cfg, config: cfg}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.close())
		}
	}()
	known := newFacts(journal)
	if g.mailLog, err = openMailLog(&cfg, journal, known, log.Named("mail")); err != nil {
		return nil, err
	}
	if g.hooks, err = openHooks(&cfg, journal, known, g.tell, log.Named("webhook")); err != nil {
		return nil, err
	}
	past := newHistory()
	g.domains = openDomains(&cfg, past, time.Now, log.Named("domain"))
	if g.bypass, err = openBypass(journal, g.tell, time.Now, log.Named("mail")); err != nil {
		return nil, err
	}
	rules := g.guardSettings(&cfg, directory)
	if rules.Similar, err = withSeed(cfg.Similar, journal); err != nil {
		return nil, err
	}
	g.limits, err = openLimits(context.Background(), journal, cfg.Store.Dir, rules, past, time.Now, log.Named("limits"))
	if err != nil {
		return nil, err
	}
	if g.routes, err = newRoutes(cfg.Upstreams, cfg.Hostname, log.Named("upstream")); err != nil {
		return nil, err
	}
	g.feed = journal.Subscribe(0)
	if len(cfg.Milter.Listen) > 0 {
		if g.keeper, err = postfix.NewKeeper(postfix.New(cfg.Postfix), journal, time.Now, log.Named("postfix")); err != nil {
			return nil, err
		}
	}
	if err := g.openTracking(&cfg); err != nil {
		return nil, err
	}
	people := alert.People{Config: cfg.Policy, Directory: directory}
	if g.alerts, err = openAlerts(&cfg, people, journal, g.tracking, log.Named("alert")); err != nil {
		return nil, err
	}
	reporter := notify.New(cfg.Hostname, cfg.Delivery.Retry.ExpireAfter, journal, time.Now)
	g.scheduler, err = hold.New(cfg.Delivery, journal, g.feed, measuredSender{deliverer{g.routes, g.keeper, g.mailLog.voice}, meters.delivery}, reporter, time.Now, g.mailLog.voice, g.limits)
	if err != nil {
		return nil, err
	}
	g.openPullback(&cfg)
	reports, err := g.openReports(&cfg)
	if err != nil {
		return nil, err
	}
	queue := holder{g.scheduler, journal, g.keeper, newReturns(journal, reporter, time.Now, log.Named("mail"))}
	g.queue = queue
	if err := g.openRecalls(&cfg, directory, queue, reports); err != nil {
		return nil, err
	}
	g.drain = newDrain(journal, queue, g.isSuspended, time.Now, log.Named("mail"))
	g.asking = g.openAsking(&cfg, reports, func(s *policy.Submission) []byte { return s.Head })
	if g.keeper != nil {
		if g.milter, err = milter.New(cfg.Hostname, journal, g.milterSettings(&cfg, directory), time.Now, g.mailLog.voice); err != nil {
			return nil, err
		}
	}
	g.relay = relay.New(cfg.Hostname, journal, g.relaySettings(&cfg, directory), time.Now, g.mailLog.voice)
	if err := g.openDesk(&cfg, directory); err != nil {
		return nil, err
	}
	registry := prometheus.NewRegistry()
	if err := g.register(registry); err != nil {
		return nil, err
	}
	g.web = web.New(apiConfig(&cfg), web.Needs{
		Desk: g.desk, Configuration: g.effective, SignIns: g.logins.of, URL: dashboardURL(&cfg),
		Journal: statusJournal{journal, reports.links}, Holder: queue, Recalls: g.recalls, RecallWindow: g.recalls.window, RecallReadToo: g.recalls.readToo, MailboxOf: g.recalls.mailboxOf, LegalHold: g.recalls.legalHold, Metrics: registry, Parts: g.parts, Margin: g.margin,
		Tracking: g.tracking.sources, Import: g.importLog,
		Limits: limitsAPI{g.limits, g.loaded}, Alerts: alertsAPI{g.alerts.Desk},
		Bypasses: g.bypass, Drains: g.drain, Webhooks: hooksAPI{g.hooks},
		Campaigns: campaignsAPI{g.limits, queue},
		Version:   version, Now: time.Now, Log: log.Named("api"),
	})
	return g, nil
}

// openTracking builds what finds out what becomes of mail.
func (g *Gateway) openTracking(cfg *Config) error {
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

// Listen opens all listeners. After it a client can connect, and is served as soon as Run runs.
func (g *Gateway) Listen() error {
	if err := g.relay.Listen(); err != nil {
		return err
	}
	if g.milter != nil {
		if err := g.milter.Listen(); err != nil {
			return err
		}
	}
	return g.web.Listen()
}

// SMTPAddrs are the addresses of the relay after Listen.
func (g *Gateway) SMTPAddrs() []net.Addr { return g.relay.Addrs() }

// APIAddr is the address of the API's TCP listener, nil when there is none.
func (g *Gateway) APIAddr() net.Addr { return g.web.Addr() }

// Run serves until ctx ends or a part fails, drains, and closes everything.
func (g *Gateway) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	ctx, end := context.WithCancel(ctx)
	defer end()
	fronting, closeFronts := context.WithCancel(ctx)
	defer closeFronts()
	// The timers outlive the fronts: what a draining session accepts is scheduled as always.
	timers, stopTimers := context.WithCancel(context.WithoutCancel(ctx))
	defer stopTimers()
	var fronts sync.WaitGroup
	front := func(serve func(context.Context) error) {
		fronts.Add(1)
		group.Go(func() error { defer fronts.Done(); return serve(fronting) })
	}
	front(g.relay.Serve)
	if g.milter != nil {
		front(g.milter.Serve)
		group.Go(func() error { return g.keeper.Run(timers) })
	}
	group.Go(func() error { return g.tracking.run(ctx) })
	group.Go(func() error { return g.limits.run(timers, g.scheduler) })
	group.Go(func() error { return g.logins.run(timers) })
	group.Go(func() error { return g.mailLog.run(timers) })
	group.Go(func() error { return g.hooks.run(timers) })
	group.Go(func() error { return g.meters.mail.run(timers, g.log.Named("metrics")) })
	group.Go(func() error { return g.pullback.run(timers) })
	group.Go(func() error { return g.bypass.run(timers) })
	group.Go(func() error { return g.drain.run(ctx, func() { closeFronts(); fronts.Wait() }, end) })
	group.Go(func() error { return g.recalls.run(timers) })
	group.Go(func() error { return g.queue.runReturns(timers) })
	group.Go(func() error { return g.alerts.run(timers) })
	group.Go(func() error { <-ctx.Done(); fronts.Wait(); stopTimers(); return nil })
	group.Go(func() error { return g.web.Serve(ctx) })
	group.Go(func() error { return g.scheduler.Run(timers) })
	return errors.Join(group.Wait(), g.close())
}

// close takes down what New has built, backwards.
func (g *Gateway) close() error {
	var errs []error
	if g.domains != nil {
		g.domains.resolver.Close()
	}
	if g.recalls != nil {
		errs = append(errs, g.recalls.router.Close())
	}
	if g.routes != nil {
		errs = append(errs, g.routes.close())
	}
	return errors.Join(append(errs, g.store.Close())...)
}

// Close gives up a gateway that was never run.
func (g *Gateway) Close() error { return g.close() }

// Reload takes over a new configuration for whatever comes from now on. Keys that need a restart
// keep their old value and are named in the error; everything else has been taken over then, too.
func (g *Gateway) Reload(cfg Config) error {
	directory, err := policy.NewDirectory(cfg.Identities)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.alerts.Reload(alertSettings(&cfg), alert.People{Config: cfg.Policy, Directory: directory})
	g.limits.Reload(g.guardSettings(&cfg, directory))
	g.relay.Reload(g.relaySettings(&cfg, directory))
	if g.milter != nil {
		g.milter.Reload(g.milterSettings(&cfg, directory))
	}
	g.recalls.Reload(&cfg, directory)
	g.asking.Reload(askTermsOf(&cfg))
	g.web.Reload(apiConfig(&cfg))
	g.people.reload(&cfg, directory)
	g.desk.Reload(cfg.Dashboard)
	g.config = cfg
	keys := restartKeys(&g.started, &cfg)
	g.meters.reload(&cfg, time.Now(), len(keys) > 0)
	if len(keys) > 0 {
		return fmt.Errorf("not as they were at the start, and taken over only by a restart: %s", strings.Join(keys, ", "))
	}
	return nil
}

func (g *Gateway) relaySettings(cfg *Config, directory *policy.Directory) relay.Settings {
	return relay.Settings{
		Config: cfg.Relay, Engine: closed{g.asking, g.drain}, Directory: directory, Router: g.routes,
		Reports: g.tracking.report, Content: readsContent(cfg), Head: g.mayAsk(cfg), SignedIn: g.logins.note, Suspended: g.notSignedIn,
	}
}

// readsContent reports whether anybody looks at what messages say.
func readsContent(cfg *Config) bool { return cfg.Similar.Enabled || cfg.Recall.Enabled }

// mayAsk finds the messages that could be requests for a recall.
func (g *Gateway) mayAsk(cfg *Config) func(to []policy.Recipient, subject string) bool {
	if !cfg.Recall.Enabled {
		return nil
	}
	service := serviceAddress(cfg)
	return func(to []policy.Recipient, subject string) bool {
		return ask.MayAsk(subject) || service != "" && slices.ContainsFunc(to, func(r policy.Recipient) bool { return r.Address.Key() == service.Key() })
	}
}

// tags reports whether a rule adds fields to the header.
func tags(cfg *Config) bool {
	return cfg.Anomaly.Enabled && cfg.Anomaly.Field != "" || slices.ContainsFunc(cfg.Policy.Limits, func(l policy.LimitRule) bool { return l.Action == policy.Tag })
}

// refused tells of a recipient whose domain does not exist.
func (g *Gateway) refused(e *policy.Envelope, v policy.Verdict) {
	if g.alerts == nil { // not open yet
		return
	}
	g.alerts.Raise(alert.Occurrence{
		Kind: alert.DomainRefused, Subject: e.Identity, Time: time.Now(), Finding: v.Findings[0], Outcome: v.Action, Text: v.Text,
	})
}

// tell raises an alert once alerts are open.
func (g *Gateway) tell(o alert.Occurrence) {
	if g.alerts != nil {
		g.alerts.Raise(o)
	}
}

// isSuspended reports whether an account is suspended, and not let through by a bypass.
func (g *Gateway) isSuspended(identity string) bool {
	_, ok := g.limits.Suspended(time.Now(), identity)
	return ok && !g.bypass.lifts()
}

// guardSettings are the rules. The check of domains is as it was at the start.
func (g *Gateway) guardSettings(cfg *Config, directory *policy.Directory) guard.Settings {
	s := guard.Settings{Config: cfg.Policy, Directory: directory, Anomaly: cfg.Anomaly}
	if desk := cfg.Anomaly.Suspension.Always; len(desk) > 0 {
		s.Contact = desk[0]
	}
	s.Bypassed = g.bypass.on
	if g.limits != nil {
		s.Trial, s.Suspend = g.limits.trial, g.limits.bars.add
	}
	if g.domains != nil {
		s.Domains, s.Refused = g.domains, g.refused
	}
	return s
}

func (g *Gateway) milterSettings(cfg *Config, directory *policy.Directory) milter.Settings {
	reports := milter.Reports(g.tracking.report)
	if !cfg.Milter.Notifications {
		reports = nil
	}
	return milter.Settings{
		Config: cfg.Milter, Engine: closed{g.asking, g.drain}, Directory: directory,
		Needs: milter.Needs{
			Envelope: g.domains != nil, Content: readsContent(cfg), Head: g.mayAsk(cfg), Fields: tags(cfg),
			Body: cfg.Milter.MessageSize || cfg.Milter.Notifications,
		},
		Reports:  reports,
		SignedIn: g.logins.note, Hearer: g.limits,
	}
}

// loaded is the configuration as last loaded.
func (g *Gateway) loaded() Config {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.config
}

// margin is how much later than shown mail is let go.
func (g *Gateway) margin() time.Duration {
	return g.loaded().Policy.Hold.Margin
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
