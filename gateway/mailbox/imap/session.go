package imap

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/sendgate/sendgate/gateway/mailbox"
)

// A session is a connection that acts as one user. It is used by one goroutine.
type session struct {
	conn   *bounded
	client *imapclient.Client
	user   string
	caps   imap.CapSet
	idle   time.Time // since when it is unused
}

// allow begins a new command.
func (s *session) allow() { s.conn.left.Store(maxAnswer) }

// close ends the connection at once. The library's own Close waits for its reader, which may wait for us.
func (s *session) close() { _ = s.conn.Close() }

// A folder is an opened one.
type folder struct {
	name      string
	id        string // UIDVALIDITY
	condstore bool   // it has mod-sequences (RFC 7162 3.1.2.2)
	keywords  bool   // our mark can be set
	highest   uint64 // the highest mod-sequence when it was opened
}

// errNoFolder says that a folder cannot be opened because it is not there.
var errNoFolder = errors.New("no such folder")

// open selects a folder. Read-only is for looking: it leaves \Recent to the owner (RFC 9051 6.3.3).
func (s *session) open(name string, readOnly bool) (*folder, error) {
	s.allow()
	condstore := s.caps.Has(imap.CapCondStore)
	data, err := s.client.Select(name, &imap.SelectOptions{ReadOnly: readOnly, CondStore: condstore}).Wait()
	switch {
	case noFolder(err):
		return nil, fmt.Errorf("%w: %w", errNoFolder, explain("open "+strconv.Quote(name), err))
	case err != nil:
		return nil, explain("open "+strconv.Quote(name), err)
	}
	return &folder{
		name: name, id: strconv.FormatUint(uint64(data.UIDValidity), 10),
		condstore: condstore && data.HighestModSeq > 0,
		keywords:  slices.Contains(data.PermanentFlags, imap.FlagWildcard) || slices.Contains(data.PermanentFlags, mark),
		highest:   data.HighestModSeq,
	}, nil
}

// A sight is how a message was seen.
type sight struct {
	flags    []string // without \Recent and our mark
	marked   bool
	deleted  bool
	modSeq   uint64
	internal time.Time
}

// look fetches the flags of a message in the open folder; nil when it is not there.
func (s *session) look(f *folder, uid imap.UID) (*sight, error) {
	s.allow()
	all, err := s.client.Fetch(imap.UIDSetNum(uid), &imap.FetchOptions{
		UID: true, Flags: true, InternalDate: true, ModSeq: f.condstore,
	}).Collect()
	if err != nil {
		return nil, explain("fetch flags", err)
	}
	for _, m := range all {
		if m.UID == uid {
			seen := &sight{modSeq: m.ModSeq, internal: m.InternalDate}
			for _, flag := range m.Flags {
				seen.marked = seen.marked || flag == mark
				seen.deleted = seen.deleted || flag == imap.FlagDeleted
			}
			seen.flags = plain(m.Flags)
			return seen, nil
		}
	}
	return nil, nil
}

// plain leaves out what is not the owner's: \Recent, which nobody can set (RFC 3501 2.3.2), and our mark.
func plain(flags []imap.Flag) []string {
	var all []string
	for _, f := range flags {
		if f != mark && f != `\Recent` {
			all = append(all, string(f))
		}
	}
	return all
}

// store changes flags; with a mod-sequence only if the message has not changed since.
func (s *session) store(uid imap.UID, op imap.StoreFlagsOp, since uint64, flags ...imap.Flag) error {
	s.allow()
	var options *imap.StoreOptions
	if since > 0 {
		options = &imap.StoreOptions{UnchangedSince: since}
	}
	return explain("store flags", s.client.Store(imap.UIDSetNum(uid), &imap.StoreFlags{Op: op, Silent: true, Flags: flags}, options).Close())
}

// expunge removes one message for good and leaves all others that are marked as deleted (RFC 4315 2.1).
func (s *session) expunge(uid imap.UID) error {
	if err := s.store(uid, imap.StoreFlagsAdd, 0, imap.FlagDeleted); err != nil {
		return err
	}
	s.allow()
	return explain("expunge", s.client.UIDExpunge(imap.UIDSetNum(uid)).Close())
}

// create makes a folder. It is not subscribed, so that programs that show what is subscribed do not show it.
func (s *session) create(name string) error {
	s.allow()
	err := s.client.Create(name, nil).Wait()
	var refused *imap.Error
	if errors.As(err, &refused) && refused.Code == imap.ResponseCodeAlreadyExists {
		return nil
	}
	return explain("create "+strconv.Quote(name), err)
}

// A place is where a message lies.
type place struct {
	folder string
	id     string
	uid    imap.UID
}

// errUnknownPlace wraps what is worth another look.
var errUnknownPlace = fmt.Errorf("%w: it did not say where the message lies now", mailbox.ErrUnreachable)

// target reads COPYUID (RFC 4315 3): nil when nothing was moved.
func target(name string, validity uint32, uids imap.NumSet) (*place, error) {
	set, _ := uids.(imap.UIDSet)
	if len(set) == 0 {
		return nil, nil
	}
	if len(set) != 1 || set[0].Start != set[0].Stop || set[0].Start == 0 {
		return nil, errUnknownPlace
	}
	return &place{folder: name, id: strconv.FormatUint(uint64(validity), 10), uid: set[0].Start}, nil
}
