package milter

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics count what the front does.
type metrics struct {
	sessions prometheus.Counter
	open     prometheus.GaugeFunc
	messages *prometheus.CounterVec // by outcome: held, approval, passed, discarded, returned, refused, undecided, inbound
	refused  *prometheus.CounterVec // by code
	lost     prometheus.Counter
}

func newMetrics(open func() int) *metrics {
	return &metrics{
		sessions: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sendgate_milter_sessions_total", Help: "Connections of Postfix taken.",
		}),
		open: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "sendgate_milter_open_sessions", Help: "Connections of Postfix open.",
		}, func() float64 { return float64(open()) }),
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sendgate_milter_messages_total", Help: "Messages that came to their end, by what became of them.",
		}, []string{"outcome"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sendgate_milter_refused_total", Help: "Commands and messages refused, by reply code.",
		}, []string{"code"}),
		lost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sendgate_milter_notes_lost_total", Help: "Notes about mail that passed which the journal did not take.",
		}),
	}
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.sessions, m.open, m.messages, m.refused, m.lost}
}

func (m *metrics) saw(outcome string) { m.messages.WithLabelValues(outcome).Inc() }
func (m *metrics) refuse(code int)    { m.refused.WithLabelValues(strconv.Itoa(code)).Inc() }
