package imap

import (
	"bufio"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sendgate/sendgate/gateway/mailbox"
	"github.com/sendgate/sendgate/gateway/mailbox/mailboxtest"
)

func TestDovecotMaster(t *testing.T) {
	d := mailboxtest.StartDovecot(t)
	mailboxtest.Run(t, contract(t, dovecot(d), func(s *mailboxtest.Server) {
		s.NewUser, s.Owner, s.Trash = d.NewUser, d.Owner, "Papierkorb"
	}))
}

// TestDovecotAuthzid uses TLS, and a staging folder in a namespace that is not listed.
func TestDovecotAuthzid(t *testing.T) {
	d := mailboxtest.StartDovecot(t)
	c := dovecot(d)
	c.IMAP.Auth, c.Staging = mailbox.AuthAuthzid, "hidden/recalled"
	mailboxtest.Run(t, contract(t, c, func(s *mailboxtest.Server) {
		s.NewUser, s.Owner, s.Trash = d.NewUser, d.Owner, "Papierkorb"
	}))
	all, _ := d.Owner(t, d.NewUser(t)).Folders()
	for _, name := range all {
		if strings.HasPrefix(name, "hidden") {
			t.Errorf("the owner sees %q", name)
		}
	}
}

func TestCyrus(t *testing.T) {
	cyrus := mailboxtest.StartCyrus(t)
	c := configured(cyrus.IMAP, cyrus.Password)
	c.IMAP.Auth = mailbox.AuthAuthzid
	mailboxtest.Run(t, contract(t, c, func(s *mailboxtest.Server) {
		s.NewUser, s.Owner, s.Trash = cyrus.NewUser, cyrus.Owner, "Trash"
	}))
}

func dovecot(d *mailboxtest.Dovecot) mailbox.Config { return configured(d.IMAP, d.Password) }

// configured is a configuration for a server on loopback.
func configured(address, password string) mailbox.Config {
	var c mailbox.Config
	c.SetDefaults()
	c.Name, c.Domains, c.Timeout = "test", []string{"@corp.test"}, time.Minute
	c.IMAP.Address, c.IMAP.TLS, c.IMAP.Login, c.IMAP.PasswordFile = address, mailbox.TLSNone, mailboxtest.Master, password
	return c
}

// contract fills in what is the same for all servers.
func contract(t *testing.T, c mailbox.Config, more func(*mailboxtest.Server)) mailboxtest.Server {
	t.Helper()
	wrong, nowhere := c, c
	wrong.IMAP.PasswordFile = file(t, "wrong")
	nowhere.IMAP.Address = closedPort(t)
	s := mailboxtest.Server{
		Backend: backend(t, c), Denied: backend(t, wrong), Unreachable: backend(t, nowhere), Staging: c.Staging,
		Interpose: func(t testing.TB, before func()) mailbox.Backend {
			via := c
			via.IMAP.Address = interpose(t, c.IMAP.Address, before)
			return backend(t, via)
		},
	}
	more(&s)
	return s
}

func backend(t testing.TB, c mailbox.Config) *Backend {
	t.Helper()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	b, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// interpose runs a proxy that calls before, once, when a message is about to be moved or copied.
func interpose(t testing.TB, server string, before func()) string {
	t.Helper()
	var once sync.Once
	return proxy(t, server, func(line string) {
		if strings.Contains(line, " UID MOVE ") || strings.Contains(line, " UID COPY ") {
			once.Do(before)
		}
	})
}

// proxy shows each line of a client before it passes on.
func proxy(t testing.TB, server string, see func(line string)) string {
	t.Helper()
	return serve(t, func(client net.Conn) {
		upstream, err := net.Dial("tcp", server)
		if err != nil {
			return
		}
		defer upstream.Close()
		go func() { _, _ = io.Copy(client, upstream); client.Close() }()
		for r := bufio.NewReader(client); ; {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			see(line)
			if _, err := io.WriteString(upstream, line); err != nil {
				return
			}
		}
	})
}
