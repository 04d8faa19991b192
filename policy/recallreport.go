package policy

import (
	"fmt"
	"time"
)

// RecallGroupMode says whether the members of a group are taken back together or each alone.
type RecallGroupMode string

// The modes. With AllOrNothing nobody's copy is touched when one member's cannot be taken back.
const (
	AllOrNothing RecallGroupMode = "all_or_nothing"
	BestEffort   RecallGroupMode = "best_effort"
)

// RecallNotice says which recipients are told of a recall.
type RecallNotice string

// The notices. NotifyRead tells those who had read the message before.
const (
	NotifyNone RecallNotice = "none"
	NotifyRead RecallNotice = "read"
	NotifyAll  RecallNotice = "all"
)

// A RecallRequest names what shall be taken back.
type RecallRequest struct {
	Messages []ID `json:"messages"`
	// Query is what found Messages, for the record.
	Query      string          `json:"query,omitempty"`
	Recipients []string        `json:"recipients,omitempty"` // addresses; none means all
	Reason     string          `json:"reason,omitempty"`
	UnreadOnly bool            `json:"unread_only"`
	GroupMode  RecallGroupMode `json:"group_mode"`
	Notify     RecallNotice    `json:"notify"`
	// Correction is the message that replaces those taken back; zero for none. Who had read one, or has it
	// out of reach, is told of it.
	Correction ID              `json:"correction,omitzero"`
	Requester  RecallRequester `json:"requester"`
}

// A RecallRequester is who asks.
type RecallRequester struct {
	Actor string `json:"actor"` // as in events: "api:NAME", "socket:uid 0", "mail:ADDRESS"
	Role  string `json:"role"`  // one of Roles; a user may take back own mail only
	// Identity is that of a user, as in Envelope.Identity.
	Identity string `json:"identity,omitempty"`
	// Domains bounds an administrator to senders of these; none is no bound.
	Domains []string `json:"domains,omitempty"`
}

// The results of a recall as a whole.
const (
	RecallInProgress       = "in_progress"
	RecallAwaitingApproval = "awaiting_approval" // of a second person
	RecallAllSuccess       = "all_success"
	RecallPartial          = "partial"
	RecallAllFailed        = "all_failed"
	RecallRejected         = "rejected" // nobody approved it in time
	RecallCancelled        = "cancelled"
)

// A RecallReport is what a recall has come to so far, or would come to.
type RecallReport struct {
	ID        ID // zero for a dry run
	Request   RecallRequest
	DryRun    bool
	Requested time.Time
	Ended     time.Time // zero while it runs
	Overall   string
	// ApproveUntil is until when a second person may approve it; zero when nobody has to. ApprovedBy is who did.
	ApproveUntil time.Time
	ApprovedBy   string
	Counts       RecallCounts
	Lines        []RecallLine  // absent in lists
	Groups       []RecallGroup // absent in lists
	Missing      []string      // addresses that no message had
	// Related are replies and forwards of the messages that passed us.
	Related []RecallRelated
	// Corrected is true when later evidence has contradicted what was reported.
	Corrected bool
}

// RecallCounts counts recipients by status.
type RecallCounts struct {
	Success    int `json:"success"`
	Fail       int `json:"fail"`
	Processing int `json:"processing"`
}

// Add counts one more recipient.
func (c *RecallCounts) Add(code RecallCode) {
	switch code.Status() {
	case RecallSuccess:
		c.Success++
	case RecallFail:
		c.Fail++
	default:
		c.Processing++
	}
}

// Percent is the share of the recipients that are at an end, 0 to 100.
func (c RecallCounts) Percent() int {
	total := c.Success + c.Fail + c.Processing
	if total == 0 {
		return 100
	}
	return 100 * (c.Success + c.Fail) / total
}

// Overall is the result of a recall that nobody has to approve and nobody has cancelled.
func (c RecallCounts) Overall() string {
	switch {
	case c.Processing > 0:
		return RecallInProgress
	case c.Fail == 0:
		return RecallAllSuccess
	case c.Success == 0:
		return RecallAllFailed
	}
	return RecallPartial
}

// A RecallLine is what a recall came to for one recipient of one message.
type RecallLine struct {
	Message ID
	Index   int // row of the message
	Address Address
	Group   Address // the group or alias that the address is a member of; empty for none
	Code    RecallCode
	Text    Label  // the code in words, with when and what the other side said
	Detail  string // folder and evidence, for those who may see them
	Time    time.Time
}

// A RecallGroup sums up the members of a group.
type RecallGroup struct {
	Message ID
	Address Address
	Counts  RecallCounts
	// BlockedBy is how many members keep the others from being taken back, and Blockers who, for those who
	// may see it.
	BlockedBy int
	Blockers  []Address
}

// A RecallRelated is a message that answers or forwards one that is taken back.
type RecallRelated struct {
	Message    ID
	Of         ID // the one that is taken back
	Sender     Address
	Subject    string
	Recipients int
	State      State // of the message as a whole
	Held       bool  // it can still be cancelled with it
}

// RecallStats says how recalls of a span of time went.
type RecallStats struct {
	Recalls    int
	Recipients RecallCounts
	ByReason   []RecallShare // the most frequent first
	ByAge      []RecallShare // by the time since sending, in ascending order
	ByCode     map[RecallCode]int
	// Hold says which share of the recipients that could not be taken back a longer hold would have caught.
	Hold []RecallHold
}

// A RecallShare is one class of recalls.
type RecallShare struct {
	Reason     string        // of ByReason
	UpTo       time.Duration // of ByAge; 0 is any more
	Recalls    int
	Recipients RecallCounts
}

// A RecallHold is what a hold of some length would have caught.
type RecallHold struct {
	Hold   time.Duration
	Caught float64 // share of all recalls that came within it, 0 to 1
	More   int     // recipients that failed and would have been taken out of the hold
}

// Codes of refused recalls, in the order in which they are checked.
const (
	RefusedDisabled   = "recall_disabled"
	RefusedNotFound   = "not_found"
	RefusedNotSender  = "not_sender"
	RefusedChannel    = "channel_not_allowed"
	RefusedWindow     = "window_expired"
	RefusedRecalled   = "already_recalled"
	RefusedInProgress = "recall_in_progress"
	RefusedReason     = "reason_required"
	RefusedRate       = "rate_limited"
	RefusedTooMany    = "too_many"
	RefusedState      = "wrong_state" // such as approving what nobody has to approve
	RefusedOwn        = "second_person_required"
)

// A RecallRefusal is why a recall does not begin. It is an error.
type RecallRefusal struct {
	Code     string
	Text     Label
	Existing ID // with already_recalled and recall_in_progress: that recall
}

// Error gives the English words.
func (r *RecallRefusal) Error() string { return fmt.Sprintf("%s: %s", r.Code, r.Text.EN) }
