package upstream

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"
)

// ErrClosed is returned after Close.
var ErrClosed = errors.New("the upstream is closed")

// maxAge is how long a connection is used, so that a server of higher priority, or one that joined
// its equals, gets its share again.
const maxAge = 5 * time.Minute

// A poolKey separates connections on which the server sees different clients.
type poolKey struct {
	addr  netip.Addr
	login string
}

// A pool keeps idle connections and bounds all of them, used and idle together.
type pool struct {
	idleTimeout time.Duration
	slots       chan struct{} // one for each delivery
	closed      chan struct{}

	mu    sync.Mutex
	used  int
	idle  []*Conn // the longest idle first
	timer *time.Timer
	end   bool
}

func newPool(connections int, idleTimeout time.Duration) *pool {
	return &pool{
		idleTimeout: idleTimeout,
		slots:       make(chan struct{}, connections),
		closed:      make(chan struct{}),
	}
}

// enter waits for the right to use a connection; leave gives it back.
func (p *pool) enter(ctx context.Context) error {
	select {
	case p.slots <- struct{}{}:
	case <-p.closed:
		return ErrClosed
	case <-ctx.Done():
		return because(ctx, "wait for a connection", ctx.Err())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.end {
		<-p.slots
		return ErrClosed
	}
	p.used++
	return nil
}

func (p *pool) leave() {
	p.mu.Lock()
	p.used--
	p.mu.Unlock()
	<-p.slots
}

// take gives the idle connection of the key that was used last, or nil.
func (p *pool) take(key poolKey) *Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := len(p.idle) - 1; i >= 0; i-- {
		if c := p.idle[i]; c.key == key {
			p.remove(i)
			return c
		}
	}
	return nil
}

func (p *pool) remove(i int) {
	copy(p.idle[i:], p.idle[i+1:])
	p.idle[len(p.idle)-1] = nil
	p.idle = p.idle[:len(p.idle)-1]
}

// makeRoom closes idle connections until one more may be opened.
func (p *pool) makeRoom() {
	p.mu.Lock()
	var surplus []*Conn
	for len(p.idle) > 0 && len(p.idle)+p.used > cap(p.slots) {
		surplus = append(surplus, p.idle[0])
		p.remove(0)
	}
	p.mu.Unlock()
	hangUp(surplus)
}

// put takes a connection back, or closes it when it has done its service.
func (p *pool) put(c *Conn) {
	now := time.Now()
	if c.broken || now.Sub(c.since) > maxAge || c.caps.MessagesMax > 0 && c.messages >= c.caps.MessagesMax {
		c.hangUp()
		return
	}
	c.idle, c.reused = now, true
	p.mu.Lock()
	if p.end {
		p.mu.Unlock()
		c.hangUp()
		return
	}
	p.idle = append(p.idle, c)
	if p.timer == nil {
		p.timer = time.AfterFunc(p.idleTimeout, p.reap)
	}
	p.mu.Unlock()
}

// reap closes what has been idle for too long and comes back for the next.
func (p *pool) reap() {
	now := time.Now()
	p.mu.Lock()
	var surplus []*Conn
	for len(p.idle) > 0 && now.Sub(p.idle[0].idle) >= p.idleTimeout {
		surplus = append(surplus, p.idle[0])
		p.remove(0)
	}
	p.timer = nil
	if len(p.idle) > 0 && !p.end {
		p.timer = time.AfterFunc(p.idleTimeout-now.Sub(p.idle[0].idle), p.reap)
	}
	p.mu.Unlock()
	hangUp(surplus)
}

// close closes what is idle; what is in use is closed when it comes back.
func (p *pool) close() {
	p.mu.Lock()
	if p.end {
		p.mu.Unlock()
		return
	}
	p.end = true
	close(p.closed)
	if p.timer != nil {
		p.timer.Stop()
	}
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	hangUp(idle)
}

func hangUp(conns []*Conn) {
	for _, c := range conns {
		c.hangUp()
	}
}
