package doveadm

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sendgate/sendgate/gateway/mailbox"
)

// Bounds of what is taken from the server into the journal.
const (
	maxFolderName = 1 << 10
	maxFlags      = 8 << 10
)

// copy makes a Copy of a fetched row; By and Digest are left to Verify.
func (r row) copy() (mailbox.Copy, error) {
	uid, err := strconv.ParseUint(string(r.UID), 10, 32)
	switch {
	case err != nil || uid == 0:
		return mailbox.Copy{}, fmt.Errorf("%w: doveadm fetch: uid %.40q", mailbox.ErrUnreachable, r.UID)
	case !guid(r.FolderID):
		return mailbox.Copy{}, fmt.Errorf("%w: doveadm fetch: mailbox-guid %.40q", mailbox.ErrUnreachable, r.FolderID)
	case r.Mailbox == "" || len(r.Mailbox) > maxFolderName || !utf8.ValidString(string(r.Mailbox)) || len(r.Flags) > maxFlags:
		return mailbox.Copy{}, fmt.Errorf("%w: doveadm fetch: mailbox %.40q, %d octets of flags", mailbox.ErrUnreachable, r.Mailbox, len(r.Flags))
	}
	received, err := strconv.ParseInt(string(r.Received), 10, 64)
	if err != nil {
		return mailbox.Copy{}, fmt.Errorf("%w: doveadm fetch: date.received %.40q", mailbox.ErrUnreachable, r.Received)
	}
	return mailbox.Copy{
		Folder:   string(r.Mailbox),
		FolderID: string(r.FolderID),
		UID:      uint32(uid),
		Flags:    r.flags(),
		Internal: time.Unix(received, 0).UTC(),
		Size:     int64(min(r.Size.number(), math.MaxInt64)),
		ModSeq:   r.ModSeq.number(),
	}, nil
}

func (r row) flags() []string { return strings.Fields(string(r.Flags)) }

// guid reports whether it has the form of a mailbox's GUID: it stands in later queries.
func guid(s text) bool {
	return len(s) == 32 && strings.Trim(string(s), "0123456789abcdefABCDEF") == ""
}
