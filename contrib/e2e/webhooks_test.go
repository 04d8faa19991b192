package e2e

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// pythonReceiver is a program as somebody writes it who has read the documentation: %s is what that says.
const pythonReceiver = `
import hashlib, hmac, http.server, json, os, sys, threading, time

%s

address, secret, journal, closed = sys.argv[1], open(sys.argv[2], "rb").read().strip(), sys.argv[3], sys.argv[4]

one = threading.Lock()

class Receiver(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with one:
            status = self.take(body, json.loads(body))
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def take(self, body, event):
        status = 204
        if os.path.exists(closed):
            status = 500
        elif not genuine(secret, self.headers, body):
            status = 401
        line = {"status": status, "delivery": self.headers["X-Sendgate-Delivery"], "header": self.headers["X-Sendgate-Event"], "event": event,
                "altered": genuine(secret, self.headers, body + b" "), "guessed": genuine(b"guess", self.headers, body), "old": self.replayed(body)}
        with open(journal, "a") as f:
            f.write(json.dumps(line) + "\n")
        return status

    def replayed(self, body):
        clock, time.time = time.time, lambda: clock() + 301
        try:
            return genuine(secret, self.headers, body)
        finally:
            time.time = clock

    def log_message(self, *args):
        pass

host, port = address.rsplit(":", 1)
http.server.ThreadingHTTPServer((host, int(port)), Receiver).serve_forever()
`

// TestWebhooks tells a program in Python, which checks signatures as the documentation says, of each event: also of those
// while it is away, answers 500, or sendgate is restarted or killed. Each comes at least once, those of a message in their
// order.
func TestWebhooks(t *testing.T) {
	t.Parallel()
	h := startHooked(t)
	h.open(t)
	first := h.mail(t, 10)
	h.has(t, first)

	h.receiver.end(t) // it is away
	away := h.mail(t, 10)
	h.is(t, "failing", "connection refused")
	check(t, h.process.stop(t)) // and sendgate is started anew meanwhile
	h.start(t)
	away = append(away, h.mail(t, 5)...)
	h.is(t, "failing", "connection refused")
	write(t, "", h.closed) // it is there again, and not well
	h.open(t)
	h.is(t, "failing", "HTTP status 500")
	check(t, os.Remove(h.closed))
	h.has(t, away)
	if n := h.twice(t); n != 0 {
		t.Errorf("%d events were posted again although they had been taken and nothing was killed", n)
	}

	load := h.mail(t, 15)
	h.kill(t)
	h.start(t)
	h.has(t, load)
	h.is(t, "ok", "")

	var answer struct {
		Delivered bool
		Error     string
	}
	h.call(t, "POST", "/webhooks/crm/test", nil, &answer)
	if got := h.taken(t); !answer.Delivered || got[len(got)-1].Event.Kind != "test" {
		t.Errorf("a test: %+v", answer)
	}
	if _, status := h.ask(t, "POST", "/webhooks/erp/test", nil); status != http.StatusNotFound {
		t.Errorf("a test of a webhook that there is not: %d", status)
	}
	h.accounts(t)
}

// A hooked is a gateway with a program that it tells.
type hooked struct {
	*gateway
	receiver        *receiver
	address, closed string // the receiver answers 500 while closed exists
	journal, secret string
	program, python string
	all             []string // ids of all messages
}

type receiver struct{ *process }

// end has the program vanish.
func (r *receiver) end(t *testing.T) {
	t.Helper()
	check(t, r.command.Process.Kill())
	<-r.done
}

// A request is a request as the receiver saw it.
type request struct {
	Status                int
	Delivery, Header      string
	Altered, Guessed, Old bool // whether it would have believed that
	Event                 struct {
		ID, Kind, Timeline string
		Message            struct{ ID, From string }
		Recipients         []string
	}
}

// startHooked runs it in front of a sink. Nobody receives yet.
func startHooked(t *testing.T) *hooked {
	t.Helper()
	python := "/usr/bin/python3"
	need(t, python)
	dir, world := directory(t), startSink(t)
	h := &hooked{
		address: addresses(t, 1)[0], closed: filepath.Join(dir, "closed"), journal: filepath.Join(dir, "journal"), python: python,
		secret: write(t, "correct horse battery staple and more\n", dir, "secret"),
	}
	h.program = write(t, fmt.Sprintf(pythonReceiver, documented(t)), dir, "receiver.py")
	h.gateway = startGateway(t, settings{
		upstream: fmt.Sprintf("servers: [{address: %q}]\ntls: none\naccepts_for: remote\n", world.address),
		hold:     2 * time.Second, delivery: "catch_up: 1000",
		rules: rules{sections: fmt.Sprintf("webhooks:\n  - {name: crm, url: \"http://%s/hooks/sendgate\", secret_file: %q, private: true}\n", h.address, h.secret)},
	})
	return h
}

// documented is the function in the package comment that users are told to copy.
func documented(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../gateway/notify/webhook/doc.go")
	check(t, err)
	var lines []string
	for line := range strings.Lines(string(text)) {
		line, code := strings.CutPrefix(line, "//\t")
		if code && (strings.HasPrefix(line, "def genuine(") || len(lines) > 0) {
			lines = append(lines, line)
		} else if len(lines) > 0 {
			break
		}
	}
	if len(lines) < 3 {
		t.Fatalf("the documentation has no function to verify with: %q", lines)
	}
	return strings.Join(lines, "")
}

// open has the receiver listen.
func (h *hooked) open(t *testing.T) {
	t.Helper()
	h.receiver = &receiver{spawn(t, h.python, h.program, h.address, h.secret, h.journal, h.closed)}
	t.Cleanup(func() { _ = h.receiver.command.Process.Kill() }) // it may have ended
	eventually(t, "the receiver listens", func() bool {
		select {
		case err := <-h.receiver.done:
			t.Fatalf("the receiver ended: %v\n%s", err, h.receiver.output)
		default:
		}
		c, err := net.Dial("tcp", h.address)
		return err == nil && c.Close() == nil
	})
}

// mail sends messages and gives their ids; each fifth is taken back while it is held.
func (h *hooked) mail(t *testing.T, n int) (ids []string) {
	t.Helper()
	for i := range n {
		text, err := submitted(h.smtp, fmt.Appendf(nil, "Subject: hook%d\r\n\r\nx\r\n", i))
		check(t, err)
		id := heldAs(t, "250 2.0.0 "+text)
		if ids = append(ids, id); i%5 == 4 {
			h.ask(t, "POST", "/messages/"+id+"/cancel", map[string]any{"reason": "wrong attachment"}) // or it has left
		}
	}
	h.all = append(h.all, ids...)
	return ids
}

// requests are all that came so far.
func (h *hooked) requests(t *testing.T) (all []request) {
	t.Helper()
	f, err := os.Open(h.journal)
	if os.IsNotExist(err) {
		return nil
	}
	check(t, err)
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var p request
		if json.Unmarshal(lines.Bytes(), &p) != nil {
			break // it is being written, or was when the program ended
		}
		all = append(all, p)
	}
	return all
}

// taken are those that were answered with success.
func (h *hooked) taken(t *testing.T) []request {
	t.Helper()
	return slices.DeleteFunc(h.requests(t), func(p request) bool { return p.Status != http.StatusNoContent })
}

// twice counts events that were taken more than once.
func (h *hooked) twice(t *testing.T) (n int) {
	t.Helper()
	seen := map[string]bool{}
	for _, p := range h.taken(t) {
		if seen[p.Event.ID] {
			n++
		}
		seen[p.Event.ID] = true
	}
	return n
}

// is waits until the webhook is in a state, with words in what failed last.
func (h *hooked) is(t *testing.T, state, words string) {
	t.Helper()
	eventually(t, "the webhook is "+state+" "+words, func() bool {
		var list struct {
			Webhooks []struct {
				Name, State, Error string
				Signed             bool
			}
		}
		h.call(t, "GET", "/webhooks", nil, &list)
		return len(list.Webhooks) == 1 && list.Webhooks[0].Signed && list.Webhooks[0].State == state && strings.Contains(list.Webhooks[0].Error, words)
	})
}

// has waits until the receiver has every event of messages that have ended.
func (h *hooked) has(t *testing.T, ids []string) {
	t.Helper()
	eventually(t, "nothing is left to be sent", func() bool { return h.waiting(t) == 0 })
	eventually(t, "the receiver has every event", func() bool {
		got := h.first(t)
		return !slices.ContainsFunc(ids, func(id string) bool { return len(got[id]) < len(h.message(t, id).Timeline) })
	})
}

// first are the events of a message in the order in which they were first taken.
func (h *hooked) first(t *testing.T) map[string][]request {
	t.Helper()
	got, seen := map[string][]request{}, map[string]bool{}
	for _, p := range h.taken(t) {
		if !seen[p.Event.ID] {
			seen[p.Event.ID] = true
			got[p.Event.Timeline] = append(got[p.Event.Timeline], p)
		}
	}
	return got
}

// accounts compares what came with the journal.
func (h *hooked) accounts(t *testing.T) {
	t.Helper()
	first, canceled := h.first(t), 0
	for _, id := range h.all {
		var got, want []string
		for _, p := range first[id] {
			got = append(got, p.Event.Kind)
		}
		for _, e := range h.message(t, id).Timeline {
			want = append(want, e.Kind)
		}
		if !slices.Equal(got, want) || !slices.IsSortedFunc(first[id], inOrder) {
			t.Errorf("%s: the receiver has %q, the journal %q: %+v", id, got, want, first[id])
		}
		if slices.Contains(got, "canceled") {
			canceled++
		}
	}
	refused := 0
	for _, p := range h.requests(t) {
		if p.Status == http.StatusInternalServerError {
			refused++
		}
		if p.Status == http.StatusUnauthorized || p.Altered || p.Guessed || p.Old {
			t.Errorf("answered %d; believed although it was altered: %v, signed with another secret: %v, five minutes old: %v", p.Status, p.Altered, p.Guessed, p.Old)
		}
		if p.Delivery != p.Event.ID || p.Header != p.Event.Kind {
			t.Errorf("the header says %s %s, the event %s %s", p.Delivery, p.Header, p.Event.ID, p.Event.Kind)
		}
		if p.Event.Kind == "test" {
			continue
		}
		if p.Event.Message.From != "alice@corp.test" || !slices.Equal(p.Event.Recipients, []string{"bob@world.test"}) {
			t.Errorf("%+v", p.Event)
		}
	}
	if refused == 0 || canceled == 0 {
		t.Errorf("%d requests were answered 500, %d messages taken back: the test has none of these", refused, canceled)
	}
	t.Logf("%d messages, %d taken back, %d requests, %d taken, %d of them again, %d answered 500", len(h.all), canceled, len(h.requests(t)), len(h.taken(t)), h.twice(t), refused)
}

// inOrder compares the ids of events, part by part as numbers.
func inOrder(a, b request) int {
	return slices.CompareFunc(strings.Split(a.Event.ID, "."), strings.Split(b.Event.ID, "."), func(a, b string) int {
		x, _ := strconv.Atoi(a)
		y, _ := strconv.Atoi(b)
		return cmp.Compare(x, y)
	})
}
