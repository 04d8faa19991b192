package store

import (
	"errors"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// Errors that callers branch on.
var (
	// ErrConflict is returned for a decision whose message has moved on since its author looked:
	// read again and decide anew.
	ErrConflict = errors.New("the message has changed meanwhile")
	// ErrNotFound is returned for a message or a body that is not stored.
	ErrNotFound = errors.New("not found")
	// ErrFull is returned when the disk has less free space than the reserve. Nothing was written.
	ErrFull = errors.New("the disk is nearly full")
	// ErrFailed is returned after the engine could not write or sync. Nothing is accepted until the
	// store is opened again.
	ErrFailed = errors.New("the storage engine failed: look at the disk, then restart sendgate")
	// ErrTooLarge is returned for a change that would write more than 64 MiB.
	ErrTooLarge = errors.New("too many recipients for one message")
	// ErrClosed is returned after Close, and to commits that were waiting when it was called.
	ErrClosed = errors.New("the store is closed")
	// ErrLocked is returned by Open when another process has the data directory.
	ErrLocked = errors.New("the data directory is in use")
	// ErrDamaged is returned by Open when durable batches are missing; its text names the repair command.
	ErrDamaged = errors.New("the journal is damaged")
	// ErrNewerSchema is returned by Open for a directory that a newer sendgate has written.
	ErrNewerSchema = errors.New("the data directory was written by a newer sendgate")
)

// A Change is one atomic addition to the journal: some events about one message, all or none.
type Change struct {
	Message policy.ID
	// Revision is the decision revision that the author saw (Message.Revision). It counts only when
	// one of Events is a decision; 0 stands for a message that is not yet stored.
	Revision uint64
	Events   []policy.Event
	// Envelope with its recipients and Body come with the first change of a message only. Body may be
	// nil where we never have one (milter, refused, offered).
	Envelope *policy.Envelope
	Body     *BodyWriter
	// Patient says that nobody waits for this change at once: it may be kept for 5 ms, so that more
	// changes share one sync.
	Patient bool
}

// A Message is the row of a message: its envelope and what has become of it.
type Message struct {
	ID       policy.ID       `cbor:"-"`
	Envelope policy.Envelope `cbor:"1,keyasint"` // without Recipients
	// Revision counts the decisions taken on the message, from 1.
	Revision   uint64               `cbor:"2,keyasint"`
	Recipients int                  `cbor:"3,keyasint"` // rows, with groups and repeated attempts
	States     map[policy.State]int `cbor:"4,keyasint"` // counted rows in each state
	// Due is when sendgate has to act next: the earliest Due of its recipients. Zero when nothing is
	// left to do.
	Due time.Time `cbor:"5,keyasint,omitzero"`
	// BodySize is the stored size in octets, in BodyChunks pieces; 0 when there is no body or it was
	// pruned.
	BodySize   int64  `cbor:"6,keyasint,omitempty"`
	BodyChunks uint32 `cbor:"7,keyasint,omitempty"`
	// Ended is when the last recipient reached its end; zero before. The body is kept a while from here.
	Ended time.Time `cbor:"8,keyasint,omitzero"`
}

// State is the aggregate of the recipients' states.
func (m *Message) State() policy.State {
	s, _ := policy.Aggregate(m.States)
	return s
}

// Counted is the number of recipients: of rows that are neither a group nor a repeated attempt.
func (m *Message) Counted() (n int) {
	for _, k := range m.States {
		n += k
	}
	return n
}

// A Recipient is the row of one recipient of a message.
type Recipient = policy.Row

// A Record is one committed change as subscribers and timelines see it. (Batch, Position) orders the
// whole journal.
type Record struct {
	Batch    uint64 // dense number of the transaction that carried it
	Position int    // within the batch
	Message  policy.ID
	Events   []policy.Event
	// Envelope is that of the change that stored the message, with its recipients: whoever follows the
	// journal need not read a new message again. It is nil for every other change, and for what was read
	// from disk (an old record of a subscription without [Subscription.WithEnvelopes], a timeline). It is
	// shared: nobody changes it.
	Envelope *policy.Envelope
}

// DueMessage is an entry of the due index.
type DueMessage struct {
	ID  policy.ID
	Due time.Time
}
