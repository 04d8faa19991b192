package imap

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"golang.org/x/sync/errgroup"

	"github.com/sendgate/sendgate/gateway/mailbox"
	"github.com/sendgate/sendgate/gateway/mailbox/mailboxtest"
)

// TestHostileServers holds that nothing that a server says, or does not say, blocks or fills us.
func TestHostileServers(t *testing.T) {
	for name, c := range map[string]struct {
		answers script
		want    string
	}{
		"says nothing":              {script{"": "silence"}, "deadline exceeded"},
		"says goodbye":              {script{"": "* BYE too busy\r\n"}, "cannot be reached"},
		"says nothing to a command": {script{"EXAMINE": "silence"}, "deadline exceeded"},
		"never ends a line":         {script{"EXAMINE": "endless"}, "more than 8 MiB"},
		"never ends a list":         {script{"LIST": "folders"}, "more than 5000 folders"},
		"has no UIDPLUS":            {script{"CAPABILITY": "* CAPABILITY IMAP4rev1\r\n<tag> OK\r\n"}, "no UIDPLUS"},
		"has no INBOX":              {script{"EXAMINE": "<tag> NO what inbox\r\n"}, "no such mailbox"},
		"does not let us in":        {script{"EXAMINE": "<tag> NO [NOPERM] never\r\n"}, "not allowed"},
		"is full of candidates":     {script{"UID SEARCH": "* ESEARCH (TAG \"<tag>\") UID ALL 1:4000000000\r\n<tag> OK\r\n"}, "more than 2000 messages"},
		"finds everything":          {script{"UID SEARCH": "* ESEARCH (TAG \"<tag>\") UID ALL 1:*\r\n<tag> OK\r\n"}, "dynamic"},
		"sends a giant header":      {script{"UID FETCH": "* 1 FETCH (UID 1 BODY[HEADER.FIELDS (From)] {4000000000}\r\nENDLESS"}, "more than 8 MiB"},
		"talks nonsense":            {script{"UID FETCH": "* 1 FETCH (UID \"\r\n"}, "cannot be reached"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := configured(c.answers.serve(t), file(t, "x"))
			b := backend(t, cfg)
			if strings.Contains(c.want, "deadline") {
				b.config.Timeout = time.Second
			}
			_, err := b.Find(t.Context(), "u", &mailbox.Match{MessageID: "<1@x>"})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want %q", err, c.want)
			}
		})
	}
}

// TestWhatCountsIsSaidAfterTheLogin holds that what a server can do before a login is not taken for what it can do
// after it, however the two are ordered by chance (the library forgot too late in one login of thirty).
func TestWhatCountsIsSaidAfterTheLogin(t *testing.T) {
	s := script{"CAPABILITY": "* CAPABILITY IMAP4rev1\r\n<tag> OK\r\n"}
	address, secret := s.serve(t), file(t, "x")
	var group errgroup.Group
	group.SetLimit(32) // all at a time would try the patience of a slow machine
	for range 1000 {
		b := backend(t, configured(address, secret))
		group.Go(func() error {
			if _, err := b.Find(t.Context(), "u", &mailbox.Match{MessageID: "<1@x>"}); !errors.Is(err, mailbox.ErrDenied) {
				return fmt.Errorf("error is %v, want %v", err, mailbox.ErrDenied)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
}

// A script has answers to commands that differ from an honest server's; <tag> stands for the tag. The answer to "" is
// the greeting.
type script map[string]string

func (s script) serve(t *testing.T) string {
	return serve(t, func(c net.Conn) {
		if s.say(c, "", "", "* OK [CAPABILITY IMAP4rev1 UIDPLUS SASL-IR AUTH=PLAIN] ready\r\n") {
			for r := bufio.NewReader(c); ; {
				line, err := r.ReadString('\n')
				if err != nil {
					return
				}
				tag, command, _ := strings.Cut(strings.TrimSpace(line), " ")
				if !s.say(c, tag, command, honest(command)) {
					break
				}
			}
		}
		_, _ = io.Copy(io.Discard, c) // silent until it is closed
	})
}

// honest is the answer of a server with one message in an inbox.
func honest(command string) string {
	ok := "<tag> OK done\r\n"
	switch verb, _, _ := strings.Cut(strings.TrimPrefix(command, "UID "), " "); verb {
	case "CAPABILITY":
		return "* CAPABILITY IMAP4rev1 UIDPLUS SASL-IR AUTH=PLAIN\r\n" + ok
	case "LIST":
		return "* LIST () \"/\" INBOX\r\n" + ok
	case "EXAMINE", "SELECT":
		return "* 1 EXISTS\r\n* OK [UIDVALIDITY 7] -\r\n" + ok
	case "SEARCH":
		return "* SEARCH 1\r\n" + ok
	}
	return ok
}

func (s script) say(c net.Conn, tag, command, otherwise string) bool {
	answer := otherwise
	for prefix, a := range s {
		if prefix == command || prefix != "" && strings.HasPrefix(command, prefix) {
			answer = a
		}
	}
	answer = strings.ReplaceAll(answer, "<tag>", tag)
	switch {
	case answer == "silence":
		return false
	case answer == "endless":
		answer = "* OK ENDLESS"
	case answer == "folders":
		for i := range 20_000 {
			if _, err := fmt.Fprintf(c, "* LIST () \"/\" f%d\r\n", i); err != nil {
				return false
			}
		}
		return false
	}
	head, _, endless := strings.Cut(answer, "ENDLESS")
	_, err := io.WriteString(c, head)
	for piece := strings.Repeat("x", 1<<16); endless && err == nil; {
		_, err = io.WriteString(c, piece)
	}
	return err == nil
}

// TestModifiedIsNotRead is why flags are fetched again after a conditional STORE.
func TestModifiedIsNotRead(t *testing.T) {
	address := script{"STORE": "<tag> OK [MODIFIED 1] conditional store failed\r\n"}.serve(t)
	c, err := imapclient.DialInsecure(address, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	err = c.Store(imap.SeqSetNum(1), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{mark}}, &imap.StoreOptions{UnchangedSince: 1}).Close()
	if err != nil {
		t.Errorf("the library reads it now: %v", err)
	}
}

// TestPool holds that connections are bounded, used again, and given up for others.
func TestPool(t *testing.T) {
	address := script{}.serve(t)
	cfg := configured(address, file(t, "x"))
	cfg.IMAP.Connections = 2
	b := backend(t, cfg)
	get := func(user string) *session {
		t.Helper()
		if err := b.pool.wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		s, err := b.pool.get(t.Context(), user)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	first, second := get("a"), get("b")
	ended, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := b.pool.wait(ended); !errors.Is(err, mailbox.ErrUnreachable) {
		t.Errorf("a third turn: %v", err)
	}
	b.pool.done(first)
	b.pool.done(second)
	if again := get("b"); again != second {
		t.Error("the session was not used again")
	}
	b.pool.done(second)
	third := get("c")
	if err := first.client.Noop().Wait(); err == nil {
		t.Error("the longest unused did not give way")
	}
	b.pool.done(third)
	second.close()
	if again := get("b"); again == second {
		t.Error("a broken session was used again")
	} else {
		b.pool.done(again)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.pool.wait(t.Context()); err == nil || !strings.Contains(err.Error(), "the backend is closed") {
		t.Errorf("after Close: %v", err)
	}
}

// TestTransport logs in over STARTTLS and over TLS, and not where the certificate is another's.
func TestTransport(t *testing.T) {
	d := mailboxtest.StartDovecot(t)
	user := d.NewUser(t)
	for name, c := range map[string]struct {
		address, tls, ca string
		want             error
	}{
		"starttls":                  {d.IMAP, mailbox.TLSStartTLS, d.CA, nil},
		"implicit":                  {d.TLS, mailbox.TLSImplicit, d.CA, nil},
		"starttls, unknown issuer":  {d.IMAP, mailbox.TLSStartTLS, "", mailbox.ErrUnreachable},
		"implicit, unknown issuer":  {d.TLS, mailbox.TLSImplicit, "", mailbox.ErrUnreachable},
		"implicit to a clear port":  {d.IMAP, mailbox.TLSImplicit, d.CA, mailbox.ErrUnreachable},
		"service account as itself": {d.IMAP, mailbox.TLSNone, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := dovecot(d)
			cfg.IMAP.Address, cfg.IMAP.TLS, cfg.IMAP.CAFile = c.address, c.tls, c.ca
			if c.tls == mailbox.TLSNone {
				cfg.IMAP.Auth, cfg.IMAP.Login = mailbox.AuthService, "%u*"+mailboxtest.Master
			}
			if err := backend(t, cfg).Check(t.Context(), user); !errors.Is(err, c.want) {
				t.Errorf("check: %v, want %v", err, c.want)
			}
		})
	}
	t.Run("a name that would be another login", func(t *testing.T) {
		for _, user := range []string{user + "*" + mailboxtest.Master, "u\x00u"} {
			if err := backend(t, dovecot(d)).Check(t.Context(), user); !errors.Is(err, mailbox.ErrNoMailbox) || !strings.Contains(err.Error(), "cannot be a user's name") {
				t.Errorf("%q: %v", user, err)
			}
		}
	})
}

func TestFiles(t *testing.T) {
	for name, c := range map[string]struct {
		password, ca, want string
	}{
		"no password":      {"/nonexistent", "", "read the password"},
		"empty password":   {file(t, "\n"), "", "is empty"},
		"no authorities":   {file(t, "x"), "/nonexistent", "read the certificate authorities"},
		"none in the file": {file(t, "x"), file(t, "x"), "holds none"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := configured("127.0.0.1:1", c.password)
			cfg.IMAP.CAFile = c.ca
			if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want %q", err, c.want)
			}
		})
	}
}
