package domain

import "github.com/prometheus/client_golang/prometheus"

// metrics count what a Resolver does.
type metrics struct {
	lookups  *prometheus.CounterVec // by result
	cache    *prometheus.CounterVec // by outcome: hit, miss, stale
	entries  prometheus.GaugeFunc
	took     prometheus.Histogram
	failures prometheus.Counter
}

func newMetrics(entries func() int) *metrics {
	return &metrics{
		lookups: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sendgate_domain_lookups_total", Help: "Recipient domains looked up, by result.",
		}, []string{"result"}),
		cache: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sendgate_domain_cache_lookups_total", Help: "Lookups of recipient domains, by what the cache had.",
		}, []string{"outcome"}),
		entries: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "sendgate_domain_cache_entries", Help: "Recipient domains in the cache.",
		}, func() float64 { return float64(entries()) }),
		took: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "sendgate_domain_resolve_seconds", Help: "Time to find out about a domain that was not in the cache.",
			Buckets: []float64{0.001, 0.005, 0.02, 0.1, 0.5, 1, 2, 4, 8},
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sendgate_domain_resolver_failures_total", Help: "Times that a resolver gave no usable answer.",
		}),
	}
}

// Collectors are the metrics of the resolver.
func (r *Resolver) Collectors() []prometheus.Collector {
	m := r.metrics
	return []prometheus.Collector{m.lookups, m.cache, m.entries, m.took, m.failures}
}
