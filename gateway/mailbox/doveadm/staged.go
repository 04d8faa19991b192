package doveadm

import (
	"context"
	"fmt"
	"slices"

	"github.com/sendgate/sendgate/gateway/mailbox"
	"github.com/sendgate/sendgate/policy"
)

// finish does with a staged copy what the mode says.
func (t *taking) finish(ctx context.Context, staged mailbox.Copy, guid text) (mailbox.Outcome, error) {
	t.taken = policy.MailCopy{Backend: t.backend.config.Name, User: t.user, Folder: t.home(), Flags: lasting(staged.Flags),
		Internal: staged.Internal}
	t.lies(mailbox.Staging, staged)
	query := inStaging(staged.Folder, staged.FolderID, staged.UID)
	switch t.options.Mode {
	case mailbox.Expunge:
		if err := t.expunge(ctx, query); err != nil {
			return "", err
		}
		t.lies(mailbox.Expunge, mailbox.Copy{})
	case mailbox.Trash:
		folder, err := t.trash(ctx)
		if err != nil {
			return "", err
		}
		if folder == "" {
			t.note("the user has no folder for deleted mail: the message stays in staging")
			break
		}
		c, err := t.carry(ctx, query, guid, folder)
		if err != nil {
			return "", err
		}
		t.lies(mailbox.Trash, c)
	}
	return mailbox.Removed, nil
}

// lies notes where the copy lies now.
func (t *taking) lies(mode mailbox.Mode, c mailbox.Copy) {
	t.taken.Mode, t.taken.Staged, t.taken.StagedID, t.taken.UID = string(mode), c.Folder, c.FolderID, c.UID
}

// back puts a staged copy back where it was.
func (t *taking) back(ctx context.Context, staged mailbox.Copy, guid text) error {
	_, err := t.carry(ctx, inStaging(staged.Folder, staged.FolderID, staged.UID), guid, t.home(), inbox)
	return err
}

// carry moves a message to the first of the folders that exists and tells where it lies then. The error
// wraps ErrGone when it was not there.
func (s *session) carry(ctx context.Context, query []string, guid text, folders ...string) (mailbox.Copy, error) {
	for _, folder := range folders {
		results, err := s.do(ctx, status(folder))
		if err != nil {
			return mailbox.Copy{}, err
		}
		if state := results[0].folder(folder); state != nil {
			return s.carryTo(ctx, query, guid, folder, state.UIDNext)
		}
		if !results[0].missing() {
			return mailbox.Copy{}, orElse(results[0].err("mailbox status"), errNoStatus(folder))
		}
	}
	return mailbox.Copy{}, fmt.Errorf("none of the folders %q exists", folders)
}

func (s *session) carryTo(ctx context.Context, query []string, guid text, folder string, next text) (mailbox.Copy, error) {
	results, err := s.do(ctx, move(query, folder), fetch([]string{"mailbox", folder, "uid", string(next) + ":*"}, messageFields...))
	if err != nil {
		return mailbox.Copy{}, err
	}
	for i, command := range []string{"move", "fetch"} {
		if err := results[i].err(command); err != nil {
			return mailbox.Copy{}, err
		}
	}
	for _, r := range results[1].rows {
		if r.GUID == guid && r.UID.number() >= next.number() {
			return r.copy()
		}
	}
	return mailbox.Copy{}, mailbox.ErrGone
}

// expunge removes a message for good and looks whether it is gone.
func (s *session) expunge(ctx context.Context, query []string) error {
	results, err := s.do(ctx, call{"expunge", map[string]any{"query": query}}, fetch(query, "uid"))
	if err != nil {
		return err
	}
	if err := results[0].ignoreMissing("expunge"); err != nil {
		return err
	}
	if _, still, err := results[1].message(); err != nil || still {
		return orElse(err, fmt.Errorf("%w: the message was not expunged", mailbox.ErrUnreachable))
	}
	return nil
}

// Restore puts a copy back into its folder, with its flags; a move keeps its date.
func (b *Backend) Restore(ctx context.Context, user string, t policy.MailCopy) error {
	if t.Mode == string(mailbox.Expunge) {
		return fmt.Errorf("%w: it was removed for good", mailbox.ErrGone)
	}
	ctx, done, err := b.changing(ctx)
	if err != nil {
		return err
	}
	defer done()
	s := &session{client: b.client, user: user}
	staged, err := s.look(ctx, t)
	if err != nil {
		return err
	}
	c, err := s.carry(ctx, lying(t), staged.GUID, t.Folder, inbox)
	if err != nil || sameFlags(lasting(c.Flags), t.Flags) {
		return err
	}
	results, err := s.do(ctx, call{"flagsReplace", map[string]any{"flag": t.Flags, "query": one(c.FolderID, c.UID)}})
	if err != nil {
		return err
	}
	return results[0].err("flags replace")
}

// look finds a copy where it was put.
func (s *session) look(ctx context.Context, t policy.MailCopy) (row, error) {
	results, err := s.do(ctx, fetch(lying(t), messageFields...))
	if err != nil {
		return row{}, err
	}
	r, ok, err := results[0].message()
	if err == nil && !ok {
		err = fmt.Errorf("%w: not in %q", mailbox.ErrGone, t.Staged)
	}
	return r, err
}

func sameFlags(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// Purge removes a copy from the staging folder. What went on to the folder for deleted mail is its owner's.
func (b *Backend) Purge(ctx context.Context, user string, t policy.MailCopy) error {
	if t.Mode != string(mailbox.Staging) {
		return nil
	}
	ctx, done, err := b.changing(ctx)
	if err != nil {
		return err
	}
	defer done()
	s := &session{client: b.client, user: user}
	return s.expunge(ctx, lying(t))
}
