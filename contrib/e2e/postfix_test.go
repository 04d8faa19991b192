package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// postfix is a private Postfix. alice, bob, carol and dave work at corp.test; everybody else there
// is unknown.
type postfix struct {
	smtp       string // trusts 127.0.0.1
	submission string // STARTTLS and AUTH
	reinject   string // as smtp, without milters
	certFile   string
	dir        string
}

// startPostfix runs a Postfix until the test ends. Mail for corp.test goes to Dovecot, all other
// mail to the sink at relayhost. more are further lines of main.cf.
func startPostfix(t *testing.T, boxes *dovecot, relayhost string, more ...string) *postfix {
	t.Helper()
	need(t, postfixBin)
	free := addresses(t, 3)
	p := &postfix{smtp: free[0], submission: free[1], reinject: free[2], dir: directory(t)}
	for _, sub := range []string{"etc", "spool", "data"} {
		if err := os.MkdirAll(filepath.Join(p.dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if out, code := run(t, "/bin/chown", "postfix", filepath.Join(p.dir, "data")); code != 0 {
		t.Fatal(out)
	}
	certFile, keyFile := certificate(t, p.dir, "mx.corp.test")
	p.certFile = certFile
	write(t, withLines(p.mainCf(boxes, relayhost, keyFile), more), p.dir, "etc", "main.cf")
	write(t, p.masterCf(), p.dir, "etc", "master.cf")
	p.writeUsers(t, "alice", "bob", "carol", "dave")
	write(t, "team@corp.test alice@corp.test, bob@corp.test\neveryone@corp.test alice@corp.test, bob@corp.test, carol@corp.test\n", p.dir, "etc", "aliases")
	t.Cleanup(func() {
		p.stop(t)
		if t.Failed() {
			t.Logf("Postfix:\n%s", p.log())
		}
	})
	p.start(t)
	return p
}

// withLines puts lines into a main.cf in place of those that set the same. Every process of Postfix warns of a
// line that overrides another one, and postlogd, which does so, too, stands still with all others when they do at
// the start.
func withLines(mainCf string, more []string) string {
	for _, line := range more {
		name, _, _ := strings.Cut(line, " = ")
		if at := strings.Index(mainCf, "\n"+name+" = "); at >= 0 {
			end := at + 1 + strings.Index(mainCf[at+1:], "\n")
			mainCf = mainCf[:at] + mainCf[end:]
		}
		mainCf += line + "\n"
	}
	return mainCf
}

// start runs Postfix on its directory, also after stop.
func (p *postfix) start(t *testing.T) {
	t.Helper()
	// Before anything runs, postsuper writes to the log itself, and not as root: about a file that a stop has cut off, and
	// where it cannot Postfix does not start.
	if err := os.Chmod(filepath.Join(p.dir, "mail.log"), 0o666); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if out, code := run(t, postfixBin, "-c", filepath.Join(p.dir, "etc"), "start"); code != 0 {
		t.Fatalf("start Postfix: %s\n%s", out, p.log())
	}
	eventually(t, "Postfix answers", func() bool { return answers(p.smtp, "220 ") && answers(p.submission, "220 ") })
}

// stop ends Postfix.
func (p *postfix) stop(t *testing.T) {
	t.Helper()
	if out, code := run(t, postfixBin, "-c", filepath.Join(p.dir, "etc"), "stop"); code != 0 {
		t.Errorf("stop Postfix: %s", out)
	}
}

func (p *postfix) writeUsers(t *testing.T, logins ...string) {
	t.Helper()
	write(t, strings.Join(logins, "@corp.test x\n")+"@corp.test x\n", p.dir, "etc", "mailboxes")
}

// setUsers says who works at corp.test from now on. Postfix restarts for it, because an open
// connection goes on with the list that it began with.
func (p *postfix) setUsers(t *testing.T, logins ...string) {
	t.Helper()
	p.writeUsers(t, logins...)
	p.stop(t)
	p.start(t)
}

func (p *postfix) mainCf(boxes *dovecot, relayhost, keyFile string) string {
	return fmt.Sprintf(`compatibility_level = 3.6
queue_directory = %[1]s/spool
data_directory = %[1]s/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = mx.corp.test
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
virtual_mailbox_domains = corp.test
virtual_mailbox_maps = texthash:%[1]s/etc/mailboxes
virtual_alias_maps = texthash:%[1]s/etc/aliases
virtual_transport = lmtp:inet:%[2]s
relayhost = %[3]s
smtp_dns_support_level = disabled
smtp_host_lookup = native
lmtp_host_lookup = native
alias_maps =
alias_database =
smtputf8_enable = yes
smtpd_tls_cert_file = %[4]s
smtpd_tls_key_file = %[5]s
smtpd_tls_security_level = may
smtpd_authorized_xclient_hosts = 127.0.0.1
smtpd_authorized_xforward_hosts = 127.0.0.1
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
smtpd_sasl_type = dovecot
smtpd_sasl_path = %[6]s
smtpd_soft_error_limit = 1000
smtpd_hard_error_limit = 1000
maillog_file = %[1]s/mail.log
maillog_file_prefixes = %[7]s, %[1]s
syslog_name = postfix
`, p.dir, boxes.lmtp, bracketed(relayhost), p.certFile, keyFile, boxes.authSocket, filepath.Dir(p.dir))
}

// masterCf has no service in a chroot, and those processes only that this mail passes.
func (p *postfix) masterCf() string {
	return fmt.Sprintf(`%s inet n - n - - smtpd
%s inet n - n - - smtpd
  -o syslog_name=postfix/submission
  -o mynetworks=
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_tls_auth_only=yes
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
  -o smtpd_recipient_restrictions=permit_sasl_authenticated,reject
%s inet n - n - - smtpd
  -o syslog_name=postfix/reinject
  -o smtpd_milters=
  -o smtpd_sender_restrictions=
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
lmtp unix - - n - - lmtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
showq unix n - n - - showq
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`, p.smtp, p.submission, p.reinject)
}

// bracketed is an address in the form of a next hop without MX lookup.
func bracketed(address string) string {
	host, port, _ := strings.Cut(address, ":")
	return "[" + host + "]:" + port
}

// log is the mail log so far.
func (p *postfix) log() string {
	text, _ := os.ReadFile(filepath.Join(p.dir, "mail.log"))
	return string(text)
}

// awaitLog waits for a line of the mail log that has all of the words.
func (p *postfix) awaitLog(t *testing.T, words ...string) string {
	t.Helper()
	var found string
	eventually(t, fmt.Sprintf("a line with %q in the mail log", words), func() bool {
		for line := range strings.Lines(p.log()) {
			found = line
			for _, w := range words {
				if !strings.Contains(line, w) {
					found = ""
				}
			}
			if found != "" {
				return true
			}
		}
		return false
	})
	return found
}
