package hold

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics is what a Scheduler counts.
type metrics struct {
	waiting  prometheus.GaugeFunc
	oldest   prometheus.GaugeFunc
	overdue  prometheus.GaugeFunc
	working  prometheus.GaugeFunc
	flying   prometheus.GaugeFunc
	lag      prometheus.Histogram
	attempts *prometheus.CounterVec
}

func newMetrics(s *Scheduler) *metrics {
	gauge := func(name, help string, value func() int) prometheus.GaugeFunc {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(value()) })
	}
	seconds := func(name, help string, value func() time.Duration) prometheus.GaugeFunc {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return value().Seconds() })
	}
	return &metrics{
		waiting: gauge("sendgate_hold_waiting_messages", "Messages held or waiting for the next try.", s.waitingMessages),
		oldest:  seconds("sendgate_hold_oldest_message_seconds", "Age of the oldest message that is held, queued or waiting for the next try; 0 when there is none.", s.oldest),
		overdue: seconds("sendgate_hold_overdue_seconds", "For how long the message that is furthest behind should have been on its way; 0 when none is late.", s.overdue),
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
	return []prometheus.Collector{m.waiting, m.oldest, m.overdue, m.working, m.flying, m.lag, m.attempts}
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

// oldest looks at every message: ids tell when they were accepted.
func (s *Scheduler) oldest() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	age := time.Duration(0)
	for id := range s.waiting.byID {
		age = max(age, now.Sub(id.Timestamp()))
	}
	for id := range s.busy {
		age = max(age, now.Sub(id.Timestamp()))
	}
	return age
}

// overdue goes by the clock of the timetable, and counts what waits for an upstream as well.
func (s *Scheduler) overdue() (late time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock()
	if at, ok := s.waiting.next(); ok {
		late = max(late, now-at)
	}
	for _, t := range s.busy {
		late = max(late, now-t.at)
	}
	return late
}
