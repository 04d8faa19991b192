package maillog

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	lines, dropped prometheus.Counter
	failing        prometheus.Collector
}

func newMetrics(l *Log) *metrics {
	return &metrics{
		lines: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sendgate_mail_log_lines_total", Help: "Lines of the mail log that were written.",
		}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sendgate_mail_log_dropped_total", Help: "Lines of the mail log that were lost: there was no room for them while it could not be written.",
		}),
		failing: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "sendgate_mail_log_failing", Help: "1 while the mail log cannot be written.",
		}, func() float64 {
			if l.Err() != nil {
				return 1
			}
			return 0
		}),
	}
}

// Collectors are the metrics of the log.
func (l *Log) Collectors() []prometheus.Collector {
	return []prometheus.Collector{l.metrics.lines, l.metrics.dropped, l.metrics.failing}
}
