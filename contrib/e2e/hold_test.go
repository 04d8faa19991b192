package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// The programs with which an administrator looks at the queue and changes it.
const (
	postqueueBin = "/usr/sbin/postqueue"
	postsuperBin = "/usr/sbin/postsuper"
)

// holding is a sendgate that is Postfix's milter, with its helper.
type holding struct {
	*gateway
	mta    *postfix
	world  *sink
	helper *process
	socket string // of the milter, as the gateway listens
}

// holdSettings are what differs between the tests' machines.
type holdSettings struct {
	hold   time.Duration
	boxes  *dovecot // nil: there are no mailboxes
	world  string   // where other mail goes instead of the sink
	mainCf []string
	track  func(mta *postfix) string // the track section; nil is none
	rules  rules
	// between stands between Postfix and the gateway when it is set; it gives the socket that Postfix
	// connects to.
	between func(socket string) string
}

// startHolding runs Postfix, the gateway and the helper until the test ends.
func startHolding(t *testing.T, s holdSettings) *holding {
	t.Helper()
	need(t, postfixBin, postqueueBin, postsuperBin)
	h := &holding{world: startSink(t), gateway: &gateway{api: addresses(t, 1)[0], dir: directory(t)}}
	h.socket = filepath.Join(h.dir, "milter.sock")
	atPostfix := h.socket
	if s.between != nil {
		atPostfix = s.between(h.socket)
	}
	if s.boxes == nil {
		s.boxes = &dovecot{lmtp: "127.0.0.1:9", authSocket: "none"}
	}
	if s.world == "" {
		s.world = h.world.address
	}
	h.mta = startPostfix(t, s.boxes, s.world, append([]string{
		"smtpd_milters = unix:" + atPostfix,
		"milter_default_action = tempfail",
	}, s.mainCf...)...)
	config := h.config(s.hold, s.rules)
	if s.track != nil {
		config += s.track(h.mta)
	}
	write(t, config, h.dir, "sendgate.yaml")
	h.startHelper(t)
	h.start(t)
	t.Cleanup(func() {
		h.end(t)
		h.stopHelper(t)
	})
	return h
}

func (h *holding) config(hold time.Duration, r rules) string {
	return fmt.Sprintf(`hostname: gw.corp.test
store:
  dir: %[1]s/data
  min_free_mib: 64
relay:
  listen: []
milter:
  listen:
    - {address: "unix:%[2]s", mode: "0660", group: postfix}
  networks: [127.0.0.0/8]
postfix:
  helper: %[1]s/helper.sock
upstreams:
  - name: reinject
    servers: [{address: %[3]q}]
    tls: none
policy:
  hold: {default: %[4]s, margin: 0s}
%[7]sdelivery:
  retry: {first: 1s, max: 2s, expire_after: 1h, delay_notice_after: 0s}
api:
  listen: %[5]q
  socket: ""
  tokens: [{name: e2e, role: admin, sha256: %[6]s}]
`, h.dir, h.socket, h.mta.reinject, hold, h.api, apiTokenHash, r.inPolicy()) + r.sections
}

// startHelper runs the root process and waits until the gateway can reach it.
func (h *holding) startHelper(t *testing.T) {
	t.Helper()
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(h.dir, "helper.sock")
	h.helper = spawn(t, binary, "postfix-helper", "--socket", socket, "--postfix-config", filepath.Join(h.mta.dir, "etc"), "--user", "root")
	eventually(t, "the helper listens", func() bool {
		c, err := net.Dial("unix", socket)
		if err != nil {
			return false
		}
		return c.Close() == nil
	})
}

func (h *holding) stopHelper(t *testing.T) {
	t.Helper()
	if err := h.helper.stop(t); err != nil {
		t.Errorf("the helper: %v", err)
	}
	if log := h.helper.output.String(); t.Failed() || strings.Contains(log, "DATA RACE") {
		t.Logf("the helper:\n%s", log)
	}
}

// helperReady is what /readyz says about the helper.
func (h *holding) helperReady(t *testing.T) bool {
	t.Helper()
	response, err := http.Get("http://" + h.api + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var ready struct {
		Parts []struct {
			Name string
			OK   bool
		}
	}
	if err := json.NewDecoder(response.Body).Decode(&ready); err != nil {
		t.Fatal(err)
	}
	for _, p := range ready.Parts {
		if p.Name == "postfix helper" {
			return p.OK
		}
	}
	t.Fatalf("/readyz does not name the helper: %v", ready)
	return false
}

// queue gives the queue of each message that Postfix has.
func (p *postfix) queue(t *testing.T) map[string]string {
	t.Helper()
	out, code := run(t, postqueueBin, "-c", filepath.Join(p.dir, "etc"), "-j")
	if code != 0 {
		t.Fatalf("postqueue: %s", out)
	}
	queues := map[string]string{}
	for line := range strings.Lines(out) {
		var m struct {
			Queue string `json:"queue_name"`
			ID    string `json:"queue_id"`
		}
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("postqueue: %v: %s", err, line)
		}
		queues[m.ID] = m.Queue
	}
	return queues
}

// byHand runs postsuper as an administrator would.
func (p *postfix) byHand(t *testing.T, flag, queueID string) {
	t.Helper()
	if out, code := run(t, postsuperBin, "-c", filepath.Join(p.dir, "etc"), flag, queueID); code != 0 || !strings.Contains(out, "1 message") {
		t.Fatalf("postsuper %s %s: %s", flag, queueID, out)
	}
}

var queuedText = regexp.MustCompile(`Ok: queued as ([0-9A-Za-z]+)`)

// queuedAs finds the queue id in Postfix's answer.
func queuedAs(t *testing.T, transcript string) string {
	t.Helper()
	m := queuedText.FindStringSubmatch(transcript)
	if m == nil {
		t.Fatalf("Postfix did not take the message:\n%s", transcript)
	}
	return m[1]
}

// send gives a message to Postfix's trusting listener and returns its queue id.
func (h *holding) send(t *testing.T, message []byte, to string, more ...string) (queueID string) {
	t.Helper()
	args := append(data(t, message), "--from", "alice@corp.test", "--to", to)
	transcript, status := swaks(t, h.mta.smtp, append(args, more...)...)
	if status != 0 {
		t.Fatalf("swaks: %d\n%s", status, transcript)
	}
	return queuedAs(t, transcript)
}

// sendHeld is send for a message that is to be held; it gives our id as well.
func (h *holding) sendHeld(t *testing.T, message []byte, to string) (queueID, id string) {
	t.Helper()
	queueID = h.send(t, message, to)
	if q := h.mta.queue(t)[queueID]; q != "hold" {
		t.Fatalf("%s is in queue %q", queueID, q)
	}
	return queueID, h.idOf(t, queueID)
}

// idOf finds our id of a message of Postfix.
func (h *holding) idOf(t *testing.T, queueID string) string {
	t.Helper()
	found := h.search(t, "queue:"+queueID)
	if len(found) != 1 {
		t.Fatalf("%d messages with queue id %s", len(found), queueID)
	}
	return found[0].ID
}

// recall takes a message back, from some recipients only where they are named.
func (h *holding) recall(t *testing.T, id string, recipients ...string) recalled {
	t.Helper()
	var answer recalled
	body := map[string]any{"message_ids": []string{id}, "reason": "wrong attachment"}
	if len(recipients) > 0 {
		body["recipients"] = recipients
	}
	h.call(t, "POST", "/recalls", body, &answer)
	return answer
}

// recalled is what the tests read of a recall.
type recalled struct {
	ID, Overall string
	Recipients  []struct{ Address, Code string }
}

func (r recalled) codes() string {
	var codes []string
	for _, p := range r.Recipients {
		codes = append(codes, p.Code)
	}
	return strings.Join(codes, " ")
}

// all gives the ids of all messages in a state.
func (g *gateway) all(t *testing.T, query string) (ids []string) {
	t.Helper()
	cursor := ""
	for {
		var page struct {
			Messages []listed
			Next     string
		}
		g.call(t, "GET", "/messages?limit=1000&q="+url.QueryEscape(query)+"&cursor="+cursor, nil, &page)
		for _, m := range page.Messages {
			ids = append(ids, m.ID)
		}
		if cursor = page.Next; cursor == "" {
			return ids
		}
	}
}

// sendgate runs the command line against the gateway.
func (g *gateway) sendgate(t *testing.T, args ...string) string {
	t.Helper()
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	out, code := run(t, binary, append(args, "--server", "http://"+g.api, "--token", apiToken, "--lang", "en")...)
	if code != 0 {
		t.Fatalf("sendgate %s: %d\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

// A cut stands between Postfix and the gateway and, while it is armed, breaks the connection in place
// of the first quarantine that the gateway answers.
type cut struct {
	armed atomic.Bool
	done  chan struct{} // has an item when it was cut
}

// listen serves a socket that leads to another one.
func (c *cut) listen(t *testing.T, from, to string) {
	t.Helper()
	l, err := net.Listen("unix", from)
	if err != nil {
		t.Fatal(err)
	}
	if out, code := run(t, "/bin/chmod", "0666", from); code != 0 {
		t.Fatal(out)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			mta, err := l.Accept()
			if err != nil {
				return
			}
			gateway, err := net.Dial("unix", to)
			if err != nil {
				mta.Close()
				continue
			}
			go func() { _, _ = io.Copy(gateway, mta); gateway.Close() }()
			go func() { c.back(mta, gateway); mta.Close() }()
		}
	}()
}

// quarantine is how a milter's answer to quarantine begins: its reason is ours.
const quarantine = "qsendgate "

func (c *cut) back(mta, gateway net.Conn) {
	b := make([]byte, 64<<10)
	for {
		n, err := gateway.Read(b)
		if err != nil {
			return
		}
		if c.armed.Load() && strings.Contains(string(b[:n]), quarantine) {
			c.armed.Store(false)
			c.done <- struct{}{}
			return
		}
		if _, err := mta.Write(b[:n]); err != nil {
			return
		}
	}
}
