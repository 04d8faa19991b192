package webhook

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// keptUnder begins the names of kept places.
const keptUnder = "webhook:"

// A Journal is what subscribers are told from.
type Journal interface {
	Keep(name string, value []byte) error
	Kept(name string) ([]byte, error)
	LastBatch() uint64
	// Follow reads every record from the batch of this number on.
	Follow(from uint64) (Feed, error)
}

// A Feed gives records. [store.Subscription] is one.
type Feed interface {
	NextUpTo(ctx context.Context, last uint64) (r store.Record, ok bool, err error)
}

// States of a subscriber.
const (
	Well     = "ok"
	Failing  = "failing"  // it is tried again
	Disabled = "disabled" // its receiver has said that it is gone (410)
)

// A Condition is a change that people should know.
type Condition struct {
	Webhook, Host string
	State         string
	Detail        string // what the receiver said
}

// A Status says how a subscriber is.
type Status struct {
	Name, Host   string
	Events       []policy.Kind // empty: all
	Signed       bool
	State        string
	Behind       uint64        // batches of the journal after the place
	Lag          time.Duration // age of the oldest event that was not taken yet
	Delivered    uint64        // since the start
	LastDelivery time.Time
	Error        string // the last one
	ErrorAt      time.Time
	NextTry      time.Time // while it fails
	Retries      int       // rounds that have failed since it does
}

// ErrNoSubscriber is for a name that the configuration does not have.
var ErrNoSubscriber = errors.New("there is no webhook of this name")

// Subscribers are the programs that are told of events.
type Subscribers struct {
	streams []*stream
	events  *prometheus.CounterVec
	node    string
}

// NewSubscribers takes up valid subscribers where each was told last, and reads the files that hold their URLs and
// secrets. tell is called when people should know something; it does not wait.
func NewSubscribers(all []SubscriberConfig, node string, journal Journal, facts Facts, tell func(Condition), log *zap.Logger) (*Subscribers, error) {
	return newSubscribers(all, node, journal, facts, tell, http.DefaultTransport.(*http.Transport).Clone(), log)
}

func newSubscribers(all []SubscriberConfig, node string, journal Journal, facts Facts, tell func(Condition), transport http.RoundTripper, log *zap.Logger) (*Subscribers, error) {
	s := &Subscribers{node: node, events: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sendgate_webhook_events_total", Help: "Events posted to webhooks: delivered, or tries that failed.",
	}, []string{"hook", "outcome"})}
	for _, c := range all {
		t, err := subscriberTarget(&c)
		if err != nil {
			return nil, fmt.Errorf("webhook %s: %w", c.Name, err)
		}
		u, err := url.Parse(t.url)
		if err != nil {
			return nil, fmt.Errorf("webhook %s: %w", c.Name, errURL)
		}
		one := &stream{
			config: c, target: t, host: u.Host, journal: journal, facts: facts, tell: tell, kick: make(chan struct{}, 1),
			log:    log.With(zap.String("webhook", c.Name), zap.String("host", u.Host)),
			events: s.events.MustCurryWith(prometheus.Labels{"hook": c.Name}),
			client: &http.Client{
				Transport: transport, Timeout: c.Timeout,
				CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			},
		}
		for _, outcome := range []string{"delivered", "failed"} { // the first failure is an increase, too
			one.events.WithLabelValues(outcome)
		}
		if err := one.restore(); err != nil {
			return nil, err
		}
		s.streams = append(s.streams, one)
	}
	return s, nil
}

// subscriberTarget reads the files of a subscriber.
func subscriberTarget(c *SubscriberConfig) (t target, err error) {
	t.url = string(c.URL)
	if c.URLFile != "" {
		if t.url, err = firstLine(c.URLFile); err != nil {
			return t, fmt.Errorf("read url_file: %w", err)
		}
		if err := checkURL(t.url, c.Private); err != nil {
			return t, fmt.Errorf("url in %s: %w", c.URLFile, err)
		}
	}
	if c.SecretFile != "" {
		if t.secret, err = firstLine(c.SecretFile); err != nil {
			return t, fmt.Errorf("read secret_file: %w", err)
		}
	}
	return t, nil
}

// Run posts until ctx ends. Its error is that of the journal; what one subscriber does is no matter of the others.
func (s *Subscribers) Run(ctx context.Context) error {
	errs := make([]error, len(s.streams))
	var all sync.WaitGroup
	for i, one := range s.streams {
		all.Go(func() { errs[i] = one.run(ctx) })
	}
	all.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return errors.Join(errs...)
}

// Statuses says how all of them are, in the order of the configuration.
func (s *Subscribers) Statuses() []Status {
	all := make([]Status, len(s.streams))
	for i, one := range s.streams {
		all[i] = one.status()
	}
	return all
}

func (s *Subscribers) named(name string) (*stream, error) {
	i := slices.IndexFunc(s.streams, func(one *stream) bool { return one.config.Name == name })
	if i < 0 {
		return nil, ErrNoSubscriber
	}
	return s.streams[i], nil
}

// Test posts an event of kind "test" at once, whatever waits and also when the subscriber is disabled. An error
// other than [ErrNoSubscriber] is what became of it, without the URL.
func (s *Subscribers) Test(ctx context.Context, name string) error {
	one, err := s.named(name)
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	return one.post(ctx, &Event{ID: "test." + newID(), Kind: kindTest, Time: now, Node: s.node, Reason: "a person wants to see whether this arrives"})
}

// Resume goes on at once with a subscriber that fails or is disabled. With skip everything that waits for it is given up.
func (s *Subscribers) Resume(name string, skip bool) error {
	one, err := s.named(name)
	if err != nil {
		return err
	}
	one.resume(skip)
	return nil
}

// Collectors are the metrics of all subscribers.
func (s *Subscribers) Collectors() []prometheus.Collector {
	return []prometheus.Collector{s.events, states{s}}
}

var (
	lagDesc      = prometheus.NewDesc("sendgate_webhook_lag_seconds", "Age of the oldest event that a webhook has not taken yet.", []string{"hook"}, nil)
	disabledDesc = prometheus.NewDesc("sendgate_webhook_disabled", "1 while a webhook is disabled because its receiver said that it is gone.", []string{"hook"}, nil)
)

// states shows how subscribers are when it is asked for.
type states struct{ *Subscribers }

// Describe names the metrics.
func (s states) Describe(to chan<- *prometheus.Desc) { to <- lagDesc; to <- disabledDesc }

// Collect gives their values.
func (s states) Collect(to chan<- prometheus.Metric) {
	for _, v := range s.Statuses() {
		disabled := 0.0
		if v.State == Disabled {
			disabled = 1
		}
		to <- prometheus.MustNewConstMetric(lagDesc, prometheus.GaugeValue, v.Lag.Seconds(), v.Name)
		to <- prometheus.MustNewConstMetric(disabledDesc, prometheus.GaugeValue, disabled, v.Name)
	}
}
