package policy

import (
	"slices"
	"time"

	"github.com/oklog/ulid/v2"
)

// ID is sendgate's own id of a message: a ULID, so that ids sort by the time of acceptance. It is
// what people see, type and pass to the API; a Message-ID is neither unique nor ours.
type ID = ulid.ULID

// ParseID reads an id in its 26-character form, in either case.
func ParseID(s string) (ID, error) { return ulid.ParseStrict(s) }

// Kind says what happened. The list is closed: a kind that is not in [Kinds] is refused by the store.
type Kind string

// Decisions. They change what is to be done with a message and therefore name the decision revision
// that their author saw; when it has moved on, the commit fails with store.ErrConflict.
const (
	Accepted    Kind = "accepted"     // the message is ours; it was or will be answered 250
	Held        Kind = "held"         // kept back until Until
	HoldChanged Kind = "hold_changed" // Until moved
	Approved    Kind = "approved"     // a person let it pass
	Released    Kind = "released"     // to be sent now
	Offered     Kind = "offered"      // hold 0: about to be handed through, the client still owns it
	Canceled    Kind = "canceled"     // taken back before it left
	Resent      Kind = "resent"       // a new attempt for recipients that had failed
	// ApprovalRequested keeps a message back for a person, until Until.
	ApprovalRequested Kind = "approval_requested"
)

// Observations. They report what was seen, never conflict, and are idempotent by Event.Key.
const (
	Refused          Kind = "refused"           // answered 4xx or 5xx; never ours
	NeverQueued      Kind = "never_queued"      // milter: held, but Postfix never listed it
	HandedOver       Kind = "handed_over"       // an upstream said 250 and is only a hop
	Queued           Kind = "queued"            // seen in a queue behind us
	Deferred         Kind = "deferred"          // a temporary failure; the next try is at Until
	DeliveredMailbox Kind = "delivered_mailbox" // in the recipient's mailbox
	RelayedRemote    Kind = "relayed_remote"    // the recipient's server took it
	Expanded         Kind = "expanded"          // a group was replaced by its members
	Bounced          Kind = "bounced"           // refused for good
	Expired          Kind = "expired"           // given up after too many tries
	AsyncBounced     Kind = "async_bounced"     // a DSN came after a 250
	Blocked          Kind = "blocked"           // stopped by a rule after it was accepted
	// A recall has an id and a timeline of its own, with RecallRequested, RecallApproved and RecallEnded.
	// What it did stands in the timelines of its messages: RecallOutcome, whose Subject is the recall and
	// whose Reason a RecallCode, and Restored.
	RecallRequested Kind = "recall_requested"
	RecallApproved  Kind = "recall_approved" // by a second person
	RecallOutcome   Kind = "recall_outcome"
	RecallEnded     Kind = "recall_ended"
	Restored        Kind = "restored" // what was taken out of a mailbox is back in it
	ForwardedSeen   Kind = "forwarded_seen"
	ReadSeen        Kind = "read_seen"
	Unknown         Kind = "unknown"  // no evidence where there should be some
	Notified        Kind = "notified" // a DSN or notice was written to the sender
	Suspended       Kind = "suspended"
	Unsuspended     Kind = "unsuspended"
	Boosted         Kind = "boosted"     // a limit of Subject was raised by Amount until Until
	Overridden      Kind = "overridden"  // a limit of Subject is Amount until Until; 0 ends boosts and overrides
	UsageReset      Kind = "usage_reset" // what was counted for Subject was forgotten
	// CampaignDecided is what a person said about a campaign: Subject is its id, Rule is approve, cancel,
	// slow, allow (until Until) or withdraw.
	CampaignDecided Kind = "campaign_decided"
	ConfigChanged   Kind = "config_changed"
	Login           Kind = "login"
	// The rules are bypassed from BypassStarted until its Until or BypassEnded; both stand in a timeline of their
	// own. Rule is BypassSuspensions where suspended accounts may send, too.
	BypassStarted Kind = "bypass_started"
	BypassEnded   Kind = "bypass_ended"
	Dequeued      Kind = "dequeued" // a queue behind us removed its file: nothing more comes under QueueID
	Erased        Kind = "erased"   // a person was taken out of the message: what is stored of it was rewritten
)

// Kinds lists every kind there is, decisions first.
var Kinds = []Kind{
	Accepted, Held, HoldChanged, Approved, Released, Offered, Canceled, Resent, ApprovalRequested,
	Refused, NeverQueued, HandedOver, Queued, Deferred, DeliveredMailbox, RelayedRemote, Expanded,
	Bounced, Expired, AsyncBounced, Blocked, RecallRequested, RecallApproved, RecallOutcome, RecallEnded, Restored, ForwardedSeen,
	ReadSeen, Unknown, Notified, Suspended, Unsuspended, Boosted, Overridden, UsageReset, CampaignDecided, ConfigChanged, Login, Dequeued,
	BypassStarted, BypassEnded, Erased,
}

// BypassSuspensions stands in a BypassStarted that lifts suspensions, too.
const BypassSuspensions = "suspensions"

// Decision reports whether the kind is a decision rather than an observation.
func (k Kind) Decision() bool {
	switch k {
	case Accepted, Held, HoldChanged, Approved, Released, Offered, Canceled, Resent, ApprovalRequested:
		return true
	}
	return false
}

// Valid reports whether the kind is in the closed list.
func (k Kind) Valid() bool { return slices.Contains(Kinds, k) }

// An Event is something that happened to a message, with who did or saw it and the evidence. It is
// durable before anyone is told about it.
type Event struct {
	Kind Kind      `cbor:"1,keyasint" json:"kind"`
	Time time.Time `cbor:"2,keyasint" json:"time"` // UTC
	Node string    `cbor:"3,keyasint,omitempty" json:"node,omitempty"`
	// Actor is who acted: "smtp" (the client that sent it), "hold" (a timer), "sender", "api:NAME",
	// "socket:uid 0".
	Actor string `cbor:"4,keyasint,omitempty" json:"actor,omitempty"`
	// Recipients are indexes into the message's recipients; nil means all of them.
	Recipients []int `cbor:"5,keyasint,omitempty" json:"recipients,omitempty"`
	// Until is when a hold ends, when a deferred recipient is tried next.
	Until  time.Time `cbor:"6,keyasint,omitzero" json:"until,omitzero"`
	Rule   string    `cbor:"7,keyasint,omitempty" json:"rule,omitempty"`   // the rule that decided
	Reason string    `cbor:"8,keyasint,omitempty" json:"reason,omitempty"` // why, in words for people
	Reply  string    `cbor:"9,keyasint,omitempty" json:"reply,omitempty"`  // the SMTP reply, verbatim
	// Evidence is the log line, reply or response from which this is known, verbatim.
	Evidence string `cbor:"10,keyasint,omitempty" json:"evidence,omitempty"`
	QueueID  string `cbor:"11,keyasint,omitempty" json:"queue_id,omitempty"` // the next hop's id of the message
	Upstream string `cbor:"12,keyasint,omitempty" json:"upstream,omitempty"` // name and address of the next hop
	// Key makes an observation idempotent: a second one of the same message with the same Key is
	// dropped. Empty means always new.
	Key string `cbor:"13,keyasint,omitempty" json:"key,omitempty"`
	// MayBeDuplicate is set on what follows a crash that left open whether an upstream had taken it.
	MayBeDuplicate bool `cbor:"14,keyasint,omitempty" json:"may_be_duplicate,omitempty"`
	// Member is the final address that the event is about, where the one recipient named is a group or
	// an alias; see [Rows.Apply].
	Member Address `cbor:"15,keyasint,omitempty" json:"member,omitempty"`
	// NextTry is when somebody else is expected to try a deferred recipient again. Until would be ours.
	NextTry time.Time `cbor:"16,keyasint,omitzero" json:"next_try,omitzero"`
	// Charge is what the message took of its limits with this event, and Findings what the rules said.
	Charge   *Charge   `cbor:"17,keyasint,omitempty" json:"-"`
	Findings []Finding `cbor:"18,keyasint,omitempty" json:"findings,omitempty"`
	// Subject is whom an event is about that is not about a message: the identity that was suspended,
	// the key whose limit was raised. Amount is by or to how much.
	Subject string `cbor:"19,keyasint,omitempty" json:"subject,omitempty"`
	Amount  int64  `cbor:"20,keyasint,omitempty" json:"amount,omitempty"`
	// Copies are what a recall has taken out of mailboxes.
	Copies []MailCopy `cbor:"21,keyasint,omitempty" json:"copies,omitempty"`
	// Mechanism and Program say of a Login how it was made: see [SignIn].
	Mechanism string `cbor:"24,keyasint,omitempty" json:"mechanism,omitempty"`
	Program   string `cbor:"25,keyasint,omitempty" json:"program,omitempty"`
	// Untried is set where only Until of a Deferred was moved: nothing was tried.
	Untried bool `cbor:"26,keyasint,omitempty" json:"untried,omitempty"`
}

// Concerns reports whether the event is about recipient i.
func (e Event) Concerns(i int) bool { return e.Recipients == nil || slices.Contains(e.Recipients, i) }
