package track

import "github.com/prometheus/client_golang/prometheus"

// metrics is what a Tracker counts.
type metrics struct {
	lines     *prometheus.CounterVec
	entries   *prometheus.CounterVec
	unread    prometheus.Counter
	unmatched prometheus.Counter
	failed    prometheus.Counter
	reports   *prometheus.CounterVec
	dropped   prometheus.CounterFunc
	waiting   prometheus.GaugeFunc
	gaps      prometheus.GaugeFunc
	unknown   prometheus.GaugeFunc
	lag       lagCollector
}

func newMetrics(t *Tracker) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	vector := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
	}
	locked := func(value func() float64) func() float64 {
		return func() float64 {
			t.mu.Lock()
			defer t.mu.Unlock()
			return value()
		}
	}
	gauge := func(name, help string, value func() float64) prometheus.GaugeFunc {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, locked(value))
	}
	return &metrics{
		lines:     vector("sendgate_track_lines_total", "Log lines read.", "source"),
		entries:   vector("sendgate_track_entries_total", "Log lines that state something about a message.", "kind"),
		unread:    counter("sendgate_track_unreadable_lines_total", "Log lines without the form of one."),
		unmatched: counter("sendgate_track_unmatched_lines_total", "Status lines of our messages about an address that is none of their recipients."),
		failed:    counter("sendgate_track_refused_changes_total", "Changes that the journal refused for good."),
		reports:   vector("sendgate_track_reports_total", "Delivery reports (DSN) seen, by what they were.", "result"),
		dropped: prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "sendgate_track_dropped_total", Help: "Queue files and lines given up to stay within memory."},
			locked(func() float64 { return float64(t.graph.dropped) })),
		waiting: gauge("sendgate_track_waiting_files", "Queue files whose message is not known yet.", func() float64 { return float64(len(t.graph.waiting)) }),
		gaps:    gauge("sendgate_track_gaps", "Stretches of time of which log lines are missing.", func() float64 { return float64(len(t.gaps)) }),
		unknown: gauge("sendgate_track_unknown_ratio", "Share of the recipients of the last 24 h that are unknown.", func() float64 { return t.ratio }),
		lag: lagCollector{t, prometheus.NewDesc("sendgate_track_lag_seconds",
			"How far the reading of a log is behind.", []string{"source"}, nil)},
	}
}

// Collectors gives what is to be registered for /metrics.
func (t *Tracker) Collectors() []prometheus.Collector {
	m := t.metrics
	return []prometheus.Collector{m.lines, m.entries, m.unread, m.unmatched, m.failed, m.reports, m.dropped, m.waiting, m.gaps, m.unknown, m.lag}
}

// A lagCollector measures when it is asked.
type lagCollector struct {
	tracker *Tracker
	desc    *prometheus.Desc
}

// Describe implements [prometheus.Collector].
func (c lagCollector) Describe(ch chan<- *prometheus.Desc) { ch <- c.desc }

// Collect implements [prometheus.Collector].
func (c lagCollector) Collect(ch chan<- prometheus.Metric) {
	for _, s := range c.tracker.Status().Sources {
		ch <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, s.Lag.Seconds(), s.Name)
	}
}
