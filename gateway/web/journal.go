package web

import (
	"context"
	"github.com/sendgate/sendgate/gateway/web/signin"
	"io"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// Journal is what the API reads from the store.
type Journal interface {
	Message(id policy.ID) (store.Message, error)
	Recipients(id policy.ID) (policy.Rows, error)
	Timeline(id policy.ID) ([]store.Record, error)
	// Records gives timelines that are no messages; see [store.Store.Records].
	Records(ctx context.Context, kind policy.Kind, limit int, before policy.ID) ([]policy.ID, error)
	// Body opens a message as it was sent; [store.ErrNotFound] where there is none, or no longer.
	Body(id policy.ID) (io.ReadCloser, error)
	Search(ctx context.Context, q store.Query, limit int, cursor string) (store.Page, error)
	Subscribe(after uint64) *store.Subscription
	LastBatch() uint64
	// Waiting gives how many messages are on their way in a state, and the oldest of them.
	Waiting(state policy.State) (messages int, oldest policy.ID)
	// Counts gives the recipients in each state of the messages received in a time, by whole hours.
	Counts(from, to time.Time) map[policy.State]int64
	Ready() error
	// The audit log; see [store.AuditEntry].
	Audit(store.AuditEntry) error
	AuditLog(before uint64, limit int, keep func(*store.AuditEntry) bool) ([]store.AuditEntry, error)
	VerifyAudit() (entries uint64, err error)
	// Backup and Usage; see [store.Store].
	Backup(ctx context.Context, version string, to io.Writer) (store.BackupEnd, error)
	Usage() (store.Usage, error)
	EraseAudit(match func(*store.AuditEntry) bool) (erased int, err error)
	// Redact rewrites what is stored of a message that is over; see [store.Store.Redact].
	Redact(id policy.ID, fn func(*store.Stored) error) error
	// Naming finds what names somebody; see [store.Store.Naming].
	Naming(ctx context.Context, text string) ([]policy.ID, error)
	Commit(ctx context.Context, c store.Change) (revision uint64, err error)
	// Keep and Kept are what the API itself remembers over a restart; nil for what was never kept.
	Keep(name string, value []byte) error
	Kept(name string) ([]byte, error)
}

// Holder decides about mail that sendgate still has. An error is inability; its own refusals are
// [Refusal] values, so that the reason reaches the client.
type Holder interface {
	// Release lets held mail go now.
	Release(ctx context.Context, id policy.ID, actor string) error
	// Hold moves the end of a hold; until is when the mail is let go.
	Hold(ctx context.Context, id policy.ID, until time.Time, actor string) error
	// Cancel takes back those of the recipients (nil: all) that have not left, and says of each what
	// it came to.
	Cancel(ctx context.Context, id policy.ID, recipients []int, reason, actor string) ([]Outcome, error)
	// Return takes back as Cancel does, and tells the sender by a delivery status notification, with the
	// reason. It never fails because of the notification: that is written later, then.
	Return(ctx context.Context, id policy.ID, recipients []int, reason, actor string) ([]Outcome, Bounce, error)
	// Approve lets mail go that waits for approval.
	Approve(ctx context.Context, id policy.ID, actor string) error
	// Resend sends a message again to recipients (nil: those that failed).
	Resend(ctx context.Context, id policy.ID, recipients []int, reason, actor string) error
}

// A Bounce says whether the sender of a message that was stopped is told.
type Bounce string

// What may have become of it.
const (
	BounceSent    Bounce = "sent"
	BouncePending Bounce = "pending" // when the mail server has deleted the message
	BounceNone    Bounce = "none"    // nobody is to be told: the null sender, a forged one, or one who wants no reports
	BounceLimited Bounce = "limited" // the sender was told of many other messages in the last hour
)

// An Outcome says what became of one recipient of a cancel.
type Outcome struct {
	Recipient int // index in the message
	Code      policy.RecallCode
}

// A Refusal is an error of [Holder] for what its rules do not allow: the message is not held any
// more, the time is beyond the longest hold.
type Refusal struct {
	Code   string // for programs: "not_held", "no_approval", "hold_too_long", "no_body"
	Detail string // for people
}

// Error is the detail.
func (r *Refusal) Error() string { return r.Detail }

// A Part is something that /readyz reports on.
type Part struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	// Decides says that no mail can be taken while it is not ok. While another part is away mail is taken, and waits.
	Decides bool   `json:"decides,omitempty"`
	Detail  string `json:"detail,omitempty"`
}

// Needs is what a [Server] works with. All of it is required but Tracking and Import.
type Needs struct {
	Journal Journal
	Holder  Holder
	Recalls Recalls
	// RecallWindow is how long after a message came in a role may have it taken out of mailboxes; not ok
	// when recalls are switched off.
	RecallWindow func(role string) (window time.Duration, ok bool)
	// LegalHold says whether nothing of an address, or of the mail of an identity, may be destroyed; nil: of none.
	LegalHold func(policy.Address) bool
	// Eraser takes a person out of what is derived of the journal; nil: nothing is.
	Eraser Eraser
	// RecallReadToo says whether a role may take back what was read; nil: none may.
	RecallReadToo func(role string) bool
	Limits        Limits
	Alerts        Alerts
	// Campaigns are the near-duplicates that people send.
	Campaigns Campaigns
	Metrics   prometheus.Gatherer
	// Parts reports on everything but the journal and the process itself.
	Parts func() []Part
	// Margin is how much later than shown mail is let go (policy: hold.margin).
	Margin func() time.Duration
	// Tracking says how the logs are followed; nil when nothing is tracked.
	Tracking func() []Source
	// Import reads a log of the past, plain or compressed with gzip; nil when nothing is tracked.
	Import func(ctx context.Context, name string, r io.Reader) (ImportReport, error)
	// MailboxOf is where an identity reads mail, or the null address; nil when that is not known.
	MailboxOf func(identity string) policy.Address
	// SignIns gives the sign-ins of an identity to the mail server, newest first, as events.
	SignIns func(ctx context.Context, identity string) ([]policy.Event, error)
	// Configuration is what is in effect as YAML, without secrets. URL is where people find the dashboard.
	Configuration func() (string, error)
	URL           string
	// Bypasses and Drains are for emergencies; nil where there is no such switch.
	Bypasses Bypasses
	Drains   Drains
	// Webhooks are the programs that are told of events; nil where nobody is.
	Webhooks Webhooks
	// Desk lets people into the dashboard; nil serves none.
	Desk    *signin.Desk
	Version string
	Now     func() time.Time
	Log     *zap.Logger
}
