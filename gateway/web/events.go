package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

const (
	eventStream = "text/event-stream"
	// heartbeatEvery keeps proxies from closing a quiet stream, and finds clients that are gone.
	heartbeatEvery = 15 * time.Second
	// eventTimeout is how long a client may take for what it is sent.
	eventTimeout = 10 * time.Second
	// namedRecipients bounds the envelopes of which live records name addresses.
	namedRecipients = 100
)

// A LiveRecord is one change as the stream of events shows it.
type LiveRecord struct {
	Batch          uint64          `json:"batch" doc:"number of the journal's batch"`
	Position       int             `json:"position" doc:"within the batch"`
	ID             string          `json:"id" doc:"sendgate's own id of the message"`
	From           string          `json:"from" doc:"envelope sender; empty is the null sender"`
	Subject        string          `json:"subject"`
	RecipientCount int             `json:"recipient_count"`
	State          policy.State    `json:"state,omitempty" doc:"as it is now; absent when the record is about no message"`
	Label          policy.Label    `json:"label,omitzero"`
	Events         []TimelineEntry `json:"events" nullable:"false" doc:"recipients are absent when it is about all of them, or there are more than 100"`
}

type eventsInput struct {
	Q           string `query:"q" maxLength:"1000" doc:"only messages that the query finds"`
	LastEventID string `header:"Last-Event-ID" maxLength:"64" doc:"go on after this id: BATCH.POSITION, or BATCH"`
}

// streamEvents writes its own frames. huma's sse package leaves a write deadline of 5 s behind each
// event, and a passed deadline resets an HTTP/2 stream; its ids are plain integers, and a batch
// has many records; it has no comments for heartbeats.
func (s *Server) streamEvents(ctx context.Context, in *eventsInput) (*huma.StreamResponse, error) {
	q, err := s.query(in.Q)
	if err != nil {
		return nil, err
	}
	// A query that cannot be answered would be a stream that stays empty.
	if _, err := s.search(ctx, q, 1, ""); err != nil {
		return nil, s.fail("search", err)
	}
	from, err := parseEventID(in.LastEventID)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		r, w := humago.Unwrap(hc)
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(s.closing, cancel)()
		out := &eventWriter{w: w, control: http.NewResponseController(w), entitled: func() bool { return s.stillIs(r) }}
		why := s.watch(ctx, out, in.Q, from)
		s.log.Debug("a stream of events ended", zap.Error(why))
	}}, nil
}

// Why streams end: the client does not keep up; its token or session is over, or is for somebody else by now.
var (
	errSlow     = errors.New("the client does not keep up")
	errEntitled = errors.New("who asked for it may see it no more")
)

// watch writes records until the context ends or the client is gone; its error says which.
func (s *Server) watch(ctx context.Context, out *eventWriter, q string, from eventID) error {
	out.begin()
	if from.batch == 0 {
		v := s.feed.join(ctx, q)
		defer s.feed.leave(v)
		if err := out.write([]byte(connectedFrame)); err != nil {
			return err
		}
		return s.pass(ctx, out, v)
	}
	if err := out.write([]byte(connectedFrame)); err != nil {
		return err
	}
	sub := s.journal.Subscribe(from.subscribe())
	// Most of what was missed is read before anything waits for the viewer.
	if err := s.catchUp(ctx, out, sub, q, from, s.feed.reached()); err != nil {
		return err
	}
	v := s.feed.join(ctx, q)
	defer s.feed.leave(v)
	if err := s.catchUp(ctx, out, sub, q, from, v.after); err != nil {
		return err
	}
	return s.pass(ctx, out, v)
}

// catchUp writes what a client has missed, up to the record named by upTo.
func (s *Server) catchUp(ctx context.Context, out *eventWriter, sub *store.Subscription, q string, from, upTo eventID) error {
	for {
		r, more, err := sub.NextUpTo(ctx, upTo.batch)
		if !more || err != nil || upTo.before(r) { // what is behind it is told by the feed
			return err
		}
		one := []store.Record{r}
		sees, err := s.selection(&audience{ctx: ctx, q: q}, one)
		if err != nil {
			return err
		}
		if !from.covers(r) && sees(r.Message) {
			if err := out.write(s.newFrames(one).of(0)); err != nil {
				return err
			}
		}
		if upTo.position >= 0 && r.Batch == upTo.batch && r.Position >= upTo.position {
			return nil
		}
	}
}

// pass writes the pieces that a viewer is handed. Who is dropped is told so, and may come back with the id of the last
// event to go on there.
func (s *Server) pass(ctx context.Context, out *eventWriter, v *viewer) error {
	beat := time.NewTicker(s.heartbeat)
	defer beat.Stop()
	for {
		select {
		case piece, ok := <-v.pieces:
			switch {
			case ok:
			case v.slow:
				return errors.Join(errSlow, out.write([]byte(droppedFrame)))
			default:
				return store.ErrClosed
			}
			if err := out.write(piece); err != nil {
				return err
			}
			v.waiting.Add(-int64(len(piece)))
		case <-beat.C:
			if err := out.write([]byte(": heartbeat\n\n")); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

const connectedFrame = ": connected\nretry: 2000\n\n"

// droppedFrame is the last one of a client that does not keep up.
const droppedFrame = `event: dropped
data: {"code":"too_slow","detail":"this stream did not keep up and is ended: connect again with the id of the last event to go on there"}

`

// A dress is what people need to recognise the message that a record is about.
type dress struct {
	from, subject string
	recipients    int
	state         policy.State
	label         policy.Label
	addresses     func() rowAddresses // read when they are first asked for
}

// dress reads the message; of what is none there is nothing to tell.
func (s *Server) dress(id policy.ID) *dress {
	d := &dress{addresses: func() rowAddresses { return rowAddresses{} }}
	m, err := s.journal.Message(id)
	if err != nil {
		return d
	}
	d.from, d.subject, d.recipients = string(m.Envelope.Sender), m.Envelope.Subject, m.Counted()
	d.state, d.label = policy.Aggregate(m.States)
	if m.Recipients <= namedRecipients {
		d.addresses = sync.OnceValue(func() rowAddresses {
			rows, err := s.journal.Recipients(id)
			if err != nil {
				return rowAddresses{}
			}
			return addressesOfRows(rows)
		})
	}
	return d
}

// live is a record as it is shown.
func (s *Server) live(r *store.Record, d *dress) *LiveRecord {
	v := &LiveRecord{
		Batch: r.Batch, Position: r.Position, ID: r.Message.String(), Events: make([]TimelineEntry, len(r.Events)),
		From: d.from, Subject: d.subject, RecipientCount: d.recipients, State: d.state, Label: d.label,
	}
	for i := range r.Events {
		v.Events[i] = s.eventView(&r.Events[i])
		if r.Events[i].Recipients != nil {
			v.Events[i].Recipients = d.addresses().of(&r.Events[i])
		}
	}
	return v
}

// An eventID names a record as the last one that a client has seen. Position -1 is the end of the batch.
type eventID struct {
	batch    uint64
	position int
}

// parseEventID reads what the stream gave out, or a number of a batch; empty is "from now on".
func parseEventID(text string) (eventID, error) {
	if text == "" {
		return eventID{}, nil
	}
	batch, position, both := strings.Cut(text, ".")
	n, err := strconv.ParseUint(batch, 10, 63)
	id := eventID{batch: n, position: -1}
	if err == nil && both {
		id.position, err = strconv.Atoi(position)
		if err == nil && id.position < 0 {
			err = strconv.ErrRange
		}
	}
	if err != nil || n == 0 {
		return eventID{}, problem(http.StatusUnprocessableEntity, "invalid_cursor",
			"Last-Event-ID is not one of ours: it is the number of a batch, or BATCH.POSITION")
	}
	return id, nil
}

// subscribe is the batch after which to read on: the one before, when the client may have seen only
// a part of its own. Before the first there is none; 0 would mean "from now on".
func (e eventID) subscribe() uint64 {
	if e.position >= 0 && e.batch > 1 {
		return e.batch - 1
	}
	return e.batch
}

// covers reports whether the client has seen the record.
func (e eventID) covers(r store.Record) bool {
	return e.position >= 0 && r.Batch == e.batch && r.Position <= e.position
}

// before reports whether a record is behind the one that the id names.
func (e eventID) before(r store.Record) bool {
	return r.Batch > e.batch || r.Batch == e.batch && e.position >= 0 && r.Position > e.position
}

// An eventWriter writes frames of server-sent events, each with a deadline of its own.
type eventWriter struct {
	w        http.ResponseWriter
	control  *http.ResponseController
	entitled func() bool // asked before each frame; nil where whoever writes has asked
}

// begin sets the header fields of a stream.
func (e *eventWriter) begin() {
	e.w.Header().Set("Content-Type", eventStream)
	e.w.Header().Set("X-Accel-Buffering", "no") // nginx would keep the events back
}

// event writes a frame; see frameOf.
func (e *eventWriter) event(id, kind string, v any) error {
	frame, err := frameOf(id, kind, v)
	if err != nil {
		return err
	}
	return e.write(frame)
}

func recordFrame(v *LiveRecord) ([]byte, error) {
	return frameOf(fmt.Sprintf("%d.%d", v.Batch, v.Position), "record", v)
}

// frameOf makes a frame of some type with JSON in its data; an empty id is left out.
func frameOf(id, kind string, v any) ([]byte, error) {
	var frame bytes.Buffer
	if id != "" {
		fmt.Fprintf(&frame, "id: %s\n", id)
	}
	fmt.Fprintf(&frame, "event: %s\ndata: ", kind)
	encoder := json.NewEncoder(&frame)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil { // one line: JSON has no raw line breaks
		return nil, fmt.Errorf("encode %s: %w", kind, err)
	}
	frame.WriteByte('\n')
	return frame.Bytes(), nil
}

func (e *eventWriter) write(frame []byte) error {
	if e.entitled != nil && !e.entitled() {
		return errEntitled
	}
	if err := e.control.SetWriteDeadline(time.Now().Add(eventTimeout)); err != nil {
		return fmt.Errorf("write deadline: %w", err)
	}
	if _, err := e.w.Write(frame); err != nil {
		return err
	}
	if err := e.control.Flush(); err != nil {
		return err
	}
	return e.control.SetWriteDeadline(time.Time{})
}
