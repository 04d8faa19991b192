package source

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"time"

	"go.uber.org/zap"
)

// A listener receives syslog.
type listener struct {
	part
	addresses   []address
	networks    []netip.Prefix
	connections chan struct{} // a token for each that is open
	mode        os.FileMode
	machine     string // our host name
	first       time.Duration
}

// newListener makes the listener of a valid configuration.
func newListener(p part, cfg Config) (*listener, error) {
	machine, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("source %s: %w", cfg.Name, err)
	}
	mode, err := strconv.ParseUint(cfg.SocketMode, 8, 9)
	if err != nil {
		return nil, fmt.Errorf("source %s: mode of sockets: %w", cfg.Name, err)
	}
	l := &listener{
		part: p, networks: cfg.Networks, connections: make(chan struct{}, cfg.Connections),
		mode: os.FileMode(mode), machine: machine, first: firstPause,
	}
	for _, text := range cfg.Syslog {
		a, err := parseAddress(text)
		if err != nil {
			return nil, fmt.Errorf("source %s: %s: %w", cfg.Name, text, err)
		}
		l.addresses = append(l.addresses, a)
	}
	return l, nil
}

// Follow implements [Source]. What was sent while nobody listened is a gap.
func (l *listener) Follow(ctx context.Context, cursor string, take Take) error {
	f := l.feed(take, kindSyslog)
	f.resume(cursor)
	sockets, err := l.open(ctx)
	if err != nil {
		return err
	}
	if cursor != "" && len(f.gaps) == 0 {
		f.lost(f.since(), "nobody listened")
	}
	opened := l.now()
	for i := range f.gaps {
		f.gaps[i].To = opened
	}
	ctx, cancel := context.WithCancel(ctx)
	q := newQueue()
	var all sync.WaitGroup
	for _, s := range sockets {
		all.Go(func() { l.serve(ctx, s, q) })
	}
	defer func() {
		cancel()
		for _, s := range sockets {
			s.Close() // nothing is written to it
		}
		all.Wait()
	}()
	return l.pump(ctx, f, q, opened)
}

// open opens all addresses, as soon as that is possible.
func (l *listener) open(ctx context.Context) ([]socket, error) {
	trouble := condition{log: l.log, first: l.first}
	for {
		var sockets []socket
		var err error
		for _, a := range l.addresses {
			var s socket
			if s, err = a.open(l.mode); err != nil {
				err = fmt.Errorf("listen on %s: %w", a, err)
				break
			}
			sockets = append(sockets, s)
		}
		if err == nil {
			trouble.passed()
			return sockets, nil
		}
		for _, s := range sockets {
			err = errors.Join(err, s.Close())
		}
		if err := trouble.failed(ctx, err); err != nil {
			return nil, err
		}
	}
}

// pump hands on what comes in. What came a moment ago may still be in the kernel.
func (l *listener) pump(ctx context.Context, f *feed, q *queue, opened time.Time) error {
	quiet := time.NewTicker(l.idle)
	defer quiet.Stop()
	for {
		at := l.now().Add(-l.settle())
		if at.Before(opened) {
			at = opened
		}
		b, gaps := q.drain(at)
		f.gaps = append(f.gaps, gaps...)
		if f.due(&b) {
			if err := f.send(ctx, b); err != nil {
				return err
			}
		}
		if !b.Caught {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-q.ready:
		case <-quiet.C:
		}
	}
}

// serve reads a socket until it is closed.
func (l *listener) serve(ctx context.Context, s socket, q *queue) {
	var err error
	switch s := s.(type) {
	case net.Listener:
		err = l.accept(ctx, s, q)
	case *net.UDPConn:
		err = l.receive(ctx, s, q)
	case *net.UnixConn:
		err = l.receiveUnix(ctx, s, q)
	}
	if ctx.Err() == nil {
		l.log.Error("listening ended", zap.Error(err))
	}
}

// allows says whether a peer may send log lines.
func (l *listener) allows(peer netip.Addr) bool {
	for _, n := range l.networks {
		if n.Contains(peer.Unmap().WithZone("")) {
			return true
		}
	}
	return false
}
