package mailboxtest

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/sendgate/sendgate/gateway/mailbox"
	"github.com/sendgate/sendgate/policy"
)

// A Server is a mail server with a backend for it.
type Server struct {
	Backend mailbox.Backend
	// NewUser gives a user with an empty mailbox, Owner a program of the user's.
	NewUser func(t testing.TB) string
	Owner   func(t testing.TB, user string) *Owner
	// Staging is the backend's staging folder, Trash the user's folder for deleted mail.
	Staging, Trash string
	// Interpose gives a backend that calls before when the command that takes a message out of its folder
	// is about to reach the server.
	Interpose func(t testing.TB, before func()) mailbox.Backend
	// Denied is a backend with a wrong password, Unreachable one whose server is not there.
	Denied, Unreachable mailbox.Backend
}

// Run tests a backend. It takes some 250 users.
func Run(t *testing.T, s Server) {
	t.Run("find", s.testFind)
	t.Run("identity", s.testIdentity)
	t.Run("take", s.testTake)
	t.Run("read", s.testRead)
	t.Run("races", s.testRaces)
	t.Run("gone", s.testGone)
	t.Run("modes", s.testModes)
	t.Run("staged", s.testStaged)
	t.Run("restore", s.testRestore)
	t.Run("purge", s.testPurge)
	t.Run("errors", s.testErrors)
	t.Run("many at once", s.testMany)
}

// A letter is a message that we have sent.
type letter struct {
	id        policy.ID
	messageID string // as it is written, folds included
	from      string
	subject   string
	extra     string // fields, with line ends
	at        time.Time
}

const (
	gateway  = "gate.corp.test"
	idHeader = "X-Sendgate-ID"
)

// newLetter gives one of its own.
func newLetter() letter {
	id := ulid.MustNew(ulid.Now(), rand.Reader)
	return letter{
		id: id, messageID: "<" + id.String() + "@corp.test>", from: "Ann <ann@corp.test>",
		subject: "wrong figures", at: time.Now().Truncate(time.Second),
	}
}

// ours is the letter with the id header, as it leaves us.
func (l letter) ours() letter {
	l.extra += idHeader + ": " + l.id.String() + ".0123456789abcdef\r\n"
	return l
}

func (l letter) raw() string {
	var b strings.Builder
	b.WriteString(l.extra)
	fmt.Fprintf(&b, "Received: from pc by %s (sendgate) with ESMTP id %s; %s\r\n", "other.corp.test", "X"+l.id.String()[1:], l.at.Format(time.RFC1123Z))
	fmt.Fprintf(&b, "From: %s\r\nTo: bob@corp.test\r\nDate: %s\r\nSubject: %s\r\n", l.from, l.at.Format(time.RFC1123Z), l.subject)
	if l.messageID != "" {
		fmt.Fprintf(&b, "Message-ID:%s\r\n", " "+l.messageID)
	}
	b.WriteString("\r\nSee the table.\r\n")
	return b.String()
}

// match says what the gateway knows about the letter.
func (l letter) match() *mailbox.Match {
	return &mailbox.Match{
		ID: l.id, Gateway: gateway, IDHeader: idHeader, MessageID: l.messageID, From: l.from, Subject: l.subject,
		Received: l.at, Size: int64(len(l.raw())),
	}
}

// A box is a mailbox in a test.
type box struct {
	*Owner
	t    testing.TB
	s    *Server
	user string
}

func (s *Server) box(t testing.TB) *box {
	t.Helper()
	user := s.NewUser(t)
	return &box{s.Owner(t, user), t, s, user}
}

// find gives the copies that there are.
func (b *box) find(l letter) []mailbox.Copy {
	b.t.Helper()
	copies, err := b.s.Backend.Find(context.Background(), b.user, l.match())
	must(b.t, err)
	return copies
}

// only gives the one copy that there is.
func (b *box) only(l letter) mailbox.Copy {
	b.t.Helper()
	copies := b.find(l)
	if len(copies) != 1 {
		b.t.Fatalf("found %d copies, want 1: %+v", len(copies), copies)
	}
	return copies[0]
}

var unread = mailbox.Options{UnreadOnly: true}

func (b *box) take(c mailbox.Copy, o mailbox.Options) mailbox.Taken {
	b.t.Helper()
	return b.takeBy(b.s.Backend, c, o)
}

func (b *box) takeBy(backend mailbox.Backend, c mailbox.Copy, o mailbox.Options) mailbox.Taken {
	b.t.Helper()
	t, err := backend.Take(context.Background(), b.user, c, o)
	must(b.t, err)
	if t.Evidence == "" {
		b.t.Errorf("%s without evidence", t.Outcome)
	}
	return t
}

// outcome takes an unread copy and compares.
func (b *box) outcome(c mailbox.Copy, want mailbox.Outcome) mailbox.Taken {
	b.t.Helper()
	t := b.take(c, unread)
	if t.Outcome != want {
		b.t.Fatalf("outcome is %q, want %q:\n%s", t.Outcome, want, t.Evidence)
	}
	return t
}

// holds compares how many messages folders have.
func (b *box) holds(want map[string]int) {
	b.t.Helper()
	for folder, n := range want {
		if got := b.All(folder); len(got) != n {
			b.t.Errorf("%d messages in %q, want %d", len(got), folder, n)
		}
	}
}
