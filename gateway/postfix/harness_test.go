package postfix

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sendgate/sendgate/gateway/machinetest"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

const patience = machinetest.Patience

// nobodyUID is the one user that the tests' helper works for.
const nobodyUID = 65534

const postfixBin = "/usr/sbin/postfix"

var (
	directory  = machinetest.Directory
	write      = machinetest.Write
	eventually = machinetest.Eventually
)

// run gives the output of a program that must succeed.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c := exec.CommandContext(ctx, name, args...)
	c.WaitDelay = 5 * time.Second // a daemon keeps the output open
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// machine is a private Postfix with our helper. What has a field X-Hold is held; mail for
// fast.test and slow.test goes to the two sinks.
type machine struct {
	dir, smtp  string
	fast, slow *sink
	socket     string
	logged     *observer.ObservedLogs
	helper     *Helper
	stopHelper func()
}

// startMachine runs a Postfix until the test ends. more are further lines of main.cf.
func startMachine(t *testing.T, more ...string) *machine {
	t.Helper()
	machinetest.Need(t, postfixBin)
	t.Parallel() // most of the time goes into starting and stopping Postfix
	m := &machine{dir: directory(t), smtp: machinetest.Addresses(t, 1)[0], fast: startSink(t), slow: startSink(t)}
	for _, sub := range []string{"etc", "spool", "data", "log"} {
		if err := os.Mkdir(filepath.Join(m.dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// postsuper writes its log as this user while Postfix does not run.
	run(t, "/bin/chown", "postfix", filepath.Join(m.dir, "data"), filepath.Join(m.dir, "log"))
	write(t, m.mainCf()+strings.Join(more, "\n")+"\n", m.dir, "etc", "main.cf")
	write(t, fmt.Sprintf(masterCf, m.smtp), m.dir, "etc", "master.cf")
	write(t, "/^X-Hold:/ HOLD for the test\n", m.dir, "etc", "header_checks")
	write(t, fmt.Sprintf("fast.test smtp:%s\nslow.test smtp:%s\n", bracketed(m.fast.address), bracketed(m.slow.address)),
		m.dir, "etc", "transport")
	etc := filepath.Join(m.dir, "etc")
	t.Cleanup(func() {
		run(t, postfixBin, "-c", etc, "stop")
		if t.Failed() {
			t.Logf("Postfix:\n%s", m.log())
		}
	})
	run(t, postfixBin, "-c", etc, "start")
	eventually(t, "Postfix answers", func() bool {
		c, err := net.Dial("tcp", m.smtp)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	m.socket = filepath.Join(m.dir, "run", "postfix.sock")
	m.helper = New(Config{Helper: m.socket, Timeout: patience, Settle: patience})
	m.startHelper(t)
	return m
}

// startHelper runs the root helper until stopHelper, at the latest until the test ends.
func (m *machine) startHelper(t *testing.T) {
	t.Helper()
	core, logged := observer.New(zapcore.DebugLevel)
	m.logged = logged
	s, err := NewServer(t.Context(), m.serverConfig(), zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	m.stopHelper = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	t.Cleanup(m.stopHelper)
}

func (m *machine) serverConfig() ServerConfig {
	return ServerConfig{
		Socket: m.socket, Config: filepath.Join(m.dir, "etc"), Postconf: "/usr/sbin/postconf",
		UID: nobodyUID, GID: nobodyUID,
	}
}

func (m *machine) mainCf() string {
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
transport_maps = texthash:%[1]s/etc/transport
header_checks = regexp:%[1]s/etc/header_checks
smtp_dns_support_level = disabled
smtp_host_lookup = native
alias_maps =
alias_database =
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
smtp_data_done_timeout = 600
maillog_file = %[1]s/log/mail.log
maillog_file_prefixes = %[2]s
syslog_name = postfix
`, m.dir, filepath.Dir(m.dir))
}

const masterCf = `%s inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
pickup unix n - n 60 1 pickup
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
flush unix n - n 1000? 0 flush
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
showq unix n - n - - showq
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`

func bracketed(address string) string {
	host, port, _ := strings.Cut(address, ":")
	return "[" + host + "]:" + port
}

// log is the mail log so far.
func (m *machine) log() string {
	text, _ := os.ReadFile(filepath.Join(m.dir, "log", "mail.log"))
	return string(text)
}

// queue lists everything.
func (m *machine) queue(t *testing.T) map[string]Queued {
	t.Helper()
	all := map[string]Queued{}
	err := m.helper.List(t.Context(), nil, func(q Queued) bool {
		all[q.ID] = q
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// identity is that of a message in the queue.
func (m *machine) identity(t *testing.T, id string) Identity {
	t.Helper()
	var found Identity
	err := m.helper.List(t.Context(), []string{id}, func(q Queued) bool {
		found = Identity{ID: q.ID, Arrival: q.Arrival, Sender: q.Sender}
		return true
	})
	if err != nil || found.ID != id {
		t.Fatalf("%s is not listed: %v", id, err)
	}
	return found
}

// A letter is what is submitted. The commands' arguments stand as they are sent.
type letter struct {
	mail    string
	rcpt    []string
	content string
}

func held(rcpt ...string) letter {
	return letter{mail: "<ann@corp.test>", rcpt: rcpt, content: "X-Hold: yes\r\nSubject: test\r\n\r\nbody\r\n"}
}

func straight(rcpt ...string) letter {
	return letter{mail: "<ann@corp.test>", rcpt: rcpt, content: "Subject: test\r\n\r\nbody\r\n"}
}

// submit sends letters on one connection and gives their queue ids.
func (m *machine) submit(t *testing.T, letters ...letter) (ids []string) {
	t.Helper()
	c, err := textproto.Dial("tcp", m.smtp)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	say := func(code int, format string, args ...any) string {
		if format != "" {
			if err := c.PrintfLine(format, args...); err != nil {
				t.Fatal(err)
			}
		}
		_, text, err := c.ReadResponse(code)
		if err != nil {
			t.Fatalf("%s: %v", fmt.Sprintf(format, args...), err)
		}
		return text
	}
	say(220, "")
	say(250, "EHLO client.test")
	for _, l := range letters {
		say(250, "MAIL FROM:%s", l.mail)
		for _, r := range l.rcpt {
			say(250, "RCPT TO:%s", r)
		}
		say(354, "DATA")
		text := strings.ReplaceAll("\r\n"+l.content, "\r\n.", "\r\n..")[2:]
		reply := say(250, "%s", text+".")
		ids = append(ids, reply[strings.LastIndexByte(reply, ' ')+1:])
	}
	say(221, "QUIT")
	return ids
}

// sink is an SMTP server that takes everything. While it stalls, its answer to the final dot waits.
type sink struct {
	address string
	mu      sync.Mutex
	taken   [][]byte
	stalled chan chan string // a message waits for its answer; nil while the sink does not stall
}

func startSink(t *testing.T) *sink {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &sink{address: l.Addr().String()}
	var sessions sync.WaitGroup
	sessions.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
			sessions.Go(func() { s.serve(c) })
		}
	})
	t.Cleanup(func() { l.Close() })
	return s
}

// stall makes the sink wait after each message. The channel gives, for each message, where its
// answer is to be sent.
func (s *sink) stall() <-chan chan string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stalled = make(chan chan string)
	return s.stalled
}

// flow ends the stalling for messages to come.
func (s *sink) flow() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stalled = nil
}

func (s *sink) messages() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.taken)
}

func (s *sink) serve(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	say := func(text string) { _, _ = io.WriteString(c, text+"\r\n") }
	say("220 sink.test ESMTP")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		switch verb, _, _ := strings.Cut(strings.ToUpper(strings.TrimRight(line, "\r\n")), " "); verb {
		case "EHLO":
			say("250-sink.test\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 DSN")
		case "DATA":
			say("354 Go on")
			data, err := readData(r)
			if err != nil {
				return
			}
			say(s.verdict(data))
		case "QUIT":
			say("221 2.0.0 Bye")
			return
		default:
			say("250 2.0.0 Ok")
		}
	}
}

func (s *sink) verdict(data []byte) string {
	s.mu.Lock()
	stalled := s.stalled
	s.mu.Unlock()
	text := "250 2.0.0 Ok"
	if stalled != nil {
		answer := make(chan string)
		stalled <- answer
		text = <-answer
	}
	if strings.HasPrefix(text, "250") {
		s.mu.Lock()
		s.taken = append(s.taken, data)
		s.mu.Unlock()
	}
	return text
}

func readData(r *bufio.Reader) ([]byte, error) {
	var data bytes.Buffer
	for {
		line, err := r.ReadBytes('\n')
		if err != nil {
			return nil, err
		}
		if string(line) == ".\r\n" {
			return data.Bytes(), nil
		}
		data.Write(bytes.TrimPrefix(line, []byte(".")))
	}
}
