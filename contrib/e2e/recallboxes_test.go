package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/sendgate/sendgate/gateway/mailbox/mailboxtest"
)

// The programs that the mailboxes of these tests need beyond those of the others.
const (
	pop3Bin     = "/usr/lib/dovecot/pop3"
	sievePlugin = "/usr/lib/dovecot/modules/lib90_sieve_plugin.so"
)

// Secrets of the account that acts for everybody.
const (
	masterLogin    = "sendgate"
	masterPassword = "master-pw"
	doveadmKey     = "doveadm-key"
)

// staging is the folder for what was taken.
const staging = "sendgate-recalled"

// recallBoxes is a Dovecot that lets sendgate act for everybody, by IMAP and by doveadm's HTTP API, and that
// its users reach by POP3 and with Sieve rules, too.
type recallBoxes struct {
	*dovecot
	http string // address of the API
	pop3 string
	dir  string
}

// startRecallBoxes runs it until the test ends.
func startRecallBoxes(t *testing.T) *recallBoxes {
	t.Helper()
	need(t, dovecotBin, "/usr/lib/dovecot/imap", "/usr/lib/dovecot/lmtp", pop3Bin, sievePlugin)
	if version, _ := run(t, dovecotBin, "--version"); !strings.HasPrefix(version, "2.3.") {
		lack(t, "the tests write the configuration of Dovecot 2.3, not of %s", strings.TrimSpace(version))
	}
	dir, free := directory(t), addresses(t, 4)
	d := &recallBoxes{
		dovecot: &dovecot{imap: free[0], lmtp: free[1], authSocket: filepath.Join(dir, "run", "postfix-auth")},
		http:    free[2], pop3: free[3], dir: dir,
	}
	for _, sub := range []string{"run", "mail"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if out, code := run(t, "/bin/chown", "nobody", filepath.Join(dir, "mail")); code != 0 {
		t.Fatal(out)
	}
	write(t, masterPassword+"\n", dir, "password")
	write(t, doveadmKey+"\n", dir, "key")
	write(t, "wrong\n", dir, "wrong")
	p := spawn(t, dovecotBin, "-F", "-c", write(t, d.config(), dir, "dovecot.conf"))
	t.Cleanup(func() {
		_ = p.stop(t)
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(dir, "dovecot.log"))
			t.Logf("Dovecot, the end of its log:\n%s%s", p.output, log[max(0, len(log)-20_000):])
		}
	})
	eventually(t, "Dovecot answers", func() bool {
		return answers(d.imap, "* OK") && answers(d.lmtp, "220 ") && answers(d.pop3, "+OK")
	})
	return d
}

// config is that of [dovecot] with a master user, the API, POP3 and Sieve.
func (d *recallBoxes) config() string {
	more := fmt.Sprintf(`mail_max_userip_connections = 50
mail_home = %[1]s/mail/%%u
auth_master_user_separator = *
auth_failure_delay = 0
recipient_delimiter = +
passdb {
  driver = static
  args = password=%[2]s
  master = yes
  username_filter = %[3]s
  result_success = continue
}
protocol lmtp {
  mail_plugins = sieve
}
plugin {
  sieve = file:~/sieve;active=~/active.sieve
}
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service imap {
  service_count = 100
}
service imap-login {
  service_count = 0
}
service pop3-login {
  inet_listener pop3 {
    port = %[4]s
  }
  inet_listener pop3s {
    port = 0
  }
}
service doveadm {
  service_count = 0
  inet_listener http {
    port = %[5]s
    ssl = no
  }
}
doveadm_api_key = %[6]s
`, d.dir, masterPassword, masterLogin, port(d.pop3), port(d.http), doveadmKey)
	base := strings.NewReplacer("protocols = imap lmtp", "protocols = imap lmtp pop3", "mail/%n", "mail/%u").Replace(d.dovecot.config(d.dir))
	// The master's entry has to be the first: the other one takes any user with its password.
	at := strings.Index(base, "passdb {")
	return base[:at] + more + base[at:]
}

// owner opens a mailbox with a program of its owner's.
func (d *recallBoxes) owner(t *testing.T, user string) *mailboxtest.Owner {
	t.Helper()
	client, err := imapclient.DialInsecure(d.imap, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Login(user, mailboxPassword).Wait(); err != nil {
		t.Fatal(err)
	}
	return mailboxtest.NewOwner(t, client)
}

// sieve gives a user a rule.
func (d *recallBoxes) sieve(t *testing.T, user, script string) {
	t.Helper()
	home := filepath.Join(d.dir, "mail", user)
	write(t, script, home, "active.sieve")
	if out, code := run(t, "/bin/chown", "-R", "nobody:nogroup", home); code != 0 {
		t.Fatal(out)
	}
}

// fetchByPOP3 reads the first message of a mailbox with a program that speaks POP3 (RFC 1939), and leaves it on
// the server.
func (d *recallBoxes) fetchByPOP3(t *testing.T, user string) {
	t.Helper()
	conn, err := net.Dial("tcp", d.pop3)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	r := bufio.NewReader(conn)
	say := func(line string) {
		if line != "" {
			fmt.Fprintf(conn, "%s\r\n", line)
		}
		if answer, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(answer, "+OK") {
			t.Fatalf("POP3 %s: %s %v", line, answer, err)
		}
	}
	say("")
	say("USER " + user)
	say("PASS " + mailboxPassword)
	say("RETR 1")
	for line := ""; line != ".\r\n"; {
		if line, err = r.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	say("QUIT")
}

// readAll makes everything in an inbox read.
func (d *recallBoxes) readAll(t *testing.T, user string) {
	o := d.owner(t, user)
	for _, m := range o.All("INBOX") {
		o.Flag("INBOX", m.UID, `\Seen`)
	}
}

// imapReader stands between sendgate and the server, and has somebody read a user's mail just before the first
// command that would take it.
func (d *recallBoxes) imapReader(t *testing.T, user string) (address string) {
	t.Helper()
	var once sync.Once
	return relayLines(t, d.imap, func(line string) {
		if strings.Contains(line, "UNCHANGEDSINCE") || strings.Contains(line, "UID MOVE") {
			once.Do(func() { d.readAll(t, user) })
		}
	})
}

// relayLines serves an address that leads to another one, and runs a function before each line of the clients.
func relayLines(t *testing.T, to string, before func(line string)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				client.Close()
				continue
			}
			go func() { _, _ = io.Copy(client, server); client.Close() }()
			go func() {
				defer server.Close()
				r := bufio.NewReader(client)
				for {
					line, err := r.ReadString('\n')
					if err != nil {
						return
					}
					before(line)
					if _, err := io.WriteString(server, line); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

// httpReader is imapReader for the API.
func (d *recallBoxes) httpReader(t *testing.T, user string) (address string) {
	t.Helper()
	var once sync.Once
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: d.http})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if strings.Contains(string(body), `["move"`) {
			once.Do(func() { d.readAll(t, user) })
		}
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		proxy.ServeHTTP(w, r)
	})}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { server.Close() })
	return l.Addr().String()
}

// A gate is a way to a server that is shut until it is opened: who comes waits.
type gate struct {
	address string
	opened  chan struct{}
	once    sync.Once
}

func startGate(t *testing.T, to string) *gate {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{address: l.Addr().String(), opened: make(chan struct{})}
	shut := make(chan struct{})
	t.Cleanup(func() { close(shut); l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer client.Close()
				select {
				case <-g.opened:
				case <-shut:
					return
				}
				server, err := net.Dial("tcp", to)
				if err != nil {
					return
				}
				defer server.Close()
				go func() { _, _ = io.Copy(server, client) }()
				_, _ = io.Copy(client, server)
			}()
		}
	}()
	return g
}

func (g *gate) open() { g.once.Do(func() { close(g.opened) }) }
