package imap

import (
	"fmt"
	"io"
	"log"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"

	"github.com/sendgate/sendgate/gateway/mailbox/mailboxtest"
)

// TestWithoutCondstore and TestWithoutMove are for old servers: no CONDSTORE, no SPECIAL-USE.
func TestWithoutCondstore(t *testing.T) {
	runMemory(t, imap.CapUIDPlus, imap.CapMove, imap.CapNamespace)
}

func TestWithoutMove(t *testing.T) { runMemory(t, imap.CapUIDPlus) }

func runMemory(t *testing.T, caps ...imap.Cap) {
	m := startMemory(t, caps...)
	mailboxtest.Run(t, contract(t, configured(m.address, file(t, mailboxtest.MasterPassword)), func(s *mailboxtest.Server) {
		s.NewUser, s.Owner, s.Trash = m.newUser, m.owner, "Trash"
	}))
}

// A memory is a server in memory, with an IMAP4rev1 of few extensions.
type memory struct {
	address string
	users   map[string]*imapmemserver.User
	next    atomic.Int64
}

func startMemory(t *testing.T, caps ...imap.Cap) *memory {
	t.Helper()
	m := &memory{users: map[string]*imapmemserver.User{}}
	for i := range mailboxtest.Users {
		name := fmt.Sprintf("u%d@corp.test", i)
		m.users[name] = imapmemserver.NewUser(name, mailboxtest.Password)
		if err := m.users[name].Create("INBOX", nil); err != nil {
			t.Fatal(err)
		}
	}
	set := imap.CapSet{imap.CapIMAP4rev1: {}}
	for _, c := range caps {
		set[c] = struct{}{}
	}
	server := imapserver.New(&imapserver.Options{
		Caps: set, InsecureAuth: true, Logger: log.New(io.Discard, "", 0),
		NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return &memorySession{memory: m}, nil, nil
		},
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m.address = l.Addr().String()
	done := make(chan struct{})
	go func() { _ = server.Serve(l); close(done) }()
	t.Cleanup(func() { _ = server.Close(); <-done })
	return m
}

func (m *memory) newUser(testing.TB) string {
	return fmt.Sprintf("u%d@corp.test", m.next.Add(1)-1)
}

func (m *memory) owner(t testing.TB, user string) *mailboxtest.Owner {
	t.Helper()
	client, err := imapclient.DialInsecure(m.address, nil)
	if err == nil {
		err = client.Login(user, mailboxtest.Password).Wait()
	}
	if err != nil {
		t.Fatal(err)
	}
	return mailboxtest.NewOwner(t, client)
}

// A memorySession knows the master user, as Dovecot does.
type memorySession struct {
	*imapmemserver.UserSession
	memory *memory
}

func (s *memorySession) Login(login, password string) error {
	name, master, _ := strings.Cut(login, "*")
	user, want := s.memory.users[name], mailboxtest.Password
	if master == mailboxtest.Master {
		want = mailboxtest.MasterPassword
	}
	switch {
	case password != want:
		return imapserver.ErrAuthFailed
	case user == nil:
		return &imap.Error{Type: imap.StatusResponseTypeNo, Code: imap.ResponseCodeAuthorizationFailed, Text: "no such user"}
	}
	s.UserSession = imapmemserver.NewUserSession(user)
	return nil
}

func (s *memorySession) Close() error {
	if s.UserSession == nil {
		return nil
	}
	return s.UserSession.Close()
}

// Move says what RFC 5530 3 has for a message that is gone. The library's own writes a COPYUID without UIDs.
func (s *memorySession) Move(w *imapserver.MoveWriter, set imap.NumSet, to string) error {
	found, err := s.Search(imapserver.NumKindUID, &imap.SearchCriteria{UID: []imap.UIDSet{set.(imap.UIDSet)}}, &imap.SearchOptions{})
	if err == nil && len(found.AllUIDs()) == 0 {
		err = &imap.Error{Type: imap.StatusResponseTypeNo, Code: "EXPUNGEISSUED", Text: "gone"}
	}
	if err != nil {
		return err
	}
	return s.UserSession.Move(w, set, to)
}
