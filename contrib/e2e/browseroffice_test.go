package e2e

import (
	"bytes"
	"context"
	"fmt"
	"mime"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/sendgate/sendgate/gateway/demo"
	"go.uber.org/zap"
)

// injected stands in everything that a hostile message tries: in what its script would say, in the path that it
// would load, and as the class of its elements.
const injected = "injected"

// payloads are what a browser would run if a page took them for its own.
var payloads = []string{
	`<script class=injected>alert('injected')</script>`,
	`"><img class=injected src=/injected onerror=alert('injected')>`,
	`'><svg class=injected onload=alert('injected')>`,
	`</title></textarea></script><iframe class=injected srcdoc="<script>alert('injected')</script>">`,
	`<a class=injected href="javascript:alert('injected')">x</a>`,
	`<b class=injected hx-get=/injected hx-trigger=load>`,
	`" onfocus=alert('injected') autofocus class="injected`,
	`<style class=injected>@import '/injected'</style>`,
	`{{constructor.constructor("alert('injected')")()}} ${alert('injected')}`,
	"\u202e</bdi><math class=injected><mtext><script>alert('injected')</script>",
}

// office is a gateway in front of the demo's mailboxes, and a world that answers as it is told.
type office struct {
	*gateway
	world *sink
	log   string // file
}

// startOffice runs everything until the test ends.
func startOffice(t *testing.T) *office {
	t.Helper()
	behind, err := demo.New(demo.Config{SMTP: "127.0.0.1:0", IMAP: "127.0.0.1:0"}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	serving, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- behind.Run(serving) }()
	t.Cleanup(func() { stop(); <-ended })
	free, dir := addresses(t, 2), directory(t)
	o := &office{gateway: &gateway{smtp: free[0], api: free[1], dir: dir}, world: startSink(t), log: filepath.Join(dir, "serve.log")}
	o.world.answering(sullen)
	o.configure(t, behind)
	o.serve(t)
	return o
}

// sullen refuses as the recipients' names say, in words that a page must not believe.
func sullen(verb string, m sunk) string {
	if verb != "DATA" { // RCPT is asked while the sender waits
		return ""
	}
	switch to := strings.Join(m.rcpt, " "); {
	case strings.Contains(to, "never"):
		return "550 5.7.1 " + strings.Join(payloads[:3], " ")
	case strings.Contains(to, "later"):
		return "451 4.7.1 " + payloads[1]
	}
	return ""
}

func (o *office) configure(t *testing.T, behind *demo.Upstream) {
	t.Helper()
	password := write(t, demo.Password+"\n", o.dir, "password")
	var identities strings.Builder
	for _, p := range demo.People() {
		fmt.Fprintf(&identities, "  - {login: %s, addresses: [%s]}\n", p.Login, p.Address())
	}
	write(t, fmt.Sprintf(`hostname: gateway.corp.example
store: {dir: %[1]s/data, min_free_mib: 64}
relay:
  listen: [{address: %[2]q}]
  allow_insecure_auth: true
  recipient_cache: 0s
upstreams:
  - {name: mailboxes, match: ["@corp.example"], servers: [{address: %[3]q}], tls: none, accepts_for: mailbox}
  - {name: world, servers: [{address: %[4]q}], tls: none, accepts_for: remote}
policy:
  hold: {default: 14m, margin: 0s}
  internal: ["@corp.example"]
  trial: 0s
  limits:
    - {name: hour, match: {senders: [li.lei@corp.example]}, unit: recipients, limit: 5, per: hour, action: approval}
    - {name: day, unit: recipients, limit: 1000, per: day}
domains: {enabled: false}
similar:
  notice: {hour: 3, day: 3}
  slow: {hour: 0, day: 0}
  review: {hour: 0, day: 6}
  alert: {hour: 0, day: 30}
delivery:
  retry: {first: 1s, max: 2s, expire_after: 1h, delay_notice_after: 0s}
recall: {per_hour: 100}
mailboxes:
  - {name: demo, domains: ["@corp.example"], imap: {address: %[5]q, tls: none, auth: service, login: "%%u", password_file: %[6]s}}
identities:
%[7]sapi:
  listen: %[8]q
  socket: ""
  tokens: [{name: e2e, role: admin, sha256: %[9]s}]
`, o.dir, o.smtp, behind.SMTPAddr(), o.world.address, behind.IMAPAddr(), password, identities.String(), o.api, apiTokenHash), o.dir, "sendgate.yaml")
}

// serve runs the process with its output in a file, which is read while it runs: there stands the link.
func (o *office) serve(t *testing.T) {
	t.Helper()
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(o.log)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{command: exec.Command(binary, "serve", "--config", filepath.Join(o.dir, "sendgate.yaml")), output: new(bytes.Buffer), done: make(chan error, 1)}
	p.command.Stdout, p.command.Stderr = out, out
	p.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	o.process = p
	go func() { p.done <- p.command.Wait(); _ = out.Close() }()
	t.Cleanup(func() {
		if err := p.stop(t); err != nil {
			t.Errorf("sendgate: %v", err)
		}
		if log := o.said(); t.Failed() || strings.Contains(log, "DATA RACE") {
			t.Errorf("sendgate:\n%s", log)
		}
	})
	eventually(t, "sendgate answers", func() bool { return answers(o.smtp, "220 ") && o.setUpLink() != "" })
}

// said is the output so far.
func (o *office) said() string {
	text, _ := os.ReadFile(o.log)
	return string(text)
}

var setUpLink = regexp.MustCompile(`http://[0-9.:]+(/set-up\?token=[^\s"]+)`)

// setUpLink is the path of the link that the first start prints.
func (o *office) setUpLink() string {
	m := setUpLink.FindStringSubmatch(o.said())
	if m == nil {
		return ""
	}
	return m[1]
}

// post is a message of somebody at corp.example.
type post struct {
	from, subject, text string
	to                  []string
	hold                int // seconds; 0 is the default
	more                string
	name                string // of the sender, and of the attached file
}

func (m *post) message() []byte {
	var b bytes.Buffer
	if m.hold > 0 {
		fmt.Fprintf(&b, "X-Sendgate-Hold: %d\r\n", m.hold)
	}
	word := func(s string) string { return mime.BEncoding.Encode("utf-8", s+" ") }
	fmt.Fprintf(&b, "From: %s <%s@corp.example>\r\nTo: %s\r\nSubject: %s\r\nDate: %s\r\nMessage-ID: <%d@corp.example>\r\n%s",
		word(m.name), m.from, strings.Join(m.to, ", "), strings.TrimSpace(word(m.subject)), time.Now().Format(time.RFC1123Z), time.Now().UnixNano(), m.more)
	if m.name == "" {
		fmt.Fprintf(&b, "Content-Type: text/plain; charset=utf-8\r\n\r\n%s\r\n", m.text)
		return b.Bytes()
	}
	fmt.Fprintf(&b, "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n%s\r\n"+
		"--b\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename*=utf-8''%s\r\n\r\n%%PDF-1.4\r\n--b--\r\n", m.text, url.PathEscape(m.name))
	return b.Bytes()
}

var takenAs = regexp.MustCompile(`(?:Held|Waits for approval|Accepted) as ([0-9A-Z]{26})`)

// send gives a message to the gateway, and its id.
func (o *office) send(t *testing.T, m post) (id string) {
	t.Helper()
	reply, err := submit(t, o.smtp, m.from+"@corp.example", &smtp.MailOptions{}, m.to, nil, m.message())
	if err != nil {
		t.Fatalf("%q: %v", m.subject, err)
	}
	found := takenAs.FindStringSubmatch(reply)
	if found == nil {
		t.Fatalf("%q: %s", m.subject, reply)
	}
	return found[1]
}

// fill sends a bit of everything, and waits until it has settled. It gives the ids of messages to look at.
func (o *office) fill(t *testing.T) (ids map[string]string) {
	t.Helper()
	ids = map[string]string{}
	ids["held"] = o.send(t, post{from: "bob", to: []string{"carol@corp.example", "purchasing@customer.example"}, subject: "Offer 2026-114", text: "Valid for 30 days."})
	ids["inside"] = o.send(t, post{from: "wang.fang", to: []string{"li.lei@corp.example", "alice@corp.example"}, subject: "会议纪要：第三季度预算", text: "请在周五之前确认。", hold: 1})
	ids["returned"] = o.send(t, post{from: "alice", to: []string{"never@refusing.example"}, subject: "Request for information", text: "Who reads this?", hold: 1})
	ids["deferred"] = o.send(t, post{from: "bob", to: []string{"later@slow.example", "fine@slow.example"}, subject: "Order 4711", text: "The usual.", hold: 1})
	for i, p := range payloads {
		m := post{from: "carol", to: []string{fmt.Sprintf("r%d@customer.example", i)}, subject: p, text: p, name: p}
		m.more = "X-Mailer: " + strings.Map(ascii, p) + "\r\nComments: " + strings.Map(ascii, p) + "\r\n"
		if i == 0 {
			m.to, m.hold = []string{"never@refusing.example", "bob@corp.example"}, 1
		}
		ids[fmt.Sprintf("hostile%d", i)] = o.send(t, m)
	}
	for i := range 9 {
		o.send(t, post{from: "alice", to: []string{fmt.Sprintf("customer%d@shop%d.example", i, i)}, subject: "Autumn sale " + payloads[1],
			text: fmt.Sprintf("Dear customer %d, everything in our shop costs half until Sunday: tables, chairs, lamps, beds and carpets.\r\n%s\r\nCome and see %s", i*7919, payloads[0], payloads[1])})
		o.send(t, post{from: "li.lei", to: []string{fmt.Sprintf("buyer%d@partner.example", i)}, subject: fmt.Sprintf("报价单 %d %s", i, payloads[2]), text: fmt.Sprintf("第 %d 号报价单，单号 %x。", i, i*104729)})
	}
	o.awaitState(t, ids["returned"], "bounced")
	o.awaitState(t, ids["inside"], "delivered_mailbox")
	return ids
}

func ascii(r rune) rune {
	if r > 0x7e || r < 0x20 {
		return -1
	}
	return r
}
