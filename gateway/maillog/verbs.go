package maillog

import "github.com/sendgate/sendgate/policy"

// A Verb says what happened. Those of events are the names of their kinds.
type Verb string

// The verbs of what is no event of the journal.
const (
	Refused       Verb = "refused"       // answered 4xx or 5xx, at any command
	Authenticated Verb = "authenticated" // a session knows who its client is
	Undecided     Verb = "undecided"     // it could not be decided, and went as milter.on_error says
	Shadow        Verb = "shadow"        // what a rule in shadow would have done
	Missed        Verb = "missed"        // so many lines of the fronts were lost
)

// A Severity is that of syslog (RFC 5424 6.2.1).
type Severity int

// The severities that are used.
const (
	Warning Severity = 4 // somebody should look
	Notice  Severity = 5 // not the usual way
	Info    Severity = 6
)

// severities of all verbs there are.
var severities = map[Verb]Severity{
	Refused: Notice, Authenticated: Info, Undecided: Warning, Shadow: Info, Missed: Warning,

	Verb(policy.Accepted): Info, Verb(policy.Held): Info, Verb(policy.HoldChanged): Info, Verb(policy.Approved): Notice,
	Verb(policy.Released): Info, Verb(policy.Offered): Info, Verb(policy.Canceled): Notice, Verb(policy.Resent): Notice,
	Verb(policy.ApprovalRequested): Notice,

	Verb(policy.NeverQueued): Notice, Verb(policy.HandedOver): Info, Verb(policy.Queued): Info, Verb(policy.Deferred): Notice,
	Verb(policy.DeliveredMailbox): Info, Verb(policy.RelayedRemote): Info, Verb(policy.Expanded): Info, Verb(policy.Bounced): Notice,
	Verb(policy.Expired): Notice, Verb(policy.AsyncBounced): Notice, Verb(policy.Blocked): Notice, Verb(policy.Dequeued): Info,
	Verb(policy.Unknown): Warning, Verb(policy.Notified): Info, Verb(policy.ForwardedSeen): Info, Verb(policy.ReadSeen): Info,

	Verb(policy.RecallRequested): Notice, Verb(policy.RecallApproved): Notice, Verb(policy.RecallOutcome): Notice,
	Verb(policy.RecallEnded): Notice, Verb(policy.Restored): Notice, Verb(policy.Erased): Notice,

	Verb(policy.Suspended): Warning, Verb(policy.Unsuspended): Notice, Verb(policy.Boosted): Notice, Verb(policy.Overridden): Notice,
	Verb(policy.UsageReset): Notice, Verb(policy.CampaignDecided): Notice, Verb(policy.ConfigChanged): Notice, Verb(policy.Login): Info,
	Verb(policy.BypassStarted): Warning, Verb(policy.BypassEnded): Warning,
}

// severity is Info for a verb that a newer sendgate wrote into the journal.
func (v Verb) severity() Severity {
	if s, ok := severities[v]; ok {
		return s
	}
	return Info
}

// said are the verbs under which a front says itself what this log takes up at once. Of its other lines the
// journal has the events.
var said = map[string]Verb{"refused": Refused, "authenticated": Authenticated, "undecided": Undecided}

// journaled are the lines of fronts and timers of which the journal has the event, and this log a line for it.
var journaled = map[string]bool{
	"accepted": true, "held": true, "approval_requested": true, "passed": true, "discarded": true, "returned": true,
	"released": true, "approved": true, "hold_changed": true, "canceled": true, "pulled_back": true, "resent": true,
	"delivered": true, "deferred": true, "bounced": true, "expired": true, "notified": true, "blocked": true,
	"let_go": true, "never_queued": true, "unknown": true,
}
