package postfix

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// MaxMessages is how many messages one request may name.
const MaxMessages = 10000

// Bounds of a frame, from and to the helper. A result names each recipient of its message.
const (
	maxRequest = 8 << 20
	maxFrame   = 32 << 20
	pieceSize  = 64 << 10
)

// maxHeader is a line of a header (RFC 5322 2.1.1).
const maxHeader = 998

type verb string

// The six verbs.
const (
	verbList    verb = "list"
	verbHold    verb = "hold"
	verbRelease verb = "release"
	verbDelete  verb = "delete"
	verbExpire  verb = "expire"
	verbRead    verb = "read"
)

// An Identity is a queue id with what makes it certain whose it is. Arrival, Sender and Header are
// compared with the queue file when Arrival is set; Delete demands it.
type Identity struct {
	ID string `json:"id"`
	// Arrival is when Postfix received the message, to two seconds.
	Arrival time.Time `json:"arrival,omitzero"`
	// Sender is the envelope sender as queued, that is after canonical mapping; empty is "<>".
	Sender policy.Address `json:"sender,omitempty"`
	// Header is a line that the header must have, as "X-Sendgate-Id: value"; empty for none.
	Header string `json:"header,omitempty"`
}

// An Outcome is what became of one message of a request.
type Outcome string

// The outcomes.
const (
	Held             Outcome = "held"              // is in the hold queue now
	Released         Outcome = "released"          // has left the hold queue
	NotHeld          Outcome = "not_held"          // release: is in another queue already
	Removed          Outcome = "removed"           // deleted, for the recipients that were not gone
	Expired          Outcome = "expired"           // will go back to its sender
	Found            Outcome = "found"             // read: the envelope follows
	InFlight         Outcome = "in_flight"         // delete: held, but a delivery is still under way
	NotFound         Outcome = "not_found"         // in no queue: delivered, returned or deleted
	DifferentMessage Outcome = "different_message" // the id belongs to another message; untouched
	Failed           Outcome = "failed"            // could not be done; Text says why
)

// A Result is the outcome for one message.
type Result struct {
	ID      string  `json:"id"`
	Outcome Outcome `json:"outcome"`
	Text    string  `json:"text,omitempty"` // for the operator
	// Recipients are those in the queue file, of a message that was removed or is in flight.
	Recipients []Recipient `json:"recipients,omitempty"`
}

type request struct {
	Verb     verb       `json:"verb"`
	Messages []Identity `json:"messages,omitempty"`
}

// decodeRequest reads and checks a question. Its errors are for whoever asked.
func decodeRequest(data []byte) (request, error) {
	var r request
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return request{}, fmt.Errorf("the request cannot be understood: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return request{}, errors.New("the request cannot be understood: something follows it")
	}
	return r, r.check()
}

func (r *request) check() error {
	least, most := 1, MaxMessages
	switch r.Verb {
	case verbList:
		least = 0
	case verbRead:
		most = 1
	case verbHold, verbRelease, verbDelete, verbExpire:
	default:
		return fmt.Errorf("%.20q is not one of list, hold, release, delete, expire, read", string(r.Verb))
	}
	if n := len(r.Messages); n < least || n > most {
		return fmt.Errorf("%s takes %d to %d messages, not %d", r.Verb, least, most, n)
	}
	seen := make(map[string]bool, len(r.Messages))
	for i := range r.Messages {
		m := &r.Messages[i]
		if err := m.check(r.Verb); err != nil {
			return err
		}
		if seen[m.ID] {
			return fmt.Errorf("queue id %s is named twice", m.ID)
		}
		seen[m.ID] = true
	}
	return nil
}

func (want *Identity) check(v verb) error {
	switch {
	case !ValidID(want.ID):
		return fmt.Errorf("%.50q is not a queue id", want.ID)
	case v == verbDelete && want.Arrival.IsZero():
		return fmt.Errorf("delete needs the arrival time of %s", want.ID)
	case want.Arrival.IsZero() && (want.Sender != "" || want.Header != ""):
		return fmt.Errorf("the identity of %s has no arrival time", want.ID)
	case len(want.Header) > maxHeader || strings.ContainsAny(want.Header, "\r\n"):
		return fmt.Errorf("the header field of %s is not one line", want.ID)
	}
	return nil
}

// Kinds of frames.
const (
	frameRequest  = 'q'
	frameResult   = 'r'
	frameEnvelope = 'e'
	frameData     = 'd'
	frameEnd      = 'z'
)

// writeFrame writes a frame in one piece.
func writeFrame(w io.Writer, kind byte, data []byte) error {
	frame := make([]byte, 5, 5+len(data))
	frame[0] = kind
	binary.BigEndian.PutUint32(frame[1:], uint32(len(data)))
	_, err := w.Write(append(frame, data...))
	return err
}

func writeJSON(w io.Writer, kind byte, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return writeFrame(w, kind, data)
}

var errTooLarge = errors.New("too large")

// readFrame reads a frame of at most so many octets. Memory is taken as octets arrive, not as the
// length promises them.
func readFrame(r io.Reader, most int) (kind byte, data []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	length := binary.BigEndian.Uint32(head[1:])
	if int64(length) > int64(most) {
		return 0, nil, fmt.Errorf("frame of %d octets: %w: at most %d", length, errTooLarge, most)
	}
	var b bytes.Buffer
	if n, err := io.CopyN(&b, r, int64(length)); err != nil {
		return 0, nil, fmt.Errorf("frame ends after %d of %d octets: %w", n, length, noEOF(err))
	}
	return head[0], b.Bytes(), nil
}
