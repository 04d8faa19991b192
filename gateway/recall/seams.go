package recall

import (
	"context"
	"time"

	"github.com/sendgate/sendgate/gateway/mailbox"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// Roles of those who ask, as in [policy.Roles].
const (
	admin    = "admin"
	operator = "operator"
	user     = "user"
)

// A Journal is what an Engine needs of the store. [store.Store] is one.
type Journal interface {
	NewID() policy.ID
	Commit(ctx context.Context, c store.Change) (revision uint64, err error)
	Message(id policy.ID) (store.Message, error)
	Recipients(id policy.ID) (policy.Rows, error)
	Timeline(id policy.ID) ([]store.Record, error)
	Records(ctx context.Context, kind policy.Kind, limit int, before policy.ID) ([]policy.ID, error)
	// ByReference gives the messages that answer or forward one with a Message-ID, newest first.
	ByReference(messageID string) ([]policy.ID, error)
	Keep(name string, value []byte) error
	Kept(name string) ([]byte, error)
}

// A Feed gives the records of the journal as they are committed, from before Run on. [store.Subscription] is one.
type Feed interface {
	// Next waits for the next record; it fails when ctx ends.
	Next(ctx context.Context) (store.Record, error)
}

// A Queue takes back what has not left: out of our own hold and queue, and out of Postfix's.
type Queue interface {
	// Cancel takes a message back from recipients and says of each what that came to; of a group, of each
	// member. With an error it is to be asked again.
	Cancel(ctx context.Context, id policy.ID, recipients []int, reason, actor string) ([]Outcome, error)
}

// An Outcome says what became of one recipient in a queue.
type Outcome struct {
	Recipient int // row of the message
	Code      policy.RecallCode
}

// Mailboxes knows which backend has which mailbox. [mailbox.Router] is one.
type Mailboxes interface {
	// For gives the backend that has the mailbox of an address, whose mailbox it is there, and the
	// backend's name.
	For(a policy.Address) (b mailbox.Backend, user, name string, ok bool)
	// Named gives the backend of a name.
	Named(name string) (mailbox.Backend, bool)
}

// A Directory knows the organisation.
type Directory interface {
	// Internal reports whether an address is the organisation's own.
	Internal(a policy.Address) bool
	// Owns reports whether an address belongs to an identity.
	Owns(identity string, a policy.Address) bool
}

// A Reporter tells who asked for a recall what it came to.
type Reporter interface {
	// Report writes the report, or a corrected one, and gives its id; the zero id when nobody is told.
	Report(ctx context.Context, r *policy.RecallReport) (policy.ID, error)
}

// A Format of a message that may be protected.
type Format string

// The formats. Plain is any other.
const (
	Plain     Format = ""
	Encrypted Format = "encrypted" // S/MIME, PGP
	Meeting   Format = "meeting"   // an invitation: taking the mail leaves the calendar as it is
)

// An Alarm says that an ordinary account takes back a lot.
type Alarm struct {
	Recall     policy.ID
	Requester  policy.RecallRequester
	Messages   int
	Recipients int // of all of its recalls in the last hour
}

// Needs is what an Engine works with. All of it is required but Formats.
type Needs struct {
	Journal   Journal
	Feed      Feed
	Queue     Queue
	Mailboxes Mailboxes
	Directory Directory
	Reporter  Reporter
	Alarm     func(Alarm)
	// Tracked reports whether all logs were read up to a time; true where none are followed.
	Tracked func(t time.Time) bool
	// Formats tells the format of a message; nil counts all as Plain.
	Formats func(m *store.Message) Format
	// Gateway and IDHeader are those of [mailbox.Match].
	Gateway  string
	IDHeader string
	Now      func() time.Time
	Log      *zap.Logger
}
