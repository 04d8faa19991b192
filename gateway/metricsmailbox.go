package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sendgate/sendgate/gateway/hold"
	"github.com/sendgate/sendgate/gateway/mailbox"
	"github.com/sendgate/sendgate/policy"
)

// A mailboxMeter counts and times what is asked of mailboxes.
type mailboxMeter struct {
	requests *prometheus.CounterVec
	took     *prometheus.HistogramVec
}

func newMailboxMeter() *mailboxMeter {
	return &mailboxMeter{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sendgate_mailbox_requests_total",
			Help: "Requests to mail servers for what lies in mailboxes, by the name of the mailboxes and what came of them (ok, no_mailbox, denied, unreachable, gone, failed).",
		}, []string{"mailboxes", "operation", "outcome"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sendgate_mailbox_request_seconds", Help: "How long each request to a mail server of mailboxes took.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10, 30},
		}, []string{"mailboxes", "operation"}),
	}
}

// Collectors gives what is to be registered.
func (m *mailboxMeter) Collectors() []prometheus.Collector {
	return []prometheus.Collector{m.requests, m.took}
}

// measured gives a backend that is measured under a name.
func (m *mailboxMeter) measured(b mailbox.Backend, name string) mailbox.Backend {
	return &measuredBackend{b, m, name}
}

// done notes a request that begun at a time.
func (m *mailboxMeter) done(name, operation string, begun time.Time, err error) {
	outcome := "failed"
	switch {
	case err == nil:
		outcome = "ok"
	case errors.Is(err, mailbox.ErrNoMailbox):
		outcome = "no_mailbox"
	case errors.Is(err, mailbox.ErrDenied):
		outcome = "denied"
	case errors.Is(err, mailbox.ErrUnreachable):
		outcome = "unreachable"
	case errors.Is(err, mailbox.ErrGone):
		outcome = "gone"
	}
	m.requests.WithLabelValues(name, operation, outcome).Inc()
	m.took.WithLabelValues(name, operation).Observe(time.Since(begun).Seconds())
}

// A measuredBackend is a [mailbox.Backend] whose requests are counted.
type measuredBackend struct {
	mailbox.Backend
	meter *mailboxMeter
	name  string
}

// Find implements [mailbox.Backend].
func (b *measuredBackend) Find(ctx context.Context, user string, m *mailbox.Match) (copies []mailbox.Copy, err error) {
	defer func(begun time.Time) { b.meter.done(b.name, "find", begun, err) }(time.Now())
	return b.Backend.Find(ctx, user, m)
}

// Take implements [mailbox.Backend].
func (b *measuredBackend) Take(ctx context.Context, user string, c mailbox.Copy, o mailbox.Options) (t mailbox.Taken, err error) {
	defer func(begun time.Time) { b.meter.done(b.name, "take", begun, err) }(time.Now())
	return b.Backend.Take(ctx, user, c, o)
}

// Restore implements [mailbox.Backend].
func (b *measuredBackend) Restore(ctx context.Context, user string, t policy.MailCopy) (err error) {
	defer func(begun time.Time) { b.meter.done(b.name, "restore", begun, err) }(time.Now())
	return b.Backend.Restore(ctx, user, t)
}

// Purge implements [mailbox.Backend].
func (b *measuredBackend) Purge(ctx context.Context, user string, t policy.MailCopy) (err error) {
	defer func(begun time.Time) { b.meter.done(b.name, "purge", begun, err) }(time.Now())
	return b.Backend.Purge(ctx, user, t)
}

// Check implements [mailbox.Backend].
func (b *measuredBackend) Check(ctx context.Context, user string) (err error) {
	defer func(begun time.Time) { b.meter.done(b.name, "check", begun, err) }(time.Now())
	return b.Backend.Check(ctx, user)
}

// A measuredSender is a [hold.Sender] whose deliveries are timed.
type measuredSender struct {
	hold.Sender
	took *prometheus.HistogramVec
}

// Deliver implements [hold.Sender].
func (s measuredSender) Deliver(ctx context.Context, d hold.Delivery) []hold.Outcome {
	begun := time.Now()
	outcomes := s.Sender.Deliver(ctx, d)
	s.took.WithLabelValues(d.Upstream).Observe(time.Since(begun).Seconds())
	return outcomes
}
