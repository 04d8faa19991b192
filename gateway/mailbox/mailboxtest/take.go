package mailboxtest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sendgate/sendgate/gateway/mailbox"
)

func (s *Server) testTake(t *testing.T) {
	b, l := s.box(t), newLetter()
	b.Put("INBOX", newLetter().raw(), l.at)
	b.Put("INBOX", l.raw(), l.at.Add(-time.Minute), `\Flagged`, "$label1")
	got := b.outcome(b.only(l), mailbox.Removed).Copy
	flags := slices.Sorted(slices.Values(got.Flags))
	if got.User != b.user || got.Folder != "INBOX" || !got.Internal.Equal(l.at.Add(-time.Minute)) || got.Mode != string(mailbox.Staging) ||
		got.Staged != s.Staging || got.StagedID == "" || got.UID == 0 || !slices.Equal(flags, []string{"$label1", `\Flagged`}) {
		t.Errorf("copy is %+v", got)
	}
	b.holds(map[string]int{"INBOX": 1, s.Staging: 1})
	if m := b.All(s.Staging); len(m) == 1 && (m[0].UID != got.UID || m[0].Raw != l.raw()) {
		t.Errorf("staged is %+v", m[0])
	}
	if _, subscribed := b.Folders(); slices.Contains(subscribed, s.Staging) {
		t.Error("the staging folder is subscribed")
	}
}

func (s *Server) testRead(t *testing.T) {
	for _, flag := range []string{`\Seen`, `\Answered`, "$Forwarded", "$MDNSent"} {
		t.Run(flag+" is left alone", func(t *testing.T) {
			b, l := s.box(t), newLetter()
			b.Put("INBOX", l.raw(), l.at)
			c := b.only(l)
			b.Flag("INBOX", c.UID, flag)
			b.outcome(c, mailbox.ReadMeanwhile)
			if m := b.All("INBOX"); len(m) != 1 || m[0].UID != c.UID || !slices.Equal(m[0].Flags, []string{flag}) {
				t.Errorf("the inbox holds %+v", m)
			}
			b.holds(map[string]int{s.Staging: 0})
		})
	}
	t.Run("taken if wanted", func(t *testing.T) {
		b, l := s.box(t), newLetter()
		b.Put("INBOX", l.raw(), l.at, `\Seen`)
		if got := b.take(b.only(l), mailbox.Options{}); got.Outcome != mailbox.Removed || !slices.Equal(got.Copy.Flags, []string{`\Seen`}) {
			t.Errorf("taken: %+v", got)
		}
		b.holds(map[string]int{"INBOX": 0, s.Staging: 1})
	})
	t.Run("another change does not matter", func(t *testing.T) {
		b, l := s.box(t), newLetter()
		b.Put("INBOX", l.raw(), l.at)
		c := b.only(l)
		b.Flag("INBOX", c.UID, `\Flagged`)
		b.outcome(c, mailbox.Removed)
	})
}

// testRaces lets the owner act when the message is about to be taken.
func (s *Server) testRaces(t *testing.T) {
	t.Run("read at that moment", func(t *testing.T) {
		b, l := s.box(t), newLetter()
		b.Put("INBOX", l.raw(), l.at.Add(-time.Minute))
		c := b.only(l)
		late := s.Interpose(t, func() { b.Flag("INBOX", c.UID, `\Seen`) })
		if got := b.takeBy(late, c, unread); got.Outcome != mailbox.ReadMeanwhile {
			t.Errorf("outcome is %q:\n%s", got.Outcome, got.Evidence)
		}
		if m := b.All("INBOX"); len(m) != 1 || !slices.Equal(m[0].Flags, []string{`\Seen`}) || !m[0].Internal.Equal(l.at.Add(-time.Minute)) || m[0].Raw != l.raw() {
			t.Errorf("the inbox holds %+v", m)
		}
		b.holds(map[string]int{s.Staging: 0})
	})
	t.Run("removed at that moment", func(t *testing.T) {
		b, l := s.box(t), newLetter()
		b.Put("INBOX", l.raw(), l.at)
		c := b.only(l)
		late := s.Interpose(t, func() { b.Remove("INBOX", c.UID) })
		if got := b.takeBy(late, c, unread); got.Outcome != mailbox.Gone {
			t.Errorf("outcome is %q:\n%s", got.Outcome, got.Evidence)
		}
		b.holds(map[string]int{"INBOX": 0, s.Staging: 0})
	})
}

func (s *Server) testGone(t *testing.T) {
	b, l := s.box(t), newLetter()
	b.Put("INBOX", l.raw(), l.at)
	c := b.only(l)
	b.Remove("INBOX", c.UID)
	b.outcome(c, mailbox.Gone)
	b.Put("Project", l.raw(), l.at)
	c = b.only(l)
	b.Drop("Project")
	b.outcome(c, mailbox.Gone)
	b.Put("Project", newLetter().raw(), l.at) // another folder, another message, the same UID
	if got, err := s.Backend.Take(context.Background(), b.user, c, unread); err == nil && got.Outcome != mailbox.Gone {
		t.Errorf("taken from another folder: %+v", got)
	}
	b.holds(map[string]int{"Project": 1, s.Staging: 0})
}

func (s *Server) testModes(t *testing.T) {
	t.Run("expunge leaves what the owner marked as deleted", func(t *testing.T) {
		b, l := s.box(t), newLetter()
		b.Put("INBOX", newLetter().raw(), l.at, `\Deleted`)
		b.Put("INBOX", l.raw(), l.at)
		b.Put("INBOX", newLetter().raw(), l.at, `\Deleted`)
		got := b.take(b.only(l), mailbox.Options{UnreadOnly: true, Mode: mailbox.Expunge})
		if got.Outcome != mailbox.Removed || got.Copy.Mode != "expunge" || got.Copy.Staged != "" || got.Copy.UID != 0 {
			t.Errorf("taken: %+v", got)
		}
		b.holds(map[string]int{"INBOX": 2, s.Staging: 0})
		if copies := b.find(l); len(copies) > 0 {
			t.Errorf("found %+v", copies)
		}
	})
	t.Run("trash", func(t *testing.T) {
		b, l := s.box(t), newLetter()
		b.Put(s.Trash, newLetter().raw(), l.at)
		b.Put("INBOX", l.raw(), l.at)
		got := b.take(b.only(l), mailbox.Options{UnreadOnly: true, Mode: mailbox.Trash})
		if got.Outcome != mailbox.Removed || got.Copy.Mode != "trash" || got.Copy.Staged != s.Trash || got.Copy.UID == 0 {
			t.Errorf("taken: %+v", got)
		}
		b.holds(map[string]int{"INBOX": 0, s.Staging: 0, s.Trash: 2})
		must(t, s.Backend.Purge(context.Background(), b.user, got.Copy))
		b.holds(map[string]int{s.Trash: 2})
		must(t, s.Backend.Restore(context.Background(), b.user, got.Copy))
		b.holds(map[string]int{"INBOX": 1, s.Trash: 1})
	})
}

// testStaged finishes what an earlier try began.
func (s *Server) testStaged(t *testing.T) {
	b, l := s.box(t), newLetter()
	b.Put("Junk", l.raw(), l.at)
	b.outcome(b.only(l), mailbox.Removed)
	c := b.only(l)
	if !c.Staged || c.Folder != s.Staging {
		t.Errorf("copy is %+v", c)
	}
	again := b.outcome(c, mailbox.Removed).Copy
	if again.Staged != s.Staging || again.UID != c.UID || again.Folder != "INBOX" {
		t.Errorf("copy is %+v", again)
	}
	b.Flag(s.Staging, c.UID, `\Seen`)
	b.outcome(c, mailbox.ReadMeanwhile)
	b.holds(map[string]int{"INBOX": 1, s.Staging: 0})
}

// testMany takes from 200 mailboxes at once: what is unread goes, what is read stays.
func (s *Server) testMany(t *testing.T) {
	const mailboxes = 200
	l, readers := newLetter(), newLetter()
	boxes := make([]string, mailboxes)
	for i := range boxes {
		boxes[i] = s.NewUser(t)
		o := s.Owner(t, boxes[i])
		o.Put("INBOX", l.raw(), l.at)
		o.Put("INBOX", readers.raw(), l.at, `\Seen`)
		_ = o.client.Close()
	}
	var g errgroup.Group
	for _, user := range boxes {
		g.Go(func() error {
			for _, m := range []letter{l, readers} {
				copies, err := s.Backend.Find(context.Background(), user, m.match())
				if err != nil || len(copies) != 1 {
					return fmt.Errorf("%s: found %d, %w", user, len(copies), err)
				}
				want := mailbox.Removed
				if copies[0].Read() != "" {
					want = mailbox.ReadMeanwhile
				}
				taken, err := s.Backend.Take(context.Background(), user, copies[0], unread)
				if err != nil || taken.Outcome != want {
					return fmt.Errorf("%s: %q, want %q, %w\n%s", user, taken.Outcome, want, err, taken.Evidence)
				}
			}
			return nil
		})
	}
	must(t, g.Wait())
	for _, user := range boxes {
		b := &box{s.Owner(t, user), t, s, user}
		b.holds(map[string]int{"INBOX": 1, s.Staging: 1})
		_ = b.client.Close()
	}
}
