package imap

import (
	"errors"
	"fmt"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/sendgate/sendgate/gateway/mailbox"
	"github.com/sendgate/sendgate/policy"
)

// mark is the keyword that a message gets before it is moved, on the condition that nothing about it has
// changed.
const mark = imap.Flag("$SendgateRecalled")

// maxMarks is how often a message is marked anew that changes without being read.
const maxMarks = 5

// A removal is one Take at work.
type removal struct {
	*session
	copy     mailbox.Copy
	unread   bool // leave it alone when it was read
	staging  string
	moment   string // why it cannot be excluded that it was read while it was moved
	evidence []string
}

func (r *removal) note(format string, args ...any) {
	r.evidence = append(r.evidence, fmt.Sprintf(format, args...))
}

func (r *removal) end(o mailbox.Outcome) mailbox.Taken {
	return mailbox.Taken{Outcome: o, Evidence: strings.Join(r.evidence, "\n")}
}

// run stages the message, looks at it again, and does with it what mode says.
func (r *removal) run(mode mailbox.Mode) (mailbox.Taken, error) {
	from, at := r.copy.Folder, &place{folder: r.staging, id: r.copy.FolderID, uid: imap.UID(r.copy.UID)}
	if r.copy.Staged {
		from = "INBOX"
	} else {
		var outcome mailbox.Outcome
		var err error
		if at, outcome, err = r.stage(); err != nil || at == nil {
			return r.end(outcome), err
		}
	}
	f, err := r.open(r.staging, false)
	if err != nil {
		return mailbox.Taken{}, err
	}
	if f.id != at.id {
		return mailbox.Taken{}, errUnknownPlace
	}
	now, err := r.look(f, at.uid)
	switch {
	case err != nil:
		return mailbox.Taken{}, err
	case now == nil:
		r.note("UID %d is not in %q any more", at.uid, r.staging)
		return r.end(mailbox.Gone), nil
	}
	r.note("%q UID %d FLAGS (%s)", r.staging, at.uid, strings.Join(now.flags, " "))
	if r.unread && (mailbox.ReadFlag(now.flags) != "" || r.moment != "") {
		return r.putBack(f, at.uid, from)
	}
	return r.finish(f, at, now, from, mode)
}

// stage moves the message to the staging folder. Without a place the outcome says why.
func (r *removal) stage() (*place, mailbox.Outcome, error) {
	uid := imap.UID(r.copy.UID)
	f, err := r.open(r.copy.Folder, false)
	if errors.Is(err, errNoFolder) {
		r.note("%v", err)
		return nil, mailbox.Gone, nil
	}
	if err != nil {
		return nil, "", err
	}
	if f.id != r.copy.FolderID {
		return nil, "", fmt.Errorf("%w: %q was made anew: UIDVALIDITY is %s, was %s", mailbox.ErrUnreachable, f.name, f.id, r.copy.FolderID)
	}
	f, outcome, err := r.mark(f, uid)
	if err != nil || outcome != "" {
		return nil, outcome, err
	}
	at, err := r.move(f, uid, r.staging, r.unread)
	switch {
	case isRead(err):
		r.note("%v", err)
		return nil, mailbox.ReadMeanwhile, r.unmark(uid)
	case err != nil:
		return nil, "", err
	case at == nil:
		r.note("UID %d was not in %q any more when it was moved", uid, f.name)
		return nil, mailbox.Gone, nil
	}
	r.note("moved from %q UIDVALIDITY %s UID %d to %q UIDVALIDITY %s UID %d", f.name, f.id, uid, at.folder, at.id, at.uid)
	return at, "", r.watch(f)
}

// mark looks at the message in its folder and marks it if it did not change since it was looked at
// (RFC 7162 3.1.3), so that a message that is being read is not even moved. Where that cannot be done, the look
// in the staging folder has to suffice, as it does in any case for what happens after the mark. The folder is
// given as it was opened before the last look: what changes later counts its highest mod-sequence up.
func (r *removal) mark(f *folder, uid imap.UID) (*folder, mailbox.Outcome, error) {
	for tries := 0; ; tries++ {
		now, err := r.look(f, uid)
		if err != nil {
			return nil, "", err
		}
		if now == nil {
			r.note("UID %d is not in %q any more", uid, f.name)
			return nil, mailbox.Gone, nil
		}
		flag := mailbox.ReadFlag(now.flags)
		if r.unread && flag != "" {
			r.note("%q UID %d FLAGS (%s)", f.name, uid, strings.Join(now.flags, " "))
			if now.marked {
				return nil, mailbox.ReadMeanwhile, r.unmark(uid)
			}
			return nil, mailbox.ReadMeanwhile, nil
		}
		if !r.unread || !f.condstore || !f.keywords || now.marked || tries == maxMarks {
			return f, "", nil
		}
		// The answer names in [MODIFIED] what was left alone, which the library does not read: the next
		// look tells.
		if err := r.store(uid, imap.StoreFlagsAdd, now.modSeq, mark); err != nil {
			return nil, "", err
		}
		if f, err = r.again(f); err != nil {
			return nil, "", err
		}
	}
}

func (r *removal) unmark(uid imap.UID) error { return r.store(uid, imap.StoreFlagsDel, 0, mark) }

// putBack returns a message that was read before it was out of reach.
func (r *removal) putBack(f *folder, uid imap.UID, to string) (mailbox.Taken, error) {
	if err := r.unmark(uid); err != nil {
		return mailbox.Taken{}, err
	}
	back, err := r.move(f, uid, to, false)
	if err != nil {
		return mailbox.Taken{}, err
	}
	if back == nil {
		return mailbox.Taken{}, errUnknownPlace
	}
	r.note("moved back to %q UID %d", to, back.uid)
	return r.end(mailbox.ReadMeanwhile), nil
}

// finish does with a staged message what the mode says.
func (r *removal) finish(f *folder, at *place, seen *sight, from string, mode mailbox.Mode) (mailbox.Taken, error) {
	var err error
	switch mode {
	case mailbox.Expunge:
		if err = r.expunge(at.uid); err != nil {
			return mailbox.Taken{}, err
		}
		r.note("expunged %q UID %d", f.name, at.uid)
		at = &place{}
	case mailbox.Trash:
		if at, mode, err = r.discard(f, at); err != nil {
			return mailbox.Taken{}, err
		}
	}
	t := r.end(mailbox.Removed)
	t.Copy = policy.MailCopy{
		User: r.user, Folder: from, Flags: seen.flags, Internal: seen.internal, Mode: string(mode),
		Staged: at.folder, StagedID: at.id, UID: uint32(at.uid),
	}
	return t, nil
}

// discard moves a staged message on to the user's trash; where there is none it stays.
func (r *removal) discard(f *folder, at *place) (*place, mailbox.Mode, error) {
	trash, err := r.trash()
	if err != nil {
		return nil, "", err
	}
	if trash == "" {
		r.note("there is no folder for deleted mail: it stays in %q", f.name)
		return at, mailbox.Staging, nil
	}
	if err := r.unmark(at.uid); err != nil {
		return nil, "", err
	}
	gone, err := r.move(f, at.uid, trash, false)
	if err == nil && gone == nil {
		err = errUnknownPlace
	}
	if err != nil {
		return nil, "", err
	}
	r.note("moved on to %q UID %d", trash, gone.uid)
	return gone, mailbox.Trash, nil
}
