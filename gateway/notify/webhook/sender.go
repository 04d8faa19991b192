package webhook

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// A Sender posts notices to hooks.
type Sender struct {
	hooks   []*hook
	notices *prometheus.CounterVec // by hook and outcome: sent, failed, dropped
}

// New makes a Sender for valid hooks, and reads the files that hold their URLs and secrets.
func New(hooks []Config, log *zap.Logger) (*Sender, error) {
	return newSender(hooks, http.DefaultTransport.(*http.Transport).Clone(), log)
}

func newSender(hooks []Config, transport http.RoundTripper, log *zap.Logger) (*Sender, error) {
	s := &Sender{notices: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sendgate_webhook_notices_total", Help: "Notices for webhooks, by what became of them.",
	}, []string{"hook", "outcome"})}
	for _, c := range hooks {
		h, err := s.open(c, transport, log)
		if err != nil {
			return nil, fmt.Errorf("webhook %s: %w", c.Name, err)
		}
		s.hooks = append(s.hooks, h)
	}
	return s, nil
}

// open makes a hook from its configuration and files.
func (s *Sender) open(c Config, transport http.RoundTripper, log *zap.Logger) (*hook, error) {
	t := target{url: string(c.URL), language: c.Language}
	var err error
	if c.URLFile != "" {
		if t.url, err = firstLine(c.URLFile); err != nil {
			return nil, fmt.Errorf("read url_file: %w", err)
		}
		if err := checkURL(t.url, c.Private); err != nil {
			return nil, fmt.Errorf("url in %s: %w", c.URLFile, err)
		}
	}
	if c.SecretFile != "" {
		if t.secret, err = firstLine(c.SecretFile); err != nil {
			return nil, fmt.Errorf("read secret_file: %w", err)
		}
	}
	host := ""
	if u, err := url.Parse(t.url); err == nil {
		host = u.Host
	}
	service := services[c.Kind]
	h := &hook{
		config: c, target: t, service: service, pace: pace{limit: service.limit},
		log:    log.With(zap.String("hook", c.Name), zap.String("host", host)),
		wake:   make(chan struct{}, 1),
		counts: s.notices.MustCurryWith(prometheus.Labels{"hook": c.Name}),
		client: &http.Client{
			Transport: transport, Timeout: c.Timeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	for _, outcome := range []string{"sent", "failed", "dropped"} { // the first failure is an increase, too
		h.count(outcome, 0)
	}
	return h, nil
}

// firstLine reads a file that holds a secret.
func firstLine(name string) (string, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(data), "\n")
	if line = strings.TrimSpace(line); line == "" {
		return "", fmt.Errorf("%s: its first line is empty", name)
	}
	return line, nil
}

// Notify queues a notice for all hooks that want it. It never waits.
func (s *Sender) Notify(n Notice) {
	for _, h := range s.hooks {
		if h.config.wanted(n) {
			h.add(n)
		}
	}
}

// Run posts what is queued until the context ends, then what is left, once.
func (s *Sender) Run(ctx context.Context) {
	var hooks sync.WaitGroup
	for _, h := range s.hooks {
		hooks.Go(func() { h.run(ctx) })
	}
	hooks.Wait()
}

// Collectors are the metrics of the sender.
func (s *Sender) Collectors() []prometheus.Collector { return []prometheus.Collector{s.notices} }
