package gateway

import (
	"github.com/prometheus/client_golang/prometheus"
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
		gauge("sendgate_journal_waiting", "Changes that wait for the committer.", func(st store.Stats) float64 { return float64(st.Waiting) }),
		gauge("sendgate_journal_free_bytes", "Free space of the file system of the data directory.", func(st store.Stats) float64 { return float64(st.FreeMiB) * (1 << 20) }),
	}
}
