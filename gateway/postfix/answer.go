package postfix

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/sendgate/sendgate/gateway/shell"
	"go.uber.org/zap"
)

// caller is who asks, as the kernel knows it.
type caller struct{ uid, pid int }

var (
	errBusy      = errors.New("too many connections to the helper; try again")
	errNotUnix   = errors.New("not a unix socket")
	errLineLong  = errors.New("a line of the queue listing is too long")
	errQuestions = errors.New("the request cannot be understood: it is not a request frame")
)

// answer is the life of a connection: who asks, the question, its answer.
func (s *Server) answer(ctx context.Context, c *shell.Conn) {
	w := bufio.NewWriterSize(c, pieceSize)
	who, q, err := s.question(c)
	c.Busy()
	l := auditLog{s.log.With(zap.Int("uid", who.uid), zap.Int("pid", who.pid))}
	if err != nil {
		l.refused(err)
	} else if err = s.reply(ctx, q, w, l); err != nil && !errors.Is(err, syscall.EPIPE) {
		l.trouble(q.Verb, err)
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

// question reads who asks and the one frame that a peer may send.
func (s *Server) question(c *shell.Conn) (who caller, q request, err error) {
	socket, ok := c.Conn.(*net.UnixConn)
	if !ok {
		return who, q, errNotUnix
	}
	if who, err = peerOf(socket); err != nil {
		return who, q, err
	}
	if err := s.admit(who); err != nil {
		return who, q, err
	}
	if err := c.SetReadDeadline(time.Now().Add(questionTime)); err != nil {
		return who, q, err
	}
	kind, data, err := readFrame(c, maxRequest)
	switch {
	case err != nil:
		return who, q, fmt.Errorf("the request cannot be understood: %w", err)
	case kind != frameRequest:
		return who, q, errQuestions
	}
	q, err = decodeRequest(data)
	return who, q, err
}

// admit lets root in and the one user that the helper works for.
func (s *Server) admit(who caller) error {
	if who.uid == 0 || who.uid == s.config.UID {
		return nil
	}
	return fmt.Errorf("user %d may not ask: only root and user %d may", who.uid, s.config.UID)
}

// reply does what was asked.
func (s *Server) reply(ctx context.Context, q request, w *bufio.Writer, l auditLog) error {
	switch q.Verb {
	case verbList:
		return s.list(ctx, q, w, l)
	case verbRead:
		return s.read(&q.Messages[0], w, l)
	}
	results := s.act(ctx, q.Verb, q.Messages)
	l.acted(q.Verb, results)
	for i := range results {
		if err := writeJSON(w, frameResult, &results[i]); err != nil {
			return err
		}
	}
	return nil
}

// list passes postqueue's lines on, all or those of the ids that were named.
func (s *Server) list(ctx context.Context, q request, w *bufio.Writer, l auditLog) error {
	lines := &lister{w: w}
	for i := range q.Messages {
		if lines.wanted == nil {
			lines.wanted = map[string]bool{}
		}
		lines.wanted[q.Messages[i].ID] = true
	}
	said, err := s.programs.run(ctx, nil, lines, s.programs.postqueue, "-j")
	l.listed(lines.passed)
	if lines.err != nil { // or else postqueue's own end says why it got nowhere
		return lines.err
	}
	if err != nil {
		return fmt.Errorf("%w: %s", err, brief(said))
	}
	return nil
}

// A lister writes each line in a frame of its own.
type lister struct {
	w      *bufio.Writer
	wanted map[string]bool // nil for all
	passed int
	line   []byte
	err    error
}

func (l *lister) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0 && l.err == nil; {
		piece, after, whole := bytes.Cut(rest, []byte("\n"))
		if l.line, rest = append(l.line, piece...), after; len(l.line) > maxFrame {
			l.err = errLineLong
		} else if whole {
			l.err = l.pass()
			l.line = l.line[:0]
		}
	}
	return len(p), l.err
}

func (l *lister) pass() error {
	if l.wanted != nil {
		if q, err := ParseQueued(l.line); err != nil || !l.wanted[q.ID] {
			return err
		}
	}
	l.passed++
	return writeFrame(l.w, frameData, l.line)
}

// read passes a queue file on: result, envelope, content. All come from one open file.
func (s *Server) read(want *Identity, w *bufio.Writer, l auditLog) error {
	r := Result{ID: want.ID, Outcome: Found}
	f, queue, err := s.spool.open(want.ID)
	var e Envelope
	if err == nil {
		defer f.Close()
		e, err = check(f, queue, want)
	}
	if err != nil {
		r.Outcome, r.Text = outcomeOf(err), err.Error()
	}
	l.acted(verbRead, []Result{r})
	if failed := writeJSON(w, frameResult, &r); failed != nil || err != nil {
		return failed
	}
	if err := writeJSON(w, frameEnvelope, &e); err != nil {
		return err
	}
	return passContent(f, w)
}

// passContent writes the content of a queue file in pieces.
func passContent(f *os.File, w *bufio.Writer) error {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	q, err := readable(f)
	if err != nil {
		return err
	}
	if err := q.head(); err != nil {
		return err
	}
	pieces := bufio.NewWriterSize(pieceWriter{w}, pieceSize)
	if err := q.content(pieces); err != nil {
		return err
	}
	return pieces.Flush()
}

// A pieceWriter makes a frame of each piece.
type pieceWriter struct{ w *bufio.Writer }

func (p pieceWriter) Write(data []byte) (int, error) {
	if err := writeFrame(p.w, frameData, data); err != nil {
		return 0, err
	}
	return len(data), nil
}
