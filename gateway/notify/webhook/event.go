package webhook

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// Bounds of what an event carries.
const (
	maxNamed = 100  // recipients
	maxText  = 2000 // octets of a text
)

// kindTest is of events that only show whether the way is open.
const kindTest = policy.Kind("test")

// An Event is what a subscriber is posted. Fields without a value are left out.
type Event struct {
	// ID is BATCH.POSITION.INDEX of the journal: the same whenever this event is posted again, and greater, part
	// by part, than that of every event before it.
	ID   string      `json:"id"`
	Kind policy.Kind `json:"kind"`
	Time time.Time   `json:"time"`
	Node string      `json:"node,omitempty"`
	// Timeline is what the event belongs to: the id of the message, or that of a recall, of what was done to an account.
	Timeline string        `json:"timeline,omitempty"`
	Message  *EventMessage `json:"message,omitempty"` // absent when it is about none
	// Recipients are the addresses that it is about, at most 100; More says that there are others.
	Recipients []string       `json:"recipients,omitempty"`
	More       bool           `json:"more_recipients,omitempty"`
	Member     policy.Address `json:"member,omitempty"`
	About      string         `json:"about,omitempty"` // an identity, a limit's key, a recall
	Amount     int64          `json:"amount,omitempty"`
	Actor      string         `json:"actor,omitempty"`
	Rule       string         `json:"rule,omitempty"`
	Reason     string         `json:"reason,omitempty"`
	Reply      string         `json:"reply,omitempty"`
	Evidence   string         `json:"evidence,omitempty"`
	QueueID    string         `json:"queue_id,omitempty"`
	Upstream   string         `json:"upstream,omitempty"`
	Until      time.Time      `json:"until,omitzero"`
	NextTry    time.Time      `json:"next_try,omitzero"`
	// MayBeDuplicate is set on what follows a crash that left open whether an upstream had taken it.
	MayBeDuplicate bool `json:"may_be_duplicate,omitempty"`
}

// An EventMessage is the message of an event, without its subject.
type EventMessage struct {
	ID        string           `json:"id"`
	MessageID string           `json:"message_id,omitempty"`
	From      string           `json:"from"` // envelope sender; empty is the null sender
	Identity  string           `json:"identity"`
	Received  time.Time        `json:"received"`
	Direction policy.Direction `json:"direction,omitempty"`
	Front     policy.Front     `json:"front"`
	QueueID   string           `json:"queue_id,omitempty"` // of Postfix in front, in milter mode
}

// Facts knows the messages that records are about.
type Facts interface {
	// Envelope gives that of a message; nil when the record is about none.
	Envelope(r *store.Record) (*policy.Envelope, error)
	// Addresses names recipients by their indexes (nil: all), at most so many.
	Addresses(r *store.Record, indexes []int, most int) ([]policy.Address, error)
}

// eventID names an event of a record.
func eventID(r *store.Record, index int) string {
	return strconv.FormatUint(r.Batch, 10) + "." + strconv.Itoa(r.Position) + "." + strconv.Itoa(index)
}

// newEvent dresses an event of a record.
func newEvent(r *store.Record, index int, facts Facts) (*Event, error) {
	e := &r.Events[index]
	v := &Event{
		ID: eventID(r, index), Kind: e.Kind, Time: e.Time.UTC(), Node: e.Node, Timeline: r.Message.String(), Member: e.Member, About: e.Subject,
		Amount: e.Amount, Actor: e.Actor, Rule: e.Rule, Reason: bounded(e.Reason), Reply: bounded(e.Reply), Evidence: bounded(e.Evidence),
		QueueID: e.QueueID, Upstream: e.Upstream, Until: e.Until.UTC(), NextTry: e.NextTry.UTC(), MayBeDuplicate: e.MayBeDuplicate,
	}
	envelope, err := facts.Envelope(r)
	if envelope == nil || err != nil {
		return v, err
	}
	v.Message = &EventMessage{
		ID: r.Message.String(), MessageID: envelope.MessageID, From: string(envelope.Sender), Identity: envelope.Identity,
		Received: envelope.Received.UTC(), Direction: envelope.Direction, Front: envelope.Front, QueueID: envelope.QueueID,
	}
	addresses, err := facts.Addresses(r, e.Recipients, maxNamed+1)
	if v.More = len(addresses) > maxNamed; v.More {
		addresses = addresses[:maxNamed]
	}
	for _, a := range addresses {
		v.Recipients = append(v.Recipients, string(a))
	}
	return v, err
}

// bounded bounds a foreign text; what is not UTF-8 could not be JSON.
func bounded(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
	}
	return strings.ToValidUTF8(s, "?")
}

// request makes the post of an event.
func (e *Event) request(t target, now time.Time) request {
	r := request{url: t.url, body: encode(e), header: map[string]string{"X-Sendgate-Event": string(e.Kind), "X-Sendgate-Delivery": e.ID}}
	r.sign(t.secret, now)
	return r
}

// judgeEvent says whether an answer means success: any 2xx does, and nothing else.
func judgeEvent(res *http.Response, now time.Time) error {
	switch code := res.StatusCode; {
	case code >= 200 && code < 300:
		return nil
	case code == http.StatusGone:
		return &failure{text: "HTTP status 410", final: true}
	default:
		return &failure{text: "HTTP status " + strconv.Itoa(code), after: retryAfter(res.Header, now)}
	}
}
