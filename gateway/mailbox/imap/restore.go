package imap

import (
	"errors"
	"fmt"

	"github.com/emersion/go-imap/v2"

	"github.com/sendgate/sendgate/gateway/mailbox"
	"github.com/sendgate/sendgate/policy"
)

// restore moves a copy back; a MOVE keeps the date, and flags are set as they were.
func (s *session) restore(t policy.MailCopy) error {
	uid := imap.UID(t.UID)
	f, err := s.find1(t)
	if err != nil {
		return err
	}
	if err := s.store(uid, imap.StoreFlagsSet, 0, settable(t.Flags)...); err != nil {
		return err
	}
	to := "INBOX"
	if all, err := s.list(t.Folder); err != nil {
		return err
	} else if len(all) > 0 {
		to = t.Folder
	}
	back, err := s.move(f, uid, to, false)
	if err == nil && back == nil {
		err = fmt.Errorf("%w: UID %d of %q", mailbox.ErrGone, uid, f.name)
	}
	return err
}

// purge removes a copy from the staging folder, and from nowhere else.
func (s *session) purge(t policy.MailCopy, staging string) error {
	if t.Mode != string(mailbox.Staging) || t.Staged != staging {
		return nil
	}
	_, err := s.find1(t)
	if errors.Is(err, mailbox.ErrGone) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.expunge(imap.UID(t.UID))
}

// find1 opens the folder in which a copy lies, if it does.
func (s *session) find1(t policy.MailCopy) (*folder, error) {
	if t.Staged == "" {
		return nil, fmt.Errorf("%w: it was removed for good", mailbox.ErrGone)
	}
	f, err := s.open(t.Staged, false)
	if errors.Is(err, errNoFolder) {
		return nil, fmt.Errorf("%w: %w", mailbox.ErrGone, err)
	}
	if err != nil {
		return nil, err
	}
	if f.id != t.StagedID {
		return nil, fmt.Errorf("%w: %q was made anew", mailbox.ErrGone, t.Staged)
	}
	seen, err := s.look(f, imap.UID(t.UID))
	if err == nil && seen == nil {
		err = fmt.Errorf("%w: UID %d of %q", mailbox.ErrGone, t.UID, t.Staged)
	}
	return f, err
}

func settable(flags []string) []imap.Flag {
	var all []imap.Flag
	for _, f := range flags {
		all = append(all, imap.Flag(f))
	}
	return all
}
