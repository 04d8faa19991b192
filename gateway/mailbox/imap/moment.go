package imap

import (
	"fmt"
	"slices"

	"github.com/emersion/go-imap/v2"

	"github.com/sendgate/sendgate/gateway/mailbox"
)

// watch looks for what happened to the message in the moment of its move. A server copies it and removes it a
// moment later; what is read between the two has no trace in the copy. But it counts the folder's highest
// mod-sequence up (RFC 7162 3.1), as the removal does. COPY and EXPUNGE are more than one change: for them
// there is the look before the last.
func (r *removal) watch(before *folder) error {
	if !r.unread || !before.condstore || !r.caps.Has(imap.CapMove) {
		return nil
	}
	after, err := r.again(before)
	if err != nil {
		return err
	}
	var changed []*sight
	if after.highest != before.highest && after.highest != before.highest+1 {
		if changed, err = r.changed(before.highest); err != nil {
			return err
		}
	}
	if !undisturbed(before.highest, after.highest, changed) {
		r.moment = fmt.Sprintf("%q HIGHESTMODSEQ %d, was %d, %d others changed", after.name, after.highest, before.highest, len(changed))
		r.note("%s: that the message was read in the moment of the move cannot be excluded", r.moment)
	}
	return nil
}

// again opens the open folder anew. STATUS might be answered from a cache, and not for the folder that is
// open (RFC 9051 6.3.11).
func (s *session) again(f *folder) (*folder, error) {
	now, err := s.open(f.name, false)
	if err == nil && now.id != f.id {
		err = fmt.Errorf("%w: %q was made anew: UIDVALIDITY is %s, was %s", mailbox.ErrUnreachable, f.name, now.id, f.id)
	}
	return now, err
}

// changed fetches what has changed in the open folder since a mod-sequence.
func (s *session) changed(since uint64) ([]*sight, error) {
	s.allow()
	var every imap.UIDSet
	every.AddRange(1, 0)
	all, err := s.client.Fetch(every, &imap.FetchOptions{UID: true, Flags: true, ModSeq: true, ChangedSince: since}).Collect()
	if err != nil {
		return nil, explain("fetch changes", err)
	}
	var changed []*sight
	for _, m := range all {
		changed = append(changed, &sight{flags: plain(m.Flags), modSeq: m.ModSeq})
	}
	return changed, nil
}

// undisturbed reports whether the mod-sequence went up by one for the removal, and by one for each change of other
// messages. Messages that one command changes share a number: where another one is read now, that command may
// have been for both. With a server that does not count, there is nothing to go by.
func undisturbed(low, high uint64, changed []*sight) bool {
	if low == high {
		return true
	}
	var others []uint64
	for _, m := range changed {
		if m.modSeq > low && m.modSeq <= high && mailbox.ReadFlag(m.flags) == "" && !slices.Contains(others, m.modSeq) {
			others = append(others, m.modSeq)
		}
	}
	return high-low == uint64(len(others))+1
}
