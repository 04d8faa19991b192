package gateway

import (
	"math"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sendgate/sendgate/policy/similar"
)

// A guardCollector shows what the rules have in memory.
type guardCollector struct {
	limits    *limits
	suspended *prometheus.Desc
	campaigns *prometheus.Desc
	trial     *prometheus.Desc
}

func newGuardCollector(l *limits) *guardCollector {
	return &guardCollector{
		limits: l,
		suspended: prometheus.NewDesc("sendgate_suspended_accounts",
			"Accounts that must not write to other organisations, by who suspended them: the account's own conduct (conduct) or a person.", []string{"by"}, nil),
		campaigns: prometheus.NewDesc("sendgate_open_campaigns",
			"Campaigns of near-duplicates that nobody has decided on, by the highest level they reached.", []string{"level"}, nil),
		trial: prometheus.NewDesc("sendgate_policy_trial", "1 while limits only tell, in the time after the first start, else 0.", nil, nil),
	}
}

// Describe implements [prometheus.Collector].
func (c *guardCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.suspended
	ch <- c.campaigns
	ch <- c.trial
}

// Collect implements [prometheus.Collector].
func (c *guardCollector) Collect(ch chan<- prometheus.Metric) {
	now := c.limits.now()
	by := map[string]int{"conduct": 0, "person": 0}
	for _, s := range c.limits.Suspensions(now) {
		if s.Automatic() {
			by["conduct"]++
		} else {
			by["person"]++
		}
	}
	levels := map[similar.Level]int{similar.Notice: 0, similar.Slow: 0, similar.Review: 0, similar.Alert: 0}
	for _, campaign := range c.limits.Campaigns(now, math.MaxUint64) { // those that stand out, whatever their size
		if campaign.Decision.Kind == "" && campaign.Level > similar.Silent {
			levels[campaign.Level]++
		}
	}
	for name, n := range by {
		ch <- prometheus.MustNewConstMetric(c.suspended, prometheus.GaugeValue, float64(n), name)
	}
	for level, n := range levels {
		ch <- prometheus.MustNewConstMetric(c.campaigns, prometheus.GaugeValue, float64(n), level.String())
	}
	ch <- prometheus.MustNewConstMetric(c.trial, prometheus.GaugeValue, truth(now.Before(c.limits.trial)))
}
