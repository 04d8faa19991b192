package imap

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/gateway/mailbox"
	"github.com/sendgate/sendgate/gateway/mailbox/mailboxtest"
)

func TestDovecotKnowsPasswords(t *testing.T) {
	d := mailboxtest.StartDovecot(t)
	user := d.NewUser(t)
	for how, c := range map[string]mailbox.IMAP{
		"in clear text": {Address: d.IMAP, TLS: mailbox.TLSNone},
		"STARTTLS":      {Address: d.IMAP, TLS: mailbox.TLSStartTLS, CAFile: d.CA},
		"TLS":           {Address: d.TLS, TLS: mailbox.TLSImplicit, CAFile: d.CA},
	} {
		t.Run(how, func(t *testing.T) {
			if err := CheckPassword(t.Context(), c, user, mailboxtest.Password); err != nil {
				t.Errorf("the right one: %v", err)
			}
			for outcome, one := range map[string][2]string{
				"a wrong password":        {user, "guess"},
				"one with line breaks":    {user, "a\r\nb"},
				"one that is not ASCII":   {user, "密码"},
				"nobody of this name":     {"nobody@corp.test", mailboxtest.Password},
				"a name in another place": {"u0@elsewhere.test", mailboxtest.Password},
			} {
				if err := CheckPassword(t.Context(), c, one[0], one[1]); !errors.Is(err, ErrPassword) || strings.Contains(err.Error(), one[1]) {
					t.Errorf("%s: %v", outcome, err)
				}
			}
		})
	}
	for how, c := range map[string]mailbox.IMAP{
		"a certificate of somebody": {Address: d.TLS, TLS: mailbox.TLSImplicit},
		"a certificate of another":  {Address: d.IMAP, TLS: mailbox.TLSStartTLS, CAFile: d.CA, ServerName: "imap.corp.test"},
		"no certificates in it":     {Address: d.IMAP, TLS: mailbox.TLSStartTLS, CAFile: file(t, "nothing")},
		"no such file":              {Address: d.IMAP, TLS: mailbox.TLSStartTLS, CAFile: "/nowhere/ca.pem"},
	} {
		err := CheckPassword(t.Context(), c, user, mailboxtest.Password)
		if err == nil || errors.Is(err, ErrPassword) || !strings.Contains(err.Error(), "certificate") && !strings.Contains(err.Error(), "TLS") {
			t.Errorf("%s: %v", how, err)
		}
	}
}

// TestWhatIsNoWordAboutAPassword is about servers that have not looked at it.
func TestWhatIsNoWordAboutAPassword(t *testing.T) {
	const login = "* CAPABILITY IMAP4rev1\r\n<tag> OK\r\n"
	for outcome, c := range map[string]struct {
		answers script
		wrong   bool
		want    string // empty: the password is right
	}{
		"right by AUTHENTICATE":       {script{"LOGIN": "<tag> BAD not this one\r\n"}, false, ""},
		"right by LOGIN":              {script{"": "* OK ready\r\n", "CAPABILITY": login}, false, ""},
		"wrong by LOGIN":              {script{"": "* OK ready\r\n", "CAPABILITY": login, "LOGIN": "<tag> NO no\r\n"}, true, "NO no"},
		"wrong by code":               {script{"AUTHENTICATE": "<tag> NO [AUTHENTICATIONFAILED] no\r\n"}, true, "AUTHENTICATIONFAILED"},
		"an expired one":              {script{"AUTHENTICATE": "<tag> NO [EXPIRED] change it\r\n"}, true, "EXPIRED"},
		"LOGINDISABLED":               {script{"": "* OK [CAPABILITY IMAP4rev1 LOGINDISABLED] ready\r\n"}, false, "neither AUTHENTICATE PLAIN nor LOGIN"},
		"its own trouble":             {script{"AUTHENTICATE": "<tag> NO [UNAVAILABLE] later\r\n"}, false, "cannot be reached"},
		"TLS is wanted":               {script{"AUTHENTICATE": "<tag> NO [PRIVACYREQUIRED] not so\r\n"}, false, "PRIVACYREQUIRED"},
		"the command is not known":    {script{"AUTHENTICATE": "<tag> BAD what\r\n"}, false, "BAD what"},
		"it hangs up at the greeting": {script{"": "* BYE too busy\r\n"}, false, "cannot be reached"},
		"it hangs up at the password": {script{"AUTHENTICATE": "* BYE bye\r\n<tag> BAD bye\r\n"}, false, "bye"},
		"it never ends a line":        {script{"": "endless"}, false, "more than 8 MiB"},
	} {
		t.Run(outcome, func(t *testing.T) {
			t.Parallel()
			err := CheckPassword(t.Context(), mailbox.IMAP{Address: c.answers.serve(t), TLS: mailbox.TLSNone}, "u", "secret word")
			if (err == nil) != (c.want == "") || errors.Is(err, ErrPassword) != c.wrong || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func TestAPasswordIsNotWaitedForForEver(t *testing.T) {
	for outcome, answers := range map[string]script{
		"no greeting": {"": "silence"}, "no answer": {"AUTHENTICATE": "silence"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		err := CheckPassword(ctx, mailbox.IMAP{Address: answers.serve(t), TLS: mailbox.TLSNone}, "u", "secret word")
		if cancel(); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, mailbox.ErrUnreachable) {
			t.Errorf("%s: %v", outcome, err)
		}
	}
	if err := CheckPassword(t.Context(), mailbox.IMAP{Address: closedPort(t), TLS: mailbox.TLSNone}, "u", "secret word"); !errors.Is(err, mailbox.ErrUnreachable) {
		t.Errorf("away: %v", err)
	}
}
