package postfix

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/sendgate/sendgate/gateway/shell"
	"go.uber.org/zap"
)

// caller is who asks, as the kernel knows it.
type caller struct{ uid, pid int }

var errBusy = errors.New("too many connections to the helper; try again")

// errCaller tells somebody who has no business here what is the matter.
func (s *Server) admit(who caller) error {
	if who.uid == 0 || who.uid == s.config.UID {
		return nil
	}
	return fmt.Errorf("user %d may not ask: only root and user %d may", who.uid, s.config.UID)
}

// answer is the life of a connection: who asks, the question, its answer.
func (s *Server) answer(ctx context.Context, c *shell.Conn) {
	c.Busy()
	w := bufio.NewWriterSize(c, pieceSize)
	who, err := s.converse(ctx, c, w)
	if err != nil {
		s.log.Warn("refused", zap.Int("uid", who.uid), zap.Int("pid", who.pid), zap.Error(err))
	}
	// A peer that has gone misses the end of its answer, and nothing else.
	_, _ = w.WriteString(endFrame(err))
	_ = w.Flush()
}

// endFrame is the frame that ends an answer.
func endFrame(err error) string {
	var b bytes.Buffer
	text := ""
	if err != nil {
		text = err.Error()
	}
	_ = writeFrame(&b, frameEnd, []byte(text)) // a Buffer takes everything
	return b.String()
}

func (s *Server) converse(ctx context.Context, c *shell.Conn, w *bufio.Writer) (who caller, err error) {
	socket, ok := c.Conn.(*net.UnixConn)
	if !ok {
		return who, errors.New("not a unix socket")
	}
	if who, err = peerOf(socket); err != nil {
		return who, err
	}
	if err := s.admit(who); err != nil {
		return who, err
	}
	q, err := readQuestion(c)
	if err != nil {
		return who, err
	}
	switch q.Verb {
	case verbList:
		return who, s.list(ctx, q, who, w)
	case verbRead:
		return who, s.read(&q.Messages[0], who, w)
	}
	results := s.act(ctx, q.Verb, q.Messages)
	s.record(q.Verb, who, results)
	for i := range results {
		if err := writeJSON(w, frameResult, &results[i]); err != nil {
			return who, fmt.Errorf("%w: %w", errBroken, err)
		}
	}
	return who, nil
}

// readQuestion reads the one frame that a peer may send.
func readQuestion(c *shell.Conn) (request, error) {
	if err := c.SetReadDeadline(time.Now().Add(questionTime)); err != nil {
		return request{}, err
	}
	kind, data, err := readFrame(c, maxRequest)
	if err != nil {
		return request{}, fmt.Errorf("read the request: %w", err)
	}
	if kind != frameRequest {
		return request{}, fmt.Errorf("the request cannot be understood: it begins with %q", kind)
	}
	return decodeRequest(data)
}

// list passes postqueue's lines on, all or those of the ids that were named.
func (s *Server) list(ctx context.Context, q request, who caller, w io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wanted := make(map[string]bool, len(q.Messages))
	for i := range q.Messages {
		wanted[q.Messages[i].ID] = true
	}
	out, lines := io.Pipe()
	var said string
	ran := make(chan error, 1)
	go func() {
		var err error
		said, err = s.programs.run(ctx, nil, lines, s.programs.postqueue, "-j")
		_ = lines.CloseWithError(io.EOF) // never fails
		ran <- err
	}()
	n, err := passLines(out, wanted, w)
	cancel2 := func() { cancel(); _ = out.CloseWithError(errBroken) }
	if err != nil {
		cancel2()
	}
	failure := <-ran
	s.log.Info("listed", zap.Int("messages", n), zap.Int("uid", who.uid), zap.Int("pid", who.pid))
	switch {
	case err != nil:
		return err
	case failure != nil:
		return fmt.Errorf("%w: %s", failure, brief(said))
	}
	return nil
}
