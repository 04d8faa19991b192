package doveadm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sendgate/sendgate/gateway/machinetest"
	"github.com/sendgate/sendgate/gateway/mailbox"
)

const (
	dovecotBin = "/usr/sbin/dovecot"
	user       = "b@corp.example"
	stagingBox = "sendgate-recalled"
	hiddenBox  = "hidden/recalled"
)

// A dovecot is a private server with the doveadm API and nothing else. The user has a mailbox, and so has
// everybody at corp.example; nobody else is known.
type dovecot struct {
	url  string
	dir  string
	test *client // speaks for the owner of the mailbox
}

// formats are the ways in which Dovecot keeps mailboxes that the tests are run with.
var formats = []string{"mdbox", "maildir"}

// startDovecot runs a Dovecot until the test ends.
func startDovecot(t *testing.T, format string) *dovecot {
	t.Helper()
	if _, err := os.Stat(dovecotBin); err != nil || os.Getuid() != 0 {
		machinetest.Lack(t, "needs root and %s", dovecotBin)
	}
	configuration := (*dovecot).config
	switch version, _ := exec.Command(dovecotBin, "--version").Output(); {
	case bytes.HasPrefix(version, []byte("2.4.")):
		configuration = (*dovecot).config24
	case !bytes.HasPrefix(version, []byte("2.3.")):
		machinetest.Lack(t, "the tests write the configurations of Dovecot 2.3 and 2.4, not of %s", version)
	}
	d := &dovecot{dir: t.TempDir()}
	for up := d.dir; strings.HasPrefix(up, os.TempDir()) && up != os.TempDir(); up = filepath.Dir(up) {
		must(t, os.Chmod(up, 0o755)) // nobody has to reach the mailboxes
	}
	for _, sub := range []string{"run", "mail"} {
		must(t, os.Mkdir(filepath.Join(d.dir, sub), 0o755))
	}
	must(t, os.Chown(filepath.Join(d.dir, "mail"), 65534, 65534))
	port := machinetest.Port(machinetest.Addresses(t, 1)[0])
	must(t, os.WriteFile(filepath.Join(d.dir, "users"), []byte(user+":{PLAIN}pw::::::\nc@corp.example:{PLAIN}pw::::::\n"), 0o644))
	must(t, os.WriteFile(filepath.Join(d.dir, "key"), []byte("doveadm-key\n"), 0o600))
	must(t, os.WriteFile(filepath.Join(d.dir, "password"), []byte("doveadm-password\n"), 0o600))
	must(t, os.WriteFile(filepath.Join(d.dir, "dovecot.conf"), []byte(configuration(d, format, port)), 0o644))
	d.url = "http://127.0.0.1:" + port + "/doveadm/v1"
	d.run(t)
	var err error
	d.test, err = newClient(mailbox.Doveadm{URL: d.url, APIKeyFile: filepath.Join(d.dir, "key"), Connections: 2}, nil)
	must(t, err)
	t.Cleanup(d.test.http.CloseIdleConnections)
	return d
}

func (d *dovecot) run(t *testing.T) {
	t.Helper()
	var output bytes.Buffer
	cmd := exec.Command(dovecotBin, "-F", "-c", filepath.Join(d.dir, "dovecot.conf"))
	cmd.Stdout, cmd.Stderr = &output, &output
	must(t, cmd.Start())
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-ended
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(d.dir, "log"))
			t.Logf("Dovecot:\n%s%s", output.Bytes(), log[max(0, len(log)-8000):])
		}
	})
	for deadline := time.Now().Add(time.Minute); ; <-time.After(20 * time.Millisecond) {
		if response, err := http.Get(d.url); err == nil {
			response.Body.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("Dovecot does not answer: %s", output.Bytes())
		}
	}
}

// config is for Dovecot 2.3.
func (d *dovecot) config(format, port string) string {
	return fmt.Sprintf(`base_dir = %[1]s/run
state_dir = %[1]s/run
log_path = %[1]s/log
protocols =
listen = 127.0.0.1
ssl = no
mail_location = %[2]s:%[1]s/mail/%%n
mail_uid = nobody
mail_gid = nogroup
first_valid_uid = 1
passdb {
  driver = passwd-file
  args = %[1]s/users
}
userdb {
  driver = passwd-file
  args = %[1]s/users
  override_fields = uid=nobody gid=nogroup home=%[1]s/mail/%%n
}
`+folders+`namespace hidden {
  prefix = hidden/
  separator = /
  location = %[2]s:%[1]s/mail/%%n-hidden
`+listening, d.dir, format, port)
}

// config24 says the same as config in the language of Dovecot 2.4.
func (d *dovecot) config24(format, port string) string {
	return fmt.Sprintf(`dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
base_dir = %[1]s/run
state_dir = %[1]s/run
log_path = %[1]s/log
protocols =
listen = 127.0.0.1
ssl = no
mail_driver = %[2]s
mail_home = %[1]s/mail/%%{user | username}
mail_path = %[1]s/mail/%%{user | username}
mail_uid = nobody
mail_gid = nogroup
first_valid_uid = 1
passdb passwd-file {
  passwd_file_path = %[1]s/users
}
userdb passwd-file {
  passwd_file_path = %[1]s/users
}
`+folders+`namespace hidden {
  prefix = hidden/
  separator = /
  mail_path = %[1]s/mail/%%{user | username}-hidden
`+listening, d.dir, format, port)
}

// backend makes a backend for the server, or for a proxy before it when the URL is given.
func (d *dovecot) backend(t testing.TB, proxy string) *Backend {
	t.Helper()
	c := mailbox.Doveadm{URL: d.url, APIKeyFile: filepath.Join(d.dir, "key"), Connections: 4}
	if proxy != "" {
		c.URL = proxy
	}
	return newBackend(t, c)
}

// stagingIn gives a backend another staging folder.
func stagingIn(folder string, b *Backend) *Backend {
	b.config.Staging = folder
	return b
}

func newBackend(t testing.TB, doveadm mailbox.Doveadm) *Backend {
	t.Helper()
	var c mailbox.Config
	c.SetDefaults()
	c.Name, c.Domains, c.Staging, c.Doveadm = "dovecot", []string{"@corp.example"}, stagingBox, doveadm
	must(t, c.Validate())
	b, err := New(c, nil)
	must(t, err)
	t.Cleanup(func() { must(t, b.Close()) })
	return b
}

// do runs commands as the owner of the mailbox does things to it.
func (d *dovecot) do(t *testing.T, calls ...call) []result {
	t.Helper()
	results, err := d.test.do(context.Background(), user, calls...)
	must(t, err)
	for i, r := range results {
		must(t, r.err(calls[i].name))
	}
	return results
}

// A mail is a message as the tests put it into a mailbox.
type mail struct {
	folder string
	raw    string
	flags  string // of maildir: F, R, S, T
	date   time.Time
}

// deliver puts messages into folders, with flags and dates, by importing a maildir.
func (d *dovecot) deliver(t *testing.T, mails ...mail) {
	t.Helper()
	source, err := os.MkdirTemp(d.dir, "import")
	must(t, err)
	must(t, os.Chmod(source, 0o755))
	for i, m := range mails {
		folder := source
		if m.folder != inbox {
			folder = filepath.Join(source, "."+m.folder)
		}
		for _, sub := range []string{"cur", "new", "tmp"} {
			must(t, os.MkdirAll(filepath.Join(folder, sub), 0o755))
		}
		path := filepath.Join(folder, "cur", fmt.Sprintf("%d.M%d.test:2,%s", m.date.Unix(), i, m.flags))
		must(t, os.WriteFile(path, []byte(m.raw), 0o644))
		must(t, os.Chtimes(path, m.date, m.date))
	}
	must(t, exec.Command("/bin/chown", "-R", "nobody", source).Run())
	d.do(t, call{"import", map[string]any{"sourceLocation": "maildir:" + source, "destParentMailbox": "", "query": []string{"ALL"}}})
	must(t, exec.Command("/bin/chown", "-R", "nobody:nogroup", filepath.Join(d.dir, "mail")).Run()) // import writes as root
}

// where lists the user's messages: folder, flags but \Recent, time of arrival and Message-ID, a line each.
func (d *dovecot) where(t *testing.T) string {
	t.Helper()
	r := d.do(t, fetch([]string{"ALL"}, "mailbox", "flags", "date.received.unixtime", "hdr"))
	var lines []string
	for _, m := range r[0].rows {
		id := ""
		for line := range strings.Lines(string(m.Header)) {
			if v, ok := strings.CutPrefix(line, "Message-ID: "); ok {
				id = strings.TrimSpace(v)
			}
		}
		lines = append(lines, fmt.Sprintf("%s %v %s %s", m.Mailbox, lasting(m.flags()), m.Received, id))
	}
	return strings.Join(lines, "\n")
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error %v, want %v", err, want)
	}
}

// proxied passes commands on to the server one by one and runs a function before each. It gives its URL.
func (d *dovecot) proxied(t testing.TB, before func(command string)) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var commands, replies []json.RawMessage
		if err := json.NewDecoder(r.Body).Decode(&commands); err != nil {
			t.Error(err)
		}
		for _, c := range commands {
			name, _, _ := strings.Cut(strings.TrimPrefix(string(c), `["`), `"`)
			before(name)
			replies = append(replies, d.forward(t, r, c))
		}
		_ = json.NewEncoder(w).Encode(replies)
	}))
	t.Cleanup(s.Close)
	return s.URL + "/doveadm/v1"
}

// forward sends one command of a request on and gives its result.
func (d *dovecot) forward(t testing.TB, r *http.Request, command json.RawMessage) json.RawMessage {
	body, _ := json.Marshal([]json.RawMessage{command})
	request, _ := http.NewRequest(http.MethodPost, d.url, bytes.NewReader(body))
	request.Header = r.Header.Clone()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Error(err)
		return nil
	}
	defer response.Body.Close()
	var replies []json.RawMessage
	if err := json.NewDecoder(response.Body).Decode(&replies); err != nil || len(replies) != 1 {
		t.Errorf("%d replies to %s: %v", len(replies), command, err)
		return nil
	}
	return replies[0]
}

// folders and listening stand in the configurations of both versions.
const folders = `namespace inbox {
  inbox = yes
  mailbox Gesendet {
    special_use = \Sent
  }
  mailbox Papierkorb {
    special_use = \Trash
  }
}
`

const listening = `  hidden = yes
  list = no
  subscriptions = no
}
service doveadm {
  inet_listener http {
    port = %[3]s
    ssl = no
  }
}
service anvil {
  chroot =
}
service stats {
  chroot =
}
doveadm_api_key = doveadm-key
doveadm_password = doveadm-password
`
