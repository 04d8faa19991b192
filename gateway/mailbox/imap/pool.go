package imap

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/sendgate/sendgate/gateway/mailbox"
)

// keep is how long a session waits to be used again: the removal follows the look at once.
const keep = 5 * time.Second

// A pool bounds the connections to one server. Each acts as one user; those that are unused give way.
type pool struct {
	dial  *dialer
	limit int
	slots chan struct{} // a token for each operation under way

	mu     sync.Mutex
	busy   int
	unused []*session // longest unused first
	closed bool
}

func newPool(d *dialer, limit int) *pool {
	return &pool{dial: d, limit: limit, slots: make(chan struct{}, limit)}
}

// wait gives a turn; done gives it back.
func (p *pool) wait(ctx context.Context) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", mailbox.ErrUnreachable, context.Cause(ctx))
	}
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", mailbox.ErrUnreachable, context.Cause(ctx))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		<-p.slots
		return fmt.Errorf("%w: the backend is closed", mailbox.ErrUnreachable)
	}
	p.busy++
	return nil
}

// get gives the session of a user.
func (p *pool) get(ctx context.Context, user string) (*session, error) {
	if s := p.reuse(user); s != nil {
		stop := context.AfterFunc(ctx, s.close)
		s.allow()
		err := s.client.Noop().Wait()
		if stop() && err == nil {
			return s, nil
		}
		s.close()
	}
	return p.dial.open(ctx, user)
}

// reuse takes an unused session of the user; without one it makes room for a new one.
func (p *pool) reuse(user string) *session {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, s := range p.unused {
		if s.user == user {
			p.unused = append(p.unused[:i], p.unused[i+1:]...)
			return s
		}
	}
	for len(p.unused) > 0 && p.busy+len(p.unused) > p.limit {
		p.unused[0].close()
		p.unused = p.unused[1:]
	}
	return nil
}

// done ends a turn. The session, if there is one, may be used again.
func (p *pool) done(s *session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy--
	<-p.slots
	if s == nil {
		return
	}
	if p.closed {
		s.close()
		return
	}
	s.idle = time.Now()
	p.unused = append(p.unused, s)
	time.AfterFunc(keep, p.sweep)
}

// sweep closes what was not used again.
func (p *pool) sweep() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.unused) > 0 && time.Since(p.unused[0].idle) >= keep {
		p.unused[0].close()
		p.unused = p.unused[1:]
	}
}

// close ends all sessions; those in use end with their operation.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, s := range p.unused {
		s.close()
	}
	p.unused = nil
}
