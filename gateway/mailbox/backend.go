package mailbox

import (
	"context"
	"errors"

	"github.com/sendgate/sendgate/policy"
)

// A Backend reaches mailboxes, acting as their owner. Its methods may be called concurrently. Each is
// bounded by the context and by the configured timeout, whichever ends first. An error wraps one of
// [ErrNoMailbox], [ErrDenied], [ErrUnreachable], [ErrGone] and carries the server's words; one that wraps
// none of them is a fault of ours and can be tried again.
type Backend interface {
	// Find looks into all folders of the user but those for sent mail and drafts. What lies in the staging
	// folder is found as well, with Copy.Staged set. Nothing is changed: no message becomes read or loses \Recent.
	Find(ctx context.Context, user string, m *Match) ([]Copy, error)
	// Take removes a copy that Find has found. With an error it is unknown what became of it: look again.
	Take(ctx context.Context, user string, c Copy, o Options) (Taken, error)
	// Restore puts a copy back into its folder (into INBOX when that is gone) with its flags and date.
	// [ErrGone] says that it does not lie where it was put.
	Restore(ctx context.Context, user string, t policy.MailCopy) error
	// Purge removes a copy from the staging folder for good. One that is gone already is no error.
	Purge(ctx context.Context, user string, t policy.MailCopy) error
	// Check says whether it can act as this user.
	Check(ctx context.Context, user string) error
	Close() error
}

// What a Backend cannot do.
var (
	ErrNoMailbox   = errors.New("no such mailbox")
	ErrDenied      = errors.New("not allowed to act as the owner of the mailbox")
	ErrUnreachable = errors.New("the mail server cannot be reached or is busy")
	ErrGone        = errors.New("the message is not there any more")
)

// A Mode says what happens to a message that is removed.
type Mode string

// The modes. With each of them a message is moved to the staging folder first and looked at there:
// its owner cannot read it any more at that moment.
const (
	Staging Mode = "staging" // stays in the staging folder
	Trash   Mode = "trash"   // goes on to the user's folder for deleted mail
	Expunge Mode = "expunge" // is removed for good
)

// Options say how a copy is taken.
type Options struct {
	// UnreadOnly leaves a copy alone that was read, answered or forwarded; see [Copy.Read].
	UnreadOnly bool
	// Mode is the backend's configured one when empty.
	Mode Mode
}

// An Outcome says what Take came to.
type Outcome string

// The outcomes.
const (
	Removed       Outcome = "removed"
	ReadMeanwhile Outcome = "read_meanwhile" // read after it was found; lies in its folder, with its flags
	Gone          Outcome = "gone"           // somebody else removed or moved it after it was found
)

// Taken is the result of Take.
type Taken struct {
	Outcome Outcome
	// Copy says where it was and where it lies now, with Removed. Recipient is left to the caller.
	Copy policy.MailCopy
	// Evidence quotes what the server was told and what it said, a line each.
	Evidence string
}
