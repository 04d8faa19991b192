package milter

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sendgate/sendgate/gateway/machinetest"
	"github.com/sendgate/sendgate/policy"
)

// postfix is a private Postfix whose mail goes nowhere.
type postfix struct {
	t       *testing.T
	dir     string
	address string
}

const mainCf = `compatibility_level = 3.6
queue_directory = %[1]s/spool
data_directory = %[1]s/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = mx.corp.test
mydestination =
mynetworks = 127.0.0.0/8 198.51.100.0/24
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
default_transport = discard
alias_maps =
alias_database =
enable_long_queue_ids = yes
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
smtpd_authorized_xclient_hosts = 127.0.0.1
smtpd_milters = unix:%[1]s/milter.sock
non_smtpd_milters = unix:%[1]s/milter.sock
milter_default_action = tempfail
maillog_file = %[1]s/mail.log
maillog_file_prefixes = %[1]s
syslog_name = postfix
`

const masterCf = `%s inet n - n - - smtpd
pickup unix n - n 1 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
showq unix n - n - - showq
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
`

// newPostfix writes a configuration into a directory of its own, open to the users of Postfix.
func newPostfix(t *testing.T) *postfix {
	t.Helper()
	machinetest.Need(t, "/usr/sbin/postfix", "/usr/sbin/postqueue", "/usr/sbin/sendmail", "/usr/lib/postfix/sbin/smtpd")
	dir := machinetest.Directory(t)
	p := &postfix{t: t, dir: dir, address: machinetest.Addresses(t, 1)[0]}
	for _, sub := range []string{"etc", "spool", "data"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	p.run("/bin/chown", "postfix", filepath.Join(dir, "data"))
	machinetest.Write(t, fmt.Sprintf(mainCf, dir), dir, "etc", "main.cf")
	machinetest.Write(t, fmt.Sprintf(masterCf, p.address), dir, "etc", "master.cf")
	return p
}

// start runs it until the test ends. The milter listens already.
func (p *postfix) start() {
	p.t.Helper()
	p.t.Cleanup(func() {
		p.run("/usr/sbin/postfix", "-c", p.etc(), "stop")
		if p.t.Failed() {
			p.t.Logf("Postfix:\n%s", p.log())
		}
	})
	p.run("/usr/sbin/postfix", "-c", p.etc(), "start")
	eventually(p.t, "Postfix answers", func() bool {
		c, err := textproto.Dial("tcp", p.address)
		if err != nil {
			return false
		}
		defer c.Close()
		_, _, err = c.ReadResponse(220)
		return err == nil
	})
}

func (p *postfix) etc() string { return filepath.Join(p.dir, "etc") }

func (p *postfix) log() string {
	text, _ := os.ReadFile(filepath.Join(p.dir, "mail.log"))
	return string(text)
}

func (p *postfix) run(name string, args ...string) string {
	p.t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "MAIL_CONFIG="+p.etc())
	out, err := cmd.CombinedOutput()
	if err != nil {
		p.t.Errorf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// queue gives the name of the queue that a message is in, by queue id.
func (p *postfix) queue() map[string]string {
	p.t.Helper()
	all := map[string]string{}
	for line := range strings.Lines(p.run("/usr/sbin/postqueue", "-c", p.etc(), "-j")) {
		var entry struct {
			Name string `json:"queue_name"`
			ID   string `json:"queue_id"`
		}
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			p.t.Fatalf("%v in %q", err, line)
		}
		all[entry.ID] = entry.Name
	}
	return all
}

// A smtpClient says a line and expects an answer.
type smtpClient struct {
	t *testing.T
	*textproto.Conn
}

func (p *postfix) dial() *smtpClient {
	p.t.Helper()
	c, err := textproto.Dial("tcp", p.address)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { c.Close() })
	s := &smtpClient{p.t, c}
	s.expect("", 220)
	s.expect("EHLO client.test", 250)
	return s
}

func (c *smtpClient) expect(line string, code int) string {
	c.t.Helper()
	if line != "" {
		if err := c.PrintfLine("%s", line); err != nil {
			c.t.Fatal(err)
		}
	}
	_, text, err := c.ReadResponse(code)
	if err != nil {
		c.t.Fatalf("%s: %v", line, err)
	}
	return text
}

// as makes Postfix take us for another client.
func (c *smtpClient) as(attributes string) *smtpClient {
	c.t.Helper()
	c.expect("XCLIENT "+attributes, 220)
	c.expect("EHLO other.test", 250)
	return c
}

// message sends a message and gives its queue id.
func (c *smtpClient) message(from string, to ...string) string {
	c.t.Helper()
	c.expect("MAIL FROM:<"+from+">", 250)
	for _, a := range to {
		c.expect("RCPT TO:<"+a+">", 250)
	}
	return c.data()
}

// letter has every field that Postfix would add.
const letter = "Subject: hello\r\n folded\r\nMessage-ID: <x@corp.test>\r\nFrom: alice@corp.test\r\nTo: bob@remote.test\r\n" +
	"Date: Sat, 21 Nov 2026 12:00:00 +0000\r\n\r\ntext\r\n"

func (c *smtpClient) data() string {
	c.t.Helper()
	c.expect("DATA", 354)
	answer := c.expect(letter+".", 250)
	_, queueID, ok := strings.Cut(answer, "queued as ")
	if !ok {
		c.t.Fatalf("no queue id in %q", answer)
	}
	return queueID
}

// TestPostfix is the whole with Debian's Postfix.
func TestPostfix(t *testing.T) {
	p := newPostfix(t)
	l := newLab(t)
	rules := policy.NewRules(policy.DefaultConfig(), l.settings.Directory)
	l.settings.Config.Listen = []Listener{{Address: "unix:" + p.dir + "/milter.sock", Mode: "0660", Group: "postfix"}}
	l.settings.Config.Networks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	l.settings.Config.IDHeader = keyFile(t)
	l.settings.Needs = Needs{Body: true}
	l.settings.Engine = rules
	l.start()
	p.start()

	t.Run("held, two messages on one connection", func(t *testing.T) {
		c := p.dial()
		first, second := c.message("alice@corp.test", "bob@remote.test"), c.message("alice@corp.test", "bob@remote.test", "carol@remote.test")
		queue := p.queue()
		for i, queueID := range []string{first, second} {
			change := l.committed(queueID)
			m := stored(t, change.Message)
			if queue[queueID] != "hold" || m.Envelope.QueueID != queueID || m.State() != policy.StateHeld || m.Recipients != i+1 {
				t.Errorf("%s is in %q; the journal has %s, %s, %d recipients", queueID, queue[queueID], m.Envelope.QueueID, m.State(), m.Recipients)
			}
			if m.Envelope.Size != int64(len(letter)) {
				t.Errorf("size %d", m.Envelope.Size)
			}
			if text := p.run("/usr/sbin/postcat", "-c", p.etc(), "-hq", queueID); !strings.Contains(text, "X-Sendgate-ID: "+change.Message.String()+".") {
				t.Errorf("header of %s:\n%s", queueID, text)
			}
		}
	})
	t.Run("inbound untouched", func(t *testing.T) {
		queueID := p.dial().as("ADDR=198.51.100.1 NAME=foreign.test").message("eve@remote.test", "alice@corp.test")
		p.sent(queueID)
		for _, c := range l.journal.all() {
			if c.Events[0].QueueID == queueID {
				t.Error("the journal has it")
			}
		}
	})
	t.Run("authenticated outbound from anywhere", func(t *testing.T) {
		queueID := p.dial().as("ADDR=198.51.100.1 LOGIN=alice").message("alice@corp.test", "bob@remote.test")
		if q := p.queue()[queueID]; q != "hold" {
			t.Errorf("it is in %q", q)
		}
		e := l.committed(queueID).Envelope
		if e.Login != "alice" || e.Client.String() != "198.51.100.1" || e.Helo != "other.test" {
			t.Errorf("login %q, client %s, helo %q", e.Login, e.Client, e.Helo)
		}
	})
	t.Run("local submission", func(t *testing.T) {
		before := len(l.journal.all())
		cmd := exec.Command("/usr/sbin/sendmail", "-C", p.etc(), "-f", "root", "bob@remote.test")
		cmd.Stdin = strings.NewReader("Subject: local\n\ntext\n")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		eventually(t, "it is held", func() bool { return len(l.journal.all()) > before })
		e := l.journal.all()[before].Envelope
		if e.Sender != "root@mx.corp.test" || e.Subject != "local" {
			t.Errorf("sender %s, subject %q", e.Sender, e.Subject)
		}
		eventually(t, "Postfix holds it", func() bool { return p.queue()[e.QueueID] == "hold" })
	})
	t.Run("hold 0", func(t *testing.T) {
		settings := l.settings
		settings.Engine = passAll
		l.milter.Reload(settings)
		queueID := p.dial().message("alice@corp.test", "bob@remote.test")
		p.sent(queueID)
		if m := stored(t, l.committed(queueID).Message); m.State() != policy.StateQueued {
			t.Errorf("state %s", m.State())
		}
	})
	t.Run("an instruction goes nowhere", func(t *testing.T) {
		settings := l.settings
		settings.Engine = fixed(func(policy.Submission) policy.Verdict {
			return policy.Verdict{Action: policy.Discard, Rule: "recall by mail"}
		})
		l.milter.Reload(settings)
		c := p.dial()
		queueID := c.message("alice@corp.test", "recall@corp.test")
		if m := stored(t, l.committed(queueID).Message); m.State() != policy.StateCanceled {
			t.Errorf("state %s", m.State())
		}
		eventually(t, "Postfix says so", func() bool { return strings.Contains(p.log(), queueID+": milter-discard: END-OF-MESSAGE") })
		if q, ok := p.queue()[queueID]; ok {
			t.Errorf("it is in %q", q)
		}
		l.committed(c.message("alice@corp.test", "recall@corp.test")) // the session goes on
	})
	t.Run("one rejected recipient among three", func(t *testing.T) {
		settings := l.settings
		settings.Engine = refusing
		settings.Needs.Envelope = true
		l.milter.Reload(settings)
		c := p.dial()
		for range 2 {
			c.expect("MAIL FROM:<alice@corp.test>", 250)
			c.expect("RCPT TO:<one@remote.test>", 250)
			if text := c.expect("RCPT TO:<bad@remote.test>", 554); text != "5.7.0 no: 100% bad" {
				t.Errorf("got %q", text)
			}
			c.expect("RCPT TO:<two@remote.test>", 250)
			if n := len(l.committed(c.data()).Envelope.Recipients); n != 2 {
				t.Errorf("%d recipients", n)
			}
		}
		c.expect("MAIL FROM:<bad@corp.test>", 554)
		c.expect("MAIL FROM:<alice@corp.test>", 250)
		c.expect("RCPT TO:<one@remote.test>", 250)
		c.expect("DATA", 354)
		if text := c.expect("Subject: bad\r\n\r\n.", 554); text != "5.7.0 no: 100% bad" {
			t.Errorf("got %q", text)
		}
	})
	t.Run("nothing can be decided", func(t *testing.T) {
		settings := l.settings
		settings.Engine = fixed(func(policy.Submission) policy.Verdict { panic("broken rule") })
		l.milter.Reload(settings)
		c := p.dial()
		c.expect("MAIL FROM:<alice@corp.test>", 250)
		c.expect("RCPT TO:<one@remote.test>", 250)
		c.expect("DATA", 354)
		if text := c.expect("Subject: x\r\n\r\n.", 451); text != "4.3.0 Local error in processing, try again later" {
			t.Errorf("got %q", text)
		}
	})
	if log := p.log(); strings.Contains(log, "warning: milter") || strings.Contains(log, "warning: unix:") {
		t.Errorf("Postfix complains:\n%s", log)
	}
}

// sent waits until a message has left the queue.
func (p *postfix) sent(queueID string) {
	p.t.Helper()
	eventually(p.t, queueID+" has left", func() bool {
		return strings.Contains(p.log(), queueID+": removed")
	})
	if _, queued := p.queue()[queueID]; queued {
		p.t.Errorf("%s is still queued", queueID)
	}
}
