package mailboxtest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/sendgate/sendgate/gateway/mailbox"
)

func (s *Server) testFind(t *testing.T) {
	t.Run("in any folder but sent mail and drafts, without touching it", func(t *testing.T) {
		b, l := s.box(t), newLetter()
		b.Put("INBOX", newLetter().raw(), l.at)
		want := []string{"Archive/2026", "INBOX", "Junk", s.Trash, "报告"}
		for _, folder := range append(want, "Sent", "Drafts") {
			b.Put(folder, l.raw(), l.at)
		}
		var got []string
		for _, c := range b.find(l) {
			got = append(got, c.Folder)
			if c.UID == 0 || c.FolderID == "" || !c.Internal.Equal(l.at) || c.Size != int64(len(l.raw())) || c.Staged {
				t.Errorf("copy is %+v", c)
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("found in %q, want %q", got, want)
		}
		for _, m := range b.All("INBOX") {
			if len(m.Flags) > 0 {
				t.Errorf("flags are %q after looking", m.Flags)
			}
		}
	})
	t.Run("flags that say read", func(t *testing.T) {
		for _, flag := range []string{`\Seen`, `\Answered`, "$Forwarded", "$MDNSent"} {
			b, l := s.box(t), newLetter()
			b.Put("INBOX", l.raw(), l.at, `\Flagged`, flag)
			if c := b.only(l); c.Read() != flag {
				t.Errorf("with %s it reads %q of %q", flag, c.Read(), c.Flags)
			}
		}
	})
	t.Run("nothing in an empty mailbox", func(t *testing.T) {
		if got := s.box(t).find(newLetter()); len(got) > 0 {
			t.Errorf("found %+v", got)
		}
	})
}

// testIdentity tells the message from those that look like it.
func (s *Server) testIdentity(t *testing.T) {
	t.Run("Message-IDs that contain each other or differ in case", func(t *testing.T) {
		b, l := s.box(t), newLetter()
		l.messageID = "<1.a@corp.test>"
		for _, other := range []string{"<11.a@corp.test>", "<1.a@corp.test.example>", "<1.A@corp.test>", l.messageID} {
			o := l
			o.messageID = other
			b.Put("INBOX", o.raw(), l.at)
		}
		if c := b.only(l); c.UID != b.All("INBOX")[3].UID || c.By != mailbox.ByMessageID {
			t.Errorf("found %+v", c)
		}
	})
	for name, id := range map[string]string{
		"folded": "\r\n <fold.%s@corp.test>", "quoted": `<"q u \"o".x@corp.test>`, "beyond ASCII": "<grüße.1@corp.test>",
		"folded within": "<fold.within\r\n .it@corp.test>",
	} {
		t.Run("Message-ID "+name, func(t *testing.T) {
			b, l := s.box(t), newLetter()
			l.messageID = id
			b.Put("INBOX", l.raw(), l.at)
			if c := b.only(l); c.By != mailbox.ByMessageID {
				t.Errorf("found by %q", c.By)
			}
		})
	}
	t.Run("no Message-ID", func(t *testing.T) {
		b, l := s.box(t), newLetter()
		l.messageID = ""
		other := l
		other.subject = "wrong figures again"
		b.Put("INBOX", other.raw(), l.at)
		b.Put("INBOX", l.raw(), l.at)
		if c := b.only(l); c.By != mailbox.ByHeader || c.UID != b.All("INBOX")[1].UID {
			t.Errorf("found %+v", c)
		}
	})
	t.Run("another author, or before we had it", func(t *testing.T) {
		b, l := s.box(t), newLetter()
		forged := l
		forged.from = "Eve <eve@corp.test>"
		b.Put("INBOX", forged.raw(), l.at)
		b.Put("INBOX", l.raw(), l.at.Add(-time.Hour))
		if got := b.find(l); len(got) > 0 {
			t.Errorf("found %+v", got)
		}
	})
	t.Run("one Message-ID on two messages", func(t *testing.T) {
		b, l := s.box(t), newLetter()
		twin := l
		twin.subject = "other figures"
		b.Put("INBOX", l.raw(), l.at)
		b.Put("INBOX", twin.raw(), l.at)
		if _, err := mailbox.Choose(b.find(l)); !errors.Is(err, mailbox.ErrAmbiguous) {
			t.Errorf("choice among twins: %v", err)
		}
		b.Put("Junk", l.ours().raw(), l.at)
		got, err := mailbox.Choose(b.find(l))
		if err != nil || len(got) != 1 || got[0].Folder != "Junk" || got[0].By != mailbox.ByID {
			t.Errorf("choice with our id: %+v, %v", got, err)
		}
	})
	t.Run("copies of one message are one", func(t *testing.T) {
		b, l := s.box(t), newLetter()
		b.Put("INBOX", l.raw(), l.at)
		b.Put("Junk", "Return-Path: <ann@corp.test>\r\n"+l.raw(), l.at)
		if got, err := mailbox.Choose(b.find(l)); err != nil || len(got) != 2 {
			t.Errorf("choice: %+v, %v", got, err)
		}
	})
	t.Run("our id in the Received line, Message-ID rewritten", func(t *testing.T) {
		b, l := s.box(t), newLetter()
		rewritten := l
		rewritten.messageID = "<rewritten@mail.corp.test>"
		rewritten.extra = "Received: from pc ([192.0.2.1])\r\n\tby " + gateway + " (sendgate) with ESMTP id " + l.id.String() + "\r\n\tfor <bob@corp.test>; " + l.at.Format(time.RFC1123Z) + "\r\n"
		b.Put("INBOX", rewritten.raw(), l.at)
		if c := b.only(l); c.By != mailbox.ByID {
			t.Errorf("found by %q", c.By)
		}
	})
	t.Run("another id of ours", func(t *testing.T) {
		b, l := s.box(t), newLetter()
		other := newLetter().ours()
		other.messageID = l.messageID
		b.Put("INBOX", other.raw(), l.at)
		if got := b.find(l); len(got) > 0 {
			t.Errorf("found %+v", got)
		}
	})
}
