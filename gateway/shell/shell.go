package shell

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// Limits bound what peers may take.
type Limits struct {
	Connections int           // open at a time; 0 is no limit
	PerClient   int           // of one client address (IPv6: /64); 0 is no limit
	Idle        time.Duration // the longest pause in a read or write
	// MinRate, in octets per second, bounds how long a peer may take over what it sends between two
	// answers: Idle, and a second for each MinRate octets.
	MinRate int
	// QuickAck has the kernel acknowledge every packet at once. A peer that writes in small pieces and
	// waits for no answer between them (a milter client) otherwise stands still for 40 ms: its Nagle
	// algorithm waits for our delayed acknowledgement.
	QuickAck bool
}

// A Port is a listener with what is particular to it.
type Port struct {
	net.Listener
	// ProxyFrom are the balancers whose connections begin with a PROXY header.
	ProxyFrom []netip.Prefix
	// Refusal is written to a connection that is one too many; empty where the peer would not
	// understand it (TLS from the first octet).
	Refusal string
}

// A Shell accepts connections, bounds them and drains them.
type Shell struct {
	limits Limits
	log    *zap.Logger

	mu       sync.Mutex
	draining bool
	ports    []net.Listener
	open     map[*Conn]struct{}
	clients  map[netip.Prefix]int
	handlers sync.WaitGroup
	trouble  atomic.Pointer[trouble] // why the last accept failed; nil when it did not
}

// New makes a shell. Its caps hold over all of its ports together.
func New(limits Limits, log *zap.Logger) *Shell {
	return &Shell{
		limits:  limits,
		log:     log,
		open:    map[*Conn]struct{}{},
		clients: map[netip.Prefix]int{},
	}
}

// Open is how many connections there are.
func (s *Shell) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

// Serve accepts on a port until Drain, and calls handle for each connection in its own goroutine.
// The connection is closed when handle returns. It returns nil after Drain.
func (s *Shell) Serve(port Port, handle func(*Conn)) error {
	s.mu.Lock()
	if s.draining {
		s.mu.Unlock()
		return port.Close()
	}
	s.ports = append(s.ports, port.Listener)
	s.mu.Unlock()

	pause := minPause
	for {
		socket, err := port.Accept()
		switch {
		case err == nil:
			pause = minPause
			s.trouble.Store(nil)
			s.admit(socket, port, handle)
		case s.isDraining():
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accept on %v: %w", port.Addr(), err)
		default: // out of file descriptors, or a peer gone before it was accepted
			s.trouble.Store(&trouble{err, time.Now()})
			s.log.Warn("cannot accept", zap.Stringer("port", port.Addr()), zap.Error(err))
			time.Sleep(pause)
			pause = min(2*pause, maxPause)
		}
	}
}

// Between two attempts to accept when accepting fails.
const (
	minPause = 5 * time.Millisecond
	maxPause = time.Second
)

func (s *Shell) isDraining() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.draining
}

// admit starts the goroutine of a connection, or refuses it when there are too many.
func (s *Shell) admit(socket net.Conn, port Port, handle func(*Conn)) {
	c := newConn(socket, s)
	s.mu.Lock()
	full := s.limits.Connections > 0 && len(s.open) >= s.limits.Connections
	gone := s.draining
	if !full && !gone {
		s.open[c] = struct{}{}
		s.handlers.Add(1)
	}
	s.mu.Unlock()
	if full {
		refuse(socket, port.Refusal)
	}
	if full || gone {
		c.Close()
		c.release()
		return
	}
	go s.run(c, port, handle)
}

// run is the life of a connection.
func (s *Shell) run(c *Conn, port Port, handle func(*Conn)) {
	defer s.handlers.Done()
	defer s.forget(c)
	defer c.release()
	defer c.Close()
	if err := c.identify(port.ProxyFrom); err != nil {
		s.log.Warn("connection dropped", zap.Stringer("peer", c.RemoteAddr()), zap.Error(err))
		return
	}
	if !s.count(c) {
		refuse(c.Conn, port.Refusal)
		return
	}
	handle(c)
}

// count adds a connection to those of its client, unless it is one too many.
func (s *Shell) count(c *Conn) bool {
	if !c.client.IsValid() {
		return true
	}
	key := clientKey(c.client)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.limits.PerClient > 0 && s.clients[key] >= s.limits.PerClient {
		return false
	}
	s.clients[key]++
	c.counted = key
	return true
}

func (s *Shell) forget(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
	if !c.counted.IsValid() {
		return
	}
	if s.clients[c.counted]--; s.clients[c.counted] == 0 {
		delete(s.clients, c.counted)
	}
}

// clientKey is what counts as one client: an IPv4 address, an IPv6 /64.
func clientKey(a netip.Addr) netip.Prefix {
	bits := 32
	if a.Is6() {
		bits = 64
	}
	return netip.PrefixFrom(a, bits).Masked()
}

// refuse writes a line to a fresh socket, whose buffer is empty: it does not block.
func refuse(socket net.Conn, line string) {
	if line == "" || socket.SetWriteDeadline(time.Now().Add(time.Second)) != nil {
		return
	}
	// Whether it arrived is the peer's affair: the connection ends either way.
	_, _ = socket.Write([]byte(line))
}

// Drain stops accepting, ends the connections that are idle and those that become so, and at the
// end of ctx all others. It returns when every handler has returned, with ctx's error if some had
// to be cut.
func (s *Shell) Drain(ctx context.Context) error {
	s.mu.Lock()
	s.draining = true
	ports, open := s.ports, s.connections()
	s.ports = nil
	s.mu.Unlock()
	var errs []error
	for _, p := range ports {
		errs = append(errs, p.Close())
	}
	for _, c := range open {
		c.leave()
	}
	done := make(chan struct{})
	go func() {
		s.handlers.Wait()
		close(done)
	}()
	select {
	case <-done:
		return errors.Join(errs...)
	case <-ctx.Done():
	}
	s.mu.Lock()
	open = s.connections()
	s.mu.Unlock()
	for _, c := range open {
		c.Close()
	}
	<-done
	return errors.Join(append(errs, ctx.Err())...)
}

// connections lists the open ones; s.mu is held.
func (s *Shell) connections() []*Conn {
	open := make([]*Conn, 0, len(s.open))
	for c := range s.open {
		open = append(open, c)
	}
	return open
}
