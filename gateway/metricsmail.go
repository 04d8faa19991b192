package gateway

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// maxMetered bounds what is remembered of messages, so that most need not be read again for their later events.
const maxMetered = 50_000

// A mailMeter counts what the journal records from the start of the process on: what is durable, whichever
// part brought it about. One goroutine counts.
type mailMeter struct {
	journal messageReader
	feed    *store.Subscription

	messages   *prometheus.CounterVec
	recipients *prometheus.CounterVec
	exceeded   *prometheus.CounterVec
	anomalies  *prometheus.CounterVec
	recalls    *prometheus.CounterVec
	recallTime prometheus.Histogram
	recalled   *prometheus.CounterVec
	accepted   prometheus.Gauge

	rules                            atomic.Pointer[labels]
	actions, stages, outcomes, codes labels
	known                            map[policy.ID]metered
}

// metered is what is remembered of a message.
type metered struct {
	front      string
	recipients int
}

// A messageReader gives the row of a message.
type messageReader interface {
	Message(id policy.ID) (store.Message, error)
}

func newMailMeter(journal messageReader, feed *store.Subscription) *mailMeter {
	vector := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &mailMeter{
		journal: journal, feed: feed,
		messages:   vector("sendgate_messages_total", "Events in the timelines of messages, by the front they came in by.", "front", "event"),
		recipients: vector("sendgate_recipients_total", "Events in the timelines of messages, counted once for each recipient they are about.", "front", "event"),
		exceeded:   vector("sendgate_rule_exceeded_total", "Messages that broke a rule, by its name and what it does: enforced when it decided, told when it only tells or a stricter one decided.", "rule", "action", "effect"),
		anomalies:  vector("sendgate_anomaly_messages_total", "Messages unlike their account, by the stage that its score reached.", "stage"),
		recalls:    vector("sendgate_recalls_total", "Recalls that came to an end, by what they came to; a reopened one each time.", "outcome"),
		recallTime: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "sendgate_recall_seconds", Help: "From the request of a recall to its end.",
			Buckets: []float64{.1, .5, 1, 5, 15, 60, 300, 1800, 7200, 86400, 7 * 86400},
		}),
		recalled: vector("sendgate_recall_recipients_total", "What recalls came to for recipients; one that has to wait is counted for that, too.", "code"),
		accepted: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sendgate_last_accepted_timestamp_seconds", Help: "When a message was accepted last; 0 when none was since the start of the process.",
		}),
		actions: actionLabels(), stages: stageLabels(), outcomes: outcomeLabels(), codes: labelsOf(policy.RecallCodes...),
		known: map[policy.ID]metered{},
	}
	m.rules.Store(&labels{})
	return m
}

// Collectors gives what is to be registered.
func (m *mailMeter) Collectors() []prometheus.Collector {
	return []prometheus.Collector{m.messages, m.recipients, m.exceeded, m.anomalies, m.recalls, m.recallTime, m.recalled, m.accepted}
}

// reload takes over the names of rules.
func (m *mailMeter) reload(cfg *Config) {
	rules := ruleLabels(cfg)
	m.rules.Store(&rules)
}

// run counts until ctx ends. Whatever happens here, mail goes on.
func (m *mailMeter) run(ctx context.Context, log *zap.Logger) error {
	for {
		r, err := m.feed.Next(ctx)
		if err != nil {
			if ctx.Err() == nil && !errors.Is(err, store.ErrClosed) {
				log.Error("the metrics of mail stand still until the next start", zap.Error(err))
			}
			return nil
		}
		m.count(&r)
	}
}

// count takes up a record.
func (m *mailMeter) count(r *store.Record) {
	about, isMessage := m.about(r)
	for i := range r.Events {
		e := &r.Events[i]
		if e.Kind == policy.RecallEnded { // its id is from the time of the request
			m.recalls.WithLabelValues(m.outcomes.bound(e.Reason)).Inc()
			m.recallTime.Observe(max(0, e.Time.Sub(r.Message.Timestamp()).Seconds()))
		}
		if isMessage {
			m.event(about, e)
		}
	}
}

// about gives what is to be known of the message of a record; not ok when the timeline is of something else.
func (m *mailMeter) about(r *store.Record) (about metered, ok bool) {
	if e := r.Envelope; e != nil {
		about = metered{string(e.Front), len(e.Recipients)}
		m.remember(r.Message, about)
		return about, true
	}
	if about, ok = m.known[r.Message]; ok {
		return about, true
	}
	row, err := m.journal.Message(r.Message)
	if err != nil { // also one that is gone meanwhile
		return metered{}, false
	}
	about = metered{string(row.Envelope.Front), row.Counted()}
	m.remember(r.Message, about)
	return about, true
}

// remember makes room by forgetting an eighth, whichever: they can be read again.
func (m *mailMeter) remember(id policy.ID, about metered) {
	if len(m.known) >= maxMetered {
		drop := maxMetered / 8
		for old := range m.known {
			delete(m.known, old)
			if drop--; drop == 0 {
				break
			}
		}
	}
	m.known[id] = about
}

// event counts one event of a message. Kinds and fronts are closed lists: the store refuses any other kind.
func (m *mailMeter) event(about metered, e *policy.Event) {
	n := about.recipients
	if e.Recipients != nil {
		n = len(e.Recipients)
	}
	m.messages.WithLabelValues(about.front, string(e.Kind)).Inc()
	m.recipients.WithLabelValues(about.front, string(e.Kind)).Add(float64(n))
	switch e.Kind {
	case policy.Accepted, policy.Offered:
		if about.front != string(policy.Internal) {
			m.accepted.Set(float64(e.Time.UnixMilli()) / 1000)
		}
		m.findings(e.Findings)
	case policy.Refused:
		m.findings(e.Findings)
	case policy.RecallOutcome:
		m.recalled.WithLabelValues(m.codes.bound(e.Reason)).Add(float64(n))
	}
}

// findings counts what the rules said of a message: all of it stands in its first event. A rule that counts
// for several keys is counted once.
func (m *mailMeter) findings(all []policy.Finding) {
	for i := range all {
		f := &all[i]
		if f.Kind == "anomaly" && m.stages[f.Source] { // the others are its reasons
			m.anomalies.WithLabelValues(f.Source).Inc()
		}
		if !f.Exceeded || brokenBefore(all[:i], f.Rule) {
			continue
		}
		effect := "told"
		if decided(all, f.Rule) {
			effect = "enforced"
		}
		m.exceeded.WithLabelValues(m.rules.Load().bound(f.Rule), m.actions.bound(string(f.Action)), effect).Inc()
	}
}

func brokenBefore(all []policy.Finding, rule string) bool {
	for i := range all {
		if all[i].Exceeded && all[i].Rule == rule {
			return true
		}
	}
	return false
}

func decided(all []policy.Finding, rule string) bool {
	for i := range all {
		if all[i].Decided && all[i].Rule == rule {
			return true
		}
	}
	return false
}
