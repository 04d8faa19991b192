package webhook

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// Bounds of the queue and of trying again.
const (
	maxQueued = 100
	firstWait = 2 * time.Second
	maxWait   = 5 * time.Minute
	maxAsked  = 15 * time.Minute // what a server may ask us to wait
	giveUp    = time.Hour
	lastTry   = 5 * time.Second
)

// A hook is one place where notices are posted.
type hook struct {
	config  Config
	target  target
	service service
	client  *http.Client
	log     *zap.Logger
	counts  *prometheus.CounterVec // by outcome

	mu    sync.Mutex
	queue []Notice
	wake  chan struct{} // holds a token while the queue may not be empty

	pace pace // of the goroutine in run
}

func (h *hook) count(outcome string, notices int) {
	h.counts.WithLabelValues(outcome).Add(float64(notices))
}

// add queues a notice in the place of one of the same incident, or at the end. A full queue loses
// the least severe, of these the oldest.
func (h *hook) add(n Notice) {
	h.mu.Lock()
	defer h.mu.Unlock()
	same := func(q Notice) bool { return n.IncidentID != "" && q.IncidentID == n.IncidentID }
	if i := slices.IndexFunc(h.queue, same); i >= 0 {
		n.Update = n.Update && h.queue[i].Update // nobody has seen the first one
		h.queue[i] = n
	} else {
		h.queue = append(h.queue, n)
	}
	if len(h.queue) > maxQueued {
		h.drop()
	}
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

func (h *hook) drop() {
	least := slices.MinFunc(h.queue, func(a, b Notice) int { return cmp.Compare(a.Severity.rank(), b.Severity.rank()) })
	i := slices.IndexFunc(h.queue, func(n Notice) bool { return n.Severity == least.Severity })
	h.log.Warn("queue of webhook is full, notice dropped", zap.String("kind", h.queue[i].Kind), zap.String("incident", h.queue[i].IncidentID))
	h.count("dropped", 1)
	h.queue = slices.Delete(h.queue, i, i+1)
}

// take gives the notices of the next message: one, or all when there is room for fewer messages
// than notices wait.
func (h *hook) take(room int) []Notice {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := min(1, len(h.queue))
	if h.service.merges && room < len(h.queue) {
		n = len(h.queue)
	}
	taken := slices.Clone(h.queue[:n])
	h.queue = slices.Delete(h.queue, 0, n)
	return taken
}

func (h *hook) queued() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.queue)
}

// run posts until the context ends.
func (h *hook) run(ctx context.Context) {
	for ctx.Err() == nil {
		if h.queued() == 0 {
			select {
			case <-h.wake:
			case <-ctx.Done():
			}
			continue
		}
		if pause(ctx, h.pace.wait(time.Now())) {
			h.deliver(ctx, h.take(h.pace.room(time.Now())))
		}
	}
	if rest := h.take(0); len(rest) > 0 {
		h.last(rest)
	}
}

// deliver posts notices until they are there or given up. When the context ends they go back to the queue.
func (h *hook) deliver(ctx context.Context, notices []Notice) {
	begun, wait, id := time.Now(), firstWait, newID()
	for try := 1; ; try++ {
		h.pace.sent(time.Now())
		err := h.post(ctx, digest(notices), id)
		if err == nil {
			h.count("sent", len(notices))
			return
		}
		if ctx.Err() != nil {
			h.giveBack(notices)
			return
		}
		var f *failure
		after := wait
		if errors.As(err, &f) && f.after > 0 {
			after = min(f.after, maxAsked)
		}
		if f != nil && f.final || time.Since(begun)+after > giveUp {
			h.log.Error("webhook failed, given up", zap.Int("tries", try), zap.Int("notices", len(notices)), zap.Error(err))
			h.count("failed", len(notices))
			return
		}
		h.log.Warn("webhook failed", zap.Int("try", try), zap.Duration("again_in", after), zap.Error(err))
		if !pause(ctx, max(after, h.pace.wait(time.Now()))) {
			h.giveBack(notices)
			return
		}
		wait = min(2*wait, maxWait)
	}
}

func (h *hook) giveBack(notices []Notice) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.queue = append(notices, h.queue...)
}

// last posts what is left when the process ends: in one message where that can be.
func (h *hook) last(notices []Notice) {
	ctx, cancel := context.WithTimeout(context.Background(), lastTry)
	defer cancel()
	for len(notices) > 0 {
		err := h.post(ctx, digest(notices), newID())
		if err != nil {
			rest := len(notices) + h.queued()
			h.log.Error("webhook failed at the end, given up", zap.Int("notices", rest), zap.Error(err))
			h.count("failed", rest)
			return
		}
		h.count("sent", len(notices))
		notices = h.take(0)
	}
}

// pause waits; it reports whether the context still holds.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// A limit is what a service takes.
type limit struct {
	perMinute int // messages; 0 is any number
	gap       time.Duration
}

// A pace keeps to a limit over a sliding minute. It is used by one goroutine.
type pace struct {
	limit limit
	times []time.Time // of the messages in the last minute
}

// wait says how long to wait for the next message.
func (p *pace) wait(now time.Time) time.Duration {
	p.forget(now)
	if p.limit.perMinute > 0 && len(p.times) >= p.limit.perMinute {
		return p.times[len(p.times)-p.limit.perMinute].Add(time.Minute).Sub(now)
	}
	if len(p.times) == 0 {
		return 0
	}
	return p.times[len(p.times)-1].Add(p.limit.gap).Sub(now)
}

// room says how many messages may still go in this minute.
func (p *pace) room(now time.Time) int {
	p.forget(now)
	if p.limit.perMinute == 0 {
		return maxQueued
	}
	return p.limit.perMinute - len(p.times)
}

func (p *pace) sent(now time.Time) { p.times = append(p.times, now) }

func (p *pace) forget(now time.Time) {
	p.times = slices.DeleteFunc(p.times, func(t time.Time) bool { return now.Sub(t) >= time.Minute })
}
