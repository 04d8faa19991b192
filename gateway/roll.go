package gateway

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sendgate/sendgate/gateway/relay/upstream"
)

// rollTimeout bounds a question to an upstream that nobody waits for any more.
const rollTimeout = time.Minute

// errSilent is for an upstream that has not answered since the start.
var errSilent = errors.New("it has not answered yet")

// A roll remembers how upstreams answered last. One that is slow is what it was before, until its answer is there. It is
// safe for concurrent use.
type roll struct {
	mu    sync.Mutex
	calls map[string]*call
}

// A call is what is known of an upstream.
type call struct {
	pending chan struct{} // closed with the answer; nil while nobody asks
	err     error
}

// An answering part is an upstream.
type answering interface {
	Name() string
	Capabilities(ctx context.Context) (upstream.Capabilities, error)
}

// ask gives the answer of an upstream, or its last one when it takes longer than ctx.
func (r *roll) ask(ctx context.Context, u answering) error {
	r.mu.Lock()
	if r.calls == nil {
		r.calls = map[string]*call{}
	}
	c := r.calls[u.Name()]
	if c == nil {
		c = &call{err: errSilent}
		r.calls[u.Name()] = c
	}
	if c.pending == nil {
		c.pending = make(chan struct{})
		go r.answer(c, u)
	}
	pending := c.pending
	r.mu.Unlock()
	select {
	case <-pending:
	case <-ctx.Done():
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return c.err
}

// answer waits for an upstream; its own time-outs, and its end, bound that.
func (r *roll) answer(c *call, u answering) {
	ctx, cancel := context.WithTimeout(context.Background(), rollTimeout)
	defer cancel()
	_, err := u.Capabilities(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	c.err = err
	close(c.pending)
	c.pending = nil
}
