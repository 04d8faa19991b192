package gateway

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// reachTime is how long a scrape waits for upstreams: Prometheus waits 10 s for all of it.
const reachTime = 3 * time.Second

// A reachCollector asks, when it is asked itself, who answers. What upstreams said is remembered for a minute.
type reachCollector struct {
	gateway  *Gateway
	upstream *prometheus.Desc
	helper   *prometheus.Desc
}

func newReachCollector(g *Gateway) *reachCollector {
	return &reachCollector{
		gateway: g,
		upstream: prometheus.NewDesc("sendgate_upstream_up",
			"1 when a server of the upstream answered within the last minute, else 0.", []string{"upstream"}, nil),
		helper: prometheus.NewDesc("sendgate_postfix_helper_up",
			"1 when the root helper for Postfix's queue answers, else 0. Absent without the milter.", nil, nil),
	}
}

// Describe implements [prometheus.Collector].
func (c *reachCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.upstream
	ch <- c.helper
}

// Collect implements [prometheus.Collector].
func (c *reachCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), reachTime)
	defer cancel()
	var wg sync.WaitGroup
	for _, u := range c.gateway.routes.upstreams {
		wg.Go(func() {
			_, err := u.Capabilities(ctx)
			ch <- prometheus.MustNewConstMetric(c.upstream, prometheus.GaugeValue, truth(err == nil), u.Name())
		})
	}
	wg.Wait()
	if c.gateway.keeper != nil {
		ch <- prometheus.MustNewConstMetric(c.helper, prometheus.GaugeValue, truth(c.gateway.keeper.Ready() == nil))
	}
}
