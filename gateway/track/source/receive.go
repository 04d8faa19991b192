package source

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"go.uber.org/zap"
)

// accept serves the connections of a stream socket.
func (l *listener) accept(ctx context.Context, s net.Listener, q *queue) error {
	var all sync.WaitGroup
	defer all.Wait()
	var warning seldom
	for {
		c, err := s.Accept()
		if err != nil { // out of file descriptors, or the peer has gone
			if err := l.survive(ctx, err); err != nil {
				return err
			}
			continue
		}
		if err := l.admits(c); err != nil {
			c.Close() // nothing was read
			if warning.due(l.now()) {
				l.log.Warn("connection refused", zap.Stringer("peer", c.RemoteAddr()), zap.Error(err))
			}
			continue
		}
		all.Go(func() {
			defer func() { <-l.connections }()
			l.connection(ctx, c, q)
		})
	}
}

// The reasons for not listening to a peer.
var (
	errStranger = errors.New("the peer is not in networks")
	errMany     = errors.New("too many connections are open")
)

// admits checks the peer and takes a token.
func (l *listener) admits(c net.Conn) error {
	if a, ok := c.RemoteAddr().(*net.TCPAddr); ok && !l.allows(a.AddrPort().Addr()) {
		return errStranger
	}
	select {
	case l.connections <- struct{}{}:
		return nil
	default:
		return errMany
	}
}

// A seldom thing is said once a minute.
type seldom struct{ last time.Time }

func (s *seldom) due(now time.Time) bool {
	if now.Sub(s.last) < time.Minute {
		return false
	}
	s.last = now
	return true
}

// connection reads messages until the peer closes.
func (l *listener) connection(ctx context.Context, c net.Conn, q *queue) {
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer func() {
		stop()
		c.Close()
	}()
	in := messageReader{stamper: l.stamper, host: l.machine}
	if a, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		in.host = a.AddrPort().Addr().Unmap().String()
	}
	frames := frameReader{bufio.NewReader(c)}
	last := l.now()
	for {
		message, err := frames.next()
		switch {
		case ctx.Err() != nil || errors.Is(err, io.EOF):
			return
		case err != nil:
			q.lost(Gap{From: last, To: l.now(), Reason: fmt.Sprintf("the connection from %s ended within a message: %v", in.host, err)})
			return
		}
		last = l.now()
		if raw, ok := in.raw(message); ok && q.put(ctx, raw) != nil {
			return
		}
	}
}

// receive reads datagrams of the network.
func (l *listener) receive(ctx context.Context, c *net.UDPConn, q *queue) error {
	buf, oob := make([]byte, maxMessage), make([]byte, 128)
	count, last := uint32(0), l.now()
	var warning seldom
	for {
		n, size, _, peer, err := c.ReadMsgUDPAddrPort(buf, oob)
		if err != nil {
			if err := l.survive(ctx, err); err != nil {
				return err
			}
			continue
		}
		now, from := l.now(), peer.Addr().Unmap()
		arrived, drops := readNews(oob[:size])
		if arrived.IsZero() {
			arrived = now
		}
		if drops != count {
			count = drops
			q.lost(Gap{From: last, To: arrived, Reason: "the kernel dropped datagrams: they came faster than they were read"})
		}
		last = arrived
		if !l.allows(from) {
			if warning.due(now) {
				l.log.Warn("datagram refused", zap.Stringer("peer", from), zap.Error(errStranger))
			}
			continue
		}
		if err := l.put(ctx, q, from.String(), buf[:n]); err != nil {
			return err
		}
	}
}

// survive waits after an error that need not end a socket.
func (l *listener) survive(ctx context.Context, err error) error {
	if errors.Is(err, net.ErrClosed) {
		return err
	}
	return wait(ctx, l.first)
}

// receiveUnix reads datagrams of this machine. Their senders wait when the queue is full.
func (l *listener) receiveUnix(ctx context.Context, c *net.UnixConn, q *queue) error {
	buf := make([]byte, maxMessage)
	for {
		n, err := c.Read(buf)
		if err != nil {
			if err := l.survive(ctx, err); err != nil {
				return err
			}
			continue
		}
		if err := l.put(ctx, q, l.machine, buf[:n]); err != nil {
			return err
		}
	}
}

// put queues a datagram's message.
func (l *listener) put(ctx context.Context, q *queue, host string, datagram []byte) error {
	raw, ok := messageReader{stamper: l.stamper, host: host}.raw(append([]byte(nil), datagram...))
	if !ok {
		return nil
	}
	return q.put(ctx, raw)
}
