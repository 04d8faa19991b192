package recall

import "github.com/prometheus/client_golang/prometheus"

// Collectors gives what is to be registered for /metrics. What recalls came to is counted from the journal.
func (e *Engine) Collectors() []prometheus.Collector {
	return []prometheus.Collector{prometheus.NewGaugeFunc(
		prometheus.GaugeOpts{Name: "sendgate_open_recalls", Help: "Recalls that have come to no end yet, those that wait for a second person included."},
		func() float64 { return float64(len(e.open())) },
	)}
}
