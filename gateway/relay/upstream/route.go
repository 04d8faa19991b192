package upstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// downFor is how long a server that failed is asked last.
const downFor = 30 * time.Second

// A server is one address of an upstream, and whether it was away when last seen.
type server struct {
	Server
	down  atomic.Int64 // Unix nanoseconds until which it counts as away; 0 when it answered
	clear atomic.Bool  // it was said that TLS does not work
}

func (s *server) away(now time.Time) bool { return s.down.Load() > now.UnixNano() }

// order gives the servers in the order in which they are to be asked: those that answer first, by
// priority, equals in turn.
func (u *Upstream) order() []*server {
	if len(u.servers) == 1 {
		return u.servers
	}
	now, turn := time.Now(), int(u.turn.Add(1))
	list := make([]*server, 0, len(u.servers))
	for rest := u.servers; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].Priority == rest[0].Priority {
			n++
		}
		first := turn % n
		list = append(append(list, rest[first:n]...), rest[:first]...)
		rest = rest[n:]
	}
	slices.SortStableFunc(list, func(a, b *server) int {
		switch a, b := a.away(now), b.away(now); {
		case a == b:
			return 0
		case b:
			return -1
		}
		return 1
	})
	return list
}

// A route is the search for a server that takes a message.
type route struct {
	up      *Upstream
	why     purpose
	client  *Client
	key     poolKey
	looked  bool // for an idle connection
	started bool
	servers []*server // not yet asked
	errs    []error
}

// pooled gives an idle connection, once.
func (r *route) pooled() *Conn {
	if r.looked {
		return nil
	}
	r.looked = true
	return r.up.pool.take(r.key)
}

// connect gives a connection to the next server that answers.
func (r *route) connect(ctx context.Context) (*Conn, error) {
	if !r.started {
		r.started, r.servers = true, r.up.order()
	}
	for len(r.servers) > 0 && ctx.Err() == nil {
		s := r.servers[0]
		r.servers = r.servers[1:]
		c, err := r.up.dial(ctx, s, r.why, r.client)
		if err == nil {
			s.down.Store(0)
			c.client, c.key = *r.client, r.key
			return c, nil
		}
		r.failed(ctx, s, err)
	}
	return nil, r.err(ctx)
}

// failed takes note of a server that cannot be used now.
func (r *route) failed(ctx context.Context, s *server, err error) {
	r.errs = append(r.errs, fmt.Errorf("%s: %w", s.Address, err))
	if ctx.Err() != nil {
		return // it was not the server
	}
	now := time.Now()
	if !s.away(now) {
		r.up.warn(s, "server away", err)
	}
	s.down.Store(now.Add(downFor).UnixNano())
}

// err says why no server is left.
func (r *route) err(ctx context.Context) error {
	if len(r.errs) == 0 {
		return because(ctx, "connect", context.Cause(ctx))
	}
	return errors.Join(r.errs...)
}

func (u *Upstream) warn(s *server, text string, err error) {
	u.log.Warn(text, zap.String("upstream", u.config.Name), zap.String("server", s.Address), zap.Error(err))
}
