package imap

import (
	"fmt"

	"github.com/emersion/go-imap/v2"

	"github.com/sendgate/sendgate/gateway/mailbox"
)

// move takes a message out of the open folder f into another one, which is made if need be. Nil says that the
// message is not in f any more. With unread, a server without MOVE is told to keep a message that was
// read while it was copied: errRead.
func (s *session) move(f *folder, uid imap.UID, to string, unread bool) (*place, error) {
	send := s.moveOnce
	if !s.caps.Has(imap.CapMove) {
		send = func(uid imap.UID, to string) (*place, error) { return s.copyOnce(f, uid, to, unread) }
	}
	p, err := send(uid, to)
	if noFolder(err) {
		if err := s.create(to); err != nil {
			return nil, err
		}
		p, err = send(uid, to)
	}
	if gone(err) {
		return nil, nil
	}
	if err != nil && !isRead(err) {
		return nil, explain(fmt.Sprintf("move to %q", to), err)
	}
	return p, err
}

// moveOnce gives the library's own error, for noFolder.
func (s *session) moveOnce(uid imap.UID, to string) (*place, error) {
	s.allow()
	data, err := s.client.Move(imap.UIDSetNum(uid), to).Wait()
	if err != nil {
		return nil, err
	}
	return target(to, data.UIDValidity, data.DestUIDs)
}

// copyOnce moves by COPY, \Deleted and UID EXPUNGE, as RFC 6851 3.3 describes MOVE. Before the last of
// them flags are looked at again.
func (s *session) copyOnce(f *folder, uid imap.UID, to string, unread bool) (*place, error) {
	before, err := s.look(f, uid)
	if err != nil || before == nil {
		return nil, err
	}
	s.allow()
	data, err := s.client.Copy(imap.UIDSetNum(uid), to).Wait()
	if err != nil {
		return nil, err
	}
	p, err := target(to, data.UIDValidity, data.DestUIDs)
	if err != nil || p == nil {
		return nil, err
	}
	if err := s.store(uid, imap.StoreFlagsAdd, 0, imap.FlagDeleted); err != nil {
		return nil, err
	}
	now, err := s.look(f, uid)
	switch {
	case err != nil:
		return nil, err
	case now == nil: // somebody else took it: what we have is a copy of what its owner removed
		return nil, s.drop(f, p)
	case unread && mailbox.ReadFlag(now.flags) != "":
		return nil, s.undo(f, uid, before, now, p)
	}
	s.allow()
	if err := s.client.UIDExpunge(imap.UIDSetNum(uid)).Close(); err != nil {
		return nil, err
	}
	return p, nil
}

// undo leaves a message as its owner had it and removes the copy.
func (s *session) undo(f *folder, uid imap.UID, before, now *sight, copied *place) error {
	if !before.deleted {
		if err := s.store(uid, imap.StoreFlagsDel, 0, imap.FlagDeleted); err != nil {
			return err
		}
	}
	if err := s.drop(f, copied); err != nil {
		return err
	}
	return &readError{mailbox.ReadFlag(now.flags)}
}

// drop removes a copy that we made, and opens the folder again where we were.
func (s *session) drop(f *folder, copied *place) error {
	there, err := s.open(copied.folder, false)
	if err != nil {
		return err
	}
	if there.id == copied.id {
		if err := s.expunge(copied.uid); err != nil {
			return err
		}
	}
	_, err = s.open(f.name, false)
	return err
}

// A readError says that a message was left alone because it was read meanwhile.
type readError struct{ flag string }

func (e *readError) Error() string { return "it was read meanwhile: " + e.flag }

func isRead(err error) bool {
	_, ok := err.(*readError)
	return ok
}
