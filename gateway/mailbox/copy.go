package mailbox

import (
	"errors"
	"slices"
	"strings"
	"time"
)

// A Copy is one message in a mailbox.
type Copy struct {
	Folder   string // as the server calls it, decoded to UTF-8
	FolderID string // what makes UID unique: UIDVALIDITY (IMAP) or the mailbox's GUID (doveadm)
	UID      uint32
	Flags    []string
	Internal time.Time // when it came into the mailbox
	Size     int64     // octets
	ModSeq   uint64    // of RFC 7162, 0 where the server has none
	// Staged marks a copy in the staging folder: an earlier try has taken it. Where it was is not known
	// any more; it counts as INBOX.
	Staged bool
	By     By
	// Digest is that of its fields From, Date, Subject, Message-ID and To: copies of one message agree.
	Digest [32]byte
}

// By says by what a message was recognised.
type By string

// The ways, the surest first.
const (
	ByID        By = "id"         // it carries our id
	ByMessageID By = "message_id" // Message-ID, From and time of arrival fit
	ByHeader    By = "header"     // From, Date, Subject and size fit, of a message without Message-ID
)

// readFlags are the flags that only a reader's program sets. \Recent says nothing: whoever looks first
// takes it away.
var readFlags = []string{`\Seen`, `\Answered`, `$Forwarded`, `$MDNSent`}

// Read gives the flag that says that the message was read, answered or forwarded; empty when none does.
func (c *Copy) Read() string { return ReadFlag(c.Flags) }

// ReadFlag gives the first flag that says that a message was read, answered, forwarded, or that its
// receipt was sent (RFC 9051 2.3.2); empty when none does. Flags do not depend on case.
func ReadFlag(flags []string) string {
	for _, read := range readFlags {
		if slices.ContainsFunc(flags, func(f string) bool { return strings.EqualFold(f, read) }) {
			return read
		}
	}
	return ""
}

// ErrAmbiguous says that several different messages fit, and none carries our id.
var ErrAmbiguous = errors.New("several different messages fit")

// Choose says which of the copies in one mailbox are the message: those with our id if there are any,
// else all if they agree in their header.
func Choose(copies []Copy) ([]Copy, error) {
	var ours []Copy
	for _, c := range copies {
		if c.By == ByID {
			ours = append(ours, c)
		}
	}
	if len(ours) > 0 {
		return ours, nil
	}
	for _, c := range copies {
		if c.Digest != copies[0].Digest {
			return nil, ErrAmbiguous
		}
	}
	return copies, nil
}
