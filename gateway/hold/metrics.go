package hold

import "github.com/prometheus/client_golang/prometheus"

// metrics is what a Scheduler counts.
type metrics struct {
	waiting  prometheus.GaugeFunc
	working  prometheus.GaugeFunc
	flying   prometheus.GaugeFunc
	lag      prometheus.Histogram
	attempts *prometheus.CounterVec
}

func newMetrics(s *Scheduler) *metrics {
	gauge := func(name, help string, value func() int) prometheus.GaugeFunc {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(value()) })
	}
	return &metrics{
		waiting: gauge("sendgate_hold_waiting_messages", "Messages held or waiting for the next try.", s.waitingMessages),
		working: gauge("sendgate_hold_queued_messages", "Messages let go and waiting for an upstream, or being delivered.", s.busyMessages),
		flying:  gauge("sendgate_hold_delivering_messages", "Messages being delivered at this moment.", s.flights.number),
		lag: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "sendgate_hold_lag_seconds", Help: "From the time a delivery was due to its start.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .2, .5, 1, 5, 30, 120, 600},
		}),
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sendgate_hold_attempts_total", Help: "Deliveries tried, one for each recipient, by outcome.",
		}, []string{"outcome"}),
	}
}

func (m *metrics) count(outcomes []Outcome) {
	for i := range outcomes {
		m.attempts.WithLabelValues(string(outcomes[i].Kind)).Inc()
	}
}

// Collectors gives what is to be registered for /metrics.
func (s *Scheduler) Collectors() []prometheus.Collector {
	m := s.metrics
	return []prometheus.Collector{m.waiting, m.working, m.flying, m.lag, m.attempts}
}

func (s *Scheduler) waitingMessages() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting.Len()
}

func (s *Scheduler) busyMessages() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.busy)
}
