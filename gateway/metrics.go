package gateway

import (
	"errors"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/sendgate/sendgate/store"
)

// meters are the figures that belong to no part, or to several. The others are beside what they measure, in
// the metrics.go of each package. contrib/grafana/README.md lists all of them; a test holds that.
//
// A label has few values, and nobody from outside can add one: there are no addresses, ids, subjects or texts
// in it. Names of rules, upstreams and mailboxes are those of the configuration.
type meters struct {
	build     prometheus.Gauge
	commits   prometheus.Collector
	mail      *mailMeter
	delivery  *prometheus.HistogramVec // by upstream
	mailboxes *mailboxMeter
	reloads   *reloadMeter
}

// newCommitTimes takes how long changes of the journal take, in seconds.
func newCommitTimes() prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "sendgate_journal_commit_seconds", Help: "Time until a change was durable, waiting for others to share its sync included.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
	})
}

// newMeters makes them. What the journal records from now on is counted.
func newMeters(journal *store.Store, commits prometheus.Collector, cfg *Config, version string, now func() time.Time) *meters {
	m := &meters{
		build: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sendgate_build_info", Help: "Always 1; the labels say which program this is.",
			ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()},
		}),
		commits: commits,
		mail:    newMailMeter(journal, journal.Subscribe(0)),
		delivery: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sendgate_delivery_seconds", Help: "Time that an upstream, or Postfix's release, took for one message, whatever came of it.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10, 30, 120, 600},
		}, []string{"upstream"}),
		mailboxes: newMailboxMeter(),
		reloads:   newReloadMeter(now()),
	}
	m.build.Set(1)
	m.mail.reload(cfg)
	return m
}

// Collectors gives what is to be registered.
func (m *meters) Collectors() []prometheus.Collector {
	all := []prometheus.Collector{m.build, m.commits, m.delivery}
	all = append(all, m.mail.Collectors()...)
	all = append(all, m.mailboxes.Collectors()...)
	return append(all, m.reloads.Collectors()...)
}

// reload takes over a configuration; restart says that a part of it waits for one.
func (m *meters) reload(cfg *Config, now time.Time, restart bool) {
	m.mail.reload(cfg)
	m.reloads.done(now, restart)
}

// collectors gives everything that /metrics shows.
func (g *Gateway) collectors() []prometheus.Collector {
	all := append(g.relay.Collectors(), g.scheduler.Collectors()...)
	all = append(all, g.meters.Collectors()...)
	all = append(all, storeMetrics(g.store)...)
	all = append(all, g.tracking.Collectors()...)
	all = append(all, g.alerts.Collectors()...)
	all = append(all, g.alerts.hooks.Collectors()...)
	all = append(append(all, g.hooks.Collectors()...), g.mailLog.Collectors()...)
	all = append(all, g.recalls.Collectors()...)
	all = append(all, g.bypass.Collectors()...)
	all = append(all, g.desk.Collectors()...)
	all = append(all, newGuardCollector(g.limits), newReachCollector(g))
	if g.domains != nil {
		all = append(all, g.domains.resolver.Collectors()...)
	}
	if g.milter != nil {
		all = append(all, g.milter.Collectors()...)
	}
	return all
}

func (g *Gateway) register(registry *prometheus.Registry) error {
	all := append(g.collectors(), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	var errs []error
	for _, c := range all {
		errs = append(errs, registry.Register(c))
	}
	return errors.Join(errs...)
}
