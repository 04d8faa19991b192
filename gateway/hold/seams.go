package hold

import (
	"context"
	"io"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// A Journal is what a Scheduler needs of the store. [store.Store] is one.
type Journal interface {
	Commit(ctx context.Context, c store.Change) (revision uint64, err error)
	Message(id policy.ID) (store.Message, error)
	RecipientsOf(m *store.Message) (policy.Rows, error)
	Timeline(id policy.ID) ([]store.Record, error)
	BodyOf(m *store.Message) (io.ReadCloser, error)
	Due(fn func(store.DueMessage) bool) error
}

// A Feed gives the records of the journal as they are committed. [store.Subscription] is one.
type Feed interface {
	// Next waits for the next record; it fails when ctx ends.
	Next(ctx context.Context) (store.Record, error)
}

// A Sender hands messages to upstreams, or lets go what an MTA holds for us. It is safe for
// concurrent use.
type Sender interface {
	// Upstream names where a message for a recipient goes. Recipients with the same upstream are
	// delivered together, and a slow upstream holds up only its own.
	Upstream(e *policy.Envelope, recipient policy.Address) string
	// Workers is how many messages may be under way to an upstream at a time; 0 stands for
	// Config.Workers.
	Workers(upstream string) int
	// Deliver tries once and gives one outcome for each of d.Recipients, in their order. When ctx ends
	// it gives up what no upstream has answered for yet, as Deferred. No outcomes at all say that
	// nothing could be tried: nothing is recorded, and the message is looked at again after a pause.
	Deliver(ctx context.Context, d Delivery) []Outcome
}

// A Delivery is one attempt to hand a message to one upstream.
type Delivery struct {
	ID         policy.ID
	Envelope   *policy.Envelope // without its Recipients
	Recipients []store.Recipient
	Upstream   string
	// Open gives the message from its first octet; it may be called again when another server of the
	// upstream is tried.
	Open func() (io.ReadCloser, error)
	// Partial is true when the message has other recipients as well: it was taken back from them, is
	// done with them, or they belong to another upstream. Attempts that were repeated count as none.
	Partial bool
	// MayBeDuplicate is true when an earlier attempt was cut off by a crash.
	MayBeDuplicate bool
}

// An Outcome is what an attempt did for one recipient.
type Outcome struct {
	// Kind is HandedOver, DeliveredMailbox or RelayedRemote (what the upstream's 250 means), Queued
	// (an MTA's own hold let it go), Deferred, Bounced, NeverQueued (the MTA never had it), or Unknown
	// when the MTA has lost it. Anything else counts as Deferred.
	Kind     policy.Kind
	Reply    string // the SMTP reply, or what went wrong before there was one
	QueueID  string // the upstream's id of the message
	Upstream string // name and address of the server that answered
	Evidence string // the reply verbatim
	// MayBeDuplicate is true when the connection broke after the whole message had been sent and
	// before it was answered.
	MayBeDuplicate bool
	// ReportsSuccess is true when the upstream announced DSN and was given the NOTIFY parameters:
	// reporting a success is then its duty (RFC 3461 5.2.1).
	ReportsSuccess bool
}

// A Bouncer tells senders what became of their messages. Each method writes one notice about those
// recipients that want it, and gives the notice's own id and the indexes of the recipients in it;
// none when nobody is to be told (the null sender, NOTIFY=NEVER). The notice is durable when the
// error is nil.
type Bouncer interface {
	// Failed reports recipients that were refused or given up.
	Failed(ctx context.Context, m store.Message, recipients []store.Recipient) (notice policy.ID, told []int, err error)
	// Delayed reports recipients that are still being tried.
	Delayed(ctx context.Context, m store.Message, recipients []store.Recipient) (notice policy.ID, told []int, err error)
	// Relayed reports recipients with NOTIFY=SUCCESS that an upstream took which will not report.
	Relayed(ctx context.Context, m store.Message, recipients []store.Recipient) (notice policy.ID, told []int, err error)
}
