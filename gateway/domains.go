package gateway

import (
	"context"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/sendgate/sendgate/gateway/domain"
	"github.com/sendgate/sendgate/policy"
	"go.uber.org/zap"
)

// lookupTime is how long a client waits for the DNS at most.
const lookupTime = 2 * time.Second

// domains checks the domains of recipients for the rules.
type domains struct {
	resolver *domain.Resolver
	history  *history
}

// Check refuses a domain that does not exist or takes no mail.
func (d *domains) Check(ctx context.Context, recipient policy.Address) policy.Verdict {
	name := recipient.Domain()
	if name == "" {
		return policy.Verdict{}
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	return d.resolver.Lookup(ctx, name).Verdict()
}

// Group names the mail service of a domain by its MX, from what was looked up before.
func (d *domains) Group(name string) string {
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // what is not known is not waited for
	return d.resolver.Lookup(ctx, name).Group
}

// maxHistory bounds the domains that are remembered.
const maxHistory = 20_000

// A history counts the domains that mail was accepted for: what a mistyped one may have meant.
type history struct {
	mu    sync.Mutex
	count map[string]int
}

func newHistory() *history { return &history{count: map[string]int{}} }

func (h *history) add(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.count[name] > 0 || len(h.count) < maxHistory {
		h.count[name]++
	}
}

// domains gives them, the most used first.
func (h *history) domains() iter.Seq[string] {
	h.mu.Lock()
	count := maps.Clone(h.count)
	h.mu.Unlock()
	names := slices.SortedFunc(maps.Keys(count), func(a, b string) int { return count[b] - count[a] })
	return slices.Values(names)
}

// observe learns from accepted mail.
func (h *history) observe(e *policy.Envelope, events []policy.Event) {
	if e.Direction == policy.Inbound || !slices.ContainsFunc(events, func(ev policy.Event) bool { return ev.Kind == policy.Accepted || ev.Kind == policy.Offered }) {
		return
	}
	for i := range e.Recipients {
		h.add(e.Recipients[i].Address.Domain())
	}
}

// openDomains makes the resolver; nil when it is switched off. Domains that are routed by name, and the
// organisation's own, are not asked for.
func openDomains(cfg *Config, h *history, now func() time.Time, log *zap.Logger) *domains {
	if !cfg.Domains.Enabled {
		return nil
	}
	c := cfg.Domains
	c.Skip = slices.Clone(c.Skip)
	add := func(pattern string) {
		if pattern != "" && pattern[0] == '@' {
			c.Skip = append(c.Skip, pattern)
		}
	}
	for _, pattern := range cfg.Policy.Internal {
		add(pattern)
	}
	for i := range cfg.Upstreams {
		for _, pattern := range cfg.Upstreams[i].Match {
			add(pattern)
		}
	}
	return &domains{resolver: domain.New(c, h.domains, now, log), history: h}
}
