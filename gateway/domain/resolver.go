package domain

import (
	"context"
	"errors"
	"iter"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/zap"
)

// resolvConf names the machine's resolvers (resolv.conf(5)).
const resolvConf = "/etc/resolv.conf"

// atOnce bounds the domains that are being asked for.
const atOnce = 64

// A Resolver finds out about the domains of recipients and remembers it.
type Resolver struct {
	config  Config
	servers []*server
	skip    skipList
	history func() iter.Seq[string]
	now     func() time.Time
	log     *zap.Logger
	metrics *metrics

	base    context.Context // of all flights
	end     context.CancelFunc
	flying  sync.WaitGroup
	running chan struct{}

	verifyFor time.Duration // bounds what a suggestion may cost

	mu      sync.Mutex
	cache   *cache
	flights map[string]*flight
	closed  bool
}

// A flight is a domain that is being asked for.
type flight struct {
	done   chan struct{}
	answer Answer // once done is closed
}

// New makes a Resolver from a valid configuration. history gives the domains that were mailed with
// success, as [policy.Address.Domain] folds them, the most used first; it is called for each domain
// that is refused, and may be nil. Without resolvers everything is unknown.
func New(config Config, history func() iter.Seq[string], now func() time.Time, log *zap.Logger) *Resolver {
	return newResolver(config, resolvConf, history, now, log)
}

func newResolver(config Config, file string, history func() iter.Seq[string], now func() time.Time, log *zap.Logger) *Resolver {
	if history == nil {
		history = func() iter.Seq[string] { return func(func(string) bool) {} }
	}
	r := &Resolver{
		config: config, skip: newSkipList(config.Skip), history: history, now: now, log: log,
		running: make(chan struct{}, atOnce), cache: newCache(config.CacheEntries), flights: map[string]*flight{},
		verifyFor: verifyFor,
	}
	r.base, r.end = context.WithCancel(context.Background())
	r.metrics = newMetrics(r.entries)
	for _, address := range addresses(config, file, log) {
		r.servers = append(r.servers, &server{address: address})
	}
	if config.Enabled && len(r.servers) == 0 {
		log.Warn("no resolver: recipient domains are not checked", zap.String("file", file))
	}
	return r
}

// addresses gives the resolvers of the configuration, else those of the machine.
func addresses(config Config, file string, log *zap.Logger) (all []string) {
	names := config.Resolvers
	if len(names) == 0 {
		c, err := dns.ClientConfigFromFile(file)
		if err != nil {
			log.Warn("resolvers of this machine are not known", zap.Error(err))
			return nil
		}
		names = c.Servers
	}
	for _, name := range names {
		if address, err := parseResolver(name); err == nil {
			all = append(all, address)
		}
	}
	return all
}

// Close ends what is being asked and waits for it. Lookups from then on know what is in the cache.
func (r *Resolver) Close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.end()
	r.flying.Wait()
}

// Lookup finds out about a domain, folded as [policy.Address.Domain] does. It takes no longer than ctx
// allows: then the answer is an old one, or unknown.
func (r *Resolver) Lookup(ctx context.Context, domain string) Answer {
	a := r.lookup(ctx, domain)
	r.metrics.lookups.WithLabelValues(string(a.State)).Inc()
	return a
}

func (r *Resolver) lookup(ctx context.Context, domain string) Answer {
	why := r.skip.notAsked(domain)
	if !r.config.Enabled {
		why = "switched off"
	}
	if why != "" {
		return Answer{Domain: domain, State: NotChecked, Group: registered(domain), Reason: why}
	}
	old, f := r.join(domain)
	if f == nil {
		return old.answer
	}
	reason := r.wait(ctx, f)
	switch {
	case reason == "":
		return f.answer
	case old.usable(r.now()):
		return old.aged(reason)
	}
	return unknown(domain, reason)
}

// wait waits for a flight, and says why it was given up. When no resolver answers any more nobody
// waits, or a message to many domains would take hours; the flights go on and notice when one is back.
func (r *Resolver) wait(ctx context.Context, f *flight) string {
	select {
	case <-f.done:
		return ""
	default:
	}
	if r.lost() {
		return "no resolver answers"
	}
	select {
	case <-f.done:
		return ""
	case <-ctx.Done():
		return "no answer in time"
	}
}

// join gives what the cache has, and the flight to wait for when that is not enough.
func (r *Resolver) join(domain string) (*entry, *flight) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.cache.get(domain)
	if old != nil && r.now().Before(old.fresh) {
		r.metrics.cache.WithLabelValues("hit").Inc()
		return old, nil
	}
	if old.usable(r.now()) {
		r.metrics.cache.WithLabelValues("stale").Inc()
	} else {
		r.metrics.cache.WithLabelValues("miss").Inc()
	}
	f := r.flights[domain]
	if f != nil {
		return old, f
	}
	f = &flight{done: make(chan struct{})}
	if r.closed {
		f.answer = unknown(domain, "shutting down")
		close(f.done)
		return old, f
	}
	r.flights[domain] = f
	r.flying.Go(func() { r.fly(domain, f) })
	return old, f
}

// fly finds out about a domain and tells all who wait.
func (r *Resolver) fly(domain string, f *flight) {
	ctx, cancel := context.WithTimeout(r.base, r.config.Limit)
	defer cancel()
	found := finding{state: Unknown, reason: "too many domains are being asked for"}
	begun := time.Now()
	select {
	case r.running <- struct{}{}:
		found = r.ask(ctx, domain)
		<-r.running
		r.metrics.took.Observe(time.Since(begun).Seconds())
	case <-ctx.Done():
	}
	a := found.answer(domain)
	if a.State.refused() {
		a.Suggestion = r.suggest(ctx, domain)
	}
	f.answer = r.settle(a, found.kept())
	r.mu.Lock()
	delete(r.flights, domain)
	r.mu.Unlock()
	close(f.done)
}

// settle stores an answer, or keeps a good one that could not be renewed; it gives what is to be
// told.
func (r *Resolver) settle(a Answer, kept time.Duration) Answer {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if old := r.cache.get(a.Domain); a.State == Unknown && old.usable(now) {
		a = old.aged(a.Reason)
		r.cache.put(&entry{answer: a, fresh: now.Add(staleRetryIn), stale: old.stale})
		return a
	}
	e := &entry{answer: a, fresh: now.Add(kept)}
	if a.State == Exists {
		e.stale = e.fresh.Add(keptStale)
	}
	r.cache.put(e)
	return a
}

// ask goes from one resolver to the next until one finds the domain in order, or enough of them
// find that it is not.
func (r *Resolver) ask(ctx context.Context, domain string) finding {
	queue := r.turn()
	agreed, again := 0, 0
	var reasons []string
	for i := 0; i < len(queue) && ctx.Err() == nil; i++ {
		f, err := queue[i].examine(ctx, domain, r.config.Timeout)
		switch {
		case err != nil:
			reasons = append(reasons, err.Error())
			// Only a wait of the server's own full time says that it is away.
			if ctx.Err() == nil && r.failed(queue[i], err) && again < len(r.servers) {
				queue = append(queue, queue[i]) // a packet may have been lost
				again++
			}
		case !f.state.refused():
			queue[i].answered()
			return f
		default:
			queue[i].answered()
			reasons = append(reasons, f.reason)
			if agreed++; agreed >= min(r.config.Agree, len(r.servers)) {
				f.reason = strings.Join(reasons, "; ")
				return f
			}
		}
	}
	if len(reasons) == 0 {
		reasons = append(reasons, "no resolver")
	}
	return finding{state: Unknown, reason: strings.Join(reasons, "; ")}
}

// turn is the order in which the resolvers are asked: those that failed a moment ago last.
func (r *Resolver) turn() []*server {
	queue := slices.Clone(r.servers)
	now := r.now().UnixNano()
	slices.SortStableFunc(queue, func(a, b *server) int {
		x, y := a.aside.Load() > now, b.aside.Load() > now
		switch {
		case x == y:
			return 0
		case y:
			return -1
		}
		return 1
	})
	return queue
}

// lost reports whether there are resolvers, and none of them answers.
func (r *Resolver) lost() bool {
	hope := func(s *server) bool { return !s.lost(r.now()) }
	return len(r.servers) > 0 && !slices.ContainsFunc(r.servers, hope)
}

// failed counts a failure. It reports whether the server was silent or away, which says nothing
// about the domain; then the server is set aside.
func (r *Resolver) failed(s *server, err error) bool {
	r.metrics.failures.Inc()
	var away net.Error
	if !errors.As(err, &away) && !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	if s.silent(r.now()) {
		r.log.Warn("resolver does not answer", zap.String("resolver", s.address), zap.Error(err))
	}
	return true
}

func (r *Resolver) entries() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cache.order.Len()
}

func (f finding) answer(domain string) Answer {
	return Answer{
		Domain: domain, State: f.state, MX: f.mx, Implicit: f.implicit, Group: group(domain, f.mx), Reason: f.reason,
	}
}

func unknown(domain, reason string) Answer {
	return finding{state: Unknown, reason: reason}.answer(domain)
}

// usable reports whether there is an answer that may stand in for one that cannot be had.
func (e *entry) usable(now time.Time) bool { return e != nil && now.Before(e.stale) }

// aged is the answer as given when it could not be renewed.
func (e *entry) aged(reason string) Answer {
	a := e.answer
	a.Stale, a.Reason = true, "not renewed: "+reason
	return a
}
