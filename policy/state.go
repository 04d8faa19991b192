package policy

import "time"

// State is what is known of one recipient of a message.
type State string

// The states. The first group is on the way; the second is an end, which only a stronger truth
// replaces; Unknown is what is left when evidence is missing.
const (
	StateAccepted        State = "accepted"
	StateHeld            State = "held"
	StateApprovalPending State = "approval_pending"
	StateOffered         State = "offered"
	StateQueued          State = "queued"
	StateHandedOver      State = "handed_over" // a hop that nobody tracks has it
	StateDeferred        State = "deferred"

	StateNeverQueued      State = "never_queued"
	StateBlocked          State = "blocked"
	StateCanceled         State = "canceled"
	StateExpired          State = "expired"
	StateBounced          State = "bounced"
	StateRelayedRemote    State = "relayed_remote"
	StateDeliveredMailbox State = "delivered_mailbox"
	StateRecalled         State = "recalled" // taken out of the mailbox, where it had arrived
	StateAsyncBounced     State = "async_bounced"

	StateUnknown State = "unknown"

	// StateExpanded is that of a group or an alias whose members are known: they have the states, and
	// the group is not counted.
	StateExpanded State = "expanded"
)

// States lists every state there is, in the order of their strength.
var States = []State{
	StateAccepted, StateHeld, StateApprovalPending, StateOffered, StateQueued, StateHandedOver, StateDeferred,
	StateUnknown,
	StateNeverQueued, StateBlocked, StateCanceled, StateExpired, StateBounced,
	StateRelayedRemote, StateDeliveredMailbox, StateRecalled, StateAsyncBounced,
}

// Failed reports whether the recipient did not get the message and nobody wanted it so.
func (s State) Failed() bool {
	switch s {
	case StateBounced, StateExpired, StateAsyncBounced, StateNeverQueued, StateBlocked:
		return true
	}
	return false
}

// Final reports whether nothing more is expected to happen.
func (s State) Final() bool { return s.strength() > 0 }

// strength orders the ends; 0 is on the way. A delivery outweighs a cancel, because it is what
// happened; a bounce that came later outweighs the delivery.
func (s State) strength() int {
	switch s {
	case StateNeverQueued:
		return 1
	case StateBlocked:
		return 2
	case StateCanceled:
		return 3
	case StateExpired:
		return 4
	case StateBounced:
		return 5
	case StateRelayedRemote:
		return 6
	case StateDeliveredMailbox:
		return 7
	case StateRecalled:
		return 8
	case StateAsyncBounced:
		return 9
	}
	return 0
}

// target is the state that an event leads to, if it says anything about the state. Most events do so by
// their kind alone.
func (e *Event) target() (State, bool) {
	if e.Kind == RecallOutcome && RecallCode(e.Reason) == RemovedFromMailbox {
		return StateRecalled, true
	}
	return e.Kind.target()
}

func (k Kind) target() (State, bool) {
	switch k {
	case Accepted:
		return StateAccepted, true
	case Held, HoldChanged:
		return StateHeld, true
	case ApprovalRequested:
		return StateApprovalPending, true
	case Approved, Released, Queued, Resent, Expanded:
		return StateQueued, true
	case Offered:
		return StateOffered, true
	case HandedOver:
		return StateHandedOver, true
	case Deferred:
		return StateDeferred, true
	case Canceled:
		return StateCanceled, true
	case Refused, Blocked:
		return StateBlocked, true
	case NeverQueued:
		return StateNeverQueued, true
	case DeliveredMailbox, Restored:
		return StateDeliveredMailbox, true
	case RelayedRemote:
		return StateRelayedRemote, true
	case Bounced:
		return StateBounced, true
	case Expired:
		return StateExpired, true
	case AsyncBounced:
		return StateAsyncBounced, true
	case Unknown:
		return StateUnknown, true
	}
	return "", false
}

// Fate is what is known of one recipient, and from what.
type Fate struct {
	State State     `cbor:"1,keyasint"`
	Since time.Time `cbor:"2,keyasint"`
	// Due is when sendgate itself has to act: end a hold, try again. Zero when it has nothing to do.
	Due            time.Time `cbor:"3,keyasint,omitzero"`
	Attempts       int       `cbor:"4,keyasint,omitempty"` // deliveries tried, by us or by the server that has it
	Reply          string    `cbor:"5,keyasint,omitempty"` // the last SMTP reply
	Evidence       string    `cbor:"6,keyasint,omitempty"`
	QueueID        string    `cbor:"7,keyasint,omitempty"`
	Upstream       string    `cbor:"8,keyasint,omitempty"`
	Rule           string    `cbor:"9,keyasint,omitempty"`
	Reason         string    `cbor:"10,keyasint,omitempty"`
	MayBeDuplicate bool      `cbor:"11,keyasint,omitempty"`
	Delayed        bool      `cbor:"12,keyasint,omitempty"` // the sender was told about the delay
	NextTry        time.Time `cbor:"13,keyasint,omitzero"`  // when somebody else is expected to try again
}

// Apply gives the fate after an event. It is pure and total: events may come late, twice or out of
// order, and an event that says nothing new leaves the fate as it is.
//
// An end replaces everything on the way and every weaker end, in the order async_bounced > recalled >
// delivered_mailbox > relayed_remote > bounced > expired > canceled > blocked > never_queued;
// nothing leads back from an end except an explicit resend, and
// from recalled a restore. Unknown is assigned only where no end
// is known, and any real event replaces it.
func (f Fate) Apply(e Event) Fate {
	if e.MayBeDuplicate {
		f.MayBeDuplicate = true
	}
	switch {
	case e.Kind == Notified:
		f.Delayed = true
		return f
	case e.Kind == Expanded && e.Member == "":
		return f
	}
	next, ok := e.target()
	if !ok || f.State == StateExpanded || !f.yields(next, e) {
		return f
	}
	g := Fate{
		State: next, Since: e.Time, Attempts: f.Attempts, MayBeDuplicate: f.MayBeDuplicate,
		Reply: e.Reply, Evidence: e.Evidence, QueueID: e.QueueID, Upstream: e.Upstream,
		Rule: e.Rule, Reason: e.Reason, Delayed: f.Delayed,
	}
	if !next.Final() {
		g.Due, g.NextTry = e.Until, e.NextTry
	}
	if e.Kind.attempt() && !e.Untried {
		g.Attempts++
	}
	if g.QueueID == "" {
		g.QueueID = f.QueueID
	}
	return g
}

// attempt reports whether the event is the result of a try to deliver. To hand a message to a server behind is none: it
// would count its delivery there twice.
func (k Kind) attempt() bool {
	switch k {
	case Deferred, DeliveredMailbox, RelayedRemote, Bounced:
		return true
	}
	return false
}

// yields reports whether the state gives way to next.
func (f Fate) yields(next State, e Event) bool {
	switch {
	case e.Kind == Restored:
		return f.State == StateRecalled
	case f.State == "" || e.Kind == Resent:
		return true
	case f.State.Final():
		return next.strength() > f.State.strength()
	case next == StateUnknown, next.Final():
		return true
	case f.State == StateUnknown:
		return true
	}
	switch e.Kind {
	case Accepted:
		return false
	case Held, HoldChanged, Released, Approved, Offered:
		return f.State == StateAccepted || f.State == StateHeld || f.State == StateApprovalPending
	case ApprovalRequested: // also of what is pulled back from a queue, ours or one behind us
		return f.State != StateOffered && f.State != StateHandedOver
	}
	if f.State == StateApprovalPending && e.Kind == Deferred {
		return false // an attempt that was under way when the queue was told to hold the message
	}
	if e.Kind == HandedOver && e.QueueID != "" && e.QueueID == f.QueueID && f.State == StateDeferred && e.Upstream != f.Upstream {
		return false // the queue itself has said more than who gave it the message, whose clock may be ahead
	}
	if e.Kind == Queued && !f.NextTry.IsZero() && e.QueueID == f.QueueID && e.Time.Truncate(time.Second).Equal(f.Since.Truncate(time.Second)) {
		return false // the log was quicker to say what came of it than we that we let it go
	}
	return f.precedes(next, e)
}

// precedes orders what happens on the way by time. A time on the whole second may be from a log that
// counts in seconds: within one, a tracked queue says more than a hand-over, and a failure more than
// a queue. What is ours to do counts finer, unless the queue behind us says when it tries again: it has
// the message.
func (f Fate) precedes(next State, e Event) bool {
	if second := f.Since.Truncate(time.Second); (f.Due.IsZero() || !e.NextTry.IsZero()) && e.Time.Equal(second) {
		return progress(next) >= progress(f.State)
	}
	return !e.Time.Before(f.Since)
}

func progress(s State) int {
	switch s {
	case StateHandedOver:
		return 1
	case StateQueued:
		return 2
	case StateDeferred:
		return 3
	}
	return 0
}
