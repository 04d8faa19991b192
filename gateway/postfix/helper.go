package postfix

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"
)

// ErrAway says that the helper cannot be reached, is silent, or broke off. What was asked may have
// been done; it may be asked again.
var ErrAway = errors.New("the postfix helper is away")

// ErrNotFound says that a message is in no queue.
var ErrNotFound = errors.New("the message is not in Postfix's queue")

// ErrDifferent says that a queue id belongs to another message than the one meant.
var ErrDifferent = errors.New("another message has this queue id")

// A Helper asks the root helper. It keeps no connection: the helper may be restarted at any time.
type Helper struct {
	config Config
}

// New makes a Helper from a valid configuration. It does not connect.
func New(config Config) *Helper { return &Helper{config: config} }

// List calls fn for the messages in Postfix's queue, as postqueue lists them, until fn returns false.
// Where ids are named, only those are given. A message that moves meanwhile may come twice or be
// missed.
func (h *Helper) List(ctx context.Context, ids []string, fn func(Queued) bool) error {
	a, err := h.ask(ctx, request{Verb: verbList, Messages: byID(ids)})
	if err != nil {
		return err
	}
	defer a.Close()
	for {
		kind, data, err := a.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if kind != frameData {
			return fmt.Errorf("%w: %w", ErrAway, errAnswer)
		}
		q, err := ParseQueued(data)
		if err != nil {
			return err
		}
		if !fn(q) {
			return nil
		}
	}
}

// Hold moves messages to the hold queue: Held, NotFound, DifferentMessage or Failed for each, in
// order.
func (h *Helper) Hold(ctx context.Context, messages []Identity) ([]Result, error) {
	return h.change(ctx, verbHold, messages)
}

// Release lets held messages go at once: Released, NotHeld, NotFound, DifferentMessage or Failed for
// each, in order. A message that was held longer than maximal_queue_lifetime is returned to its
// sender by Postfix unless its first attempt succeeds.
func (h *Helper) Release(ctx context.Context, messages []Identity) ([]Result, error) {
	return h.change(ctx, verbRelease, messages)
}

// Delete holds messages and deletes those that are not under delivery: Removed, InFlight, NotFound,
// DifferentMessage or Failed for each, in order. Removed and InFlight name the recipients.
func (h *Helper) Delete(ctx context.Context, messages []Identity) ([]Result, error) {
	return h.change(ctx, verbDelete, messages)
}

// Expire sends messages back to their senders, held ones too: Expired, NotFound, DifferentMessage or
// Failed for each, in order.
func (h *Helper) Expire(ctx context.Context, messages []Identity) ([]Result, error) {
	return h.change(ctx, verbExpire, messages)
}

// Read gives a queued message: its envelope, and its content as Postfix has queued it, with LF at
// the ends of lines. The content must be closed; its last Read returns an error other than io.EOF when it was
// cut. A short queue id may be taken over by another message between two calls unless it is held.
func (h *Helper) Read(ctx context.Context, want Identity) (Envelope, *Content, error) {
	a, err := h.ask(ctx, request{Verb: verbRead, Messages: []Identity{want}})
	if err != nil {
		return Envelope{}, nil, err
	}
	e, err := a.envelope()
	if err != nil {
		_ = a.Close()
		return Envelope{}, nil, err
	}
	return e, &Content{answer: a}, nil
}

// Ready reports whether the helper answers.
func (h *Helper) Ready(ctx context.Context) error {
	_, r, err := h.Read(ctx, Identity{ID: nobody})
	if err == nil {
		return r.Close()
	}
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// nobody is a queue id that Postfix does not use: there is no inode 0.
const nobody = "000000"

// byID names messages by their ids alone.
func byID(ids []string) []Identity {
	messages := make([]Identity, len(ids))
	for i, id := range ids {
		messages[i].ID = id
	}
	return messages
}

// change asks for a verb with a result for each message, in requests of bounded size.
func (h *Helper) change(ctx context.Context, v verb, messages []Identity) ([]Result, error) {
	all := make([]Result, 0, len(messages))
	for start := 0; start < len(messages); start += portion {
		part := messages[start:min(start+portion, len(messages))]
		results, err := h.changePart(ctx, v, part)
		if err != nil {
			return all, err
		}
		all = append(all, results...)
	}
	return all, nil
}

// portion keeps a request with long addresses and header fields below maxRequest.
const portion = MaxMessages / 4

func (h *Helper) changePart(ctx context.Context, v verb, messages []Identity) ([]Result, error) {
	a, err := h.ask(ctx, request{Verb: v, Messages: messages})
	if err != nil {
		return nil, err
	}
	defer a.Close()
	results := make([]Result, 0, len(messages))
	for {
		kind, data, err := a.next()
		if errors.Is(err, io.EOF) && len(results) == len(messages) {
			return results, nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		r, err := decodeResult(kind, data)
		if err != nil || len(results) == len(messages) || r.ID != messages[len(results)].ID {
			return nil, fmt.Errorf("%w: %w", ErrAway, errAnswer)
		}
		results = append(results, r)
	}
}

var errAnswer = errors.New("its answer cannot be understood")

func decodeResult(kind byte, data []byte) (r Result, err error) {
	if kind != frameResult {
		return r, errAnswer
	}
	return r, json.Unmarshal(data, &r)
}

// ask connects and sends a question.
func (h *Helper) ask(ctx context.Context, q request) (*answer, error) {
	if err := q.check(); err != nil {
		return nil, fmt.Errorf("ask the postfix helper: %w", err)
	}
	dial := net.Dialer{Timeout: h.config.Timeout}
	c, err := dial.DialContext(ctx, "unix", h.config.Helper)
	if err != nil {
		return nil, away(ctx, err)
	}
	a := &answer{ctx: ctx, conn: c, buffer: bufio.NewReaderSize(c, pieceSize), timeout: h.config.Timeout}
	a.unwatch = context.AfterFunc(ctx, func() { _ = c.Close() })
	if err := a.question(&q); err != nil {
		_ = a.Close()
		return nil, err
	}
	return a, nil
}

// away says that the helper is, unless it was the caller who gave up.
func away(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("ask the postfix helper: %w", context.Cause(ctx))
	}
	return fmt.Errorf("%w: %w", ErrAway, err)
}

// An answer is read frame by frame.
type answer struct {
	ctx     context.Context
	conn    net.Conn
	buffer  *bufio.Reader
	timeout time.Duration
	unwatch func() bool
}

// question sends the one frame. Where the helper has refused and closed before it was all written, its
// reason is what next gives.
func (a *answer) question(q *request) error {
	data, err := json.Marshal(q)
	if err != nil {
		return fmt.Errorf("ask the postfix helper: %w", err)
	}
	if err := a.conn.SetDeadline(time.Now().Add(a.timeout)); err != nil {
		return away(a.ctx, err)
	}
	err = writeFrame(a.conn, frameRequest, data)
	if err != nil && !errors.Is(err, syscall.EPIPE) {
		return away(a.ctx, err)
	}
	return nil
}

// next gives a frame, io.EOF at the end of the answer, or what went wrong.
func (a *answer) next() (kind byte, data []byte, err error) {
	if err := a.conn.SetDeadline(time.Now().Add(a.timeout)); err != nil {
		return 0, nil, away(a.ctx, err)
	}
	kind, data, err = readFrame(a.buffer, maxFrame)
	switch {
	case err != nil:
		return 0, nil, away(a.ctx, noEOF(err))
	case kind == frameEnd && len(data) == 0:
		return 0, nil, io.EOF
	case kind == frameEnd:
		return 0, nil, fmt.Errorf("postfix helper: %s", data)
	}
	return kind, data, nil
}

// envelope reads the beginning of the answer to read.
func (a *answer) envelope() (e Envelope, err error) {
	kind, data, err := a.next()
	if err != nil {
		return e, err
	}
	r, err := decodeResult(kind, data)
	if err != nil {
		return e, fmt.Errorf("%w: %w", ErrAway, errAnswer)
	}
	switch r.Outcome {
	case Found:
	case NotFound:
		return e, ErrNotFound
	case DifferentMessage:
		return e, fmt.Errorf("%w: %s", ErrDifferent, r.Text)
	default:
		return e, fmt.Errorf("postfix helper: %s", r.Text)
	}
	kind, data, err = a.next()
	if err != nil {
		return e, err
	}
	if kind != frameEnvelope || json.Unmarshal(data, &e) != nil {
		return e, fmt.Errorf("%w: %w", ErrAway, errAnswer)
	}
	return e, nil
}

// Close ends the connection.
func (a *answer) Close() error {
	a.unwatch()
	return a.conn.Close()
}

// Content is that of a queued message, as it comes from the helper.
type Content struct {
	*answer
	rest []byte
	err  error
}

// Read gives io.EOF only when the helper has said that all is there.
func (c *Content) Read(p []byte) (int, error) {
	for len(c.rest) == 0 {
		if c.err != nil {
			return 0, c.err
		}
		var kind byte
		if kind, c.rest, c.err = c.next(); c.err == nil && kind != frameData {
			c.rest, c.err = nil, fmt.Errorf("%w: %w", ErrAway, errAnswer)
		}
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}
