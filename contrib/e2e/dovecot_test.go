package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// mailboxPassword is everybody's password in Dovecot.
const mailboxPassword = "pw"

// dovecot is a private Dovecot. Every user has a mailbox.
type dovecot struct {
	imap, lmtp string // addresses
	authSocket string // for Postfix's SASL
}

// startDovecot runs a Dovecot until the test ends.
func startDovecot(t *testing.T) *dovecot {
	t.Helper()
	need(t, dovecotBin, "/usr/lib/dovecot/imap", "/usr/lib/dovecot/lmtp")
	if version, _ := run(t, dovecotBin, "--version"); !strings.HasPrefix(version, "2.3.") {
		lack(t, "the tests write the configuration of Dovecot 2.3, not of %s", strings.TrimSpace(version))
	}
	dir, free := directory(t), addresses(t, 2)
	d := &dovecot{imap: free[0], lmtp: free[1], authSocket: filepath.Join(dir, "run", "postfix-auth")}
	for _, sub := range []string{"run", "mail"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if out, code := run(t, "/bin/chown", "nobody", filepath.Join(dir, "mail")); code != 0 {
		t.Fatal(out)
	}
	config := write(t, d.config(dir), dir, "dovecot.conf")
	p := spawn(t, dovecotBin, "-F", "-c", config)
	t.Cleanup(func() {
		_ = p.stop(t)
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(dir, "dovecot.log"))
			t.Logf("Dovecot:\n%s%s", p.output, log)
		}
	})
	eventually(t, "Dovecot answers", func() bool { return answers(d.imap, "* OK") && answers(d.lmtp, "220 ") })
	return d
}

func (d *dovecot) config(dir string) string {
	return fmt.Sprintf(`base_dir = %[1]s/run
state_dir = %[1]s/run
log_path = %[1]s/dovecot.log
protocols = imap lmtp
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
mail_location = maildir:%[1]s/mail/%%n
mail_uid = nobody
mail_gid = nogroup
first_valid_uid = 1
auth_username_format = %%Lu
auth_mechanisms = plain login
passdb {
  driver = static
  args = password=%[2]s
}
userdb {
  driver = static
  args = uid=nobody gid=nogroup home=%[1]s/mail/%%n allow_all_users=yes
}
namespace inbox {
  inbox = yes
}
service imap-login {
  inet_listener imap {
    port = %[3]s
  }
  inet_listener imaps {
    port = 0
  }
}
service lmtp {
  inet_listener lmtp {
    port = %[4]s
  }
}
service auth {
  unix_listener postfix-auth {
    path = postfix-auth
    mode = 0666
  }
}
`, dir, mailboxPassword, port(d.imap), port(d.lmtp))
}

// inbox reads the messages of a mailbox as their raw octets, oldest first.
func (d *dovecot) inbox(t *testing.T, user string) [][]byte {
	t.Helper()
	c, err := imapclient.DialInsecure(d.imap, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Login(user, mailboxPassword).Wait(); err != nil {
		t.Fatal(err)
	}
	box, err := c.Select("INBOX", nil).Wait()
	if err != nil {
		t.Fatal(err)
	}
	if box.NumMessages == 0 {
		return nil
	}
	var all imap.SeqSet
	all.AddRange(1, box.NumMessages)
	section := &imap.FetchItemBodySection{Peek: true}
	messages, err := c.Fetch(all, &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{section}}).Collect()
	if err != nil {
		t.Fatal(err)
	}
	var raw [][]byte
	for _, m := range messages {
		raw = append(raw, m.FindBodySection(section))
	}
	return raw
}

// await waits for n messages in a mailbox.
func (d *dovecot) await(t *testing.T, user string, n int) [][]byte {
	t.Helper()
	var got [][]byte
	eventually(t, fmt.Sprintf("%d messages in the mailbox of %s", n, user), func() bool {
		got = d.inbox(t, user)
		return len(got) >= n
	})
	return got
}

// untouched holds that a delivered message is what was sent, octet for octet, below the trace that
// the hops put on top (RFC 5321 4.4). It gives that trace.
func untouched(t *testing.T, delivered, sent []byte) (trace string) {
	t.Helper()
	if !bytes.HasSuffix(delivered, sent) {
		t.Fatalf("delivered\n%q\nis not what was sent:\n%q", delivered, sent)
	}
	trace = string(delivered[:len(delivered)-len(sent)])
	for line := range strings.Lines(trace) {
		name, _, _ := strings.Cut(line, ":")
		switch name {
		case "Return-Path", "Delivered-To", "X-Original-To", "Received":
		default:
			if !strings.HasPrefix(line, " ") && !strings.HasPrefix(line, "\t") {
				t.Errorf("a hop added %q", line)
			}
		}
	}
	return trace
}
