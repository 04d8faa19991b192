package postlog

import (
	"strings"
	"time"
)

// Kind says what a statement is about, and which fields of an [Entry] are set beside Line and QueueID.
type Kind string

// The kinds of statements.
const (
	// Opened: smtpd received a message. ClientName, ClientAddr, SASLUser, OrigQueueID.
	Opened Kind = "opened"
	// PickedUp: a message came from the sendmail command or was requeued. UID, From, OrigID.
	PickedUp Kind = "picked up"
	// Message: cleanup saw a Message-ID. MessageID, Resent.
	Message Kind = "message"
	// Active: the queue manager has begun with a message, again at each retry. From, Size, Recipients.
	Active Kind = "active"
	// Status: what a delivery came to. To, OrigTo, Relay, Delay, Delays, DSN, Status, Text, Code,
	// QueuedAs, ForwardedAs, Action, MayBeDuplicate.
	Status Kind = "status"
	// Notification: a message about the message was queued. NotificationID, NotificationKind.
	Notification Kind = "notification"
	// Expired: given up, too old or by order. From, Status: "expired" or "force-expired".
	Expired Kind = "expired"
	// Doomed: postsuper ordered that it be given up at the next try. Nothing further.
	Doomed Kind = "doomed"
	// Removed: the queue file is gone. Canceled when cleanup never made a message of it.
	Removed Kind = "removed"
	// Held: postsuper put it on hold. Nothing further.
	Held Kind = "held"
	// Unheld: postsuper let it go from there. Nothing further.
	Unheld Kind = "unheld"
	// Requeued: postsuper gave it back to pickup, which gives it a new queue id. Nothing further.
	Requeued Kind = "requeued"
	// MilterAct: a milter or a content check decided about the whole message. Action ("hold", "discard",
	// "reject"), Milter, Stage, ClientName, ClientAddr, Code, DSN, Text, From, To (one of the recipients).
	MilterAct Kind = "milter act"
	// Rejected: a client was refused; QueueID is empty before the first good recipient. Milter, Stage,
	// ClientName, ClientAddr, Code, DSN, Text, From, To.
	Rejected Kind = "rejected"
	// Ambiguous: the connection broke when the message may already have been taken. Relay, Text.
	Ambiguous Kind = "ambiguous"
	// Said: a server refused something; the status comes later. Relay, Code, DSN, Text.
	Said Kind = "said"
	// Skipped: an earlier delivery still runs. Nothing further.
	Skipped Kind = "skipped"
)

// The values of Entry.Status with Kind [Status].
const (
	Sent          = "sent"
	Deferred      = "deferred"
	Bounced       = "bounced"
	SoftBounce    = "softbounce"    // soft_bounce = yes: deferred in truth
	Deliverable   = "deliverable"   // a probe, nothing was sent
	Undeliverable = "undeliverable" // a probe
)

// The values of Entry.NotificationKind.
const (
	SenderNonDelivery     = "sender non-delivery"
	SenderDelay           = "sender delay"
	SenderDeliveryStatus  = "sender delivery status"
	PostmasterNonDelivery = "postmaster non-delivery"
	PostmasterDelay       = "postmaster delay"
)

// An Entry is what Postfix states about a message. Addresses stand without angle brackets and otherwise
// as logged. The whole statement is Line.Text; Text is the reply or the reason in it.
type Entry struct {
	Line
	Kind    Kind
	QueueID string

	ClientName, ClientAddr string
	SASLUser               string
	OrigQueueID            string // of the same message at the host that sent it (XFORWARD IDENT)

	UID    int
	OrigID string // the queue id before it was requeued

	MessageID string // with its angle brackets
	Resent    bool   // it is a Resent-Message-ID

	From       string
	Size       int64 // octets
	Recipients int   // how many are left

	To, OrigTo string // OrigTo only when it differs
	Relay      Relay
	Delay      time.Duration
	Delays     [4]time.Duration // before the queue manager, in it, connecting, transmitting
	DSN        string           // "2.0.0"
	Code       int              // the SMTP reply code
	Status     string           // in lower case
	Text       string           // the reply or the reason

	QueuedAs    string // the next server's queue id, from its reply
	ForwardedAs string // local(8): the queue id of the forwarded message
	// Action is, with Status of a delivery on this host: "mailbox", "maildir", "forwarded", "discarded",
	// "command: TEXT", "file: NAME", "service: NAME" (pipe).
	Action         string
	MayBeDuplicate bool // Postfix says that the message may be sent more than once

	NotificationID   string
	NotificationKind string

	Canceled bool
	Milter   bool
	Stage    string // "RCPT", "END-OF-MESSAGE", "header", ...
}

// Entry reads what a line states about a message; false means that it decides nothing.
func (l Line) Entry() (Entry, bool) {
	if l.Text == "" {
		return Entry{}, false
	}
	e := Entry{Line: l}
	rest, queued := e.cutQueueID()
	var ok bool
	switch l.Service {
	case "smtpd", "postscreen":
		ok = e.smtpd(rest, queued)
	case "pickup":
		ok = queued && e.pickup(rest)
	case "cleanup":
		ok = queued && (e.cleanup(rest) || e.delivery(rest))
	case "qmgr", "nqmgr", "oqmgr":
		ok = queued && (e.qmgr(rest) || e.delivery(rest))
	case "postsuper":
		ok = queued && e.postsuper(rest)
	case "bounce", "defer", "trace":
		ok = queued && (e.notification(rest) || e.delivery(rest))
	case "smtp", "lmtp":
		ok = queued && (e.delivery(rest) || e.conversation(rest))
	default:
		ok = queued && e.delivery(rest)
	}
	if !ok {
		return Entry{}, false
	}
	return e, true
}

// cutQueueID sets QueueID and gives what follows it. Without one, "NOQUEUE: " is passed over.
func (e *Entry) cutQueueID() (rest string, queued bool) {
	text := e.Line.Text
	i := strings.IndexByte(text, ':')
	if i < 0 || !strings.HasPrefix(text[i:], ": ") {
		return text, false
	}
	if IsQueueID(text[:i]) {
		e.QueueID = text[:i]
		return text[i+2:], true
	}
	return strings.TrimPrefix(text, "NOQUEUE: "), false
}
