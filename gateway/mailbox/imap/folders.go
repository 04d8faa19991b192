package imap

import (
	"errors"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/sendgate/sendgate/gateway/mailbox"
)

// maxFolders bounds how many folders of one mailbox are looked into.
const maxFolders = 5000

var errManyFolders = errors.New("the mailbox has more than 5000 folders")

// folders lists what is to be searched: all folders that can be opened but those for sent mail and drafts
// and views of others (\All, \Flagged, \Important); of the user's own namespaces only: what others share is
// theirs to give back. The staging folder is not among them.
func (s *session) folders(staging string) ([]string, error) {
	foreign, err := s.foreign()
	if err != nil {
		return nil, err
	}
	all, err := s.list("*")
	if err != nil {
		return nil, err
	}
	special := slices.ContainsFunc(all, func(d *imap.ListData) bool { return has(d, imap.MailboxAttrSent) || has(d, imap.MailboxAttrDrafts) })
	var names []string
	for _, d := range all {
		switch {
		case has(d, imap.MailboxAttrNoSelect, imap.MailboxAttrNonExistent), d.Mailbox == staging,
			has(d, imap.MailboxAttrSent, imap.MailboxAttrDrafts, imap.MailboxAttrAll, imap.MailboxAttrFlagged, imap.MailboxAttrImportant),
			!special && named(d, "sent", "sent items", "sent messages", "sent mail", "drafts"),
			slices.ContainsFunc(foreign, func(prefix string) bool { return strings.HasPrefix(d.Mailbox, prefix) }):
		default:
			names = append(names, d.Mailbox)
		}
	}
	return names, nil
}

// foreign lists the prefixes of namespaces that are not the user's own (RFC 2342).
func (s *session) foreign() ([]string, error) {
	if !s.caps.Has(imap.CapNamespace) {
		return nil, nil
	}
	s.allow()
	data, err := s.client.Namespace().Wait()
	if err != nil {
		return nil, explain("ask for namespaces", err)
	}
	var prefixes []string
	for _, n := range slices.Concat(data.Other, data.Shared) {
		if n.Prefix != "" {
			prefixes = append(prefixes, n.Prefix)
		}
	}
	return prefixes, nil
}

// list gives the folders that match a pattern, with their special uses where the server knows them
// (RFC 6154).
func (s *session) list(pattern string) ([]*imap.ListData, error) {
	s.allow()
	var options *imap.ListOptions
	if s.caps.Has(imap.CapSpecialUse) && s.caps.Has(imap.CapListExtended) {
		options = &imap.ListOptions{ReturnSpecialUse: true}
	}
	cmd := s.client.List("", pattern, options)
	var all []*imap.ListData
	for d := cmd.Next(); d != nil; d = cmd.Next() {
		if len(all) == maxFolders {
			s.close() // the rest is read, but not waited for
			_ = cmd.Close()
			return nil, errManyFolders
		}
		all = append(all, d)
	}
	return all, explain("list folders", cmd.Close())
}

// trash finds the user's folder for deleted mail; empty when there is none.
func (s *session) trash() (string, error) {
	all, err := s.list("*")
	if err != nil {
		return "", err
	}
	for _, d := range all {
		if has(d, imap.MailboxAttrTrash) {
			return d.Mailbox, nil
		}
	}
	for _, d := range all {
		if named(d, "trash", "deleted items", "deleted messages") {
			return d.Mailbox, nil
		}
	}
	return "", nil
}

func has(d *imap.ListData, attributes ...imap.MailboxAttr) bool {
	return slices.ContainsFunc(d.Attrs, func(a imap.MailboxAttr) bool {
		return slices.ContainsFunc(attributes, func(b imap.MailboxAttr) bool { return strings.EqualFold(string(a), string(b)) })
	})
}

// named compares the last part of a folder's name.
func named(d *imap.ListData, names ...string) bool {
	name := d.Mailbox
	if d.Delim != 0 {
		name = name[strings.LastIndex(name, string(d.Delim))+1:]
	}
	return slices.Contains(names, strings.ToLower(name))
}

// isMailbox says whether the user has one: some servers let us act as anybody, and show nothing.
func (s *session) isMailbox() error {
	if _, err := s.open("INBOX", true); errors.Is(err, errNoFolder) {
		return &explained{text: mailbox.ErrNoMailbox.Error() + ": " + err.Error(), meaning: mailbox.ErrNoMailbox, cause: err}
	} else if err != nil {
		return err
	}
	return nil
}
