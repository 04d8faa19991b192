package shell

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/pires/go-proxyproto"
)

// A Conn is a connection inside its bounds.
type Conn struct {
	net.Conn
	shell   *Shell
	buffer  *bufio.Reader
	client  netip.Addr
	counted netip.Prefix // the key under which the shell counts it; invalid when it does not

	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	reads   deadline
	writes  deadline
	waited  time.Duration // for the peer, since the last answer
	got     int64         // octets since the last answer
	busy    bool
	goodbye func()
	ack     func() // before each read; nil unless Limits.QuickAck
}

// A deadline slides, or was fixed by somebody above.
type deadline struct {
	at    time.Time
	fixed bool
}

// readBuffer holds a few hundred commands or a fair piece of a body.
const readBuffer = 16 << 10

var buffers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, readBuffer) }}

func newConn(socket net.Conn, s *Shell) *Conn {
	c := &Conn{Conn: socket, shell: s, buffer: buffers.Get().(*bufio.Reader)}
	c.buffer.Reset((*source)(c))
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.client = addrOf(socket.RemoteAddr())
	if s.limits.QuickAck {
		c.ack = quickAck(socket)
	}
	return c
}

// release gives the buffer back. Nobody reads any more.
func (c *Conn) release() {
	c.buffer.Reset(nil)
	buffers.Put(c.buffer)
	c.buffer = nil
}

// Client is the address of the peer, or of the client for whom a balancer speaks; the zero Addr
// when the balancer does not say.
func (c *Conn) Client() netip.Addr { return c.client }

// Context ends when the connection is closed.
func (c *Conn) Context() context.Context { return c.ctx }

// Buffer is the connection's own read buffer, for those who read lines. It is valid until the
// handler returns.
func (c *Conn) Buffer() *bufio.Reader { return c.buffer }

// Read reads through the buffer.
func (c *Conn) Read(p []byte) (int, error) { return c.buffer.Read(p) }

// Write writes to the peer, which may pause as long as the limits allow. It is taken for an answer:
// the time that the peer may take for its next word starts anew.
func (c *Conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	c.waited, c.got = 0, 0
	err := c.slide(&c.writes, c.shell.limits.Idle, c.Conn.SetWriteDeadline)
	c.mu.Unlock()
	if err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// Close closes the socket and ends the context. It may be called more than once.
func (c *Conn) Close() error {
	c.cancel()
	return c.Conn.Close()
}

// Busy says that something is under way which Drain must wait for.
func (c *Conn) Busy() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy = true
}

// Idle says that nothing is under way. When the shell is draining, now or later, goodbye is called
// and the connection closed; goodbye may be called by another goroutine.
func (c *Conn) Idle(goodbye func()) {
	c.mu.Lock()
	c.busy, c.goodbye = false, goodbye
	c.mu.Unlock()
	if c.shell.isDraining() {
		c.leave()
	}
}

// leave ends the connection if it is idle.
func (c *Conn) leave() {
	c.mu.Lock()
	goodbye, busy := c.goodbye, c.busy
	c.mu.Unlock()
	if busy {
		return
	}
	if goodbye != nil {
		goodbye()
	}
	c.Close()
}

// SetDeadline fixes both deadlines; the zero time lets them slide again.
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline fixes the deadline of reads; the zero time lets it slide again.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reads = deadline{fixed: !t.IsZero()}
	return c.Conn.SetReadDeadline(t)
}

// SetWriteDeadline fixes the deadline of writes; the zero time lets it slide again.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writes = deadline{fixed: !t.IsZero()}
	return c.Conn.SetWriteDeadline(t)
}

// slide moves a deadline to left from now; c.mu is held. One that is at most an eighth of the
// idle limit too early stays, because setting it costs about as much as a small read.
func (c *Conn) slide(d *deadline, left time.Duration, set func(time.Time) error) error {
	if d.fixed || c.shell.limits.Idle <= 0 {
		return nil
	}
	at := time.Now().Add(left)
	if early := at.Sub(d.at); early >= 0 && early <= c.shell.limits.Idle/8 && left > c.shell.limits.Idle/8 {
		return nil
	}
	d.at = at
	return set(at)
}

// source is the socket under the buffer.
type source Conn

// Read waits for the peer no longer than the limits allow.
func (s *source) Read(p []byte) (int, error) {
	c := (*Conn)(s)
	c.mu.Lock()
	left := c.patience()
	err := os.ErrDeadlineExceeded
	if left > 0 {
		err = c.slide(&c.reads, left, c.Conn.SetReadDeadline)
	}
	c.mu.Unlock()
	if err != nil {
		return 0, err
	}
	if c.ack != nil {
		c.ack()
	}
	start := time.Now()
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waited += time.Since(start)
	c.got += int64(n)
	return n, err
}

// patience is how much longer the peer is waited for; c.mu is held. Only time spent waiting for it
// counts, not what we took ourselves.
func (c *Conn) patience() time.Duration {
	l := c.shell.limits
	if l.Idle <= 0 {
		return time.Hour
	}
	if l.MinRate <= 0 {
		return l.Idle
	}
	earned := time.Duration(float64(c.got) / float64(l.MinRate) * float64(time.Second))
	return min(l.Idle, l.Idle+earned-c.waited)
}

// headerTimeout is how long a balancer may take for its PROXY header.
const headerTimeout = 10 * time.Second

// identify reads the PROXY header of a balancer.
func (c *Conn) identify(balancers []netip.Prefix) error {
	from := func(p netip.Prefix) bool { return p.Contains(c.client) }
	if !c.client.IsValid() || !slices.ContainsFunc(balancers, from) {
		return nil
	}
	if err := c.SetReadDeadline(time.Now().Add(headerTimeout)); err != nil {
		return err
	}
	header, err := proxyproto.Read(c.buffer)
	if err != nil {
		return fmt.Errorf("read the PROXY header: %w", err)
	}
	c.client = netip.Addr{}
	if header.Command == proxyproto.PROXY {
		c.client = addrOf(header.SourceAddr)
	}
	return c.SetReadDeadline(time.Time{})
}

// addrOf is the IP address in a socket address, without zone; the zero Addr when there is none.
func addrOf(a net.Addr) netip.Addr {
	tcp, ok := a.(*net.TCPAddr)
	if !ok || tcp == nil {
		return netip.Addr{}
	}
	return tcp.AddrPort().Addr().Unmap().WithZone("")
}
