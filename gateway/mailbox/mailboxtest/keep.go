package mailboxtest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/sendgate/sendgate/gateway/mailbox"
	"github.com/sendgate/sendgate/policy"
)

func (s *Server) testRestore(t *testing.T) {
	ctx := context.Background()
	t.Run("with flags and date", func(t *testing.T) {
		b, l := s.box(t), newLetter()
		b.Put("Junk", l.raw(), l.at.Add(-time.Minute), `\Flagged`, "$label1")
		got := b.outcome(b.only(l), mailbox.Removed).Copy
		b.Flag(s.Staging, got.UID, `\Seen`) // somebody has looked at it there
		must(t, s.Backend.Restore(ctx, b.user, got))
		m := b.All("Junk")
		if len(m) != 1 || !slices.Equal(m[0].Flags, []string{"$label1", `\Flagged`}) || !m[0].Internal.Equal(l.at.Add(-time.Minute)) || m[0].Raw != l.raw() {
			t.Errorf("restored: %+v", m)
		}
		b.holds(map[string]int{s.Staging: 0})
		if err := s.Backend.Restore(ctx, b.user, got); !errors.Is(err, mailbox.ErrGone) {
			t.Errorf("a second time: %v", err)
		}
		b.outcome(b.only(l), mailbox.Removed) // as if nothing had been
	})
	t.Run("without flags", func(t *testing.T) {
		b, l := s.box(t), newLetter()
		b.Put("INBOX", l.raw(), l.at)
		got := b.outcome(b.only(l), mailbox.Removed).Copy
		b.Flag(s.Staging, got.UID, `\Seen`)
		must(t, s.Backend.Restore(ctx, b.user, got))
		if m := b.All("INBOX"); len(m) != 1 || len(m[0].Flags) > 0 {
			t.Errorf("restored: %+v", m)
		}
	})
	t.Run("into the inbox when its folder is gone", func(t *testing.T) {
		b, l := s.box(t), newLetter()
		b.Put("Project", l.raw(), l.at)
		got := b.outcome(b.only(l), mailbox.Removed).Copy
		b.Open("INBOX")
		b.Drop("Project")
		must(t, s.Backend.Restore(ctx, b.user, got))
		b.holds(map[string]int{"INBOX": 1, s.Staging: 0})
	})
	t.Run("not what was expunged", func(t *testing.T) {
		b, l := s.box(t), newLetter()
		b.Put("INBOX", l.raw(), l.at)
		got := b.take(b.only(l), mailbox.Options{Mode: mailbox.Expunge}).Copy
		if err := s.Backend.Restore(ctx, b.user, got); !errors.Is(err, mailbox.ErrGone) {
			t.Errorf("restored: %v", err)
		}
	})
	t.Run("not by the identity of another folder", func(t *testing.T) {
		b, l := s.box(t), newLetter()
		b.Put("INBOX", l.raw(), l.at)
		got := b.outcome(b.only(l), mailbox.Removed).Copy
		got.StagedID = "1"
		if err := s.Backend.Restore(ctx, b.user, got); err == nil {
			t.Error("restored")
		}
		b.holds(map[string]int{"INBOX": 0, s.Staging: 1})
	})
}

func (s *Server) testPurge(t *testing.T) {
	ctx := context.Background()
	b, l, other := s.box(t), newLetter(), newLetter()
	b.Put("INBOX", l.raw(), l.at)
	b.Put("INBOX", other.raw(), l.at, `\Deleted`)
	got := b.outcome(b.only(l), mailbox.Removed).Copy
	b.outcome(b.only(other), mailbox.Removed)
	must(t, s.Backend.Purge(ctx, b.user, got))
	b.holds(map[string]int{"INBOX": 0, s.Staging: 1})
	must(t, s.Backend.Purge(ctx, b.user, got))
	b.holds(map[string]int{s.Staging: 1})
	if err := s.Backend.Restore(ctx, b.user, got); !errors.Is(err, mailbox.ErrGone) {
		t.Errorf("restored after purge: %v", err)
	}
}

func (s *Server) testErrors(t *testing.T) {
	b, l := s.box(t), newLetter()
	b.Put("INBOX", l.raw(), l.at)
	for name, c := range map[string]struct {
		backend mailbox.Backend
		user    string
		want    error
	}{
		"no such user": {s.Backend, "nobody", mailbox.ErrNoMailbox},
		"denied":       {s.Denied, b.user, mailbox.ErrDenied},
		"unreachable":  {s.Unreachable, b.user, mailbox.ErrUnreachable},
	} {
		t.Run(name, func(t *testing.T) {
			for what, call := range map[string]func() error{
				"find":  func() error { _, err := c.backend.Find(context.Background(), c.user, l.match()); return err },
				"check": func() error { return c.backend.Check(context.Background(), c.user) },
				"restore": func() error {
					return c.backend.Restore(context.Background(), c.user, policy.MailCopy{Folder: "INBOX", Mode: "staging", Staged: s.Staging, StagedID: "1", UID: 1})
				},
			} {
				err := call()
				if what == "restore" && name == "no such user" && errors.Is(err, mailbox.ErrGone) {
					continue // true as well
				}
				if !errors.Is(err, c.want) {
					t.Errorf("%s: %v", what, err)
				}
			}
		})
	}
	t.Run("a context that has ended", func(t *testing.T) {
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := s.Backend.Find(ended, b.user, l.match()); err == nil {
			t.Error("found")
		}
		if _, err := s.Backend.Take(ended, b.user, b.only(l), unread); err == nil {
			t.Error("taken")
		}
		b.holds(map[string]int{"INBOX": 1, s.Staging: 0})
	})
	must(t, s.Backend.Check(context.Background(), b.user))
}
