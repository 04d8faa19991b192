package relay

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics count what the front does.
type metrics struct {
	sessions prometheus.Counter
	open     prometheus.GaugeFunc
	messages *prometheus.CounterVec // by outcome: held, approval, queued, passed, discarded
	refused  *prometheus.CounterVec // by code
	octets   prometheus.Counter
}

func newMetrics(open func() int) *metrics {
	return &metrics{
		sessions: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sendgate_relay_sessions_total", Help: "SMTP connections taken.",
		}),
		open: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "sendgate_relay_open_sessions", Help: "SMTP connections open.",
		}, func() float64 { return float64(open()) }),
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sendgate_relay_messages_total", Help: "Messages answered with 250, by what became of them.",
		}, []string{"outcome"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sendgate_relay_refused_total", Help: "Commands and messages refused, by reply code.",
		}, []string{"code"}),
		octets: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sendgate_relay_received_bytes_total", Help: "Octets of the messages that were taken.",
		}),
	}
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.sessions, m.open, m.messages, m.refused, m.octets}
}

func (m *metrics) took(outcome string, octets int64) {
	m.messages.WithLabelValues(outcome).Inc()
	m.octets.Add(float64(octets))
}

func (m *metrics) refuse(code int) { m.refused.WithLabelValues(strconv.Itoa(code)).Inc() }
