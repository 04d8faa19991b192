package gateway

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// storeMetrics shows the figures of the journal.
func storeMetrics(s *store.Store) []prometheus.Collector {
	counter := func(name, help string, value func(store.Stats) float64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return value(s.Stats()) })
	}
	gauge := func(name, help string, value func(store.Stats) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return value(s.Stats()) })
	}
	return []prometheus.Collector{
		counter("sendgate_journal_batches_total", "Transactions written, each synced once.", func(st store.Stats) float64 { return float64(st.Batches) }),
		counter("sendgate_journal_commits_total", "Changes committed.", func(st store.Stats) float64 { return float64(st.Commits) }),
		gauge("sendgate_journal_waiting_changes", "Changes that wait for the committer.", func(st store.Stats) float64 { return float64(st.Waiting) }),
		gauge("sendgate_journal_free_bytes", "Free space of the file system of the data directory.", func(st store.Stats) float64 { return float64(st.FreeMiB) * (1 << 20) }),
		gauge("sendgate_journal_reserve_bytes", "Free space below which no mail is accepted.", func(st store.Stats) float64 { return float64(st.Reserve) }),
		gauge("sendgate_journal_writable", "1 while the journal accepts changes, 0 when the disk is full or has failed.", func(store.Stats) float64 { return truth(s.Ready() == nil) }),
		newStockCollector(s),
	}
}

// truth is a boolean as a metric.
func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// openFor is how old mail on the way can be: a hold, a queue and an approval end long before.
const openFor = 366 * 24 * time.Hour

// A stockCollector counts what lies in the journal.
type stockCollector struct {
	store                     *store.Store
	open, bytes, most, oldest *prometheus.Desc
}

func newStockCollector(s *store.Store) *stockCollector {
	return &stockCollector{
		store: s,
		open: prometheus.NewDesc("sendgate_open_recipients",
			"Recipients of outgoing mail that have come to no end yet, by state.", []string{"state"}, nil),
		bytes: prometheus.NewDesc("sendgate_journal_bytes",
			"What the journal takes on disk, by what it is; together they are all of it.", []string{"kind"}, nil),
		most: prometheus.NewDesc("sendgate_journal_max_bytes",
			"What it may take at most (store.max_size); 0 when that is not bounded.", nil, nil),
		oldest: prometheus.NewDesc("sendgate_journal_oldest_timestamp_seconds",
			"When the oldest message that is kept was received. Absent while there is none.", nil, nil),
	}
}

// Describe implements [prometheus.Collector].
func (c *stockCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.open, c.bytes, c.most, c.oldest} {
		ch <- d
	}
}

// Collect implements [prometheus.Collector]. Counts and sizes of tables are in memory.
func (c *stockCollector) Collect(ch chan<- prometheus.Metric) {
	give := func(d *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	now := time.Now()
	counts := c.store.Counts(now.Add(-openFor), now.Add(time.Hour))
	for _, state := range policy.States {
		if !state.Final() {
			give(c.open, float64(counts[state]), string(state))
		}
	}
	u, err := c.store.Usage()
	if err != nil { // closing, or the disk does not answer: sendgate_journal_writable tells
		return
	}
	for kind, octets := range map[string]int64{
		"bodies": u.Bodies, "garbage": u.Garbage, "rows": u.Rows, "events": u.Events, "indexes": u.Indexes, "other": u.Other,
		"recent": u.Recent, "logs": u.Logs,
	} {
		give(c.bytes, float64(octets), kind)
	}
	give(c.most, float64(u.MaxSize))
	if !u.Oldest.IsZero() {
		give(c.oldest, float64(u.Oldest.UnixMilli())/1000)
	}
}

// A reloadMeter says whether the running configuration is the one on disk.
type reloadMeter struct {
	good    prometheus.Gauge
	at      prometheus.Gauge
	restart prometheus.Gauge
}

func newReloadMeter(now time.Time) *reloadMeter {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	}
	m := &reloadMeter{
		good:    gauge("sendgate_config_last_reload_successful", "1 when the configuration was taken over the last time it was read, else 0."),
		at:      gauge("sendgate_config_last_reload_success_timestamp_seconds", "When a configuration was taken over last."),
		restart: gauge("sendgate_config_restart_needed", "1 when the configuration has keys that only a restart takes over."),
	}
	m.done(now, false)
	return m
}

// Collectors gives what is to be registered.
func (m *reloadMeter) Collectors() []prometheus.Collector {
	return []prometheus.Collector{m.good, m.at, m.restart}
}

// done notes a configuration that was taken over; restart says that something of it was not.
func (m *reloadMeter) done(now time.Time, restart bool) {
	m.good.Set(1)
	m.at.Set(float64(now.UnixMilli()) / 1000)
	m.restart.Set(truth(restart))
}

// ReloadFailed notes that a configuration could not be read, so that the old one stays.
func (g *Gateway) ReloadFailed() { g.meters.reloads.good.Set(0) }
