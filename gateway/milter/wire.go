package milter

import (
	"io"
	"net"
	"sync"

	"github.com/sendgate/sendgate/gateway/shell"
)

// A wire is a connection as the library sees it. Every write of the library is one packet.
type wire struct {
	*shell.Conn
	closed chan struct{}
	once   sync.Once

	stage   wireStage
	pending []byte // packets that wait for the answer
}

// wireStage says what the next packet is.
type wireStage byte

const (
	inDialogue wireStage = iota
	gathering            // modifications at the end of a message, sent with the answer
	concluding           // the answer to the end of a message
)

func newWire(c *shell.Conn) *wire { return &wire{Conn: c, closed: make(chan struct{})} }

// Read takes every failure for the end of the connection, about which the library says nothing unless
// it comes inside a packet. The shell's limits are what usually fails.
func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if err != nil {
		err = io.EOF
	}
	return n, err
}

// Write sends a packet, or keeps it for the answer. After the answer to a message the connection may
// be drained.
func (w *wire) Write(p []byte) (int, error) {
	if w.stage == gathering {
		w.pending = append(w.pending, p...)
		return len(p), nil
	}
	packets := p
	if len(w.pending) > 0 {
		packets = append(w.pending, p...)
		w.pending = nil
	}
	if _, err := w.Conn.Write(packets); err != nil {
		return 0, err
	}
	if w.stage == concluding {
		w.stage = inDialogue
		w.Idle(nil)
	}
	return len(p), nil
}

// gather keeps packets from now on.
func (w *wire) gather() { w.stage = gathering }

// drop forgets what was gathered.
func (w *wire) drop() { w.pending = nil }

// conclude sends what was gathered with the next packet.
func (w *wire) conclude() { w.stage = concluding }

// Close ends the connection, and what serves it.
func (w *wire) Close() error {
	w.once.Do(func() { close(w.closed) })
	return w.Conn.Close()
}

// oneShot is a listener that yields one connection and ends with it.
type oneShot struct {
	conn  *wire
	given bool
}

// Accept gives the connection, and at the second time waits for its end.
func (l *oneShot) Accept() (net.Conn, error) {
	if !l.given {
		l.given = true
		return l.conn, nil
	}
	<-l.conn.closed
	return nil, net.ErrClosed
}

// Close does nothing: the connection is the session's.
func (l *oneShot) Close() error { return nil }

// Addr is our end of the connection.
func (l *oneShot) Addr() net.Addr { return l.conn.LocalAddr() }
