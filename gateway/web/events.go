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
		out := &eventWriter{w: w, control: http.NewResponseController(w)}
		why := s.feed(ctx, out, in.Q, from)
		s.log.Debug("a stream of events ended", zap.Error(why))
	}}, nil
}

// feed writes records until the context ends or the client is gone; its error says which.
func (s *Server) feed(ctx context.Context, out *eventWriter, q string, from eventID) error {
	out.begin()
	sub := s.journal.Subscribe(from.subscribe())
	if err := out.write([]byte(": connected\nretry: 2000\n\n")); err != nil {
		return err
	}
	for {
		r, err := s.next(ctx, sub)
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			if err := out.write([]byte(": heartbeat\n\n")); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		if from.covers(r) || !s.seesRecord(ctx, r.Message) || !s.selects(ctx, q, r.Message) {
			continue
		}
		if err := out.record(s.live(&r)); err != nil {
			return err
		}
	}
}

// next waits for a record, at most until the next heartbeat is due.
func (s *Server) next(ctx context.Context, sub *store.Subscription) (store.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, s.heartbeat)
	defer cancel()
	return sub.Next(ctx)
}

// selects asks the index whether the query finds the message.
func (s *Server) selects(ctx context.Context, q string, id policy.ID) bool {
	if q == "" {
		return true
	}
	query, err := store.ParseQuery(q+" id:"+id.String(), s.now())
	if err != nil {
		return false // was parsed before; only a part too many is left
	}
	page, err := s.search(ctx, query, 1, "")
	return err == nil && len(page.Messages) > 0
}

// live dresses a record with what people need to recognise the message.
func (s *Server) live(r *store.Record) *LiveRecord {
	v := &LiveRecord{Batch: r.Batch, Position: r.Position, ID: r.Message.String(), Events: make([]TimelineEntry, len(r.Events))}
	var addresses rowAddresses
	if m, err := s.journal.Message(r.Message); err == nil {
		v.From, v.Subject, v.RecipientCount = string(m.Envelope.Sender), m.Envelope.Subject, m.Counted()
		v.State, v.Label = policy.Aggregate(m.States)
		if m.Recipients <= namedRecipients {
			if rows, err := s.journal.Recipients(r.Message); err == nil {
				addresses = addressesOfRows(rows)
			}
		}
	}
	for i := range r.Events {
		v.Events[i] = s.eventView(&r.Events[i])
		if r.Events[i].Recipients != nil {
			v.Events[i].Recipients = addresses.of(&r.Events[i])
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

// An eventWriter writes frames of server-sent events, each with a deadline of its own.
type eventWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

// begin sets the header fields of a stream.
func (e *eventWriter) begin() {
	e.w.Header().Set("Content-Type", eventStream)
	e.w.Header().Set("X-Accel-Buffering", "no") // nginx would keep the events back
}

func (e *eventWriter) record(v *LiveRecord) error {
	return e.event(fmt.Sprintf("%d.%d", v.Batch, v.Position), "record", v)
}

// event writes a frame of some type with JSON in its data; an empty id is left out.
func (e *eventWriter) event(id, kind string, v any) error {
	var frame bytes.Buffer
	if id != "" {
		fmt.Fprintf(&frame, "id: %s\n", id)
	}
	fmt.Fprintf(&frame, "event: %s\ndata: ", kind)
	encoder := json.NewEncoder(&frame)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil { // one line: JSON has no raw line breaks
		return fmt.Errorf("encode %s: %w", kind, err)
	}
	frame.WriteByte('\n')
	return e.write(frame.Bytes())
}

func (e *eventWriter) write(frame []byte) error {
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
