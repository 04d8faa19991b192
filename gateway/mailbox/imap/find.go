package imap

import (
	"errors"
	"fmt"

	"github.com/emersion/go-imap/v2"

	"github.com/sendgate/sendgate/gateway/mailbox"
)

// Bounds of a search in one folder. Candidates are read in batches: a header is cut off at maxHeader, so that
// a batch stays below maxAnswer.
const (
	maxCandidates = 2000
	batch         = 50
	maxHeader     = 64 << 10
)

var errManyCandidates = fmt.Errorf("more than %d messages of one folder could be the one", maxCandidates)

// find looks into all folders.
func (s *session) find(m *mailbox.Match, staging string) ([]mailbox.Copy, error) {
	if err := s.isMailbox(); err != nil || criteria(m) == nil {
		return nil, err
	}
	names, err := s.folders(staging)
	if err != nil {
		return nil, err
	}
	var all []mailbox.Copy
	for _, name := range append(names, staging) {
		copies, err := s.findIn(name, m)
		if errors.Is(err, errNoFolder) && (name == staging || !s.listed(name)) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for i := range copies {
			copies[i].Staged = name == staging
		}
		all = append(all, copies...)
	}
	return all, nil
}

// listed tells a folder that was removed while we looked from one that the server does not open: what was
// not looked into must not count as empty.
func (s *session) listed(name string) bool {
	all, err := s.list(name)
	return err != nil || len(all) > 0
}

// findIn looks into one folder, without changing it.
func (s *session) findIn(name string, m *mailbox.Match) ([]mailbox.Copy, error) {
	f, err := s.open(name, true)
	if err != nil {
		return nil, err
	}
	s.allow()
	found, err := s.client.UIDSearch(criteria(m), nil).Wait()
	if err != nil {
		return nil, explain(fmt.Sprintf("search %q", name), err)
	}
	uids, err := listUIDs(found.All)
	if err != nil {
		return nil, err
	}
	var all []mailbox.Copy
	for len(uids) > 0 {
		n := min(batch, len(uids))
		copies, err := s.verify(f, uids[:n], m)
		if err != nil {
			return nil, err
		}
		all, uids = append(all, copies...), uids[n:]
	}
	return all, nil
}

// listUIDs expands what a search found. The library's own way would expand 1:4000000000, too.
func listUIDs(found imap.NumSet) ([]imap.UID, error) {
	set, _ := found.(imap.UIDSet)
	var uids []imap.UID
	for _, r := range set {
		if uint64(r.Stop)-uint64(r.Start)+uint64(len(uids)) >= maxCandidates {
			return nil, errManyCandidates
		}
		for uid := uint64(r.Start); uid <= uint64(r.Stop); uid++ {
			uids = append(uids, imap.UID(uid))
		}
	}
	return uids, nil
}

// verify reads candidates and keeps those that are the message.
func (s *session) verify(f *folder, uids []imap.UID, m *mailbox.Match) ([]mailbox.Copy, error) {
	s.allow()
	found, err := s.client.Fetch(imap.UIDSetNum(uids...), &imap.FetchOptions{
		UID: true, Flags: true, InternalDate: true, RFC822Size: true, ModSeq: f.condstore,
		BodySection: []*imap.FetchItemBodySection{{
			Specifier: imap.PartSpecifierHeader, HeaderFields: m.Fields(), Peek: true,
			Partial: &imap.SectionPartial{Size: maxHeader},
		}},
	}).Collect()
	if err != nil {
		return nil, explain(fmt.Sprintf("fetch from %q", f.name), err)
	}
	var copies []mailbox.Copy
	for _, b := range found {
		if len(b.BodySection) != 1 || b.UID == 0 {
			continue // unasked: somebody changed a flag, or the message has just gone
		}
		c := mailbox.Copy{
			Folder: f.name, FolderID: f.id, UID: uint32(b.UID), Flags: plain(b.Flags),
			Internal: b.InternalDate, Size: b.RFC822Size, ModSeq: b.ModSeq,
		}
		if m.Verify(b.BodySection[0].Bytes, &c) {
			copies = append(copies, c)
		}
	}
	return copies, nil
}

// criteria are wider than the match: what they find is verified. Nil finds nothing.
func criteria(m *mailbox.Match) *imap.SearchCriteria {
	var any []imap.SearchCriteria
	header := func(field, value string) {
		any = append(any, imap.SearchCriteria{Header: []imap.SearchCriteriaHeaderField{{Key: field, Value: value}}})
	}
	if m.IDHeader != "" {
		header(m.IDHeader, m.ID.String())
	}
	if m.Gateway != "" {
		header("Received", m.ID.String())
	}
	if term := m.Term(); term != "" {
		header("Message-ID", term)
	} else if least, most := m.Sizes(); most > 0 {
		any = append(any, imap.SearchCriteria{Larger: max(least-1, 0), Smaller: most + 1})
	}
	if len(any) == 0 {
		return nil
	}
	c := either(any)
	c.Since = m.Since().UTC()
	return c
}

// either is the disjunction of all; there is at least one.
func either(all []imap.SearchCriteria) *imap.SearchCriteria {
	c := all[0]
	for _, next := range all[1:] {
		c = imap.SearchCriteria{Or: [][2]imap.SearchCriteria{{c, next}}}
	}
	return &c
}
