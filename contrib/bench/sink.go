package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"time"
)

// A sink takes every message and counts it. It offers PIPELINING, as real servers do.
type sink struct {
	listener net.Listener
	taken    atomic.Int64
}

func newSink() (*sink, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &sink{listener: l}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	return s, nil
}

func (s *sink) addr() string { return s.listener.Addr().String() }
func (s *sink) port() int    { return s.listener.Addr().(*net.TCPAddr).Port }
func (s *sink) close()       { _ = s.listener.Close() }

// wait blocks until the count is reached.
func (s *sink) wait(ctx context.Context, count int64, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	t := time.NewTicker(2 * time.Millisecond)
	defer t.Stop()
	for s.taken.Load() < count {
		select {
		case <-t.C:
		case <-ctx.Done():
			return fmt.Errorf("the sink has %d of %d messages after %v", s.taken.Load(), count, limit)
		}
	}
	return nil
}

func (s *sink) serve(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReaderSize(conn, 64<<10)
	w := bufio.NewWriter(conn)
	fmt.Fprint(w, "220 sink.example ESMTP\r\n")
	for {
		if r.Buffered() == 0 && w.Flush() != nil {
			return
		}
		line, err := r.ReadSlice('\n')
		if err != nil {
			return
		}
		switch verb := bytes.ToUpper(line[:min(4, len(line))]); string(verb) {
		case "EHLO":
			fmt.Fprint(w, "250-sink.example\r\n250-PIPELINING\r\n250-SIZE 104857600\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250-DSN\r\n250 SMTPUTF8\r\n")
		case "DATA":
			fmt.Fprint(w, "354 go on\r\n")
			if w.Flush() != nil || skipBody(r) != nil {
				return
			}
			n := s.taken.Add(1)
			fmt.Fprintf(w, "250 2.0.0 Ok: queued as S%d\r\n", n)
		case "QUIT":
			fmt.Fprint(w, "221 2.0.0 bye\r\n")
			_ = w.Flush()
			return
		default:
			fmt.Fprint(w, "250 2.0.0 Ok\r\n")
		}
	}
}

func skipBody(r *bufio.Reader) error {
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) == 3 && line[0] == '.' {
			return nil
		}
	}
}
